"""docs/commands.md has every call of the documents; its verbs and tests are there, and the vendors' READMEs agree."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from pump.commands.verbs import VERBS
from pump.vendors.avaeye import carried, lapi, mqtt
from pump.vendors.hik_camera import control as camera
from pump.vendors.hik_connect.commands import sender
from pump.vendors.hik_connect.simulator.documented import GETS, POSTS, PREFIX
from pump.vendors.hik_connect.simulator.rules import RULES
from pump.vendors.hik_gateway import control as gateway
from pump.vendors.hik_gateway.simulator.documented import DEVICES, GATEWAYS
from pump.vendors.kinot import commands as kinot

_ROOT = Path(__file__).parents[2]
_PAGE = (_ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
_VERB = re.compile(r"\b[a-z]+\.[a-z-]+\b")
_TEST = re.compile(r"`([\w/]+\.py)::(\w+)`")

OF_VENDOR: dict[str, set[str]] = {
    "avaeye": {*lapi.VERBS, *carried.VERBS, *mqtt.VERBS},
    "hik_connect": {verb for verbs in sender._VERBS.values() for verb in verbs} | {*sender.CALLS},
    "hik_gateway": {verb for verbs in gateway.VERBS.values() for verb in verbs},
    "kinot": {verb for kind in ("lock", "sensor") for verb in kinot.verbs(kind, {"raise": 2, "lower": 3})},
    "hik_camera": {verb for calls in camera.CALLS.values() for verb in calls},
}
"""Every verb that the vendor's source gives in `verbs`, of any target."""
CHAPTERS = {
    "AvaEye": "avaeye", "Hik-Connect": "hik_connect", "Device Gateway": "hik_gateway", "Kinot": "kinot", "Tuya": "",
    "Hikvision cameras": "hik_camera",
}  # fmt: skip
"""The beginning of each chapter's title, and the folder of its vendor."""


class Row(NamedTuple):
    """A documented call."""

    chapter: str
    document: str
    call: str
    by: str
    test: str

    @property
    def verbs(self) -> set[str]:
        return {*_VERB.findall(self.by)} if self.by.startswith("`") and self.by != "`pump call`" else set()


def _chapters() -> Iterator[tuple[str, str]]:
    for part in _PAGE.split("\n### ")[1:]:
        title, _, text = part.partition("\n")
        yield title, text


def _rows() -> list[Row]:
    found = []
    for title, text in _chapters():
        chapter = next(name for name in CHAPTERS if title.startswith(name))
        for line in text.splitlines():
            if line.startswith("| ") and not line.startswith("| document"):
                cells = [cell.strip() for cell in line.strip("|").split("|")]
                assert len(cells) == 4, line
                found.append(Row(chapter, *cells))
    return found


ROWS = _rows()


def test_each_chapter_has_as_many_calls_as_it_says() -> None:
    counted = {name: len([row for row in ROWS if row.chapter == name]) for name in CHAPTERS}
    said = {title: int(found[1]) for title, _ in _chapters() if (found := re.search(r": (\d+) calls?$", title))}
    assert {title: counted[next(name for name in CHAPTERS if title.startswith(name))] for title in said} == said
    assert f"{sum(said.values())} calls in all" in _PAGE
    assert len(said) == 5
    assert len({(row.chapter, row.document, row.call) for row in ROWS}) == len(ROWS)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.chapter} {row.document} {row.call}")
def test_each_call_has_a_verb_or_pump_call_or_a_reason_and_a_test_that_is_there(row: Row) -> None:
    assert row.by == "`pump call`" or row.verbs or row.by.startswith("none: "), row
    if row.verbs:
        assert row.verbs <= VERBS.keys()
        assert row.verbs <= OF_VENDOR[CHAPTERS[row.chapter]]
    named = _TEST.fullmatch(row.test)
    if named is None:
        assert (row.test, row.by.startswith("none: ")) == ("", True), row
        return
    folder = _ROOT / "tests" if named[1].startswith("e2e/") else _ROOT / "tests" / "unit"
    assert f"def {named[2]}(" in (folder / named[1]).read_text(encoding="utf-8")


@pytest.mark.parametrize("vendor", OF_VENDOR)
def test_page_source_and_readme_name_the_same_verbs(vendor: str) -> None:
    paged = {verb for row in ROWS if CHAPTERS[row.chapter] == vendor for verb in row.verbs}
    assert paged == OF_VENDOR[vendor]
    readme = (_ROOT / "pump" / "vendors" / vendor / "README.md").read_text(encoding="utf-8")
    section = readme.partition("\n## Commands\n")[2].partition("\n## ")[0]
    table = [line for line in section.splitlines() if line.startswith("|")]
    told = {verb for line in table for verb in _VERB.findall(line)} & VERBS.keys()
    assert told == OF_VENDOR[vendor]
    assert "pump call" in section


def test_the_vocabulary_on_the_page_is_the_vocabulary() -> None:
    part = _PAGE.partition("\n## The vocabulary\n")[2].partition("\n## ")[0]
    lines = [line.strip("|").split("|") for line in part.splitlines() if line.startswith("| `")]
    shown = {cells[0].strip(" `"): (cells[1].strip(), cells[2].replace("*", "").strip()) for cells in lines}
    assert shown == {name: (verb.says, ", ".join(verb.arguments)) for name, verb in VERBS.items()}


def test_the_simulated_vendors_know_the_same_calls() -> None:
    teams = {row.call for row in ROWS if row.chapter == "Hik-Connect"}
    played = {f"POST {path.removeprefix(PREFIX)}" for path in RULES}
    assert teams == played | {f"GET {path}" for path in GETS} | {f"POST {path}" for path in POSTS}
    raw = {row.call for row in ROWS if "test_every_documented_call" in row.test and row.chapter == "Device Gateway"}
    known = {f"{method} {path}" for method, path in (*GATEWAYS, *DEVICES)}
    assert {call.partition(",")[0] for call in raw} == known
