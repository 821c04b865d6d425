"""pump check."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pump.cli import FAILED
from pump.cli.shared.options import config_option, load, tell_wrong

if TYPE_CHECKING:
    from pump.cli.shared.trying import Tried
    from pump.config import Config


@click.command()
@config_option
@click.option("--online", is_flag=True, help="Log in everywhere too, and change nothing.")
@click.option("--json", "as_json", is_flag=True, help="With --online: the rows as JSON.")
def command(config: Path, online: bool, as_json: bool) -> None:
    """Check pump.toml: every error at once, each with its line, what was found and what is wanted.

    Also what would not run on this machine: files and folders that are missing or closed to this user. Nothing is
    contacted and nothing written; what the spool says of a sink that its receiver has switched off is a warning, and
    a credential that only systemd's unit has a note.

    With --online each source logs in at its vendor and each sink reaches its receiver, beside a daemon that may run:
    a row for each part, with the vendor's clock, limits, and what would be subscribed to. Nothing is subscribed,
    confirmed, set, made or posted; each row says what was not tried.

    Exit status: 0 it is fine (warnings may be printed), 1 a part failed online, 78 the configuration is wrong.

    \b
    Examples:
      pump check
      pump check --online
      pump check --online --json | jq '.parts[] | select(.ok | not)'
      pump check -c /etc/pump/pump.toml && systemctl reload pump
    """
    if as_json and not online:
        raise click.UsageError("--json is for --online")
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
    if online:
        if absent:
            raise click.ClickException(
                "without its credentials nothing can log in: run it where they are, as "
                "systemd-run -p LoadCredential=... --pipe pump check --online"
            )
        _online(found, as_json=as_json)
        return
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


def _online(config: Config, *, as_json: bool) -> None:
    """Try each part; a failed one ends the process with 1."""
    import asyncio
    import json

    from pump import registry
    from pump.cli.shared.trying import try_all
    from pump.core.clock import Clock

    tried = asyncio.run(try_all(config, registry.DEFAULT, Clock(), lambda one: None if as_json else _row(one)))
    failed = [one.part for one in tried if not one.ok]
    if as_json:
        click.echo(
            json.dumps({"site": config.site, "ok": not failed, "parts": [one.json() for one in tried]}, indent=2)
        )
    else:
        click.echo(f"{len(failed)} of {len(tried)} failed" if failed else f"all {len(tried)} parts are fine")
    if failed:
        raise click.exceptions.Exit(FAILED)


def _row(tried: Tried) -> None:
    state = "FAILED" if not tried.ok else "nothing to try" if tried.nothing else "ok"
    colour = "red" if not tried.ok else None if tried.nothing else "green"
    click.echo(f"{tried.part} ({tried.type}): {click.style(state, fg=colour)}")
    if tried.reason:
        click.echo(f"    {tried.reason}")
    for fact in tried.found:
        click.echo(f"    {fact}")
    for what in tried.not_tried:
        click.echo(f"    not tried: {what}")


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
