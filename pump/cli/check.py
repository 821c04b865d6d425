"""pump check."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pump.cli.shared.options import config_option, load, tell_wrong

if TYPE_CHECKING:
    from pump.config import Config


@click.command()
@config_option
def command(config: Path) -> None:
    """Check pump.toml: every error at once, each with its line, what was found and what is wanted.

    Also what would not run on this machine: files and folders that are missing or closed to this user. Nothing is
    contacted and nothing written; what the spool says of a sink that its receiver has switched off is a warning, and
    a credential that only systemd's unit has a note. Exit status: 0 it is fine (warnings may be printed), 78 it is
    not.

    \b
    Examples:
      pump check
      pump check -c /etc/pump/pump.toml && systemctl reload pump
    """
    absent: list[str] = []
    found = load(config, absent)
    if absent:
        click.echo(
            f"note: {config}: not looked at outside the unit: the credentials {', '.join(dict.fromkeys(absent))}",
            err=True,
        )
    _probe(found, whole=not absent)
    for warning in found.warnings:
        click.echo(f"warning: {warning.text(str(config))}", err=True)
    for sentence in _switched_off(found):
        click.echo(f"warning: {config}: {sentence}", err=True)
    click.echo(f"{config} is fine: site {found.site}, state in {found.state_dir}")
    for what, parts in (("source", found.sources), ("sink", found.sinks)):
        click.echo(f"{len(parts)} {what}{'' if len(parts) == 1 else 's'}{_listed(parts)}")


def _probe(config: Config, *, whole: bool) -> None:
    """What would not run ends the process with 78; `whole`: every secret was read, so that the parts can be made."""
    from pump import registry
    from pump.config.load import located
    from pump.config.probe import doubts, faults
    from pump.config.problems import ConfigError
    from pump.core.clock import Clock
    from pump.runtime.build import NoParts, build

    wrong = list(faults(config))
    if whole:
        try:
            build(config, registry.DEFAULT, Clock())
        except NoParts as error:
            wrong += error.reasons
    if wrong:
        tell_wrong(ConfigError(located(config.file, wrong), str(config.file)))
    for problem in located(config.file, doubts(config)):
        click.echo(f"warning: {problem.text(str(config.file))}", err=True)


def _switched_off(config: Config) -> Iterator[str]:
    """A line for each sink that is switched off, as far as the spool is there and may be read."""
    import sqlite3

    from pump.delivery.shutoff import KEY, standing, words
    from pump.spool.offline import state

    try:
        stored = {key.removeprefix(KEY): value for _, key, value in state(config.state_dir, KEY)}
    except (OSError, ValueError, sqlite3.Error):
        return
    for name, sink in config.sinks.items():
        if sink.enabled and (found := standing(stored.get(name), sink)) is not None:
            yield f"sinks.{name}: {words(name, *found)}"


def _listed(parts: Mapping[str, Any]) -> str:
    names = [f"{name} ({part.type}{'' if part.enabled else ', disabled'})" for name, part in parts.items()]
    return f": {', '.join(names)}" if names else ""
