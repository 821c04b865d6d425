"""pump dead."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from pump.cli.shared import completing
from pump.cli.shared.commanding import command_daemon, rate_option, table
from pump.cli.shared.finding import Found, find, state_dir_option
from pump.cli.shared.options import config_option, shown_json, utf8
from pump.core.text import printable

if TYPE_CHECKING:
    from pump.spool import DeadLetter

F = TypeVar("F", bound=Callable[..., Any])

_ID: Final = click.IntRange(0, (1 << 63) - 1)
"""As SQLite numbers its rows."""


def _which(command: F) -> F:
    """ID..., --sink NAME, --all."""
    for option in (
        click.argument("ids", type=_ID, nargs=-1, metavar="[ID]..."),
        click.option(
            "--sink", callback=utf8, metavar="NAME", help="Only this sink's.", shell_complete=completing.sinks
        ),
        click.option("--all", "everything", is_flag=True, help="Those of all sinks."),
    ):
        command = option(command)
    return command


def _arguments(ids: tuple[int, ...], sink: str | None, everything: bool) -> dict[str, Any]:
    if not ids and sink is None and not everything:
        raise click.UsageError("which? Name IDs, --sink or --all.")
    return {"ids": list(ids) or None, "sink": sink, "all": everything}


@click.group(name="dead")
def command() -> None:
    """Dead letters: events that a sink refused, or that it could not deliver in time.

    Each is kept whole, with the reason, until it is tried again or dropped; the sink went on with the next.

    \b
    Examples:
      pump dead list
      pump dead show 17
      pump dead retry --sink hook
      pump dead drop 17 18
    """


@command.command(name="list")
@config_option
@state_dir_option
@click.option("--sink", callback=utf8, metavar="NAME", help="Only this sink's.")
@click.option("--counts", is_flag=True, help="How many of each sink and reason, no more.")
def list_(config: Path, state_dir: Path | None, sink: str | None, counts: bool) -> None:
    """List dead letters, oldest first, whether or not the daemon runs.

    Together they hold an eighth of the spool's max_bytes at the most; how many went for it is said on standard error.
    """
    place = find(config, state_dir)
    with _letters(place, sink, None) as found:
        for name, count, at in _removed(place, sink):
            click.echo(f"{count} older ones of {name} were removed for want of room, the last at {_when(at)}", err=True)
        if counts:
            number = Counter((letter.sink, letter.reason) for letter in found)
            table(("SINK", "COUNT", "REASON"), [(name, count, why) for (name, why), count in number.most_common()])
            return
        table(
            ("ID", "SINK", "GIVEN UP", "TRIED", "TYPE", "SOURCE", "REASON"),
            [
                (letter.id, letter.sink, _when(letter.at), letter.attempts, letter.record.type, letter.record.source,
                 letter.reason)
                for letter in found
            ],
        )  # fmt: skip


@command.command()
@config_option
@state_dir_option
@click.argument("ids", type=_ID, nargs=-1, required=True, metavar="ID...")
def show(config: Path, state_dir: Path | None, ids: tuple[int, ...]) -> None:
    """Print the events of dead letters as JSON lines, each whole; what happened to them goes to standard error."""
    missing = set(ids)
    with _letters(find(config, state_dir), None, ids) as found:
        for letter in found:
            missing.discard(letter.id)
            times = "once" if letter.attempts == 1 else f"{letter.attempts} times"
            click.echo(
                f"{letter.id}: {letter.sink}, tried {times}, given up {_when(letter.at)}: {printable(letter.reason)}",
                err=True,
            )
            click.echo(shown_json(letter.record.body))
    _tell_missing(sorted(missing))


@command.command()
@config_option
@state_dir_option
@_which
@rate_option
def retry(
    config: Path, state_dir: Path | None, ids: tuple[int, ...], sink: str | None, everything: bool, rate: float
) -> None:
    """Have the running daemon send dead letters to their sinks again; what is delivered is removed."""
    arguments = {**_arguments(ids, sink, everything), "rate": rate}
    result = command_daemon(find(config, state_dir), "dead.retry", arguments)
    click.echo(f"{result['sent']} delivered, {result['refused']} refused again")
    _tell_missing(result.get("missing"))
    for name in result["left"]:
        click.echo(f"no sink {name} runs, or it is switched off: its dead letters stay", err=True)


@command.command()
@config_option
@state_dir_option
@_which
def drop(config: Path, state_dir: Path | None, ids: tuple[int, ...], sink: str | None, everything: bool) -> None:
    """Remove dead letters for good; without a running daemon the spool is locked meanwhile."""
    arguments = _arguments(ids, sink, everything)
    result = command_daemon(find(config, state_dir), "dead.drop", arguments, alone=_drop_alone)
    if result["dropped"] or not result.get("missing"):
        click.echo(f"{result['dropped']} dropped")
    _tell_missing(result.get("missing"))


def _tell_missing(ids: Sequence[int] | None) -> None:
    """End the command where some of the letters that were named are not there."""
    if ids:
        raise click.ClickException(f"there is no dead letter {', '.join(map(str, ids))}")


def _drop_alone(found: Found, arguments: dict[str, Any]) -> dict[str, Any]:
    """The command itself, on a spool that belongs to us meanwhile."""
    import asyncio

    from pump.core.clock import Clock
    from pump.ops.resend import Resend
    from pump.runtime.lock import FolderLock
    from pump.spool import Spool, SpoolSettings
    from pump.telemetry import log
    from pump.telemetry.metrics import Metrics

    async def main() -> dict[str, Any]:
        clock, metrics = Clock(), Metrics()
        # with the largest limits: this is no time to remove anything else
        settings = SpoolSettings(retention="36500d", max_bytes="1024TiB")  # type: ignore[arg-type]  # as TOML says it
        spool = await Spool.open(folder, settings, clock=clock, metrics=metrics)
        try:
            return await Resend(spool, {}, clock, metrics).drop(arguments, _nobody)
        finally:
            await spool.close()

    folder = found.folder
    if not (folder / "spool.db").exists():
        found.no_spool()
    log.configure(level="warning")
    with FolderLock(folder):
        return asyncio.run(main())


async def _nobody(_: dict[str, Any]) -> None:
    """Progress that nobody watches."""


@contextmanager
def _letters(found: Found, sink: str | None, ids: tuple[int, ...] | None) -> Iterator[Iterator[DeadLetter]]:
    import sqlite3

    from pump.spool import offline

    try:
        yield offline.letters(found.folder, sink=sink, ids=ids)
    except FileNotFoundError:
        found.no_spool()
    except (sqlite3.Error, PermissionError) as error:
        found.unreadable(error)


def _removed(found: Found, sink: str | None) -> Iterator[tuple[str, int, int]]:
    """(sink, how many, when the last) of what went, for dead letters held more than their share."""
    from pump.spool.offline import removed_letters

    for name, count, at in removed_letters(found.folder):
        if sink is None or name == sink:
            yield printable(name), count, at


def _when(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
