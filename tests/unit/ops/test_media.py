"""/media: what is stored, for whom it may be, in a form in which nothing can run."""

from __future__ import annotations

import asyncio
import io
import os
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from PIL import Image
from yarl import URL

from pump.core.event import Event, event_id
from pump.ingest.fetch.incoming import Arrived
from pump.ingest.fetch.results import stored
from pump.ingest.intake import Intake
from pump.ingest.media import Media
from pump.ops.http import Ops
from pump.ops.media import MediaPages
from pump.simulation.pictures import jpeg
from pump.spool import Spool, SpoolSettings
from pump.telemetry.health import Health
from pump.telemetry.metrics import Metrics
from pump.testing import ManualClock
from tests.unit.ops.test_http import Pump

TOKEN = secrets.token_urlsafe()


class Shown:
    """A listener with a store and a spool behind it."""

    def __init__(self, media: Media, intake: Intake, spool: Spool, url: str, session: aiohttp.ClientSession) -> None:
        self.media, self.intake, self.spool = media, intake, spool
        self.url, self._session = url, session

    async def get(self, path: str, method: str = "GET", **headers: str) -> tuple[int, bytes, Any]:
        """Status, body and headers."""
        url = f"{self.url}/media/{path}"
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self._session.request(method, url, headers=given) as answer:
            return answer.status, await answer.read(), answer.headers


@asynccontextmanager
async def shown(folder: Path) -> AsyncIterator[Shown]:
    clock, metrics = ManualClock(), Metrics()
    media = Media(folder / "media", clock=clock)
    spool = await Spool.open(folder, SpoolSettings(), clock=clock, metrics=metrics)
    intake = Intake("gate", spool=spool, site="x", clock=clock, metrics=metrics, health=Health(clock), media=media)
    views = Pump().views()
    pages = MediaPages(media.folder, folder, media.threads, [TOKEN, "another"])
    views = type(views)(views.sick, views.unready, views.status, views.refresh, views.registry, pages)
    try:
        async with Ops("127.0.0.1", 0, views) as ops, aiohttp.ClientSession() as session:
            yield Shown(media, intake, spool, ops.url, session)
    finally:
        await spool.close()


def event(number: int, **entry: Any) -> Event:
    """An event with one medium."""
    identity = event_id("x", number)
    medium = {"id": f"{identity}/0", "kind": "picture", **entry}
    data = {"vendor": "test", "code": "1", "name": "Pass", "phase": "pulse", "severity": "info", "media": [medium]}
    return Event("vehicle.passed", identity, data, time=datetime(2026, 11, 20, 9, tzinfo=UTC), dedup_time_ms=number)


async def test_a_picture_is_found_by_its_content_its_path_and_its_id(tmp_path: Path) -> None:
    async with shown(tmp_path) as on:
        content = jpeg("a")
        kept = await on.media.store(content)
        pushed = event(1, state="stored", sha256=kept.sha256, path=kept.path, bytes=kept.bytes)
        linked = event(2, state="remote", url="https://a.example/x.jpg")
        on.spool.fetches.begin(lambda: None)
        await on.intake.put(pushed, linked)
        (fetch,) = on.spool.fetches.take()
        assert (await on.get(fetch.medium))[0] == 404
        await on.intake.settle([(stored(fetch, Arrived(kept, "image/jpeg"), on.intake.clock.now()), fetch.medium)])
        for name in (kept.sha256, kept.path, f"{pushed.id}/0", fetch.medium, fetch.medium):
            status, body, headers = await on.get(name)
            assert (status, body) == (200, content)
            assert headers["Content-Type"] == "image/jpeg"
            assert headers["X-Content-Type-Options"] == "nosniff"
            assert "sandbox" in headers["Content-Security-Policy"]
            assert headers["Content-Disposition"].startswith("inline")
        status, body, headers = await on.get(kept.sha256, "HEAD")
        assert (status, body, headers["Content-Length"]) == (200, b"", str(len(content)))
        assert (await on.get(kept.sha256, "POST"))[0] == 405


