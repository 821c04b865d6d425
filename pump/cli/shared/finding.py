"""Where the daemon of a pump.toml keeps its state and listens for commands: a fixed rule, also for an operator's shell.

systemd gives the daemon $STATE_DIRECTORY and $RUNTIME_DIRECTORY; a shell has neither. So where nothing names the state
directory the unit's own is looked at too, and whoever finds nothing says where it looked.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NoReturn, TypeVar

import click

from pump.cli.shared.options import places

F = TypeVar("F", bound=Callable[..., Any])

UNIT_STATE: Final = Path("/var/lib/pump")
"""StateDirectory= of the shipped unit."""
UNIT_RUNTIME: Final = Path("/run/pump")
"""RuntimeDirectory= of the shipped unit: the control socket that a group may use."""
_SIGNS: Final = ("control.sock", "spool.db")
"""A daemon answers there; a daemon was there."""


def state_dir_option(command: F) -> F:
    """--state-dir, as the argument `state_dir`."""
    return click.option(
        "--state-dir", type=click.Path(path_type=Path), metavar="DIR",
        help="The daemon's state directory, if not as in FILE.",
    )(command)  # fmt: skip


@dataclass(frozen=True)
class Found:
    """A state directory, and where it was looked for."""

    folder: Path
    looked: tuple[Path, ...]
    sockets: tuple[Path, ...]
    """Folders in which a control socket of this daemon may be, in the order in which they are tried."""

    def where(self) -> str:
        """The folders looked at, with those that may not be read, and what names another."""
        told = ", ".join(f"{path} (not readable for you)" if _closed(path) else str(path) for path in self.looked)
        return f"looked in {told}; --state-dir names another"

    def no_spool(self) -> NoReturn:
        """End the command, for there is no spool."""
        raise click.ClickException(
            f"there is no spool in {self.folder}: has the daemon run with this state_dir? ({self.where()})"
        )

    def unreadable(self, error: Exception) -> NoReturn:
        """End the command, for the spool cannot be read."""
        raise click.ClickException(f"the spool in {self.folder} cannot be read: {error}")


def find(config: Path, state_dir: Path | None = None) -> Found:
    """The state directory: `state_dir`, else [pump] state_dir, else $STATE_DIRECTORY, else the first of ./pump-state
    and the unit's in which a daemon answers or has been. A relative one is looked for beside `config` too."""
    if state_dir is not None:
        return Found(state_dir, (state_dir,), (state_dir,))
    told = places(config)
    looked = [told.state_dir]
    if not told.state_dir.is_absolute() and (beside := config.parent / told.state_dir) not in looked:
        looked.append(beside)
    of_site = f"{UNIT_STATE.name}-{config.stem}"  # the folders of pump@north, which reads north.toml
    if not told.state_named:
        if os.path.isdir(UNIT_STATE.with_name(of_site)):
            looked.append(UNIT_STATE.with_name(of_site))
        looked.append(UNIT_STATE)
    signs = ((path, sign) for sign in _SIGNS for path in looked)
    folder = next((path for path, sign in signs if os.path.exists(path / sign)), looked[0])
    given = os.environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]
    runtimes = [Path(given)] if given else [UNIT_RUNTIME.with_name(of_site), UNIT_RUNTIME]
    return Found(folder, tuple(looked), (folder, *runtimes))


def _closed(path: Path) -> bool:
    """Whether the folder is there and keeps us out (or one above it does)."""
    try:
        os.stat(path / "spool.db")
    except PermissionError:
        return True
    except OSError:
        return False
    return False
