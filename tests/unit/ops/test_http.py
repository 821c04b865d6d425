"""The ops listener, asked over real sockets."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Coroutine, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from structlog.testing import capture_logs

from pump.ingest.push.certificate import RELOAD, Certificate
from pump.ops.http import SLICE, Ops, Views, rendered
from pump.testing import ManualClock
from tests.certificates import certificate, needs_openssl


class Pump:
    """What the listener shows here; a test changes it."""

    def __init__(self) -> None:
        self.sick: list[str] = []
        self.unready: list[str] = []
        self.refreshed = 0
        self.registry = CollectorRegistry()
        self.counter = Counter("pump_tests", "Something to show", registry=self.registry)

    async def refresh(self) -> None:
        self.refreshed += 1

    async def status(self) -> dict[str, Any]:
        return {"site": "garage", "since": datetime(2026, 11, 20, 8, tzinfo=UTC), "oldest": None}

    def views(self) -> Views:
        return Views(
            sick=lambda: self.sick,
            unready=lambda: self.unready,
            status=self.status,
            refresh=self.refresh,
            registry=self.registry,
        )


Test = Callable[[Pump, str, aiohttp.ClientSession], Coroutine[Any, Any, None]]


async def listening(test: Test, host: str = "127.0.0.1") -> None:
    pump = Pump()
    async with Ops(host, 0, pump.views()) as ops, aiohttp.ClientSession() as session:
        await test(pump, ops.url, session)


async def test_health_and_readiness_are_two_things() -> None:
    async def test(pump: Pump, url: str, session: aiohttp.ClientSession) -> None:
        async def ask(path: str) -> tuple[int, list[str]]:
            async with session.get(url + path) as answer:
                return answer.status, (await answer.json())["reasons"]

        assert await ask("/healthz") == (200, [])
        assert await ask("/readyz") == (200, [])
        pump.unready = ["source teams is down: no route"]
        assert await ask("/healthz") == (200, [])
        assert await ask("/readyz") == (503, ["source teams is down: no route"])
        pump.sick = ["the spool has failed"]
        assert await ask("/healthz") == (503, ["the spool has failed"])
        assert await ask("/readyz") == (503, ["the spool has failed", "source teams is down: no route"])

    await listening(test)


async def test_status_is_json() -> None:
    async def test(_: Pump, url: str, session: aiohttp.ClientSession) -> None:
        async with session.get(url + "/status") as answer:
            assert answer.content_type == "application/json"
            assert answer.headers["Cache-Control"] == "no-store"
            assert await answer.json() == {"site": "garage", "since": "2026-11-20T08:00:00Z", "oldest": None}

    await listening(test)


async def test_metrics_in_both_forms() -> None:
    async def test(pump: Pump, url: str, session: aiohttp.ClientSession) -> None:
        pump.counter.inc(3)
        async with session.get(url + "/metrics") as answer:
            assert answer.headers["Content-Type"].startswith("text/plain; version=")
            assert "pump_tests_total 3.0" in await answer.text()
        async with session.get(url + "/metrics", headers={"Accept": "application/openmetrics-text"}) as answer:
            assert answer.headers["Content-Type"].startswith("application/openmetrics-text")
            assert (await answer.text()).endswith("# EOF\n")
        assert pump.refreshed == 2

    await listening(test)


async def test_others_are_answered_while_metrics_of_many_sources_are_made() -> None:
    class Endless(Collector):
        """It has more to show until another was answered."""

        asked = True
        begun = asyncio.Event()

        def collect(self) -> Iterable[Metric]:
            yield GaugeMetricFamily("pump_slow", "Made while another was answered", value=1)
            for _ in range(100_000):
                if self.asked:
                    return
                self.begun.set()
                yield GaugeMetricFamily("pump_more", "One of many", value=1)
            raise AssertionError("nobody was answered meanwhile")

    async def test(pump: Pump, url: str, session: aiohttp.ClientSession) -> None:
        endless = Endless()
        pump.registry.register(endless)
        endless.asked = False
        scrape = asyncio.create_task(session.get(url + "/metrics"))
        await endless.begun.wait()
        async with session.get(url + "/healthz") as answer:
            assert answer.status == 200
        assert not scrape.done()
        endless.asked = True
        async with await scrape as answer:
            assert "pump_slow 1.0" in await answer.text()

    await listening(test)


@pytest.mark.parametrize("accept", ["", "application/openmetrics-text; version=1.0.0"])
async def test_metrics_come_in_slices_and_are_the_librarys(accept: str) -> None:
    registry = CollectorRegistry()
    many = Gauge("pump_many", 'One for each "source"\\\n', ["source", "what"], registry=registry)
    for number in range(2 * SLICE + 1):
        many.labels('a"b\\c\n' + str(number), "ä").set(number / 3)
    exact = Counter("pump_exact", "As many as go into one", ["source"], registry=registry)
    for number in range(SLICE):
        exact.labels(str(number)).inc(number)
    Counter("pump_empty", "Nobody has any", ["source"], registry=registry)
    Histogram("pump_took_seconds", "Of all", registry=registry).observe(0.3)
    Gauge("pump_endless", "No number", registry=registry).set(float("inf"))
    encode, _ = choose_encoder(accept)
    parts = list(rendered(registry, encode))
    assert b"".join(parts) == encode(registry)
    assert max(part.count(b"\n") for part in parts) == SLICE
    assert b"".join(rendered(CollectorRegistry(), encode)) == encode(CollectorRegistry())


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
async def test_only_get(method: str) -> None:
    async def test(_: Pump, url: str, session: aiohttp.ClientSession) -> None:
        async with session.request(method, url + "/status", data=b"") as answer:
            assert answer.status == 405

    await listening(test)


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics", "/status"])
@pytest.mark.parametrize("unready", [[], ["source teams is down"]])
async def test_head_is_get_without_a_body(path: str, unready: list[str]) -> None:
    async def test(pump: Pump, url: str, session: aiohttp.ClientSession) -> None:
        pump.unready = unready
        async with session.get(url + path) as get, session.head(url + path) as head:
            assert (head.status, head.content_type) == (get.status, get.content_type)
            assert (await head.read(), head.headers["Content-Length"]) == (b"", get.headers["Content-Length"])

    await listening(test)


@pytest.mark.parametrize("path", ["/", "/status/", "/healthz/x", "/admin"])
async def test_unknown_paths(path: str) -> None:
    async def test(_: Pump, url: str, session: aiohttp.ClientSession) -> None:
        async with session.get(url + path) as answer:
            assert answer.status == 404

    await listening(test)


async def test_a_taken_port_is_an_error_and_leaves_nothing_open() -> None:
    async def test(pump: Pump, url: str, _: aiohttp.ClientSession) -> None:
        port = int(url.rpartition(":")[2])
        with pytest.raises(OSError, match=str(port)):
            await Ops("127.0.0.1", port, pump.views()).open()

    await listening(test)


async def test_an_address_that_others_reach_is_told() -> None:
    with capture_logs() as logs:
        async with Ops("127.0.0.1", 0, Pump().views()):
            assert logs == []
        async with Ops("0.0.0.0", 0, Pump().views()) as ops:
            assert [line["url"] for line in logs] == [ops.url]


@needs_openssl
async def test_no_handshake_fails_while_a_certificate_is_renewed(tmp_path: Path) -> None:
    pairs = [certificate(tmp_path, name) for name in ("first", "second")]
    served = Certificate(*pairs[0])
    async with Ops("127.0.0.1", 0, Pump().views(), certificate=served) as ops:
        address = ("127.0.0.1", int(ops.url.rpartition(":")[2]))

        def renew() -> None:
            for turn in range(300):
                served.move(*pairs[turn % 2])
                served.reload()

        renewing = asyncio.create_task(asyncio.to_thread(renew))
        seen = set()
        while not renewing.done():
            seen.add(await asyncio.to_thread(ssl.get_server_certificate, address))
        await renewing
        assert seen <= {pair[0].read_text() for pair in pairs}


@needs_openssl
async def test_a_renewed_certificate_is_taken_up_while_it_listens(tmp_path: Path) -> None:
    def renew(name: str) -> None:
        for made, place in zip(certificate(tmp_path, name), (cert, key), strict=True):
            made.replace(place)

    cert, key, clock = tmp_path / "cert.pem", tmp_path / "key.pem", ManualClock()
    renew("first")
    async with Ops("127.0.0.1", 0, Pump().views(), clock=clock, certificate=Certificate(cert, key)) as ops:
        address = ("127.0.0.1", int(ops.url.rpartition(":")[2]))
        first = await asyncio.to_thread(ssl.get_server_certificate, address)
        assert ops.url.startswith("https://")
        renew("second")
        await clock.sleeping()
        clock.advance(RELOAD)
        while await asyncio.to_thread(ssl.get_server_certificate, address) == first:
            await asyncio.sleep(0.01)
