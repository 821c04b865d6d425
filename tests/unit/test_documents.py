"""Documents that code refers to are shipped, and have the sections that it names."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
REFERENCE = re.compile(r'(docs/[a-z_]+\.md)(?:, "([^"]+)")?')
FILES = [
    path
    for pattern in ("pump/**/*.py", "pump/**/*.md", "tests/**/*.py", "docs/*.md", "*.md", "pyproject.toml")
    for path in sorted(ROOT.glob(pattern))
]


def test_each_document_that_is_referred_to_is_here() -> None:
    missing = []
    for path in FILES:
        for name, section in REFERENCE.findall(path.read_text(encoding="utf-8")):
            document = ROOT / name
            there = document.exists()
            if not there or (section and section not in headings(document)):
                missing.append(f"{path.relative_to(ROOT)}: {name} {section}")
    assert not missing, missing


@pytest.mark.parametrize("word", ["FIELD" + ".md", "MEASURED", "DESIGN" + ","])
def test_nothing_refers_to_what_does_not_ship(word: str) -> None:
    own = Path(__file__)
    assert [path for path in FILES if path != own and word in path.read_text(encoding="utf-8")] == []


def headings(document: Path) -> set[str]:
    """Of sections, and the bold words at a paragraph's beginning."""
    text = document.read_text(encoding="utf-8")
    found = set(re.findall(r"^#+ (.+)$", text, re.MULTILINE))
    return found | {words.rstrip(".:") for words in re.findall(r"^\*\*([^*]+)\*\*", text, re.MULTILINE)}
