"""pump new-sink."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

import pump
from pump.cli.new.copying import Template
from pump.cli.new.source import written

_SINK: Final = Template("sink", "nameless_receiver", "sink_tests", Path(pump.__file__).parent / "sinks")


@click.command()
@click.argument("name")
@click.option(
    "--folder", type=click.Path(path_type=Path, file_okay=False), metavar="DIR",
    help="The package that it is to stand in; pump/sinks where it is left out.",
)  # fmt: skip
def command(name: str, folder: Path | None) -> None:
    """Write the sink NAME ("hall-board"): a folder that works at once, to be changed step by step.

    It posts each event by HTTP. Its tests go into the `tests` folder beside its package, where there is one.
    docs/architecture.md has the steps from there on.

    \b
    Examples:
      pump new-sink hall-board
      pump new-sink hall-board --folder ours/sinks
    """
    written(_SINK, name, folder)
