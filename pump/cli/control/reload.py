"""pump reload."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from pump.cli import CONFIGURATION, FAILED
from pump.cli.shared.commanding import command_daemon
from pump.cli.shared.finding import find, state_dir_option
from pump.cli.shared.options import config_option
from pump.core.text import printable


@click.command()
@config_option
@state_dir_option
def command(config: Path, state_dir: Path | None) -> None:
    """Have the running daemon read its pump.toml again, as SIGHUP does.

    The file is checked first, as pump check does; one that is wrong changes nothing. Only the sources and sinks whose
    settings differ begin anew, each where it was; all others run on, and so do their connections. Files of secrets, of
    names and of certificates are read again too. What only a restart can change is refused: site, state_dir,
    control_group, the listeners' addresses and whether they have TLS, [ops] page, [media] dir and fetch.

    Exit status: 0 it runs by the file, 78 the file cannot be taken up and nothing was changed, 1 anything else.

    \b
    Examples:
      pump reload
      pump check -c /etc/pump/pump.toml && pump reload -c /etc/pump/pump.toml
    """
    result = command_daemon(find(config, state_dir), "reload", {})
    if result["reasons"]:
        for reason in result["reasons"]:
            click.echo(printable(reason), err=True)
        click.echo("Nothing was changed.", err=True)
        raise click.exceptions.Exit(CONFIGURATION)
    for line in _lines(result["changed"]) or ["Nothing differs."]:
        click.echo(line)
    if result["late"]:
        late = ", ".join(result["late"])
        click.echo(f"Not ended yet, and what takes its place begins once it has: {late}", err=True)
        raise click.exceptions.Exit(FAILED)


def _lines(changed: dict[str, Any]) -> list[str]:
    return [f"{what.replace('_', ' ')}: {', '.join(names)}" for what, names in changed.items()]
