"""Links that events name: fetched beside them, as often as need be, until they die."""

from __future__ import annotations

import asyncio
import gc
import os
import random
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from pump.core.event import Event
from pump.ingest.fetch.access import PictureAccess
from pump.ingest.fetch.errors import FetchFailed, LinkForbidden
from pump.ingest.fetch.incoming import Incoming
from pump.ingest.fetch.settling import Settler
from pump.simulation.pictures import PictureHost, jpeg
from pump.spool import Fetch
from pump.spool.tables import fetches
from tests.unit.ingest.fetch.conftest import Ground, alarm, own


async def test_the_event_goes_first_and_its_picture_follows_with_the_same_id(ground: Ground) -> None:
    async with PictureHost(clock=ground.clock) as host, ground.running(own(host)) as here:
        event = alarm(1, host.link("a.jpg"))
        await here.intake.put(event)
        await here.quiet()
        first, second = await here.events()
        assert (first["id"], first["data"]["media"][0]["state"]) == (event.id, "remote")
        content = jpeg("a.jpg")
        digest = sha256(content).hexdigest()
        assert second["type"] == "media.stored"
        assert second["source"] == first["source"]
        assert second["subject"] == "camera/1"
        assert second["data"] == {
            "vendor": "pump", "code": "stored", "name": "Picture stored", "phase": "update", "severity": "info",
            "updates": event.id, "device": {"serial": "D1"},
            "media": [
                {
                    "id": f"{event.id}/0", "kind": "picture", "mime": "image/jpeg", "bytes": len(content),
                    "sha256": digest, "path": f"{digest[:2]}/{digest}", "state": "stored",
                }
            ],
        }  # fmt: skip
        assert ground.files() == {digest: content}
        assert len(here.spool.fetches) == 0
        assert ground.value("pump_media_fetched_total", source="teams") == 1


@pytest.mark.parametrize("size", [600, 3 << 20], ids=["in memory", "in a file"])
async def test_what_is_fetched_for_a_stranger_counts_as_the_stranger_s(ground: Ground, size: int) -> None:
    async with PictureHost(clock=ground.clock, size=size) as host, ground.running(own(host)) as here:
        await here.intake.put(alarm(1, host.link("a.jpg")), stranger=True)
        await here.intake.put(alarm(2, host.link("b.jpg")))
        await here.quiet()
        ground.media.prune()
        figures = ground.media.figures()
        assert (figures["files"], figures["strangers"]["files"]) == (2, 1)
        assert here.spool.strangers > 0
        await here.intake.put(alarm(3, host.link("a.jpg")))  # a known device has the same
        await here.quiet()
        ground.media.prune()
        assert ground.media.figures()["strangers"]["files"] == 0


@pytest.mark.parametrize("each", [6, pytest.param(40, marks=pytest.mark.long)], ids=["150", "1000"])
async def test_alarms_while_half_of_the_requests_fail_and_the_host_is_away_for_five_minutes(
    ground: Ground, each: int
) -> None:
    host = PictureHost(clock=ground.clock, failing=0.5, size=600)
    async with host, ground.running(own(host), per_host=8) as here:
        puts = 0
        for batch in range(25):
            if batch == 10:
                await host.go_away()
            if batch == 23:  # 13 batches of 24 s
                await host.come_back()
            events = [alarm(n, host.link(f"{n}.jpg")) for n in range(batch * each, batch * each + each)]
            when = ground.clock.now()
            await here.intake.put(*events)
            assert ground.clock.now() == when  # nobody waited for a picture
            puts += len(events)
            await here.through(24)
        await here.through(600)
        stored = {event["data"]["updates"]: event["data"]["media"][0] for event in await here.events("media.stored")}
        assert await here.reasons() == []
        assert len(stored) == puts == 25 * each
        files = ground.files()
        for n in range(25 * each):
            content = jpeg(f"{n}.jpg", 600)
            assert stored[alarm(n).id]["sha256"] == sha256(content).hexdigest()
            assert files[sha256(content).hexdigest()] == content
        assert len(files) == 25 * each
        assert set(host.given.values()) == {1}  # none was fetched twice
        assert host.most_at_once <= 8


