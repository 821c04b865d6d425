"""Folders that are there after a power cut: a file that was fsynced is lost where the name of its folder was not."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Final

_NOT_OURS: Final = (errno.EACCES, errno.EPERM, errno.EINVAL, errno.ENOTSUP, errno.EROFS)
"""A folder above that may not be read, or cannot be fsynced: who made ours put it there before."""


def make(folder: Path, mode: int = 0o777) -> None:
    """Make the folder where it is missing, `mode` for it alone, and those above it; durable on return. Raises OSError.

    From above, each on disk before the next is made. So of those that are there only the lowest may not be on disk yet,
    where a process was killed in the midst: its name is put there again, whoever made it.
    """
    if not folder.exists():
        make(folder.parent)
    folder.mkdir(mode, exist_ok=True)
    try:
        sync(folder.parent)
    except OSError as error:
        if error.errno not in _NOT_OURS:
            raise


def sync(path: Path | str) -> None:
    """Fsync a file, or the names in a folder. Raises OSError."""
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)
