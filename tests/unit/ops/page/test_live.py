"""The list that flows: what comes is shown once, in order, to each reader what they want, from where they last were."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from pump.ops.page.filters import Filter
from pump.ops.page.live.feed import SHOWN, WAITING, Viewer
from pump.ops.page.rows import Words
from pump.ops.page.texts import texts_in
from tests.unit.ops.page.looking import Looking, looking, many, numbers


async def _site(there: Looking) -> dict[str, int]:
    """Some events of several kinds: their numbers by what they are."""
    north, south = {"id": "1", "name": "North gate"}, {"id": "2", "name": "South gate"}
    return {
        "pass": await there.event(vehicle={"plate": "GR-AB 123"}, device=north, subject="camera/1"),
        "other": await there.event(vehicle={"plate": "ZH 9"}, device=south, subject="camera/2", severity="warning"),
        "alarm": await there.event("security.burglary", severity="critical", place={"zone": "Back door"}),
        "door": await there.event("access.denied", access={"granted": False, "person": "Ada Löwe"}, severity="notice"),
        "measure": await there.event("device.measure", measure={"what": "voltage", "value": 3.6071829, "unit": "V"}),
    }


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("?source=gate", ["measure", "door", "alarm", "other", "pass"]), ("?severity=warning", ["alarm", "other"]),
        ("?type=vehicle.*", ["other", "pass"]), ("?type=access", ["door"]), ("?device=north", ["pass"]),
        ("?device=camera/2", ["other"]), ("?plate=grab123", ["pass"]), ("?plate=GR-AB+123", ["pass"]),
        ("?zone=back", ["alarm"]), ("?person=ada", ["door"]), ("?person=l%C3%B6we", ["door"]),
        ("?text=3.6071829", ["measure"]),  # no time of day has so many digits
        ("?source=gate&quiet=1", ["door", "alarm", "other", "pass"]), ("?text=nothing+like+it", []),
        ("?severity=nonsense&source=gate&type=vehicle.*&device=south", ["other"]), ("?source=elsewhere", []),
    ],
)  # fmt: skip
async def test_filters_live_in_the_address_of_the_list_and_of_the_stream(
    tmp_path: Path, query: str, wanted: list[str]
) -> None:
    async with looking(tmp_path) as there:
        begin = there.daemon.spool.head
        kinds = await _site(there)
        status, page = await there.get(f"/{query}")
        assert status == 200
        assert numbers(page) == [kinds[name] for name in wanted]
        await there.event("vehicle.passed", name="last", vehicle={"plate": "GRAB123"})
        async with there.live(f"{query}&after={begin}") as live:
            async for kind, value in live.messages():
                if kind == "rows":
                    assert [row["n"] for row in value if row["said"] != "last"] == [kinds[name] for name in wanted][
                        ::-1
                    ]
                    break


async def test_what_comes_is_shown_at_once_and_a_reader_who_was_away_goes_on_where_they_were(tmp_path: Path) -> None:
    async with looking(tmp_path) as there:
        async with there.live() as live:
            first = await there.event()
            assert [row["n"] for row in await live.rows(lambda row: row["source"] == "gate")][-1] == first
            assert int(live.last) >= first
        missed = [await there.event(name=f"missed {number}") for number in range(3)]
        async with there.live(Last_Event_ID=live.last) as again:
            rows = await again.rows(lambda row: row["source"] == "gate")
            assert [row["n"] for row in rows] == missed
            last = await there.event()
            assert [row["n"] for row in await again.rows(lambda row: row["source"] == "gate")] == [last]


async def test_after_a_restart_of_the_daemon_no_row_is_lost_or_doubled(tmp_path: Path) -> None:
    seen: list[int] = []
    last = "0"
    for turn in range(3):
        async with looking(tmp_path) as there:
            expected = await there.event(id=f"turn {turn}")
            async with there.live(f"?source=gate&after={last}") as live:
                while expected not in seen:
                    seen += [row["n"] for row in await live.rows()]
                last = live.last
            await there.event(id=f"while nobody looks {turn}")
    assert seen == sorted(set(seen))
    assert len(seen) == 5


async def test_a_picture_that_comes_later_stands_in_the_row_of_its_event(tmp_path: Path) -> None:
    async with looking(tmp_path) as there:
        number = await there.event(id="of-the-pass")
        medium = {
            "id": "of-the-pass/0",
            "kind": "picture",
            "state": "stored",
            "sha256": "ab" * 32,
            "mime": "image/jpeg",
        }
        late = await there.event("media.stored", vendor="pump", updates="of-the-pass", media=[medium])
        _, page = await there.get("/?source=gate")
        assert numbers(page) == [number]
        assert f'<img src="/media/{"ab" * 32}' in page
        assert numbers((await there.get("/?type=media.*"))[1]) == [late]


async def test_a_list_goes_back_page_by_page(tmp_path: Path) -> None:
    async with looking(tmp_path) as there:
        put = [await there.event() for _ in range(130)]
        shown: list[int] = []
        path = "/?source=gate"
        while path:
            _, page = await there.get(path)
            shown += numbers(page)
            _, _, rest = page.partition('rel="next" href="')
            path = rest.partition('"')[0].replace("&amp;", "&")
        assert shown == put[::-1]


async def test_an_events_page_has_its_incident_and_who_got_it(tmp_path: Path) -> None:
    sinks = f"""
