"""pump reconcile."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from pump.cli.shared import completing
from pump.cli.shared.commanding import table
from pump.cli.shared.finding import Found, find, state_dir_option
from pump.cli.shared.options import config_option

if TYPE_CHECKING:
    from pump.sinks.tuya.table import Line

_OWNER: Final = "sink/"
_HEADS: Final = ("WINDOW", "DIRECTION", "OURS", "SENT", "SN", "STATE")
_DAY_MS: Final = 86_400_000


@click.command()
@config_option
@state_dir_option
@click.argument("name", metavar="NAME", shell_complete=completing.sinks)
@click.option(
    "--day", type=click.DateTime(["%Y-%m-%d"]), metavar="DATE", help="A day of UTC, 2026-11-20; default: today."
)
@click.option("--json", "as_json", is_flag=True, help="JSON lines, a count each.")
def command(config: Path, state_dir: Path | None, name: str, day: datetime | None, as_json: bool) -> None:
    """Show what the sink NAME (of type tuya) and its parking lot agree on, window by window.

    OURS is what was counted, SENT what the lot has accepted last, SN the number of that command. STATE is open (the
    window has not ended), due (not accepted yet), accepted, changed (late events came; it is reported again) or
    refused. It reads what is stored, whether or not the daemon runs; the last second may be missing. Times are UTC.

    \b
    Examples:
      pump reconcile lot
      pump reconcile lot --day 2026-11-20
      pump reconcile lot --day 2026-11-20 --json | jq 'select(.state != "accepted")'
    """
    from pump.sinks.tuya.sink import NAMELESS
    from pump.sinks.tuya.table import lines

    memory = _memory(find(config, state_dir), name)
    now = datetime.now(UTC)
    begin = int(((day or now).replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=UTC)).timestamp() * 1000)
    found = list(lines(memory, begin, begin + _DAY_MS, int(now.timestamp() * 1000)))
    if as_json:
        for line in found:
            click.echo(json.dumps(_json(line), ensure_ascii=False))
        return
    if found:
        table(_HEADS, [_cells(line) for line in found])
    else:
        click.echo("Nothing was counted on this day.", err=True)
    for camera, count in memory.get(NAMELESS, {}).items():
        click.echo(f"not counted: {count} passes of {camera}, which directions does not name", err=True)


def _memory(found: Found, name: str) -> Mapping[str, Any]:
    """The sink's stored memory; ends the command where it has none."""
    import sqlite3

    from pump.sinks.tuya.ledger import FORM
    from pump.spool.offline import state

    memories: dict[str, dict[str, Any]] = {}
    try:
        for owner, key, value in state(found.folder):
            if owner.startswith(_OWNER):
                memories.setdefault(owner.removeprefix(_OWNER), {})[key] = value
    except FileNotFoundError:
        found.no_spool()
    except (sqlite3.Error, PermissionError) as error:
        found.unreadable(error)
    ledgers = {sink: memory for sink, memory in memories.items() if FORM in memory}
    if name not in ledgers:
        listed = ", ".join(sorted(ledgers)) or "none"
        raise click.ClickException(f'no sink "{name}" of type tuya has counted anything yet; there are: {listed}')
    return ledgers[name]


def _json(line: Line) -> dict[str, Any]:
    times = {"start": _iso(line.start), "end": _iso(line.end)}
    shown: dict[str, Any] = {"direction": line.kind, "ours": line.ours, "sent": line.sent, "sn": line.sn}
    more = {"refused": line.refused} if line.refused else {}
    return {**times, **shown, "state": line.state, **more}


def _cells(line: Line) -> tuple[object, ...]:
    start, end = _moment(line.start), _moment(line.end)
    when = f"{start:%Y-%m-%d %H:%M:%S}-{'24:00:00' if end - start == timedelta(days=1) else f'{end:%H:%M:%S}'}"
    state = f"{line.state}: {line.refused}" if line.refused else line.state
    return when, line.kind, line.ours, "-" if line.sent is None else line.sent, line.sn or "-", state


def _moment(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)


def _iso(ms: int) -> str:
    return _moment(ms).isoformat(timespec="milliseconds" if ms % 1000 else "seconds").replace("+00:00", "Z")
