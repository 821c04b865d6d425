"""pump new-source."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

import pump
from pump.cli.new.copying import CannotMake, Made, Template, make, table_of

_SOURCE: Final = Template("source", "nameless_vendor", "source_tests", Path(pump.__file__).parent / "vendors")


@click.command()
@click.argument("name")
@click.option(
    "--folder", type=click.Path(path_type=Path, file_okay=False), metavar="DIR",
    help="The package that it is to stand in; pump/vendors where it is left out.",
)  # fmt: skip
def command(name: str, folder: Path | None) -> None:
    """Write the source NAME ("door-bell"): a vendor's folder that works at once, to be changed step by step.

    It polls a simulator of its own, and confirms what is on disk. Its tests go into the `tests` folder beside its
    package, where there is one. docs/architecture.md has the steps from there on.

    \b
    Examples:
      pump new-source door-bell
      pump new-source door-bell --folder ours/vendors
    """
    written(_SOURCE, name, folder)


def written(template: Template, name: str, folder: Path | None) -> None:
    """Make it and print what was made, or end with what is in the way."""
    try:
        made = make(template, name, folder)
    except CannotMake as error:
        raise click.ClickException(str(error)) from None
    _print(made, template.what)


def _print(made: Made, what: str) -> None:
    click.echo(f'{made.folder} holds the {what} "{made.kind}".')
    for path in made.tests:
        if path.name != "__init__.py":
            click.echo(f"{path} tests it.")
    click.echo(f"\nFor pump.toml, where a part that is not in use stands behind #:\n\n{table_of(made.readme)}")
    click.echo(f'\nGo on with "How to add a {"vendor" if what == "source" else what}" in docs/architecture.md.')
