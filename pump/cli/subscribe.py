"""pump subscribe."""

from __future__ import annotations

import json
from pathlib import Path

import click

from pump.cli.shared import completing
from pump.cli.shared.commanding import command_daemon, table
from pump.cli.shared.finding import find, state_dir_option
from pump.cli.shared.options import config_option, shown_json


def _listed(_: click.Context, __: click.Parameter, value: str | None) -> list[str] | None:
    if value is None:
        return None
    found = [one for part in value.split(",") if (one := part.strip())]
    if not found:
        raise click.BadParameter("event types are wanted, such as CIDAlarm,videoReview")
    return found


@click.command()
@click.argument("source", shell_complete=completing.sources)
@click.argument("device", required=False)
@config_option
@state_dir_option
@click.option("--types", callback=_listed, metavar="LIST", help="These event types and no others.")
@click.option("--all", "every", is_flag=True, help="Every event type.")
@click.option("--add", callback=_listed, metavar="LIST", help="These too.")
@click.option("--drop", callback=_listed, metavar="LIST", help="No longer these.")
@click.option("--none", "leave", is_flag=True, help="Nothing of DEVICE.")
@click.option("--json", "as_json", is_flag=True, help="What is subscribed to as JSON.")
def command(
    source: str,
    device: str | None,
    config: Path,
    state_dir: Path | None,
    types: list[str] | None,
    every: bool,
    add: list[str] | None,
    drop: list[str] | None,
    leave: bool,
    as_json: bool,
) -> None:
    """Have the running daemon ask the vendor of SOURCE for other events, without a restart; or show what it asks for.

    Event types are the vendor's words, a list of them has commas. With DEVICE the change is for this device alone,
    where the source subscribes device by device (hik-gateway: event_mode = "device"). It holds until the daemon
    stops: write it into pump.toml too. Sources of type hik-gateway can do this.

    \b
    Examples:
      pump subscribe arc
      pump subscribe arc --types CIDAlarm,videoReview
      pump subscribe arc 2cd6716d-767f-4756-ac55-50276a5e3b01 --add videoReview --drop CIDAlarm
      pump subscribe arc 2cd6716d-767f-4756-ac55-50276a5e3b01 --none
    """
    if sum((types is not None, every, leave)) > 1 or (leave and (add or drop)) or (every and (add or drop)):
        raise click.UsageError("--types, --all and --none exclude one another; --all and --none stand alone")
    if leave and device is None:
        raise click.UsageError("--none wants a DEVICE")
    arguments = {
        "source": source, "device": device, "types": [] if every else types, "add": add, "drop": drop, "leave": leave,
    }  # fmt: skip
    result = command_daemon(find(config, state_dir), "subscribe", arguments)
    if as_json:
        click.echo(shown_json(json.dumps(result, ensure_ascii=False).encode()))
        return
    if "devices" in result:
        table(("device", "event types"), [(index, _words(kinds)) for index, kinds in result["devices"].items()])
    else:
        table(("device", "event types"), [("all", _words(result["events"]))])
    if not result["connected"] or result["anew"]:
        click.echo("The link is down or made anew: pump status tells when it stands.", err=True)


def _words(kinds: list[str]) -> str:
    return ", ".join(kinds) or "all"
