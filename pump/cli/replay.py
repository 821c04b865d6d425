"""pump replay."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from pump.cli.shared import completing
from pump.cli.shared.commanding import command_daemon, quiet_option, rate_option
from pump.cli.shared.finding import find, state_dir_option
from pump.cli.shared.options import config_option, moment, type_globs


@click.command()
@config_option
@state_dir_option
@click.option(
    "--sink", required=True, metavar="NAME", help="The sink that is to get them again.",
    shell_complete=completing.sinks,
)  # fmt: skip
@click.option(
    "--since", callback=moment, metavar="TIME", help='What arrived since: "2h" ago, or "2026-11-20T08:00:00Z".'
)
@click.option("--until", callback=moment, metavar="TIME", help="What arrived before; as --since.")
@click.option(
    "--type",
    "types",
    multiple=True,
    callback=type_globs,
    metavar="GLOB",
    help='Only these types, such as "vehicle.*"; may be repeated.',
)
@click.option(
    "--fresh-ids", is_flag=True, help="Ids of this replay's own for NATS and webhooks: what drops repeats takes them."
)
@click.option("--all", "everything", is_flag=True, help="All that is stored, without being asked.")
@rate_option
@quiet_option
def command(
    config: Path,
    state_dir: Path | None,
    sink: str,
    since: int | None,
    until: int | None,
    types: tuple[str, ...],
    fresh_ids: bool,
    everything: bool,
    rate: float,
    quiet: bool,
) -> None:
    """Have the running daemon send stored events to one sink again, in order.

    The sink's cursor does not move, and its own stream goes on between. The sink's routing holds: it gets nothing
    that it would not get otherwise. What retention has removed cannot come again. Without --since it asks first, and
    where nobody can answer --all is wanted. Ctrl-C ends it.

    \b
    Examples:
      pump replay --sink hook --since 2h
      pump replay --sink archive --since 2026-11-20T08:00:00Z --until 2026-11-20T09:00:00Z --type 'vehicle.*'
    """
    if since is None and not everything:
        if not sys.stdin.isatty():
            raise click.UsageError("since when? --since TIME, or --all for everything that is stored")
        click.confirm(f"Send all that is stored to {sink} again?", abort=True, err=True)
    arguments = {"sink": sink, "since": since, "until": until, "types": list(types) or None, "rate": rate}
    if fresh_ids:
        arguments["fresh_ids"] = True
    result = command_daemon(find(config, state_dir), "replay", arguments, quiet=quiet)
    refused = f", {result['refused']} refused: pump dead list" if result["refused"] else ""
    click.echo(f"{result['sent']} sent to {sink} again{refused}")
    if duplicates := result.get("duplicates"):
        click.echo(
            f"{duplicates} of these were dropped as repeats: the receiver still knows their ids (a stream for its "
            "duplicate window, whatever has been removed from it); --fresh-ids sends them under others",
            err=True,
        )
