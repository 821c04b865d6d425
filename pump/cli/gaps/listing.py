"""pump gaps."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pump.cli.shared import completing
from pump.cli.shared.commanding import table
from pump.cli.shared.finding import Found, find, state_dir_option
from pump.cli.shared.options import config_option

if TYPE_CHECKING:
    from pump.spool import Gap
    from pump.spool.gaps.ledger import GapState


@click.command()
@config_option
@state_dir_option
@click.option(
    "--source", metavar="NAME", help='Only this source\'s; "pump" is the daemon itself.',
    shell_complete=completing.sources,
)  # fmt: skip
@click.option("--state", type=click.Choice(["open", "filled", "unfillable"]), help="Only those that are so.")
@click.option("--json", "as_json", is_flag=True, help="Each whole, as a JSON line.")
def command(config: Path, state_dir: Path | None, source: str | None, state: GapState | None, as_json: bool) -> None:
    """List the gaps: stretches of time in which events may be missing, and what became of each, oldest first.

    A gap is open until its source has asked its vendor for all that may be missing, filled then, and unfillable where
    nobody can be asked. It reads what is stored, whether or not the daemon runs. Times are UTC. Of each source the
    newest 1000 are kept.

    \b
    Examples:
      pump gaps
      pump gaps --source teams --state open
      pump gaps --json | jq 'select(.filled > 0)'
    """
    gaps = _stored(find(config, state_dir), source, state)
    if as_json:
        for gap in gaps:
            click.echo(json.dumps(_whole(gap), ensure_ascii=False))
        return
    if not gaps:
        click.echo("No gap is known.", err=True)
        return
    table(
        ("ID", "SOURCE", "STATE", "FROM", "TO", "FILLED", "WHY", "NOTES"),
        [
            (gap.id, gap.source, gap.state, _when(gap.since), _when(gap.until), gap.filled, gap.reason, gap.notes)
            for gap in gaps
        ],
    )


def _stored(found: Found, source: str | None, state: GapState | None) -> list[Gap]:
    import sqlite3

    from pump.spool import offline

    try:
        return list(offline.gaps(found.folder, source=source, state=state))
    except FileNotFoundError:
        found.no_spool()
    except (sqlite3.Error, PermissionError) as error:
        found.unreadable(error)


def _whole(gap: Gap) -> dict[str, object]:
    return {
        "id": gap.id,
        "source": gap.source,
        "state": gap.state,
        "from": _stamp(gap.since),
        "to": _stamp(gap.until),
        "reason": gap.reason,
        "count": gap.count,
        "filled": gap.filled,
        "notes": gap.notes,
        "event": gap.event,
        "opened": _stamp(gap.opened),
        "changed": _stamp(gap.changed),
    }


def _when(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _stamp(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