[sinks.file]
type = "jsonl"
path = "{tmp_path}/out.jsonl"
[sinks.doors]
type = "jsonl"
path = "{tmp_path}/doors.jsonl"
types = ["access.*"]
"""
    async with looking(tmp_path, sinks) as there:
        begin = await there.event("security.burglary", phase="start", severity="critical", incident="i-1", id="one")
        await there.event(incident="i-2")
        end = await there.event("security.burglary", phase="end", severity="critical", incident="i-1", id="two")
        while there.daemon.sinks["file"].position < end:
            await there.daemon.clock.sleep(0.01)
        _, page = await there.get(f"/event/{begin}")
        assert numbers(page) == [end]
        assert '<span class="tag had">delivered</span>' in page
        assert '<span class="tag left_out">not for this sink</span>' in page
        assert (await there.get("/event/424242"))[0] == 404


@pytest.mark.parametrize("query", ["severity=critical", "type=security.*", "quiet=1&severity=warning", "plate=grab"])
async def test_marks_come_to_a_list_whose_filter_leaves_their_events_out(tmp_path: Path, query: str) -> None:
    async with looking(tmp_path) as there, there.live(f"?{query}") as live:
        alarm = {"severity": "critical", "vehicle": {"plate": "GRAB123"}}
        messages = live.messages()
        assert (await messages.__anext__())[0] == "well"
        await there.event("security.burglary", id="the-alarm", **alarm)
        medium = {"id": "the-alarm/0", "kind": "picture", "state": "stored", "sha256": "ab" * 32, "mime": "image/jpeg"}
        await there.event("media.stored", vendor="pump", updates="the-alarm", media=[medium])
        said = {"acknowledged": True, "user": "anna"}
        await there.event("alarm.acknowledged", vendor="pump", updates="the-alarm", alarm=said)
        rows: list[dict[str, Any]] = []
        marks: list[dict[str, Any]] = []
        async for kind, value in messages:
            rows += value if kind == "rows" else []
            marks += value if kind == "marks" else []
            if len(marks) == 2:
                break
        assert [row["id"] for row in rows] == ["the-alarm"]
        assert marks == [
            {"updates": "the-alarm", "picture": f"/media/{'ab' * 32}", "notes": "", "noted": ""},
            {"updates": "", "picture": "", "notes": "the-alarm", "noted": "noted by anna"},
        ]


async def test_a_flood_is_cut_and_said(tmp_path: Path) -> None:
    async with looking(tmp_path) as there, there.live("?source=gate") as live:
        await live.messages().__anext__()
        last = await many(there, 3 * SHOWN)
        seen = 0
        while int(live.last or 0) < last:
            seen += len(await live.rows())
        assert seen + live.skipped == 3 * SHOWN


def test_a_slow_reader_keeps_the_newest_and_hears_how_many_went() -> None:
    viewer = Viewer(Filter(), Words(texts_in("en"), ZoneInfo("UTC")), 0)
    for number in range(WAITING + 50):
        viewer.offer([(number, b"{}")], number)
    rows, skipped, position = viewer.take()
    assert (len(rows), rows[-1][0], skipped, position) == (WAITING, WAITING + 49, 50, WAITING + 49)
    assert viewer.take() == ([], 0, WAITING + 49)
    for number in range(WAITING + 50):
        viewer.offer([], number, 0, [(number, b"{}")])
    assert [mark[0] for mark in viewer.take_marks()] == [*range(50, WAITING + 50)]
    assert viewer.take_marks() == []
