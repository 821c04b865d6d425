"""Documents name what is there: paths, commands and alerts exist, and the map shows every room."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from pump.cli import group

ROOT = Path(__file__).parents[2]
DOCUMENTS = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md")),
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "pump").glob("*/*/README.md")),
    ROOT / "packaging/container/README.md",
]
_PATHS = re.compile(r"`((?:pump|tests|docs)/[A-Za-z0-9_./*<>-]+)")
_LINKS = re.compile(r"\]\(([^)#:]+)\)")
_COMMANDS = re.compile(r"`pump ([a-z][a-z-]*)((?: [^`]*)?)`")
_EXAMPLES = ("door_bell", "hall_board", "<", "pump/north/")


def found(pattern: re.Pattern[str], document: Path) -> set[str]:
    """What the pattern finds, but for the names that only an example has."""
    text = document.read_text(encoding="utf-8")
    return {path for path in pattern.findall(text) if not any(word in path for word in _EXAMPLES)}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_path_and_link_leads_somewhere(document: Path) -> None:
    assert [path for path in sorted(found(_PATHS, document)) if not [*ROOT.glob(path)]] == []
    assert [link for link in sorted(found(_LINKS, document)) if not (document.parent / link).exists()] == []


def test_the_map_shows_every_room() -> None:
    text = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    table = text.partition("## The rooms")[2].partition("\n## ")[0]
    rooms = {path.name for path in (ROOT / "pump").iterdir() if path.name not in ("__pycache__", "py.typed")}
    shown = {name.rstrip("/") for name in re.findall(r"`([a-z]+(?:\.py|/))", table)}
    assert rooms - {"__init__.py", "__main__.py"} <= shown


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_commands_that_a_document_names_are_there_with_their_options(document: Path) -> None:
    context = click.Context(group)
    for name, rest in _COMMANDS.findall(document.read_text(encoding="utf-8")):
        command = group.get_command(context, name)
        assert command is not None, f"pump {name}"
        first = rest.split()[:1]
        if isinstance(command, click.Group) and first and (inner := command.get_command(context, first[0])):
            command = inner
        known = {option for parameter in command.params for option in parameter.opts} | {"--help", "-h"}
        assert set(re.findall(r"(?<!\S)--[a-z-]+", rest)) <= known, f"pump {name}{rest}"


def test_the_alerts_that_the_operators_page_names_are_rules() -> None:
    rules = (ROOT / "monitoring/alerts.yml").read_text(encoding="utf-8")
    named = set(re.findall(r"`(Pump[A-Z]\w+)`", (ROOT / "docs/operate.md").read_text(encoding="utf-8")))
    assert named
    assert named <= set(re.findall(r"alert: (\w+)", rules))
