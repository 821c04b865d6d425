"""The search: the spool and an archive give the same for the same question, and both can be taken along."""

from __future__ import annotations

import asyncio
import csv
import io
from pathlib import Path
from urllib.parse import quote

import orjson
import pytest

from tests.unit.ops.page.looking import Looking, looking, numbers

ARCHIVE = """
[sinks.archive]
type = "sqlite"
path = "{}/archive.db"
"""


async def _site(there: Looking) -> dict[str, int]:
    kinds = {
        "pass": await there.event(vehicle={"plate": "GR-AB 123"}, device={"id": "1", "name": "North gate"}),
        "formula": await there.event(vehicle={"plate": "=1+1"}, device={"id": "2", "name": "50% off_gate"}),
        "alarm": await there.event("security.burglary", severity="critical", place={"zone": "Back door", "lot": "P1"}),
        "door": await there.event("access.denied", severity="notice", access={"granted": False, "person": "O'Brien"}),
    }
    while there.daemon.sinks and there.daemon.sinks["archive"].position < kinds["door"]:
        await asyncio.sleep(0.01)
    return kinds


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("plate=grab123", ["pass"]), ("plate=AB", ["pass"]), ("plate=%3D1", ["formula"]), ("device=north", ["pass"]),
        ("device=0%25+off_", ["formula"]), ("device=%25", ["formula"]), ("zone=back+door", ["alarm"]),
        ("zone=p1", ["alarm"]),
        ("person=o%27brien", ["door"]), ("severity=notice", ["door", "alarm"]), ("text=Back", ["alarm"]),
        ("source=gate&since=2020-01-01T00:00", ["door", "alarm", "formula", "pass"]),
        ("source=gate&until=2020-01-01T00:00", []),
        ("since=2999-01-01T00:00", []), ("type=vehicle.*", ["formula", "pass"]), ("plate=%25", []),
    ],
)  # fmt: skip
async def test_spool_and_archive_find_the_same(tmp_path: Path, query: str, wanted: list[str]) -> None:
    async with looking(tmp_path, ARCHIVE.format(tmp_path)) as there:
        kinds = await _site(there)
        status, page = await there.get(f"/search?{query}")
        assert (status, numbers(page)) == (200, [kinds[name] for name in wanted])
        _, page = await there.get(f"/search?in=archive&{query}")
        assert page.count('<li class="row ') == len(wanted)
        status, text = await there.get(f"/search.json?in=archive&{query}")
        _, same = await there.get(f"/search.json?{query}")
        assert (status, text) == (200, same)
        found = [orjson.loads(line)["type"] for line in text.splitlines()]
        assert len(found) == len(wanted)


async def test_an_export_is_no_formula(tmp_path: Path) -> None:
    async with looking(tmp_path) as there:
        await _site(there)
        _, text = await there.get("/search.csv?source=gate")
        rows = list(csv.DictReader(io.StringIO(text.removeprefix("\ufeff"))))
        assert [row["plate"] for row in rows] == ["", "", "'=1+1", "GR-AB 123"]
        assert rows[0]["person"] == "O'Brien"


async def test_an_archived_event_has_its_page(tmp_path: Path) -> None:
    async with looking(tmp_path, ARCHIVE.format(tmp_path)) as there:
        await _site(there)
        _, page = await there.get("/search?in=archive&plate=grab123")
        _, _, rest = page.partition('href="/event?')
        status, page = await there.get("/event?" + rest.partition('"')[0].replace("&amp;", "&"))
        assert (status, "GR-AB 123" in page) == (200, True)
        assert (await there.get("/event?in=archive&source=x&id=y"))[0] == 404
        assert (await there.get("/event?in=nowhere&source=x&id=y"))[0] == 404


async def test_an_archive_goes_back_page_by_page(tmp_path: Path) -> None:
    async with looking(tmp_path, ARCHIVE.format(tmp_path)) as there:
        for number in range(130):
            await there.event(vehicle={"plate": f"P{number}"})
        while there.daemon.sinks["archive"].position < there.daemon.spool.head:
            await asyncio.sleep(0.01)
        shown, path = 0, "/search?in=archive&plate=P"
        while path:
            _, page = await there.get(path)
            shown += page.count('<li class="row ')
            path = page.partition('rel="next" href="')[2].partition('"')[0].replace("&amp;", "&")
        assert shown == 130


async def test_a_broken_archive_is_said(tmp_path: Path) -> None:
    async with looking(tmp_path, ARCHIVE.format(tmp_path)) as there:
        await there.event()
        while there.daemon.sinks["archive"].position < there.daemon.spool.head:
            await asyncio.sleep(0.01)
        (tmp_path / "archive.db").rename(tmp_path / "elsewhere.db")
        status, page = await there.get("/search?in=archive&plate=x")
        assert (status, 'role="alert"' in page) == (200, True)
        assert (await there.get("/search.json?in=archive&plate=x"))[0] == 503


async def test_nothing_is_looked_for_before_something_is_asked(tmp_path: Path) -> None:
    async with looking(tmp_path) as there:
        await there.event()
        _, page = await there.get("/search")
        assert numbers(page) == []
        _, page = await there.get(f"/search?plate={quote('<b>')}")
        assert "Nothing fits." in page
