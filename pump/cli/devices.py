"""pump devices."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import click

from pump.cli.shared import completing
from pump.cli.shared.commanding import command_daemon
from pump.cli.shared.finding import Found, find, state_dir_option
from pump.cli.shared.options import coloured, config_option, shown_json
from pump.core.text import printable
from pump.ingest.device_clock import PREFIX as CLOCKS
from pump.ingest.signs import KEY as SIGNS
from pump.ingest.signs import stored
from pump.ingest.strangers import ACCEPTED, FORGOTTEN

_HEADS: Final = ("source", "device", "state", "last seen", "address", "version", "name", "clock")
_MEASURES: Final[tuple[tuple[str, str, Callable[[Any], str]], ...]] = (
    ("voltage", "volts", lambda value: f"{value:.2f} V"),
    ("signal", "rssi", lambda value: f"{value:g} dBm"),
    ("frequency", "coil_frequency", lambda value: f"{value:g} kHz"),
    ("active", "active", lambda value: "yes" if value else "no"),
)
"""Heads of the columns that are shown where any device has them, the facts' names, and how each is written."""
_NEWEST: Final = 20_000
"""Events that are looked through for zones and cameras of which no table is kept."""
_ANY: Final = "*"
"""All kinds of devices."""
_COLOURS: Final = {"online": "green", "offline": "red"}


@click.group(invoke_without_command=True)
@config_option
@state_dir_option
@click.option("--source", metavar="NAME", help="Only the devices of this source.", shell_complete=completing.sources)
@click.option("--offline", is_flag=True, help="Only those that are not there.")
@click.option("--strangers", is_flag=True, help="Only those that nobody knows.")
@click.option("--json", "as_json", is_flag=True, help="All that is known of each, as JSON lines.")
@click.pass_context
def command(
    context: click.Context,
    config: Path,
    state_dir: Path | None,
    source: str | None,
    offline: bool,
    strangers: bool,
    as_json: bool,
) -> None:
    """List the devices: when each was last seen, its state, how far its clock is off, its address and version.

    Devices that push, panels of a gateway, cameras with their channels, and the zones and cameras that the newest
    events name. It reads what is stored, whether or not the daemon runs. Times are UTC. A clock is seconds ahead (+)
    or behind (-) by the last ten live events; of devices that no source keeps a table of it is all that is known. Of
    devices that measure (voltage, signal, coil frequency, whether they are active) the last values are shown.

    A device that pushes is a stranger (the last column) until the configuration names it, it was heard over more than
    a day, or it is accepted (forget undoes that). Strangers have a small share of the table and are forgotten after a
    day of silence.

    \b
    Examples:
      pump devices
      pump devices --source gate --offline
      pump devices accept 10000/1001
      pump devices --json | jq 'select(.facts.version != "PARK_1201-B0003")'
    """
    if context.invoked_subcommand is not None:
        return
    rows = [
        row
        for row in _stored(find(config, state_dir))
        if (source is None or row["source"] == source)
        and not (offline and row["online"] is not False)
        and not (strangers and not row.get("stranger"))
    ]
    if as_json:
        for row in rows:
            click.echo(shown_json(json.dumps(row, ensure_ascii=False).encode()))
        return
    if not rows:
        click.echo("No device is known.", err=True)
        return
    more = [column for column in _MEASURES if any(_is_number(row["facts"].get(column[1])) for row in rows)]
    heads = [*_HEADS, *(head for head, _, _ in more)]
    cells = [heads, *([*_cells(row), *_measures(row, more)] for row in rows)]
    if any(row.get("stranger") for row in rows):
        for line, told in zip(
            cells, ("stranger", *("yes" if row.get("stranger") else "-" for row in rows)), strict=True
        ):
            line.append(told)
    widths = [max(len(row[column]) for row in cells) for column in range(len(heads))]
    colour = coloured()
    for line in cells:
        texts = [cell.ljust(width) for cell, width in zip(line, widths, strict=True)]
        if colour and line[2] in _COLOURS:
            texts[2] = click.style(texts[2], fg=_COLOURS[line[2]])
        click.echo("  ".join(texts).rstrip())


