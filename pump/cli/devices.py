"""pump devices."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import click

from pump.cli.options import coloured, config_option, places

_HEADS: Final = ("source", "device", "state", "last seen", "address", "version", "name")
_MEASURED: Final[tuple[tuple[str, str, Callable[[Any], str]], ...]] = (
    ("voltage", "volts", lambda value: f"{value:.2f} V"),
    ("signal", "rssi", lambda value: f"{value:g} dBm"),
    ("frequency", "coil_frequency", lambda value: f"{value:g} kHz"),
    ("active", "active", lambda value: "yes" if value else "no"),
)
"""Heads of the columns that are shown where any device has them, the facts' names, and how each is written."""
_COLOURS: Final = {"online": "green", "offline": "red"}


@click.command()
@config_option
@click.option(
    "--state-dir", type=click.Path(path_type=Path), metavar="DIR", help="Where the spool is, if not as in FILE."
)
@click.option("--source", metavar="NAME", help="Only the devices of this source.")
@click.option("--offline", is_flag=True, help="Only those that are not there.")
@click.option("--json", "as_json", is_flag=True, help="All that is known of each, as JSON lines.")
def command(config: Path, state_dir: Path | None, source: str | None, offline: bool, as_json: bool) -> None:
    """List the devices that have pushed: when each was last seen, its state, address and version.

    It reads what is stored, whether or not the daemon runs. Times are UTC. Of devices that measure (voltage, signal,
    coil frequency, whether they are active) the last values are shown.

    \b
    Examples:
      pump devices
      pump devices --source gate --offline
      pump devices --json | jq 'select(.facts.version != "PARK_1201-B0003")'
    """
    rows = [
        row
        for row in _stored(state_dir or places(config).state_dir)
        if (source is None or row["source"] == source) and not (offline and row["online"])
    ]
    if as_json:
        for row in rows:
            click.echo(json.dumps(row, ensure_ascii=False))
        return
    if not rows:
        click.echo("No device is known.", err=True)
        return
    more = [column for column in _MEASURED if any(_is_number(row["facts"].get(column[1])) for row in rows)]
    heads = (*_HEADS, *(head for head, _, _ in more))
    cells = [heads, *((*_cells(row), *_measures(row, more)) for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(heads))]
    colour = coloured()
    for line in cells:
        texts = [cell.ljust(width) for cell, width in zip(line, widths, strict=True)]
        if colour and line[2] in _COLOURS:
            texts[2] = click.style(texts[2], fg=_COLOURS[line[2]])
        click.echo("  ".join(texts).rstrip())


def _stored(folder: Path) -> list[dict[str, Any]]:
    import sqlite3

    from pump.spool.offline import state

    try:
        return [
            {"source": source, "device": key.removeprefix("device/"), **value}
            for source, key, value in state(folder, "device/")
            if isinstance(value, dict) and {"online", "seen", "facts"} <= value.keys()
        ]
    except FileNotFoundError:
        raise click.ClickException(
            f"there is no spool in {folder}: has the daemon run with this state_dir? (--state-dir names another)"
        ) from None
    except (sqlite3.Error, PermissionError) as error:
        raise click.ClickException(f"the spool in {folder} cannot be read: {error}") from None


def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    facts = row["facts"]
    told = (_text(facts.get(name)) for name in ("address", "version", "name"))
    state = "online" if row["online"] else "offline"
    seen = str(row["seen"]).replace("T", " ").replace("Z", "")[:19]
    return (str(row["source"]), _text(row["device"]), state, seen, *told)


def _measures(row: Mapping[str, Any], columns: Sequence[tuple[str, str, Callable[[Any], str]]]) -> Iterator[str]:
    for _, name, written in columns:
        value = row["facts"].get(name)
        yield written(value) if _is_number(value) else "-"


def _is_number(value: object) -> bool:
    return isinstance(value, int | float)


def _text(value: object) -> str:
    """What a device says of itself may hold anything, and must not command the terminal."""
    return "-" if value is None else "".join(letter if letter.isprintable() else "?" for letter in str(value))