@pytest.mark.parametrize(
    "name",
    ["0" * 64, "x/0", "../spool.db", "..%2f..%2fspool.db", "%2e%2e/spool.db", "00/../../spool.db", "a",
     "a" * 300 + "/0", "incoming/x.part", "00/" + "g" * 64, "%00/0"],
)  # fmt: skip
async def test_what_is_not_there_is_not_shown(tmp_path: Path, name: str) -> None:
    async with shown(tmp_path) as on:
        assert (await on.get(name))[0] == 404


async def test_half_a_file_is_never_shown(tmp_path: Path) -> None:
    async with shown(tmp_path) as on:
        kept = await on.media.store(jpeg("a"))
        (on.media.folder / kept.path).write_bytes(jpeg("a")[:1000])
        assert (await on.get(kept.sha256))[0] == 404


async def test_what_is_no_picture_is_bytes_to_keep(tmp_path: Path) -> None:
    async with shown(tmp_path) as on:
        for content in (b"<html><script>alert(1)</script>", b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"MZ" * 50):
            kept = await on.media.store(content)
            status, _, headers = await on.get(kept.sha256)
            assert (status, headers["Content-Type"]) == (200, "application/octet-stream")
            assert headers["Content-Disposition"].startswith("attachment")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200), ({"Authorization": f"Bearer {TOKEN}"}, 200), ({"Authorization": "bearer another"}, 200),
        ({"Authorization": f"Bearer {TOKEN[:-1]}"}, 401), ({"Authorization": f"Basic {TOKEN}"}, 401),
        ({"Authorization": "Bearer "}, 401), ({"Authorization": TOKEN}, 401),
        ({"X_Forwarded_For": "192.0.2.1"}, 401), ({"Forwarded": "for=192.0.2.1"}, 401),
        ({"Host": "rebound.example.com:9090"}, 401), ({"Host": "localhost:1"}, 200), ({"Host": "[::1]:9090"}, 200),
        ({"Host": "rebound.example.com", "Authorization": f"Bearer {TOKEN}"}, 200),
    ],
)  # fmt: skip
async def test_who_may_see(tmp_path: Path, headers: dict[str, str], status: int) -> None:
    async with shown(tmp_path) as on:
        kept = await on.media.store(jpeg("a"))
        found = await on.get(kept.sha256, **headers)
        assert found[0] == status
        assert (found[1] == jpeg("a")) is (status == 200)


async def test_thumbnails(tmp_path: Path) -> None:
    async with shown(tmp_path) as on:
        out = io.BytesIO()
        Image.new("RGB", (2000, 1000), "red").save(out, "JPEG")
        kept = await on.media.store(out.getvalue())
        for asked, size in (("", (320, 160)), ("=64", (64, 32)), ("=5000", (1024, 512)), ("=x", (320, 160))):
            status, body, headers = await on.get(f"{kept.sha256}?thumbnail{asked}")
            assert (status, headers["Content-Type"]) == (200, "image/jpeg")
            assert headers["X-Content-Type-Options"] == "nosniff"
            assert Image.open(io.BytesIO(body)).size == size
        broken = await on.media.store(jpeg("no room for a picture", 500))
        assert (await on.get(f"{broken.sha256}?thumbnail"))[0] == 415
        clip = await on.media.store(b"\0\0\0\x18ftypmp42" + bytes(100))
        assert (await on.get(f"{clip.sha256}?thumbnail"))[0] == 415


def _open_files(folder: Path) -> list[str]:
    found = []
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            found.append(os.readlink(descriptor))
    return [name for name in found if name.startswith(str(folder))]


async def test_a_stop_amid_a_large_file_leaves_no_descriptor_open(tmp_path: Path) -> None:
    async with shown(tmp_path) as here:
        stored = await here.media.store(jpeg("large", 12_000_000))
        address = URL(here.url)
        reader, writer = await asyncio.open_connection(address.host, address.port)
        writer.write(f"GET /media/{stored.sha256} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        await reader.readexactly(1000)
        assert _open_files(here.media.folder)
    while _open_files(here.media.folder):  # a thread may read still
        await asyncio.sleep(0.001)
    writer.close()