@command.command(name="accept")
@config_option
@state_dir_option
@click.option(
    "--source", metavar="NAME", help="The source that they belong to; needed for what it never heard of.",
    shell_complete=completing.sources,
)  # fmt: skip
@click.argument("keys", metavar="DEVICE...", nargs=-1, required=True)
def accept(config: Path, state_dir: Path | None, source: str | None, keys: tuple[str, ...]) -> None:
    """Have the running daemon know devices that the configuration does not name, from now on and over restarts.

    DEVICE is what the column "device" of pump devices shows. What makes itself up as many devices as it likes never
    makes the pump forget one that is known.

    \b
    Examples:
      pump devices --strangers
      pump devices accept 10000/1001 10000/1002
      pump devices accept 10000/1003 --source gate
    """
    result = command_daemon(find(config, state_dir), "devices.accept", {"keys": list(keys), "source": source})
    for one in result["accepted"]:
        click.echo(f"{_text(one['device'])} of {one['source']} is known")


@command.command(name="forget")
@config_option
@state_dir_option
@click.option("--source", metavar="NAME", help="The source that they belong to, where several have them.")
@click.argument("keys", metavar="DEVICE...", nargs=-1, required=True)
def forget(config: Path, state_dir: Path | None, source: str | None, keys: tuple[str, ...]) -> None:
    """Have the running daemon forget devices: the opposite of accept. Heard again they are strangers.

    For those that were made up, or are gone for good. What pump.toml names is known as long as it does.

    \b
    Examples:
      pump devices forget 10000/1001
      pump devices --json | jq -r 'select(.source == "gate" and .seen < "2026") | .device' | xargs pump devices forget
    """
    result = command_daemon(find(config, state_dir), "devices.forget", {"keys": list(keys), "source": source})
    for one in result["forgotten"]:
        click.echo(f"{_text(one['device'])} of {one['source']} is forgotten")


def _stored(found: Found) -> list[dict[str, Any]]:
    import sqlite3

    from pump.spool.offline import state

    try:
        rows = {
            (source, key.removeprefix("device/")): {"source": source, "device": key.removeprefix("device/"), **value}
            for source, key, value in state(found.folder, "device/")
            if isinstance(value, dict) and {"online", "seen", "facts"} <= value.keys()
        }
        for source, key, value in state(found.folder, SIGNS):
            for device, sign in stored(value).items() if key == SIGNS else ():
                row = rows.get((source, device), {})
                if row.get("online") and row["seen"] < sign.seen:
                    row["seen"] = sign.seen
        # A table is all that its source knows of such devices: whom it has forgotten is not there for what it once sent
        tables: dict[str, set[str]] = {source: set() for source, key, _ in state(found.folder, FORGOTTEN)}
        for source, device in rows:
            tables.setdefault(source, set()).add(device)
        accepted = {(source, key.removeprefix(ACCEPTED)) for source, key, _ in state(found.folder, ACCEPTED)}
        for place, row in rows.items():
            if row.get("since") is not None and place not in accepted:
                row["stranger"] = True
        for source, key, value in state(found.folder, CLOCKS):
            if isinstance(value, dict) and _is_number(value.get("offset")):
                device = key.removeprefix(CLOCKS)
                unknown: dict[str, Any] = {"source": source, "device": device, "online": None, "seen": "", "facts": {}}
                row = rows.setdefault((source, device), unknown)
                row |= {"clock_offset_s": value["offset"], "clock_off": bool(value.get("off"))}
        for more in (_gateways(found.folder), _cameras(found.folder), _heard(found.folder, rows, tables)):
            for row in more:
                known = rows.setdefault((row["source"], row["device"]), row)
                if known["online"] is None:  # of some the clock alone was known
                    known |= {"online": row["online"], "facts": {**row["facts"], **known["facts"]}}
        return [rows[key] for key in sorted(rows)]
    except FileNotFoundError:
        found.no_spool()
    except (sqlite3.Error, PermissionError) as error:
        found.unreadable(error)


