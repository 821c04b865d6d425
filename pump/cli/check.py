"""pump check."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from pump.cli.options import config_option, load


@click.command()
@config_option
def command(config: Path) -> None:
    """Check pump.toml: every error at once, each with its line, what was found and what is wanted.

    Nothing is contacted and nothing written. Exit status: 0 it is fine (warnings may be printed), 78 it is not.

    \b
    Examples:
      pump check
      pump check -c /etc/pump/pump.toml && systemctl reload pump
    """
    found = load(config)
    for warning in found.warnings:
        click.echo(f"warning: {warning.text(str(config))}", err=True)
    click.echo(f"{config} is fine: site {found.site}, state in {found.state_dir}")
    for what, parts in (("source", found.sources), ("sink", found.sinks)):
        click.echo(f"{len(parts)} {what}{'' if len(parts) == 1 else 's'}{_listed(parts)}")


def _listed(parts: Mapping[str, Any]) -> str:
    names = [f"{name} ({part.type}{'' if part.enabled else ', disabled'})" for name, part in parts.items()]
    return f": {', '.join(names)}" if names else ""
