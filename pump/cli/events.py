"""pump events."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from pump.cli.options import coloured, config_option, moment, places, type_globs

if TYPE_CHECKING:
    from pump.core.record import Record

_PAUSE: Final = 0.2
"""Seconds between two looks at the spool with --follow."""


@click.command()
@config_option
@click.option(
    "--state-dir", type=click.Path(path_type=Path), metavar="DIR", help="Where the spool is, if not as in FILE."
)
@click.option("--follow", "-f", is_flag=True, help="Go on with what arrives, until Ctrl-C.")
@click.option(
    "--since", callback=moment, metavar="TIME", help='What arrived since: "10m" ago, or "2026-11-20T08:00:00Z".'
)
@click.option(
    "--type",
    "types",
    multiple=True,
    callback=type_globs,
    metavar="GLOB",
    help='Only these types, such as "vehicle.*"; may be repeated.',
)
@click.option("--source", "sources", multiple=True, metavar="GLOB", help="Only these sources; may be repeated.")
@click.option("--json", "as_json", is_flag=True, help="Each event whole, as a JSON line.")
def command(
    config: Path,
    state_dir: Path | None,
    follow: bool,
    since: int | None,
    types: tuple[str, ...],
    sources: tuple[str, ...],
    as_json: bool,
) -> None:
    """Print the events of the spool, oldest first, one line each, whether or not the daemon runs.

    It only reads; no sink notices. Times are UTC. What retention has removed is not there any more.

    \b
    Examples:
      pump events --follow
      pump events --since 1h --type 'vehicle.*' --source teams
      pump events --since 2026-11-20T08:00:00Z --json | jq .data.vehicle.plate
    """
    folder = state_dir or places(config).state_dir
    show = _json if as_json else _people(coloured())
    try:
        for record in _records(folder, follow):
            # since is judged here, so that following need not look at the old ones again
            if (
                (since is None or record.recorded >= since)
                and _any(types, record.type)
                and _any(sources, record.source)
            ):
                show(record)
    except KeyboardInterrupt:
        return


def _records(folder: Path, follow: bool) -> Iterator[Record]:
    """Stored events; the output is flushed where the reader has caught up."""
    import sqlite3

    from pump.spool.offline import events

    after: int | None = None
    told = False
    while True:
        try:
            for record in events(folder, after=after):
                after = record.seq
                yield record
        except FileNotFoundError:
            advice = "has the daemon run with this state_dir? (--state-dir names another)"
            if not follow:
                raise click.ClickException(f"there is no spool in {folder}: {advice}") from None
            if not told:
                click.echo(f"There is no spool in {folder} yet: {advice}", err=True)
            told = True
        except (sqlite3.Error, PermissionError) as error:
            raise click.ClickException(f"the spool in {folder} cannot be read: {error}") from None
        sys.stdout.flush()
        if not follow:
            return
        time.sleep(_PAUSE)


def _any(globs: tuple[str, ...], name: str) -> bool:
    return not globs or any(fnmatchcase(name, glob) for glob in globs)


def _json(record: Record) -> None:
    sys.stdout.buffer.write(record.body + b"\n")


def _people(colour: bool) -> Callable[[Record], None]:
    import orjson

    from pump.core.text import line

    def show(record: Record) -> None:
        print(line(orjson.loads(record.body), colour))

    return show
