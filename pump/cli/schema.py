"""pump schema."""

from __future__ import annotations

import json

import click


@click.command()
@click.argument("what", type=click.Choice(["config", "event"]))
def command(what: str) -> None:
    """Print a JSON Schema (draft 2020-12): of pump.toml, or of the event that every sink gets.

    \b
    Examples:
      pump schema config > pump.schema.json     # editors complete and check pump.toml with it
      pump schema event
    """
    if what == "config":
        from pump.config.schema import config_schema

        schema = config_schema()
    else:
        from pump.core.schema import event_schema

        schema = event_schema()
    click.echo(json.dumps(schema, indent=2, ensure_ascii=False))
