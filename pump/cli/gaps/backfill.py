"""pump backfill."""

from __future__ import annotations

from pathlib import Path

import click

from pump.cli.shared import completing
from pump.cli.shared.commanding import command_daemon, quiet_option
from pump.cli.shared.finding import find, state_dir_option
from pump.cli.shared.options import config_option, moment
from pump.core.text import printable


@click.command()
@config_option
@state_dir_option
@click.argument("source", metavar="NAME", shell_complete=completing.sources)
@click.option(
    "--since", required=True, callback=moment, metavar="TIME",
    help='What happened since: "2h" ago, or "2026-11-20T08:00:00Z".',
)  # fmt: skip
@click.option("--until", callback=moment, metavar="TIME", help="What happened before; as --since. Default: now.")
@quiet_option
def command(config: Path, state_dir: Path | None, source: str, since: int, until: int | None, quiet: bool) -> None:
    """Have a source ask its vendor's log for what is missing of a time, and store it.

    What is stored already does not come twice. Polls go before it, so a day may take some minutes. Ctrl-C ends the
    command; the search goes on, also over a restart of the daemon: pump gaps shows it.

    \b
    Examples:
      pump backfill teams --since 2h
      pump backfill teams --since 2026-11-20T08:00:00Z --until 2026-11-21T08:00:00Z
    """
    arguments = {"source": source, "since": since, "until": until}
    result = command_daemon(find(config, state_dir), "backfill", arguments, quiet=quiet)
    missing = (
        "1 event was missing and is" if result["filled"] == 1 else f"{result['filled']} events were missing and are"
    )
    click.echo(f"{missing} stored ({printable(result['notes'])})")
    if result["state"] != "filled":
        raise click.ClickException(f"not all could be asked for: pump gaps --source {source}")
