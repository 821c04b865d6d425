"""What is strange is kept in another form, never dropped in silence, and harms no neighbour."""

from __future__ import annotations

import base64
import threading
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import orjson
import pytest

from pump.core.event import Event, Unparsed, encode, raw_json
from pump.ingest import encoding
from pump.ingest.encoding import LARGEST
from pump.spool import Receipt
from tests.unit.ingest.conftest import Site, passed, run, stored_events


@pytest.mark.parametrize(
    ("raw", "key", "wanted"),
    [
        (b"<html>", "raw", "<html>"),
        (b"\xff\x00", "raw_base64", base64.b64encode(b"\xff\x00").decode()),
        ({"guid": 5}, "raw", {"guid": 5}),
        (None, "raw", None),
    ],
)
def test_what_cannot_be_parsed_is_kept_whole_and_its_redelivery_is_a_duplicate(
    site: Site, raw: Any, key: str, wanted: Any
) -> None:
    async def main() -> None:
        async with site.intake() as (intake, spool):
            assert await intake.unparsed(raw, "no object") == Receipt(1, 0, 1)
            assert await intake.unparsed(raw, "no object") == Receipt(0, 1)
            (stored,) = await stored_events(spool)
            assert stored["type"] == "pump.record.unparsed"
            assert stored["data"]["error"] == "no object"
            assert stored["data"][key] == wanted
            assert site.value("pump_unparsed_total", source="teams") == 1

    run(main)


def test_an_event_that_json_cannot_hold_is_kept_as_unparsed_and_its_neighbours_flow(site: Site) -> None:
    async def main() -> None:
        async with site.intake() as (intake, spool):
            receipt = await intake.put(passed(1), passed(2, raw={"plate": "A\ud800"}), passed(3))
            assert receipt == Receipt(3, 0, 1)
            types = [event["type"] for event in await stored_events(spool)]
            assert types == ["vehicle.passed", "pump.record.unparsed", "vehicle.passed"]

    run(main)


def test_what_the_spool_cannot_hold_is_kept_once_however_often_it_comes(site: Site) -> None:
    async def main() -> None:
        async with site.intake() as (intake, spool):
            for _ in range(3):
                huge = passed(1)
                huge.dedup_time_ms = 1 << 70
                receipt = await intake.put(huge, passed(2), state={"page": 1})
                site.clock.advance(1.0)
            assert receipt == Receipt(0, 2)
            types = sorted(event["type"] for event in await stored_events(spool))
            assert types == ["pump.record.unparsed", "vehicle.passed"]
            assert intake.state()["page"] == 1

    run(main)


def test_a_time_at_the_edge_of_the_calendar_harms_no_neighbour(site: Site) -> None:
    async def main() -> None:
        async with site.intake() as (intake, spool):
            edge = passed(1)
            edge.time = datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=5)))
            await intake.put(edge, passed(2))
            types = sorted(event["type"] for event in await stored_events(spool))
            assert types == ["pump.record.unparsed", "vehicle.passed"]

    run(main)


@pytest.mark.parametrize("depth", [300, 1000, 10_000])
def test_a_record_nested_too_deeply_for_json_is_kept_as_text(site: Site, depth: int) -> None:
    async def main() -> None:
        async with site.intake() as (intake, spool):
            deep: list[Any] = []
            for _ in range(depth - 1):
                deep = [deep]
            await intake.put(passed(1, raw=deep), Unparsed(deep, "too deep"), passed(2))
            stored = await stored_events(spool)
            assert [event["type"].split(".")[0] for event in stored] == ["pump", "pump", "vehicle"]
            assert all("[" * depth in event["data"]["raw"] for event in stored[:2])

    run(main)


def test_a_large_raw_goes_to_media_and_the_event_stays_small(site: Site) -> None:
    async def main() -> None:
        async with site.intake() as (intake, spool):
            raw = {"picture": "x" * (LARGEST * 2)}
            await intake.put(passed(1, raw=raw))
            (stored,) = await stored_events(spool)
            (media,) = stored["data"]["media"]
            assert stored["data"]["raw"] == {"$media": media["id"]}
            kept = (site.folder / "media" / media["path"]).read_bytes()
            assert orjson.loads(kept) == raw
            assert media["bytes"] == len(kept)

    run(main)


