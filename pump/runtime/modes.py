"""Who may read what the daemon writes: its state nobody else, what is meant for others their group at the most."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

import structlog

log = structlog.get_logger()

_UMASK: Final = 0o027
"""As the shipped unit has it. What is the pump's own is made with a mode of its own, 0600."""
_FOLDER: Final = 0o700
_FILE: Final = 0o600
_OWN: Final = ("lock", "spool.*")
"""The files of the state directory that nobody else has any business with, also those that were set aside."""


def restrict() -> None:
    """Have this process make no file that strangers may read, or its group may write."""
    os.umask(os.umask(0o077) | _UMASK)


def keep_private(folder: Path) -> None:
    """Take from the state directory and the pump's own files in it whatever others may do with them.

    An older pump or `mkdir` made them so. What belongs to another user is left as it is, which is in the log.
    """
    _narrow(folder, _FOLDER)
    for pattern in _OWN:
        for path in folder.glob(pattern):
            _narrow(path, _FILE)


def _narrow(path: Path, mode: int) -> None:
    try:
        found = path.lstat()
        now = stat.S_IMODE(found.st_mode)
        if stat.S_ISLNK(found.st_mode) or not now & ~mode:
            return
        path.chmod(now & mode)
    except FileNotFoundError:
        return
    except OSError as error:
        log.warning(
            "Others may read what is the pump's own, and it cannot change that: make it the daemon's user's",
            path=str(path), reason=error.strerror,
        )  # fmt: skip
    else:
        log.warning("Others could read what is the pump's own; now they cannot", path=str(path), mode=f"{now:04o}")
