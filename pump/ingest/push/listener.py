"""The push listener: one port for all sources that devices push to.

There is one route: a table of claims (path prefixes) says whose a request is, and is swapped as a whole. The listener
reads the body within its limits; the source answers after its commit, and brings the form of every failure too.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote, urlencode

import structlog
from aiohttp import web
from aiohttp.http import HttpVersion10, HttpVersion11
from anyio import to_thread
from prometheus_client import CollectorRegistry, Counter, Gauge

from pump.config.model import ServerSettings
from pump.core.clock import Clock
from pump.core.errors import Unavailable
from pump.core.failure import scarcity
from pump.core.net.listening import listening_url
from pump.ingest.intake import Intake
from pump.ingest.push.admission import (
    LARGE,
    RETRY_AFTER,
    Admission,
    HeldBody,
    client,
    whole_seconds,
)
from pump.ingest.push.answers import Answers
from pump.ingest.push.certificate import RELOAD, Certificate
from pump.ingest.push.connections import TOO_LARGE, Connection, Connections, Limits, oversized
from pump.ingest.push.reading import BodyReader
from pump.ingest.push.request import Push, Refused, Response, failure
from pump.source import PushSource

log = structlog.get_logger()

TOLD: Final = 60.0
"""Seconds between two lines of the log about connections that are refused."""
TICK: Final = 1.0
BACKLOG: Final = 1024
STOPPING: Final = 3.0
"""Seconds for answers under way when the listener closes."""
_SLASHES: Final = re.compile("//+")
_VERSIONS: Final = (HttpVersion11, HttpVersion10)
"""aiohttp serves 0.9 and 2.0 too, where they are framed like these."""


@dataclass(slots=True, frozen=True)
class Route:
    """A source and where it puts its events."""

    source: PushSource[Any]
    intake: Intake


@dataclass(slots=True)
class _Table:
    """Prefix to the routes that claim it, the longest prefix first."""

    prefixes: list[tuple[str, list[Route]]] = field(default_factory=list)

    @classmethod
    def of(cls, routes: Sequence[Route]) -> _Table:
        found: dict[str, list[Route]] = {}
        for route in routes:
            for claim in route.source.claims:
                found.setdefault(claim.lower().rstrip("/"), []).append(route)
        return cls(sorted(found.items(), key=lambda item: -len(item[0])))

    def find(self, path: str) -> list[Route]:
        path = path.lower()
        for prefix, routes in self.prefixes:
            if path.startswith(prefix) and (len(path) == len(prefix) or path[len(prefix)] == "/"):
                return routes
        return []


class PushListener:
    """Open it when the table is full; `run` looks after it meanwhile."""

    def __init__(self, settings: ServerSettings, *, clock: Clock, registry: CollectorRegistry) -> None:
        self.url = ""
        """Where it listens, without a slash at its end; known once it is open."""
        self._settings = settings
        self._clock = clock
        self._table = _Table()
        self._runner: web.ServerRunner | None = None
        self._certificate: Certificate | None = None
        self._lacked = -TOLD
        self.admission = Admission(
            clock,
            device_rate=settings.device_rate,
            largest=settings.max_body,
            allow=settings.allow,
            trusted_proxies=settings.trusted_proxies,
        )
        self._answers = Answers(clock)
        self._bodies = BodyReader(largest=settings.max_body, seconds=settings.body_timeout)
        self._server = Connections(
            self._answer,
            _limits(settings),
            self._count_malformed,
            lambda: self._refused.inc(),
            self._overspend,
            clock=clock,
        )
        self._overspenders = 0
        labels = ["source", "status"]
        self._requests = Counter("pump_push_requests", "Pushed requests answered", labels, registry=registry)
        self._open_connections = Gauge("pump_push_connections", "Open connections of devices", registry=registry)
        self._open_connections.set_function(lambda: len(self._server))
        turned = Gauge("pump_push_turned_away", "Connections refused for there were too many", registry=registry)
        turned.set_function(lambda: self._server.turned_away)
        self._refused = Counter(
            "pump_push_refused_connections", "Connections refused for there were too many", registry=registry
        )
        self._overspent = Counter(
            "pump_push_overspent_connections",
            "Connections closed for the chunks of their bodies were too small",
            registry=registry,
        )
        self._counters: dict[tuple[str, int], Any] = {}

    def swap(self, routes: Sequence[Route]) -> None:
        """Serve these sources from the next request on."""
        self._table = _Table.of(routes)

    def adjust(self, settings: ServerSettings) -> None:
        """Go by other settings from now on, on the connections that are there too; not by another address, nor with
        TLS where there was none. A certificate that was changed is used for new connections."""
        self._settings = settings
        if self._certificate is not None and settings.tls_cert is not None and settings.tls_key is not None:
            self._certificate.move(settings.tls_cert, settings.tls_key)
        self.admission.adjust(
            device_rate=settings.device_rate,
            largest=settings.max_body,
            allow=settings.allow,
            trusted_proxies=settings.trusted_proxies,
        )
        self._bodies.adjust(largest=settings.max_body, seconds=settings.body_timeout)
        self._server.limits = _limits(settings)

    async def open(self, sockets: Sequence[socket.socket] = ()) -> None:
        """Listen; at these sockets, which listen already, where there are any, and else at `[server] listen`.

        OSError where that cannot be, ssl.SSLError (an OSError too) for a certificate that is none.
        """
        settings = self._settings
        if settings.tls_cert is not None and settings.tls_key is not None:
            self._certificate = Certificate(settings.tls_cert, settings.tls_key)
        runner = web.ServerRunner(self._server, shutdown_timeout=STOPPING)
        await runner.setup()
        try:
            listen = settings.listen
            tls = None if self._certificate is None else self._certificate.context
            sites: list[web.BaseSite] = [
                web.SockSite(runner, one, ssl_context=tls, backlog=BACKLOG) for one in sockets
            ] or [web.TCPSite(runner, listen.host, listen.port, ssl_context=tls, backlog=BACKLOG)]
            for site in sites:
                await site.start()
            self.url = listening_url(runner.addresses, tls=tls is not None)
        except BaseException:
            await runner.cleanup()
            raise
        self._runner = runner
        log.info("Devices may push", url=self.url, **({"inherited": len(sockets)} if sockets else {}))

    async def close(self) -> None:
        """Take no more; what is in hand is answered first, within 3 s."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    async def run(self) -> None:
        """Close connections that dawdle, and take up a renewed certificate, for as long as the task lives."""
        since_look = 0.0
        turned = _Reported(self._clock)
        overspent = _Reported(self._clock)
        while True:
            await self._clock.sleep(TICK)
            if more := turned.more(self._server.turned_away):
                log.warning(
                    "Connections are refused, for there are too many",
                    refused=more, open=len(self._server), most=self._server.limits.connections,
                )  # fmt: skip
            if more := overspent.more(self._overspenders):
                log.warning(
                    "Connections are closed, for their bodies came in chunks that are too small; a device that sends "
                    "such wants a firmware that knows Content-Length",
                    count=more,
                )
            if late := self._server.sweep():
                log.debug("Connections were closed, for no request came over them in time", count=late)
            since_look += TICK
            if since_look >= RELOAD:
                since_look = 0.0
                await to_thread.run_sync(self.reload_certificate)

    def reload_certificate(self) -> bool:
        """As Certificate.reload; False without one."""
        return self._certificate is not None and self._certificate.reload()

    # --- a request ----------------------------------------------------------------------------------------------

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        if not self._server.turns.admit():
            await self._server.turns.enter()
        protocol = request.protocol
        peer = protocol.address if isinstance(protocol, Connection) else ""
        if proxies := self.admission.trusted_proxies:
            peer = client(peer, ",".join(request.headers.getall("X-Forwarded-For", ())), proxies)
        push = Push(request.method, request.path, headers=request.headers, peer=peer)
        if "//" in push.path:
            push.path = _SLASHES.sub("/", push.path)
        held = HeldBody(self.admission.budget, push.peer)
        route: Route | None = None
        recorded: bytes | None = None
        close = False
        try:
            if oversized(request):
                raise Refused(431, TOO_LARGE)
            if request.version not in _VERSIONS:
                raise Refused(505, "HTTP/1.1 is wanted, or 1.0")
            candidates = self._table.find(push.path)
            route = candidates[0] if candidates else None
            self.admission.check_address(push.peer)
            if route is None:
                raise Refused(404, "nothing is served here")
            if "?" in request.raw_path:
                push.query = request.query
            push.body = await self._bodies.read(request, held)
            if len(push.body) > LARGE:
                held.hold(len(push.body))
            if len(candidates) > 1:
                route = await _fittest(candidates, push)
            if route.intake.tap.recording is not None:
                recorded = push.body  # a source lets go of a large one early
            response = await route.source.handle(push, route.intake, self.admission)
        except Refused as refused:
            close = refused.status in (431, 505) or not request.content.is_eof()
            response = self._refuse(route, push, refused)
        except Unavailable as error:
            wait = RETRY_AFTER if error.retry_after is None else error.retry_after
            response = self._refuse(route, push, Refused(503, "cannot be stored now", retry_after=wait))
        except ConnectionError:
            raise
        except Exception as error:  # noqa: BLE001  # logged whole there
            response = self._refuse(route, push, self._failed(route, push, error))
        finally:
            held.release()
        if isinstance(protocol, Connection):
            protocol.handled()
        self._count(route.source.name if route else "", response.status)
        if route is not None and recorded is not None:
            _record(route, push, recorded, response.status)
        return self._answers.make(request, response, close=close)

    def _failed(self, route: Route | None, push: Push, error: Exception) -> Refused:
        """The refusal for what a source did not expect: the device may come again where the system lacks something."""
        source = route.source.name if route else None
        if (lack := scarcity(error)) is None:
            log.error("A push source met a bug", source=source, path=push.path, exc_info=error)
            return Refused(500, "internal error")
        now = self._clock.monotonic()
        if now - self._lacked >= TOLD:
            self._lacked = now
            log.error("A push cannot be taken now; devices are asked to come again", source=source, reason=lack)
        return Refused(503, "cannot be stored now", retry_after=RETRY_AFTER)

    def _refuse(self, route: Route | None, push: Push, refused: Refused) -> Response:
        response = failure(refused) if route is None else route.source.failure(push, refused)
        if refused.retry_after is not None:
            response.headers = {**response.headers, "Retry-After": whole_seconds(refused.retry_after)}
        return response

    # --- counting -----------------------------------------------------------------------------------------------

    def _count(self, source: str, status: int) -> None:
        counter = self._counters.get((source, status))
        if counter is None:
            counter = self._counters[source, status] = self._requests.labels(source, str(status))
        counter.inc()

    def _overspend(self) -> None:
        self._overspenders += 1
        self._overspent.inc()

    def _count_malformed(self, status: int) -> None:
        self._count("", status)


