"""The part that commands which change something share: they ask the running daemon, through its control socket."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, TypeVar

import click

from pump.cli.shared.finding import Found
from pump.core.text import printable

F = TypeVar("F", bound=Callable[..., Any])

_BAR: Final = 30
"""Columns of a progress bar."""
_SURE: Final = 3.0
"""Seconds after which it says how long the rest will take."""
Alone = Callable[[Found, dict[str, Any]], dict[str, Any]]
"""Does the command where no daemon runs, under the folder's lock."""


def rate_option(command: F) -> F:
    """--rate, as the argument `rate`."""
    return click.option(
        "--rate", type=click.FloatRange(0, 1e6, min_open=True), default=500.0, show_default=True, metavar="N",
        help="Events a second, at the most.",
    )(command)  # fmt: skip


def quiet_option(command: F) -> F:
    """--quiet, as the argument `quiet`."""
    return click.option("-q", "--quiet", is_flag=True, help="Show no progress, on a terminal either.")(command)


def command_daemon(
    found: Found, name: str, arguments: dict[str, Any], *, alone: Alone | None = None,
    lost: Callable[[], dict[str, Any]] | None = None, show: Callable[[dict[str, Any]], object] | None = None,
    quiet: bool = False,
) -> dict[str, Any]:  # fmt: skip
    """The result of the daemon's command, its progress shown on a terminal's standard error meanwhile.

    Each socket at which the daemon may listen is tried. Without a daemon `alone` does it, or the command ends with
    advice. `lost` gives the result where the daemon ends before its answer. `show` takes the progress instead.
    """
    from pump.core.errors import Refusal
    from pump.ops.control import Ended, NoDaemon, ask
    from pump.runtime.lock import Locked

    arguments = {key: value for key, value in arguments.items() if value is not None}
    bar = Bar(quiet=quiet)
    try:
        closed: OSError | None = None
        for folder in found.sockets:
            try:
                state_dir = found.folder if folder != found.folder else None
                return ask(folder, name, arguments, show or bar.show, state_dir=state_dir)
            except NoDaemon:
                continue
            except Ended:
                if lost is None:
                    raise
                return lost()
            except OSError as error:
                closed = closed or error
        if closed is not None:
            raise click.ClickException(
                f"the daemon's control socket in {found.folder} cannot be used: {closed.strerror}; "
                "try as root or as the daemon's user, or see control_group"
            )
        if alone is None:
            raise click.ClickException(
                f"no daemon runs with the state directory {found.folder}; this command needs one: start it first "
                f"(pump run; {found.where()})"
            )
        return alone(found, arguments)
    except (Locked, Refusal) as refusal:
        raise click.ClickException("\n".join(map(printable, str(refusal).split("\n")))) from None
    finally:
        bar.close()


class Bar:
    """One line of standard error, written over and over; nothing where that is no terminal, or with `quiet`."""

    def __init__(
        self, *, quiet: bool = False, monotonic: Callable[[], float] = time.monotonic,
        write: Callable[[str], object] | None = None,
    ) -> None:  # fmt: skip
        """`write` writes to standard error; by default it waits for who reads that."""
        self.shows = sys.stderr.isatty() and not quiet
        self._shown = False
        self._monotonic = monotonic
        self._write = write or partial(click.echo, nl=False, err=True)
        self._begun: tuple[float, float] | None = None
        """When the first of the work was seen done, in seconds, and how much."""

    def show(self, progress: dict[str, Any]) -> None:
        """Progress as the daemon reports it: "looked" and "of" make the bar and the time that is left, all else is
        printed beside it."""
        if not self.shows:
            return
        rest = ", ".join(f"{printable(value)} {key}" for key, value in progress.items() if key not in ("looked", "of"))
        bar = ""
        if (of := progress.get("of")) is not None:
            share = min(1.0, progress.get("looked", 0) / of) if of else 1.0
            full = round(_BAR * share)
            bar = f"[{'#' * full}{'.' * (_BAR - full)}] {share:4.0%}  "
            rest += self._left(float(progress.get("looked", 0)), float(of))
        self._write(f"\r\x1b[K{bar}{rest}")
        self._shown = True

    def _left(self, looked: float, of: float) -> str:
        now = self._monotonic()
        begun, first = self._begun = self._begun or (now, looked)
        if now - begun < _SURE or looked <= first:
            return ""
        seconds = round((of - looked) * (now - begun) / (looked - first))
        return f", {seconds // 60}m {seconds % 60:02}s left" if seconds >= 60 else f", {max(0, seconds)}s left"

    def close(self) -> None:
        """End the line."""
        if self._shown:
            self._write("\n")
            self._shown = False


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Columns as wide as they need to be; control characters come out as escapes."""
    texts = [list(head), *([printable(cell) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in texts) for column in range(len(head))]
    widths[-1] = 0  # nothing stands behind the last column
    for number, row in enumerate(texts):
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        click.echo(click.style(line, bold=True) if number == 0 and sys.stdout.isatty() else line)