async def test_a_link_that_died_is_told_with_the_reason(ground: Ground) -> None:
    async with PictureHost(clock=ground.clock) as host, ground.running(own(host)) as here:
        host.answers["a.jpg"] = lambda request: web.Response(status=404)
        await here.intake.put(alarm(1, host.link("a.jpg")))
        await here.through(899)
        (event,) = await here.events("media.failed")
        assert event["data"]["media"] == [{"id": f"{alarm(1).id}/0", "kind": "picture", "state": "failed"}]
        assert "HTTP 404" in event["data"]["reason"]
        assert host.asked["a.jpg"] > 30
        assert ground.value("pump_media_failed_total", source="teams", reason="expired") == 1
        assert len(here.spool.fetches) == 0


async def test_the_event_s_word_on_its_life_holds_where_the_link_says_nothing(ground: Ground) -> None:
    async with PictureHost(clock=ground.clock) as host, ground.running(own(host)) as here:
        host.answers["a.jpg"] = lambda request: web.Response(status=404)
        await here.intake.put(alarm(1, host.link("a.jpg", None), expires="2026-11-20T08:02:00Z"))
        await here.through(119)
        assert len(await here.reasons()) == 1


async def test_a_host_that_is_away_when_links_die_is_not_waited_for(ground: Ground) -> None:
    async with PictureHost(clock=ground.clock) as host, ground.running(own(host)) as here:
        links = [host.link(f"{n}.jpg", 60) for n in range(100)]
        await host.go_away()
        await here.intake.put(*(alarm(n, link) for n, link in enumerate(links)))
        await here.through(61)
        assert len(await here.reasons()) == 100
        assert ground.value("pump_media_retries_total", source="teams", reason="away") < 60


async def test_a_link_whose_time_seems_over_is_asked_once(ground: Ground) -> None:
    """A clock that is wrong must not cost every picture."""
    async with PictureHost(clock=ground.clock) as host, ground.running(own(host)) as here:
        await here.intake.put(alarm(1, host.link("a.jpg", None), expires="2026-11-20T07:00:00Z"))
        await here.intake.put(alarm(2, host.link("b.jpg", -60)))
        await here.quiet()
        assert [event["data"]["updates"] for event in await here.events("media.stored")] == [alarm(1).id]
        assert "HTTP 403" in (await here.reasons())[0]


async def test_a_clock_that_jumps_kills_no_link(ground: Ground) -> None:
    async with PictureHost(clock=ground.clock) as host, ground.running(own(host)) as here:
        await host.go_away()
        await here.intake.put(alarm(1, f"{host.url}/a.jpg", expires="2026-11-20T08:15:00Z"))
        await here.through(60)
        ground.clock.jump(86400)
        await host.come_back()
        await here.through(60)
        assert len(await here.events("media.stored")) == 1


async def test_what_waits_is_fetched_after_a_restart_and_a_half_file_is_swept_away(ground: Ground) -> None:
    async with PictureHost(clock=ground.clock) as host:
        async with ground.running(own(host)) as here:
            host.hanging.set()
            await here.intake.put(alarm(1, host.link("a.jpg")), alarm(2, host.link("b.jpg")))
        host.hanging.clear()
        part = ground.media.folder / "incoming" / "x.part"
        part.parent.mkdir(parents=True)
        part.write_bytes(b"half")
        async with ground.running(own(host)) as here:
            await here.quiet()
            assert len(await here.events("media.stored")) == 2
            assert len(ground.files()) == 2
        async with ground.running(own(host)) as here:
            await here.quiet()
            assert host.given == {"a.jpg": 1, "b.jpg": 1}


