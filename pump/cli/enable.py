"""pump enable."""

from __future__ import annotations

from pathlib import Path

import click

from pump.cli.shared import completing
from pump.cli.shared.commanding import command_daemon
from pump.cli.shared.finding import find, state_dir_option
from pump.cli.shared.options import config_option


@click.command()
@config_option
@state_dir_option
@click.argument("sink", metavar="SINK", shell_complete=completing.sinks)
def command(config: Path, state_dir: Path | None, sink: str) -> None:
    """Switch a sink on again that its receiver has switched off, in the running daemon.

    A webhook's receiver that answers 410 wants no more events: the sink stays off, over restarts too, until its url
    is changed or this is said. What retention has kept meanwhile is delivered; what it has not is told as a gap.

    \b
    Examples:
      pump status
      pump enable hook
    """
    result = command_daemon(find(config, state_dir), "sink.enable", {"sink": sink})
    click.echo(f"{sink} is on; {result['behind']} behind")
