"""pump route."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from pump.cli import FAILED
from pump.cli.shared.options import config_option, routes, shown_json

if TYPE_CHECKING:
    from pump.core.record import Record
    from pump.core.settings import SinkSettings

_STDIN: Final = "-"


@click.command()
@config_option
@click.argument("event", type=click.Path(path_type=Path), metavar="EVENT.json")
@click.option("--show", is_flag=True, help="Also the event as each sink that takes it would see it.")
def command(config: Path, event: Path, show: bool) -> None:
    """Tell which sinks would take an event, and why the others would not.

    EVENT.json holds one event as the pump stores it, or several, one a line; "-" is standard input. Nothing is
    sent, and no secret is opened: hashes of --show are made with another key than the sink's.
    Exit status: 0 some sink takes every event, 1 an event goes nowhere.

    \b
    Examples:
      pump events --json --since 5m | pump route -
      pump route passage.json --show
    """
    sinks = routes(config)
    nowhere = False
    for number, record in enumerate(_records(event)):
        if number:
            click.echo()
        nowhere |= not _tell(sinks, record, show)
    if nowhere:
        raise click.exceptions.Exit(FAILED)


def _tell(sinks: Mapping[str, SinkSettings], record: Record, show: bool) -> bool:
    from pump.core.routing import Routing
    from pump.core.text import printable
    from pump.delivery.masking import Masking

    click.echo(printable(f"{record.type} of {record.source}"))
    width = max((len(name) for name in sinks), default=0)
    taken = False
    for name, sink in sinks.items():
        routing, shape = Routing(sink), Masking(sink)
        against = [*([] if sink.enabled else ["it is disabled"]), *routing.why_not(record)]
        taken |= not against
        if against:
            told = f"no: {'; '.join(against)}"
        else:
            why = "; ".join(routing.why(record))
            told = f"takes it{', changed by raw and mask' if shape else ''}{f': {why}' if why else ''}"
        click.echo(f"  {name:<{width}}  {printable(told)}")
        if show and not against:
            body = shown_json(shape.body(record.body) if shape else record.body)
            click.echo(f"  {'':<{width}}  {body.decode()}")
    return taken


def _records(path: Path) -> Iterator[Record]:
    import orjson

    from pump.core.files import given

    try:
        text = sys.stdin.buffer.read() if str(path) == _STDIN else given.read(path)
    except OSError as error:
        raise click.ClickException(f"{path} cannot be read: {error.strerror}") from None
    try:
        events = [orjson.loads(text)]
    except orjson.JSONDecodeError:
        try:
            events = [orjson.loads(line) for line in text.splitlines() if line.strip()]
        except orjson.JSONDecodeError as error:
            raise click.ClickException(f"{path} holds no JSON: {error}") from None
    for event in events:
        yield _record(event, path)


def _record(event: Any, path: Path) -> Record:
    import orjson

    from pump.core.record import Record
    from pump.core.taxonomy import SEVERITIES

    try:
        data = event.get("data") or {}
        severity = SEVERITIES[data.get("severity", "info")]
        source = str(event["source"]).rpartition("/")[2]
        return Record(0, source, str(event["type"]), severity, 0, orjson.dumps(event))
    except (AttributeError, KeyError, TypeError):
        raise click.ClickException(
            f"{path} holds no event: an object with source, type and data.severity is wanted"
        ) from None