async def test_a_large_file_is_streamed_and_one_that_is_too_large_is_not_fetched(ground: Ground) -> None:
    large = jpeg("large", 3_000_000)

    async def endless(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(large)

    async with PictureHost(clock=ground.clock) as host, ground.running(own(host), largest=4_000_000) as here:
        host.answers |= {
            "a.jpg": lambda request: web.Response(body=large),
            "b.jpg": lambda request: web.Response(body=large * 2),
            "c.jpg": endless,
        }
        await here.intake.put(*(alarm(n, host.link(name)) for n, name in enumerate(("a.jpg", "b.jpg", "c.jpg"))))
        await here.quiet()
        (stored,) = await here.events("media.stored")
        assert stored["data"]["media"][0]["sha256"] == sha256(large).hexdigest()
        assert ["4000000" in reason for reason in await here.reasons()] == [True, True]
        assert list(ground.files()) == [sha256(large).hexdigest()]
        assert not any((ground.media.folder / "incoming").iterdir())


@pytest.mark.parametrize(
    ("kind", "body", "mime"),
    [
        ("picture", b"<html>login</html>", None), ("picture", b'{"errorCode":"1"}', None),
        ("picture", b"\0\0\0\x20ftypisom" + bytes(40), None), ("plate picture", b"MZ" + bytes(80), None),
        ("video", b"\0\0\0\x20ftypisom" + bytes(40), "video/mp4"), ("video", b"IMKH" + bytes(40), "video/mpeg"),
        ("video", b"\n <html>", None), ("video", bytes(80), "application/octet-stream"),
        ("picture", b"BM" + bytes(80), "image/bmp"), ("file", b"PK\3\4" + bytes(80), "application/octet-stream"),
    ],
    ids=lambda value: value[:4].decode("latin-1").strip() if isinstance(value, bytes) else None,
)  # fmt: skip
async def test_the_bytes_say_what_came(ground: Ground, kind: str, body: bytes, mime: str | None) -> None:
    async with PictureHost(clock=ground.clock) as host, ground.running(own(host)) as here:
        host.answers["a"] = lambda request: web.Response(body=body, content_type="image/jpeg")
        await here.intake.put(alarm(1, host.link("a", 10), kind=kind))
        await here.through(11)
        stored = await here.events("media.stored")
        assert [event["data"]["media"][0]["mime"] for event in stored] == ([mime] if mime else [])
        assert len(await here.reasons()) == (0 if mime else 1)
        assert len(ground.files()) == (1 if mime else 0)


async def test_a_second_delivery_brings_a_fresh_link_and_fetches_nothing_twice(ground: Ground) -> None:
    async with PictureHost(clock=ground.clock) as host, ground.running(own(host)) as here:
        dead = host.link("a.jpg", -1)
        host.answers["a.jpg"] = lambda request: web.Response(status=404)
        await here.intake.put(alarm(1, dead.replace("Expires=", "Expires=9")))
        await here.quiet()
        del host.answers["a.jpg"]
        receipt = await here.intake.put(alarm(1, host.link("a.jpg")))
        assert receipt.duplicates == 1
        await here.quiet()
        assert len(await here.events("media.stored")) == 1
        await here.intake.put(alarm(1, host.link("a.jpg")))
        await here.through(900)
        assert host.given == {"a.jpg": 1}
        assert await here.reasons() == []


async def test_what_is_not_uploaded_yet_or_has_no_address_is_left_alone(ground: Ground) -> None:
    async with PictureHost(clock=ground.clock) as host, ground.running(own(host)) as here:
        await here.intake.put(alarm(1, host.link("a.jpg"), state="to be uploaded"), alarm(2, "ftp://x/a.jpg"))
        entry = {"id": "3/0", "kind": "picture", "state": "remote"}
        await here.intake.put(Event("video.intrusion", "3", {**alarm(3).data, "media": [entry]}))
        await here.through(100)
        assert len(here.spool.fetches) == 0
        assert len(await here.events()) == 3
        assert not host.asked


async def test_of_too_many_the_oldest_are_given_up(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetches, "MOST", 50)
    async with PictureHost(clock=ground.clock) as host, ground.running(own(host)) as here:
        await host.go_away()
        await here.intake.put(*(alarm(n, host.link(f"{n}.jpg")) for n in range(70)))
        await here.through(5)
        assert len(here.spool.fetches) == 50
        failed = await here.events("media.failed")
        assert len(failed) == 20
        assert {event["data"]["updates"] for event in failed} <= {alarm(n).id for n in range(25)}


async def test_a_strangers_links_push_out_no_known_device_s(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetches, "MOST", 50)
    async with PictureHost(clock=ground.clock) as host, ground.running(own(host)) as here:
        await host.go_away()
        await here.intake.put(*(alarm(n, host.link(f"{n}.jpg")) for n in range(40)))
        await here.intake.put(*(alarm(n, host.link(f"{n}.jpg")) for n in range(100, 130)), stranger=True)
        await here.through(5)
        assert {event["data"]["updates"] for event in await here.events("media.failed")} <= {
            alarm(n).id for n in range(100, 125)
        }
        assert len(here.spool.fetches) == 50


async def test_a_result_that_the_spool_cannot_hold_is_kept_as_unparsed_and_ends_its_link(ground: Ground) -> None:
    async with PictureHost(clock=ground.clock) as host, ground.running(own(host)) as here:
        host.hanging.set()
        event = alarm(1, host.link("a.jpg"), host.link("b.jpg"))
        await here.intake.put(event)
        fetch = here.spool.fetches.get(("teams", f"{event.id}/0"))
        object.__setattr__(fetch, "dedup_time_ms", 1 << 70)  # SQLite takes no number above 64 bits
        host.hanging.clear()
        await here.quiet()
        assert len(here.spool.fetches) == 0
        assert len(await here.events("media.stored")) == 1
        (kept,) = await here.events("pump.record.unparsed")
        assert "media.stored" in kept["data"]["raw"]


async def test_results_that_come_together_go_in_one_commit(ground: Ground) -> None:
    async with PictureHost(clock=ground.clock) as host, ground.running(own(host)) as here:
        host.hanging.set()
        event = alarm(1, *(host.link(f"{n}.jpg") for n in range(4)))
        await here.intake.put(event)
        found = [here.spool.fetches.get(("teams", f"{event.id}/{n}")) for n in range(4)]
        stored: list[Fetch] = []
        settler = Settler(
            lambda name: here.intake, clock=ground.clock, metrics=ground.metrics, rng=random.Random(1),
            on_stored=stored.append,
        )  # fmt: skip
        await here.spool.flush()  # what was noted for a later commit
        before = ground.value("pump_commits_total")
        with settler.coming():  # one more is being written
            keys = [settler.add(fetch, FetchFailed("status", "gone")) for fetch in found if fetch is not None]
            assert keys == [("teams", False), None, None, None]
            storing = asyncio.create_task(settler.store(("teams", False)))
            await asyncio.sleep(0)
        await storing
        assert ground.value("pump_commits_total") - before == 1
        assert (settler.unstored, stored, len(await here.events("media.failed"))) == (0, [], 4)


async def test_a_link_that_may_not_be_asked_leaves_nothing_to_the_collector(ground: Ground) -> None:
    """Each kept 30 objects with its file's buffer in a cycle."""
    async with ground.running(PictureAccess()) as here:
        gc.collect()
        gc.disable()
        try:
            for number in range(20):
                await here.intake.put(alarm(number, f"http://127.0.0.1:9/{number}.jpg"))
            await here.quiet()
            assert len(await here.reasons()) == 20
            assert not [each for each in gc.get_objects() if isinstance(each, FetchFailed | LinkForbidden | Incoming)]
        finally:
            gc.enable()


def _open_files(folder: Path) -> list[str]:
    found = []
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            found.append(os.readlink(descriptor))
    return [name for name in found if name.startswith(str(folder))]


async def test_who_is_cancelled_in_a_large_file_leaves_no_descriptor_open(ground: Ground) -> None:
    """The fetcher is cancelled at a stop, and whenever its supervisor begins it anew."""
    content = jpeg("large", 1_500_000)
    going = asyncio.Event()

    async def half(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        response.content_length = 2 * len(content)
        await response.prepare(request)
        await response.write(content)
        await going.wait()
        return response

    incoming = ground.media.folder / "incoming"
    async with PictureHost(clock=ground.clock) as host:
        host.answers["a.jpg"] = half
        async with ground.running(own(host)) as here:
            await here.intake.put(alarm(1, host.link("a.jpg")))
            while not (incoming.exists() and _open_files(incoming)):
                await asyncio.sleep(0.001)
        while _open_files(incoming) or any(incoming.iterdir()):
            await asyncio.sleep(0.001)
        going.set()


async def test_a_source_that_is_gone_leaves_its_links_to_the_hosts_that_are_named(ground: Ground) -> None:
    async with PictureHost(clock=ground.clock) as host:
        async with ground.running(own(host)) as here:
            host.hanging.set()
            await here.intake.put(alarm(1, host.link("a.jpg")))
        async with ground.running({}) as here:
            await here.quiet()
            (event,) = await here.events("media.failed")
            assert event["source"] == "/north/teams"
            assert "does not name" in event["data"]["reason"]


async def test_while_the_spool_refuses_nothing_is_lost(ground: Ground) -> None:
    async with PictureHost(clock=ground.clock) as host, ground.running(own(host)) as here:
        begun, gate = asyncio.Event(), asyncio.Event()

        async def held(request: web.BaseRequest) -> web.Response:
            begun.set()
            await gate.wait()
            return web.Response(body=jpeg("a.jpg"))

        host.answers["a.jpg"] = held
        await here.intake.put(alarm(1, host.link("a.jpg")))
        await begun.wait()  # where the spool refuses before, nothing is asked for until time passes
        here.spool._writer.refuse("a test")
        gate.set()
        digest = sha256(jpeg("a.jpg")).hexdigest()
        while not (ground.media.folder / digest[:2] / digest).exists():
            await asyncio.sleep(0)
        here.spool._writer.accept()
        await here.through(10)
        assert len(await here.events("media.stored")) == 1


async def test_a_host_that_asks_to_be_left_in_peace_is(ground: Ground) -> None:
    async with PictureHost(clock=ground.clock) as host, ground.running(own(host)) as here:
        calm: dict[str, Any] = {"status": 429, "headers": {"Retry-After": "100"}}
        host.answers["0.jpg"] = lambda request: web.Response(**calm)
        await here.intake.put(alarm(0, host.link("0.jpg")))
        await here.quiet()
        await here.intake.put(*(alarm(n, host.link(f"{n}.jpg")) for n in range(1, 5)))
        await here.through(99)
        assert sum(host.asked.values()) == 1
        calm.clear()
        del host.answers["0.jpg"]
        await here.through(60)
        assert len(await here.events("media.stored")) == 5


async def test_nobody_fetches_without_the_setting(ground: Ground) -> None:
    async with PictureHost(clock=ground.clock) as host, ground.running(PictureAccess()) as here:
        here.spool.fetches.taking = False
        await here.intake.put(alarm(1, host.link("a.jpg")))
        await here.through(10)
        assert len(await here.events()) == 1


@pytest.mark.parametrize("size", [600, 3 << 20], ids=["in memory", "in a file"])
async def test_a_media_store_that_takes_nothing_is_warned_of_and_costs_no_picture(ground: Ground, size: int) -> None:
    ground.media.folder.write_bytes(b"no folder")
    async with PictureHost(clock=ground.clock, size=size) as host, ground.running(own(host)) as here:
        await here.intake.put(alarm(1, host.link("a.jpg")), alarm(2, host.link("b.jpg")))
        with capture_logs() as logged:
            await here.through(20)
        assert [line["reason"] for line in logged if line["log_level"] == "warning"] == ["Not a directory"]
        assert len(await here.events()) == 2
        assert ground.value("pump_media_retries_total", source="teams", reason="disk") >= 4
        ground.media.folder.unlink()
        await here.through(40)
        assert len(await here.events("media.stored")) == 2
        assert len(ground.files()) == 2
