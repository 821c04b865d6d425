"""pump test-callback."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal, Protocol, runtime_checkable

import click

from pump.cli.shared import completing
from pump.cli.shared.options import config_option, load

_KINDS: Final = {"status": "status_changed", "command": "command_resp"}


@runtime_checkable
class Testable(Protocol):
    """A source whose vendor can be asked to send a test."""

    async def test_callback(
        self, sn: str | None, callback: Literal["status_changed", "command_resp"]
    ) -> Mapping[str, Any]:
        """Have the vendor send a test for the device `sn`, any where it is None; its own words on what became of it.

        "expected" is the address that it should have gone to, where the source knows it. Raises Misconfigured and
        Unavailable.
        """


@click.command()
@click.argument("name", shell_complete=completing.sources)
@config_option
@click.option("--sn", metavar="NUMBER", help="The device that the test is for; without it the account's first.")
@click.option("--callback", type=click.Choice([*_KINDS]), default="status", show_default=True, help="Which callback.")
@click.option("--json", "as_json", is_flag=True, help="The vendor's answer as JSON.")
def command(name: str, config: Path, sn: str | None, callback: str, as_json: bool) -> None:
    """Have the vendor send a test to the callback address that is registered for the source NAME.

    The test comes to the running daemon and is told as what it says: the vendor sends a device's real status. Exit
    status: 0 the vendor says that it was sent to this pump's address, 1 it was not.

    \b
    Examples:
      pump test-callback bays
      pump test-callback bays --sn 419631107 --callback command
    """
    from pump import registry
    from pump.core.clock import Clock
    from pump.core.errors import Misconfigured, Unavailable
    from pump.core.text import printable

    settings = load(config).sources.get(name)
    if settings is None:
        raise click.ClickException(f"{config} has no source {name}")
    source = registry.source(settings.type)(name, settings, Clock())
    if not isinstance(source, Testable):
        raise click.ClickException(f"a source of type {settings.type} has no test callback")
    which: Literal["status_changed", "command_resp"] = "status_changed" if callback == "status" else "command_resp"
    try:
        answer = asyncio.run(source.test_callback(sn, which))
    except (Misconfigured, Unavailable) as error:
        raise click.ClickException(error.reason) from None
    detail = str(answer.get("error_detail", ""))
    if as_json:
        click.echo(json.dumps(dict(answer)))
    else:
        address = answer.get("callback_url") or "no address"
        click.echo(printable(f"device {answer.get('sn')}, {address}: {detail or 'no word on what became of it'}"))
    expected = answer.get("expected")
    if expected is not None and answer.get("callback_url") not in (None, "", expected):
        raise click.ClickException(
            f"that is not the address of this source, {expected}: another client has registered its own; "
            "register_callbacks = true takes the callbacks back within ten minutes"
        )
    if detail != "sent":
        raise click.exceptions.Exit(1)
