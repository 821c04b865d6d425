"""pump commands."""

from __future__ import annotations

import json
from pathlib import Path

import click

from pump.cli.shared.commanding import command_daemon, table
from pump.cli.shared.finding import find, state_dir_option
from pump.cli.shared.options import config_option


@click.command()
@config_option
@state_dir_option
@click.option("--verbs", "all_verbs", is_flag=True, help="Every verb with its arguments, whatever is granted.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def command(config: Path, state_dir: Path | None, all_verbs: bool, as_json: bool) -> None:
    """List what the running daemon lets its control socket command: targets, and the verbs that each takes.

    \b
    Examples:
      pump commands
      pump commands --verbs
    """
    answer = command_daemon(find(config, state_dir), "command.list", {})
    if as_json:
        click.echo(json.dumps(answer, ensure_ascii=False))
        return
    if all_verbs:
        rows = [
            (name, verb["says"], ", ".join(f"{key} ({says})" for key, says in verb["arguments"].items()) or "-")
            for name, verb in answer["verbs"].items()
        ]
        table(("verb", "says", "arguments"), rows)
        return
    if not answer["targets"]:
        click.echo("Nothing: [commands] grants the socket no verb of a device that is there.", err=True)
        return
    table(
        ("target", "source", "name", "verbs"),
        [(one["target"], one["source"], one.get("name", "-"), " ".join(one["verbs"])) for one in answer["targets"]],
    )