def test_beyond_its_limit_strange_records_are_counted_and_sampled(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pump.ingest.encoding.QUARANTINE_LIMIT", 10_000)

    async def main() -> None:
        async with site.intake() as (intake, spool):
            for n in range(30):
                await intake.unparsed(str(n) * 1000, "strange")
            kept = await stored_events(spool)
            sampled = [event for event in kept if "sampled" in event["data"]]
            whole = len(kept) - len(sampled)
            assert 4 <= whole <= 9  # each is 1 to 2 kB with its envelope; 10 kB may be kept
            assert len(sampled) == 1
            assert len(sampled[0]["data"]["raw"]) <= 1024
            assert site.value("pump_unparsed_dropped_total", source="teams") == 30 - whole
            site.clock.advance(61)
            await intake.unparsed("later" * 500, "strange")
            last = (await stored_events(spool))[-1]
            assert last["data"]["sampled"] == 30 - whole  # all since the first sample, itself included
            # Redeliveries of what was kept do not use the limit up.
            before = spool.quarantined("teams")
            await intake.unparsed("0" * 1000, "strange")
            assert spool.quarantined("teams") == before

    run(main)


def test_strangers_leave_half_of_the_quarantine_to_devices_that_are_known(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pump.ingest.encoding.QUARANTINE_LIMIT", 20_000)

    async def main() -> None:
        async with site.intake() as (intake, spool):
            for number in range(30):
                await intake.unparsed(b"x" * 900 + b"%d" % number, "no object", stranger=True)
            assert 5_000 < spool.quarantined("teams") <= 10_000
            assert spool.strangers > 5_000
            assert await intake.unparsed(b"y" * 900, "no object") == Receipt(1, 0, 1)

    run(main)


def test_what_is_large_is_hashed_and_encoded_beside_the_event_loop(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    threads: dict[str, set[int]] = {}

    def watch(name: str) -> None:
        real = getattr(encoding, name)

        def watched(*args: Any, **more: Any) -> Any:
            threads.setdefault(name, set()).add(threading.get_ident())
            return real(*args, **more)

        monkeypatch.setattr(encoding, name, watched)

    watch("event_id")
    watch("_dump")

    async def main() -> None:
        async with site.intake() as (intake, spool):
            await intake.unparsed(b"\xff" * (2 * LARGEST), "no object")
            await intake.put(passed(1, raw={"x": "x" * (2 * LARGEST)}))
            first, second = await stored_events(spool)
            assert first["data"]["media"][0]["state"] == second["data"]["media"][0]["state"] == "stored"
            assert set(threads) == {"event_id", "_dump"}
            for found in threads.values():
                assert threading.get_ident() not in found

    run(main)


def test_of_a_small_spool_the_quarantine_is_a_part(site: Site) -> None:
    async def main() -> None:
        async with site.intake(max_bytes="16MiB") as (intake, spool):
            for number in range(30):
                await intake.unparsed(b"x" * 200_000 + b"%d" % number, "no object")
            assert spool.quarantined("teams") <= 4 << 20

    run(main)


def test_a_stranger_s_large_raw_counts_as_the_stranger_s_in_media(site: Site) -> None:
    async def main() -> None:
        async with site.intake() as (intake, spool):
            await intake.put(passed(1, raw={"text": "x" * (2 * LARGEST)}), stranger=True)
            intake.media.prune()
            assert intake.media.figures()["strangers"]["files"] == 1
            assert 0 < spool.strangers < LARGEST
            await intake.put(passed(2, raw={"text": "y" * (2 * LARGEST)}))
            intake.media.prune()
            assert intake.media.figures()["files"] == 2
            assert intake.media.figures()["strangers"]["files"] == 1

    run(main)


def test_what_is_large_and_cannot_be_written_as_json_is_kept_too(site: Site) -> None:
    async def main() -> None:
        async with site.intake() as (intake, spool):
            receipt = await intake.put(Unparsed("\ud800" + "x" * (2 * LARGEST), "an odd \ud800 error"), passed(1))
            assert receipt.stored == 2
            kept, _ = await stored_events(spool)
            assert kept["type"] == "pump.record.unparsed"

    run(main)


def test_of_an_event_that_json_cannot_hold_a_record_that_was_let_go_is_kept_too(site: Site) -> None:
    async def main() -> None:
        async with site.intake() as (intake, spool):
            whole, light = passed(1, raw={"plate": "A", "n": [1.5]}), passed(1, raw={"plate": "A", "n": [1.5]})
            light.raw_json = raw_json(light.data["raw"])
            assert light.raw_json is not None
            light.data["raw"] = orjson.Fragment(light.raw_json)
            for event in (whole, light):
                event.data["name"] = "A\ud800"
            assert await intake.put(whole, light) == Receipt(1, 1, 1)  # word for word the same record
            (stored,) = await stored_events(spool)
            assert '"raw": {"plate": "A", "n": [1.5]}' in stored["data"]["raw"]

    run(main)


def _nested(levels: int) -> dict[str, Any]:
    raw: dict[str, Any] = {"end": 1}
    for _ in range(levels):
        raw = {"in": raw}
    return raw


@pytest.mark.parametrize(
    "raw", [{"a": [1, 2.5, None, True]}, {}, [], "text\n", {"ü": "\u2028"}, 0, _nested(100), _nested(240)]
)
def test_a_raw_message_that_was_written_before_stands_in_its_event_as_any_other(raw: Any) -> None:
    now = datetime(2026, 11, 29, 8, tzinfo=UTC)
    data = {"phase": "pulse", "severity": "info", "raw": raw, "cut": ["id"]}
    plain = encode(Event("video.motion", "1", data), "/a/b", now)
    written = encode(Event("video.motion", "1", data, raw_json=raw_json(raw)), "/a/b", now)
    assert raw_json(raw) is not None
    assert written == plain


def test_what_is_nested_too_deep_for_an_event_is_not_written_before() -> None:
    now = datetime(2026, 11, 29, 8, tzinfo=UTC)
    writable = set()
    for levels in range(230, 270):
        event = Event("video.motion", "1", {"raw": _nested(levels)})
        try:
            encode(event, "/a/b", now)
        except TypeError:
            assert raw_json(event.data["raw"]) is None
        else:
            writable.add(levels)
            assert raw_json(event.data["raw"]) is not None
    assert 230 in writable
    assert 269 not in writable