def _row(source: str, device: str, online: bool | None, seen: str, facts: Mapping[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in facts.items() if value is not None}
    return {"source": source, "device": device, "online": online, "seen": seen, "facts": kept}


def _gateways(folder: Path) -> Iterator[dict[str, Any]]:
    """The panels and other devices that a gateway lists, with their state."""
    from pump.spool.offline import state

    states = {(source, key.removeprefix("status/")): value for source, key, value in state(folder, "status/")}
    lists = [(source, value) for source, key, value in state(folder, "inventory") if isinstance(value, dict)]
    known = {(source, index): row for source, devices in lists for index, row in devices.items()}
    for source, index in sorted(known.keys() | states.keys()):
        facts = known.get((source, index))
        online = {"online": True, "offline": False}.get(str(states.get((source, index))))
        yield _row(source, index, online, "", facts if isinstance(facts, dict) else {})


def _cameras(folder: Path) -> Iterator[dict[str, Any]]:
    """Cameras, recorders and terminals with a stream of their own, and the channels that they have names for."""
    from pump.spool.offline import state

    for source, key, value in state(folder, "device"):
        if key == "device" and isinstance(value, dict):
            names = value.get("names")
            own = {name: fact for name, fact in value.items() if name != "names"}
            yield _row(source, str(value.get("serial") or source), None, "", own)
            for channel, name in names.items() if isinstance(names, dict) else ():
                yield _row(source, f"camera/{channel}", None, "", {"name": name})


def _heard(
    folder: Path, known: Mapping[tuple[str, str], Any], tables: Mapping[str, Collection[str]]
) -> Iterator[dict[str, Any]]:
    """Zones, cameras and the like that no source keeps a table of: the subjects of the newest events.

    `tables` has the devices of each source that keeps one. Of the kinds that lie there ("camera"), no other is listed.
    """
    import orjson

    from pump.spool.offline import events, newest

    found: dict[tuple[str, str], dict[str, Any]] = {}
    listed = {source: {_ANY} for source, devices in tables.items() if not devices}
    for record in events(folder, after=max(0, newest(folder) - _NEWEST)):
        event = orjson.loads(record.body)
        subject = event.get("subject")
        if not subject or record.source == "pump":
            continue
        kind, _, device = subject.partition("/")
        if device in tables.get(record.source, ()):
            listed.setdefault(record.source, set()).add(kind)
        if (record.source, device) in known:
            continue
        data = event.get("data") or {}
        place, told = data.get("place") or {}, data.get("device") or {}
        name = place.get("zone") if kind == "zone" else told.get("name")
        before = found.get((record.source, subject), {}).get("facts", {})
        facts = {**before, **({"name": name} if name is not None else {})}
        found[record.source, subject] = _row(record.source, subject, None, event.get("time", ""), facts)
    for (source, subject), row in found.items():
        if not {_ANY, subject.partition("/")[0]} & listed.get(source, set()):
            yield row


def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    facts = row["facts"]
    told = (_text(facts.get(name)) for name in ("address", "version", "name"))
    state = "-" if row["online"] is None else "online" if row["online"] else "offline"
    seen = str(row["seen"]).replace("T", " ").replace("Z", "")[:19] or "-"
    offset = row.get("clock_offset_s")
    clock = "-" if offset is None else f"{offset:+.0f} s{' off' if row['clock_off'] else ''}"
    return (str(row["source"]), _text(row["device"]), state, seen, *told, clock)


def _measures(row: Mapping[str, Any], columns: Sequence[tuple[str, str, Callable[[Any], str]]]) -> Iterator[str]:
    for _, name, written in columns:
        value = row["facts"].get(name)
        yield written(value) if _is_number(value) else "-"


def _is_number(value: object) -> bool:
    return isinstance(value, int | float)


def _text(value: object) -> str:
    """A device's words about itself may hold anything, and must not command the terminal."""
    return "-" if value is None else printable(value)