class _Reported:
    """A count that is logged once a minute at the most."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._count = 0
        self._last = -TOLD

    def more(self, count: int) -> int:
        """By how much it has grown since it was logged, where it is time to log it again; else 0."""
        grown = count - self._count
        if not grown or self._clock.monotonic() - self._last < TOLD:
            return 0
        self._count, self._last = count, self._clock.monotonic()
        return grown


def _record(route: Route, push: Push, body: bytes, status: int) -> None:
    """Hand an answered request to the source's recording; its path below what the source claims."""
    path = push.path.lower()
    claims = (claim.rstrip("/") for claim in route.source.claims if path.startswith(claim.lower().rstrip("/")))
    below = push.path[max(map(len, claims), default=0) :]
    query = f"?{urlencode([*push.query.items()], errors='replace')}" if push.query else ""
    fields = {
        "method": push.method,
        "path": quote(below, errors="replace") + query,
        "headers": dict(push.headers),
        "status": status,
    }
    route.intake.tap.push(fields, body)


async def _fittest(candidates: Sequence[Route], push: Push) -> Route:
    """The source that knows the request's park, device or address best. Raises Refused where none does."""
    fits = [(await route.source.claim(push), route) for route in candidates]
    best, route = max(fits, key=lambda fit: fit[0])  # of equals the first in the configuration
    if best <= 0:
        raise Refused(403, "no source is configured for this device")
    return route


def _limits(settings: ServerSettings) -> Limits:
    return Limits(settings.max_connections, settings.max_connections_per_address, settings.header_timeout)
