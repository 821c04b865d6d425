"""The ops listener: /healthz, /readyz, /metrics and /status, for people, probes and Prometheus; and stored pictures.

What it shows is asked of the daemon by callbacks. Pages of others, such as /commands, are given to it.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import orjson
import structlog
from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from pump.core.clock import Clock
from pump.core.net.listening import listening_url
from pump.core.tasks import in_slices
from pump.ingest.push.certificate import Certificate
from pump.ops.media import PATH, MediaPages
from pump.ops.serving import CONNECTIONS, OpsRunner

log = structlog.get_logger()

Page = tuple[str, str, Callable[[web.Request], Awaitable[web.StreamResponse]]]
"""Method, path and handler of a page that stands beside those of this listener."""
SLICE: Final = 500
"""Lines of /metrics that are made in one pass of the event loop: 1 to 3 ms."""
LONGEST: Final = 16 << 10
"""Bytes of a request's body."""
_JSON: Final = orjson.OPT_UTC_Z | orjson.OPT_NON_STR_KEYS | orjson.OPT_APPEND_NEWLINE
_HEADERS: Final = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


@dataclass(slots=True, frozen=True)
class Views:
    """The pages that the listener shows. Called on the event loop, once for each request; must not hold it."""

    sick: Callable[[], list[str]]
    """Why the process does not make progress; empty while it does."""
    unready: Callable[[], list[str]]
    """Why it is not ready; empty when it is."""
    status: Callable[[], Awaitable[dict[str, Any]]]
    """The body of /status: JSON values and datetimes."""
    refresh: Callable[[], Awaitable[None]]
    """Sets the gauges that are only known when asked for, before /metrics is rendered."""
    registry: CollectorRegistry
    media: MediaPages | None = None
    """Shows stored pictures; None: there are none to be seen."""
    closing: Callable[[], None] = lambda: None
    """Called when the listener is about to close, for answers that have no end of their own."""
    closed: Callable[[str], None] = lambda reason: None
    """Counts a connection that was closed before it was answered, or refused."""


class Ops:
    """The listener, as an async context manager."""

    def __init__(
        self,
        host: str,
        port: int,
        views: Views,
        pages: Sequence[Page] = (),
        *,
        clock: Clock | None = None,
        certificate: Certificate | None = None,
        connections: int = CONNECTIONS,
    ) -> None:
        """`pages` look after their own callers: nobody is asked for a password here. `connections` at a time."""
        self._host = host
        self._port = port
        self._views = views
        self._pages = pages
        self._clock = clock or Clock()
        self._certificate = certificate
        self._connections = connections
        self._tasks: list[asyncio.Task[None]] = []
        self._runner: OpsRunner | None = None
        self.url = ""
        """The address where it listens, without a slash at its end; known once it is open (port 0 takes a free one)."""

    async def open(self) -> None:
        """Listen. OSError where that cannot be."""
        app = web.Application(client_max_size=LONGEST)
        for path, answer in (
            ("/healthz", self._healthz),
            ("/readyz", self._readyz),
            ("/metrics", self._metrics),
            ("/status", self._status),
        ):
            app.router.add_get(path, answer)  # and HEAD, with which load balancers probe
        for method, path, handler in self._pages:
            if method == "GET":
                app.router.add_get(path, handler)
            else:
                app.router.add_route(method, path, handler)
        if self._views.media is not None:
            app.router.add_get(PATH, self._views.media.answer)
        runner = OpsRunner(app, connections=self._connections, count=self._views.closed)
        await runner.setup()
        try:
            tls = None if self._certificate is None else self._certificate.context
            site = web.TCPSite(runner, self._host, self._port, ssl_context=tls)
            await site.start()
            self.url = listening_url(runner.addresses, tls=tls is not None)
        except BaseException:
            await runner.cleanup()
            raise
        self._runner = runner
        self._tasks.append(asyncio.create_task(runner.watch(self._clock), name="ops: connections"))
        if self._certificate is not None:
            self._tasks.append(asyncio.create_task(self._certificate.watch(self._clock), name="ops: certificate"))
        host = runner.addresses[0][0]
        if not ipaddress.ip_address(host.partition("%")[0]).is_loopback:
            log.warning(
                "The ops listener can be reached from other machines: page, /media and /commands ask for a password, "
                "/status, /metrics, /healthz and /readyz ask for none",
                url=self.url,
            )

    def use_certificate(self, cert: Path, key: Path) -> None:
        """Use it for new connections; one that cannot be used is logged, and the old one stays."""
        if self._certificate is not None:
            self._certificate.move(cert, key)
            self._certificate.reload()

    async def close(self) -> None:
        """Stop listening; answers under way get one second."""
        while self._tasks:
            self._tasks.pop().cancel()
        if self._runner is not None:
            self._views.closing()
            await self._runner.cleanup()
            self._runner = None

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _healthz(self, _: web.Request) -> web.Response:
        return _verdict(self._views.sick())

    async def _readyz(self, _: web.Request) -> web.Response:
        return _verdict(self._views.sick() + self._views.unready())

    async def _metrics(self, request: web.Request) -> web.Response:
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        await self._views.refresh()
        parts = [part async for part in in_slices(rendered(self._views.registry, encode), 1)]
        return _text(b"".join(parts), content_type)

    async def _status(self, _: web.Request) -> web.Response:
        return _json(await self._views.status(), 200)


class _Some(Collector):
    """Metrics to be encoded by themselves."""

    def __init__(self, *metrics: Metric) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        return self._metrics


def rendered(registry: Collector, encode: Callable[[Collector], bytes]) -> Iterator[bytes]:
    """What `encode` makes of the registry, in parts of up to `SLICE` lines.

    The library encodes a registry as a whole: of two thousand sources that takes 0.2 s. Not for metrics with lines of
    when they were created, which it would put behind all others (`pump.telemetry.metrics` leaves them out).
    """
    end = encode(_Some())
    for metric in registry.collect():
        samples, metric.samples = metric.samples, []
        head = encode(_Some(metric)).removesuffix(end)
        yield head
        for begin in range(0, len(samples), SLICE):
            metric.samples = samples[begin : begin + SLICE]
            yield encode(_Some(metric)).removeprefix(head).removesuffix(end)
    yield end


def _text(body: bytes, content_type: str) -> web.Response:
    return web.Response(body=body, headers={**_HEADERS, "Content-Type": content_type})


def _verdict(reasons: list[str]) -> web.Response:
    """200 where there is nothing to complain of, else 503; the same shape either way."""
    return _json({"ok": not reasons, "reasons": reasons}, 503 if reasons else 200)


def _json(body: dict[str, Any], status: int) -> web.Response:
    return web.Response(
        body=orjson.dumps(body, default=str, option=_JSON),
        status=status,
        content_type="application/json",
        headers=_HEADERS,
    )
