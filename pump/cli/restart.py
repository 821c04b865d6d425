"""pump restart."""

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
@click.argument("part", metavar="PART", nargs=-1, required=True, shell_complete=completing.parts)
def command(config: Path, state_dir: Path | None, part: tuple[str, ...]) -> None:
    """Have the running daemon try a source or a sink again now, whatever it waits for.

    PART is its name; "source NAME" or "sink NAME" where both have it, "commands NAME" for the connection by which a
    sink's commands come. What was mended at the vendor or the receiver
    (a password, a key, a full disk) need not be waited for. The configuration is not read again.

    \b
    Examples:
      pump restart teams
      pump restart sink hook
    """
    result = command_daemon(find(config, state_dir), "restart", {"part": " ".join(part)})
    click.echo(f"{result['part']} {'is tried again' if result['waited'] else 'begins anew'}: pump status")
