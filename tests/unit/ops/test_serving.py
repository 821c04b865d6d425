"""The ops listener's connections, over real sockets: many that ask nothing, or slowly, take no probe's place."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
from aiohttp import web
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from pump.ops.http import LONGEST, Ops, Page, Views
from pump.runtime.descriptors import for_operators
from pump.testing import ManualClock

ASKED = b"GET /healthz HTTP/1.1\r\nHost: pump\r\n\r\n"
Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def _nothing() -> None:
    pass


class Site:
    """A listener, and who has connected to it."""

    def __init__(self, connections: int) -> None:
        self.clock = ManualClock()
        self.closed: Counter[str] = Counter()
        self.read: list[bytes] = []
        self.never = asyncio.Event()
        pages: list[Page] = [
            ("POST", "/read", self._read), ("GET", "/never", self._never), ("GET", "/bug", self._bug),
        ]  # fmt: skip
        views = Views(
            sick=list, unready=list, status=self._status, refresh=_nothing, registry=CollectorRegistry(),
            closed=lambda reason: self.closed.update([reason]),
        )  # fmt: skip
        self.ops = Ops("127.0.0.1", 0, views, pages, clock=self.clock, connections=connections)
        self._open: list[asyncio.StreamWriter] = []

    async def _status(self) -> dict[str, object]:
        return {}

    async def _read(self, request: web.Request) -> web.Response:
        self.read.append(await request.read())
        return web.Response(text="read")

    async def _never(self, _: web.Request) -> web.Response:
        await self.never.wait()
        return web.Response()

    async def _bug(self, request: web.Request) -> web.StreamResponse:
        if "begun" in request.query:
            response = web.StreamResponse()
            await response.prepare(request)
            await response.write(b"so far")
        raise ZeroDivisionError

    async def connect(self, sent: bytes = b"") -> Ends:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(self.ops.url.rpartition(":")[2]))
        self._open.append(writer)
        writer.write(sent)
        return reader, writer

    async def ask(self, sent: bytes = ASKED) -> bytes:
        """The first line of the answer on a connection of its own."""
        reader, _ = await self.connect(sent)
        with suppress(ConnectionResetError):  # refused without having been read
            return await reader.readline()
        return b""

    def close(self) -> None:
        self.never.set()
        for writer in self._open:
            writer.close()


@asynccontextmanager
async def listening(connections: int = 20) -> AsyncIterator[Site]:
    site = Site(connections)
    async with site.ops:
        try:
            yield site
        finally:
            site.close()


async def test_probes_are_answered_beside_many_who_ask_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pump.ingest.push.connections._SETTLING", -1.0)  # they count as old at once
    async with listening() as site:
        idle = [await site.connect() for _ in range(60)]
        assert await site.ask() == b"HTTP/1.1 200 OK\r\n"
        first, _ = idle[0]
        assert b"no request came, and others wait" in await first.read(), "it made room"


async def test_where_all_wait_for_their_answers_one_more_is_refused_and_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("pump.ingest.push.connections._SETTLING", 1e6)  # nobody counts as idle
    async with listening(4) as site:
        kept = [await site.connect(b"GET /never HTTP/1.1\r\nHost: pump\r\n\r\n") for _ in range(4)]
        assert await site.ask() in (b"HTTP/1.1 503 Service Unavailable\r\n", b"")
        assert site.closed == {"many": 1}
        site.never.set()
        for reader, _ in kept:
            assert await reader.readline() == b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize("sent", [b"", b"GET /healthz HTTP/1.1\r\nHo"], ids=["nothing", "half a head"])
async def test_who_never_asks_to_the_end_is_closed(monkeypatch: pytest.MonkeyPatch, sent: bytes) -> None:
    monkeypatch.setattr("pump.ops.serving._SECONDS", 0.0)
    async with listening() as site:
        reader, _ = await site.connect(sent)
        reading = asyncio.create_task(reader.read())
        while not reading.done():
            site.clock.advance(1.0)
            await asyncio.sleep(0.001)
        assert reading.exception() is not None or b"408 Request Timeout" in reading.result()
        assert site.closed == {"late": 1}


async def test_a_body_that_does_not_come_ends_its_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pump.ops.serving._SECONDS", 0.05)
    async with listening() as site:
        reader, _ = await site.connect(b"POST /read HTTP/1.1\r\nHost: pump\r\nContent-Length: 10\r\n\r\nfive!")
        assert b"the request's body did not come in time" in await reader.read()
        assert site.closed == {"late": 1}
        assert site.read == []


@pytest.mark.parametrize(("path", "answer"), [("/bug", b"500 Internal"), ("/bug?begun", b"so far")])
async def test_a_bug_of_a_page_is_logged_whole_and_costs_its_answer_alone(path: str, answer: bytes) -> None:
    async with listening() as site:
        with capture_logs() as logs:
            reader, _ = await site.connect(
                b"GET %s HTTP/1.1\r\nHost: pump\r\nConnection: close\r\n\r\n" % path.encode()
            )
            said = await reader.read()
        assert answer in said
        assert said.count(b"HTTP/1.1") == 1
        assert [(line["event"], line["path"], line["log_level"]) for line in logs] == [
            ("A page of the ops listener met a bug", "/bug", "error")
        ]
        assert await site.ask() == b"HTTP/1.1 200 OK\r\n"
        assert not site.closed


async def test_a_head_that_is_too_large_is_refused() -> None:
    async with listening() as site:
        lines = b"".join(b"X-%d: %s\r\n" % (number, b"x" * 8000) for number in range(9))
        assert (await site.ask(ASKED.removesuffix(b"\r\n") + lines + b"\r\n")).startswith(b"HTTP/1.1 431 ")
        assert site.closed == {"malformed": 1}


async def test_ordinary_requests_are_as_they_were() -> None:
    async with listening() as site:
        reader, writer = await site.connect(ASKED * 12)  # more than are parsed ahead
        for _ in range(12):
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200 OK")
            assert await reader.readexactly(int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0]))
        for body, status in ((b"x" * LONGEST, b"200"), (b"x" * (LONGEST + 1), b"413")):
            asked = b"POST /read HTTP/1.1\r\nHost: pump\r\nContent-Length: %d\r\n\r\n" % len(body)
            assert (await site.ask(asked + body)).startswith(b"HTTP/1.1 " + status)
        assert site.read == [b"x" * LONGEST]
        assert not site.closed
        writer.close()


@pytest.mark.parametrize(("descriptors", "most"), [(65536, 256), (4096, 256), (1024, 64), (100, 8)])
def test_they_are_of_the_reserve(descriptors: int, most: int) -> None:
    assert for_operators(256, descriptors) == most
