"""pump events."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from pump.cli.shared import completing
from pump.cli.shared.finding import Found, find, state_dir_option
from pump.cli.shared.options import coloured, config_option, moment, shown_json, type_globs

if TYPE_CHECKING:
    from pump.core.record import Record

_PAUSE: Final = 0.2
"""Seconds between two looks at the spool with --follow."""


@click.command()
@config_option
@state_dir_option
@click.option("--follow", "-f", is_flag=True, help="Go on with what arrives, until Ctrl-C; starts at the end.")
@click.option("-n", "--lines", "count", type=click.IntRange(0), metavar="N", help="Only the newest N.")
@click.option(
    "--since", callback=moment, metavar="TIME", help='What arrived since: "10m" ago, or "2026-11-20T08:00:00Z".'
)
@click.option("--until", callback=moment, metavar="TIME", help="What arrived before; as --since.")
@click.option(
    "--type", "types", multiple=True, callback=type_globs, metavar="GLOB",
    help='Only these types, such as "vehicle.*"; may be repeated.',
)  # fmt: skip
@click.option(
    "--source", "sources", multiple=True, metavar="GLOB", help="Only these sources; may be repeated.",
    shell_complete=completing.sources,
)  # fmt: skip
@click.option(
    "--device", "devices", multiple=True, metavar="GLOB", help="Only these, by id, name or subject; may be repeated."
)
@click.option(
    "--severity", type=click.Choice(["info", "notice", "warning", "critical"]), default="info", show_default=True,
    help="At least.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Each event whole, as a JSON line.")
def command(
    config: Path,
    state_dir: Path | None,
    follow: bool,
    count: int | None,
    since: int | None,
    until: int | None,
    types: tuple[str, ...],
    sources: tuple[str, ...],
    devices: tuple[str, ...],
    severity: str,
    as_json: bool,
) -> None:
    """Print the events of the spool, oldest first, one line each, whether or not the daemon runs.

    It only reads; no sink notices. Times are UTC. What retention has removed is not there any more. With --follow
    nothing old is printed unless --since or -n asks for it.

    \b
    Examples:
      pump events -n 20
      pump events --follow --severity warning
      pump events --since 1h --type 'vehicle.*' --source teams
      pump events --since 2026-11-20T08:00:00Z --until 2026-11-20T09:00:00Z --device 'camera/10000/*'
      pump events --since 1d --json | jq .data.vehicle.plate
    """
    from pump.core.taxonomy import SEVERITIES

    if follow and until is not None:
        raise click.UsageError("--until and --follow exclude one another")
    wanted = _Wanted(since, until, types, sources, devices, SEVERITIES[severity])
    spool = _Spool(find(config, state_dir), wanted)
    show = _json if as_json else _people(coloured())
    try:
        if follow and since is None and count is None:
            spool.skip()
        for record in spool.new() if count is None else spool.newest(count):
            show(record)
        sys.stdout.flush()
        if follow:
            _follow(spool, show)
    except KeyboardInterrupt:
        return


def _follow(spool: _Spool, show: Callable[[Record], None]) -> None:
    """Show what arrives until Ctrl-C.

    The signal only leaves a note: as an exception it may be raised while Python finalises something, which ignores it,
    and nobody would stop. A second one is an exception, for who waits for a reader that takes nothing.
    """
    asked: list[int] = []

    def note(number: int, _: object) -> None:
        asked.append(number)
        signal.signal(signal.SIGINT, former)

    former = signal.signal(signal.SIGINT, note)
    try:
        while not asked:
            time.sleep(_PAUSE)
            for record in spool.new():
                show(record)
            sys.stdout.flush()
    finally:
        signal.signal(signal.SIGINT, former)


@dataclass(frozen=True)
class _Wanted:
    """What the options ask for; the times are the spool's to look for."""

    since: int | None
    until: int | None
    types: tuple[str, ...]
    sources: tuple[str, ...]
    devices: tuple[str, ...]
    severity: int

    def takes(self, record: Record) -> bool:
        return (
            record.severity >= self.severity
            and _any(self.types, record.type)
            and _any(self.sources, record.source)
            and (not self.devices or any(_any(self.devices, name) for name in _names(record.body)))
        )


class _Spool:
    """The spool's events, a part at a time."""

    def __init__(self, found: Found, wanted: _Wanted) -> None:
        self._found = found
        self._wanted = wanted
        self._after: int | None = None

    def skip(self) -> None:
        """Leave out what is stored now."""
        from pump.spool.offline import newest

        self._after = self._read(lambda folder: [newest(folder)])[0]

    def new(self) -> Iterator[Record]:
        """What was stored since the last call, as far as it is wanted."""
        from pump.spool.offline import events

        wanted = self._wanted
        look = partial(events, since_ms=wanted.since, until_ms=wanted.until, after=self._after)
        for record in self._each(look):
            self._after = record.seq
            if wanted.takes(record):
                yield record

    def newest(self, count: int) -> Iterator[Record]:
        """The newest that are wanted, oldest first; what is stored meanwhile is for `new`."""
        from pump.spool.offline import latest

        wanted = self._wanted
        self.skip()
        through = self._after or 0
        each: Iterator[Record] = self._each(partial(latest, since_ms=wanted.since, until_ms=wanted.until))
        found = islice((one for one in each if one.seq <= through and wanted.takes(one)), count)
        return reversed(list(found))

    def _read(self, look: Callable[[Path], Iterable[Any]]) -> list[Any]:
        return list(self._each(look))

    def _each(self, look: Callable[[Path], Iterable[Any]]) -> Iterator[Any]:
        import sqlite3

        try:
            yield from look(self._found.folder)
        except FileNotFoundError:
            self._found.no_spool()
        except (sqlite3.Error, PermissionError) as error:
            self._found.unreadable(error)


def _any(globs: tuple[str, ...], name: str) -> bool:
    return not globs or any(fnmatchcase(name, glob) for glob in globs)


def _names(body: bytes) -> list[str]:
    """By what a person may mean an event's device: its subject, the device's id, name and serial number."""
    import orjson

    event = orjson.loads(body)
    device = (event.get("data") or {}).get("device") or {}
    return [
        str(name) for name in (event.get("subject"), *map(device.get, ("id", "name", "serial"))) if name is not None
    ]


def _json(record: Record) -> None:
    sys.stdout.buffer.write(shown_json(record.body) + b"\n")


def _people(colour: bool) -> Callable[[Record], None]:
    import orjson

    from pump.core.text import line

    def show(record: Record) -> None:
        print(line(orjson.loads(record.body), colour))

    return show
