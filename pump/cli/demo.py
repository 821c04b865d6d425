"""pump demo."""

from __future__ import annotations

import click


def _seconds(_: click.Context, __: click.Parameter, value: str | None) -> float | None:
    from pump.core.settings import parse_duration

    if value is None:
        return None
    try:
        return parse_duration(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


@click.command()
@click.option(
    "--duration", callback=_seconds, metavar="TIME", help='How long, such as "20s"; until Ctrl-C if left out.'
)
@click.option(
    "--json", "as_json", is_flag=True, help="JSON lines also on a terminal; the table goes to standard error."
)
@click.option("--mqtt", is_flag=True, help="Publish over MQTT too, to a broker of the demo's own.")
@click.option("--nats", is_flag=True, help="Publish into JetStream too, on a server of the demo's own.")
@click.option("--open", "page", is_flag=True, help="Print the address of the operators' page, and a user for it.")
def command(duration: float | None, as_json: bool, mqtt: bool, nats: bool, page: bool) -> None:
    """Show it all at work: the vendors' simulators, the real daemon, and what it makes of their events.

    Everything runs on this machine's loopback and in a temporary folder; no account, no hardware, and nothing is left
    behind.

    \b
    Examples:
      pump demo
      pump demo --duration 20s
      pump demo --duration 5s --json | head
      pump demo --mqtt --nats
      pump demo --open
    """
    from pump import demo

    try:
        code = demo.run(duration=duration, json=as_json, mqtt=mqtt, nats=nats, page=page)
    except LookupError as error:
        raise click.ClickException(str(error)) from error
    raise click.exceptions.Exit(code)
