"""The push listener's connections: how many there may be, and the limits of heads and of chunks.

aiohttp counts none of it, and waits for a head as long as its keep-alive allows.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from time import perf_counter
from typing import Any, Final

import orjson
from aiohttp import web
from aiohttp.http_exceptions import LineTooLong
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader
from aiohttp.web_protocol import RequestHandler

from pump.core.clock import Clock
from pump.core.errors import bare
from pump.ingest.push.admission import plain
from pump.ingest.push.turns import FRAMING, PAID, SLICE, Turns

Answer = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

LARGEST_HEAD: Final = 32 << 10
"""Bytes of a request's head; devices send a few hundred. aiohttp limits each line, of which there may be a hundred."""
_FEW: Final = 8
"""Headers that cannot be too many bytes, and are not counted."""
_SETTLING: Final = 1.0
"""Seconds that a connection without a request is safe from making room for another."""
_QUEUED: Final = 4
"""Requests that wait behind the one in hand, beyond which no more are parsed: devices wait for each answer, and a head
of tiny fields, parsed, is fifty times its size. aiohttp would take 32."""
_PARSER: Final[dict[str, Any]] = {
    "access_log": None,
    "auto_decompress": False,  # the listener's own has a limit
    "lingering_time": 2.0,
    "read_bufsize": 64 << 10,  # twice as much waits in each of hundreds of connections, beside the 256 KiB of one read
    "max_line_size": 8190,
    "max_field_size": 8190,
    "max_headers": 100,
}

TOO_LARGE: Final = "the request's head is too large"
_CHUNKS: Final = "the body's chunks are too small"


@dataclass(slots=True)
class Limits:
    """Counts and seconds."""

    connections: int
    per_address: int
    head_seconds: float
    keepalive_seconds: float = 75.0


class Connection(RequestHandler):
    """One connection: aiohttp's own protocol, watched."""

    def __init__(self, server: Connections, **kwargs: Any) -> None:
        super().__init__(server, **kwargs)
        self.address = ""
        self.served = 0
        """Requests answered."""
        self.since: float | None = 0.0
        """When the head began that is not complete yet, or the connection where none began; else None."""
        self._server = server
        self._head = 0
        """Bytes of the head that is not complete yet."""
        self._payload: StreamReader = EMPTY_PAYLOAD
        """The body of the last request that has begun."""
        self._chunked = False
        """True where it comes in chunks; else it has `_length` bytes."""
        self._length = 0
        self._framing = 0.0
        """Bytes around its chunks so far, beyond what its own bytes pay for."""
        self._charged = 0.0
        """The most that these were, which the address has paid."""
        self._backlog: deque[bytes] = deque()
        """What the socket brought and still waits for its turn; the socket is paused meanwhile."""
        self._place = 0
        """The first byte of it that was not parsed."""
        self._queued = False
        self._stopped = False
        """True where `handled` is to go on."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        peer = transport.get_extra_info("peername")
        self.address = plain(peer[0]) if isinstance(peer, tuple) else ""
        self.since = self._loop.time()
        self._server.made(self)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._server.lost(self)
        self._backlog.clear()
        super().connection_lost(exc)
        payload = self._payload
        if not payload.is_eof():  # it never will be, and in a cycle with this it stays until the collector comes by
            payload._buffer.clear()
            payload._http_chunk_splits = None

    # --- what the socket brings ---------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        if not data:
            self._parse(data)  # the parser goes on with what it had left when aiohttp paused it
        elif self._backlog or (turns := self._server.turns).over or self._full:
            self._put_off(data, 0)
        elif len(data) <= SLICE:  # as nearly all that devices send
            since = perf_counter()
            self._parse(data)
            turns.spend(since, len(data))
        elif (place := self._feed(data, 0)) < len(data):
            self._put_off(data, place)

    def take_turn(self) -> None:
        """See `turns.Turner`."""
        self._queued = False
        while self._backlog and not self._held and not self._server.turns.over:
            data = self._backlog[0]
            self._place = self._feed(data, self._place)
            if self._place >= len(data) and self._backlog:
                self._backlog.popleft()
                self._place = 0
        self._go_on()

    def _go_on(self) -> None:
        """Have more parsed or read, as soon as it is wanted: now, or when aiohttp or `handled` says so."""
        if not self._held:
            self._resume_transport_reading()
        else:
            self._stopped = self._full

    @property
    def _held(self) -> bool:
        """True while nothing is to be parsed: bodies or requests wait for who takes them."""
        return self._reading_paused or self._buffer_paused or self._full

    @property
    def _full(self) -> bool:
        """True while requests enough wait for the one in hand; `handled` goes on."""
        return len(self._messages) >= _QUEUED

    def _put_off(self, data: bytes, place: int) -> None:
        if not self._backlog:
            self._place = place
        self._backlog.append(data)
        if len(data) > SLICE or len(self._backlog) > 1:  # else it is a request, and its answer is waited for
            self._pause_transport_reading()
        self._go_on()

    def resume_reading(self, resume_parser: bool = True) -> None:
        """Called by aiohttp for each piece of a body that is read, paused or not: of tiny chunks there are many."""
        if self._reading_paused:
            super().resume_reading(resume_parser)

    def _resume_transport_reading(self) -> None:
        """Called by aiohttp too: what the socket brought before comes first."""
        if not self._backlog:
            super()._resume_transport_reading()
        elif not self._queued:
            self._queued = True
            self._server.turns.wait(self)

    def _feed(self, data: bytes, place: int) -> int:
        """Parse from there until all is parsed, or it is enough for now; the place of the rest."""
        turns = self._server.turns
        while True:
            since = perf_counter()
            end = max(place + SLICE, place + self._plain_rest())
            self._parse(data[place:end] if place or end < len(data) else data)
            turns.spend(since, min(end, len(data)) - place)
            place = end
            if self._force_close:
                return len(data)
            if place >= len(data) or turns.over or self._held:
                return place

    def _plain_rest(self) -> int:
        """Bytes that a body with a Content-Length still lacks: parsing them costs nothing."""
        return 0 if self._chunked or self._payload.is_eof() else self._length - self._payload.total_bytes

    def _parse(self, data: bytes) -> None:
        if self._force_close:
            return
        heads, payload, between = self._request_count, self._payload, self._payload.is_eof()
        chunked, before = self._chunked and not between, payload.total_bytes
        taken = not between and not (self._messages and self._messages[-1][1] is payload)
        super().data_received(data)
        if taken and payload.is_eof() and self._parser is not None:
            # aiohttp's parser counts a request once its body is whole, and this one was taken before (3.14.5): full by
            # its own count it keeps what was pipelined, which nobody asks it for again
            self._parser.message_consumed()
            super().data_received(b"")
        if more := self._request_count - heads:
            self.since, self._head = None, 0
            message: Any
            message, self._payload = self._messages[-1]
            self._chunked = getattr(message, "chunked", False)  # what is no HTTP is a message too, without fields
            if (error := getattr(message, "exc", None)) is not None:
                bare(error)  # it is kept, and with it, in a cycle, the frames of all that was just read
            if chunked or self._chunked or more > 1:
                self._count_begun(more, len(data), payload.total_bytes - before, chunked)
            if not self._chunked and not self._payload.is_eof():
                self._length = int(message.headers.get("Content-Length", "0"))
        elif chunked:
            body = payload.total_bytes - before
            self._count_framing(len(data) - body, body)
        elif between:  # it is not of a body
            if self.since is None and self._current_request is None and not self._messages:
                self.since = self._loop.time()
            self._head += len(data)
            if self._head > LARGEST_HEAD:
                self._server.malformed(431)
                self.turn_away("431 Request Header Fields Too Large", TOO_LARGE)

    def _count_begun(self, number: int, size: int, body: int, chunked: bool) -> None:
        """Count the bytes around chunks where requests have begun: `size` came, `body` of it belonged to the last body,
        which was `chunked`."""
        begun: list[tuple[Any, StreamReader]] = list(islice(reversed(self._messages), number))
        if chunked or any(getattr(message, "chunked", False) for message, _ in begun):
            self._framing = self._charged = 0.0
            bodies = body + sum(each.total_bytes for _, each in begun)
            self._count_framing(size - bodies - sum(_size(message) for message, _ in begun), bodies)

    def _count_framing(self, framing: int, body: int) -> None:
        """Count bytes around chunks; more than a body or an address may have of them ends the connection."""
        self._framing = max(0.0, self._framing + framing - body / PAID)
        more = self._framing - self._charged  # what is paid a moment later, for it was cut there, costs nothing
        self._charged = max(self._charged, self._framing)
        if self._framing > FRAMING:
            status = "400 Bad Request"
        elif not self._server.turns.afford(self.address, more):
            status = "429 Too Many Requests"
        else:
            return
        self._server.overspent()
        self.turn_away(status, _CHUNKS)

    # --- its requests -------------------------------------------------------------------------------------------

    def handled(self) -> None:
        """A request is about to be answered."""
        self.served += 1
        self.since = None
        if self._stopped and not self._held:
            self._stopped = False
            self._resume_transport_reading()

    @property
    def idle_since(self) -> float | None:
        """Since when a head is waited for; None while a request is in hand, or between two."""
        return None if self._current_request is not None else self.since

    def turn_away(self, status: str, reason: str) -> None:
        """Answer without having read a request, and close."""
        transport = self.transport
        if transport is None or transport.is_closing():
            return
        body = orjson.dumps({"code": int(status[:3]), "message": reason})
        head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        retry = "" if status.startswith(("400", "408", "431")) else "Retry-After: 5\r\n"
        transport.write(f"{head}{retry}Connection: close\r\n\r\n".encode() + body)
        self.force_close()

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        """The answer to what is no HTTP request; its text holds nothing of what was sent."""
        reason = "not a valid HTTP request"
        if isinstance(exc, LineTooLong):
            status, reason = 431, "a header or the request line is too long"
        self._server.malformed(status)
        return _refusal(status, reason)


def oversized(request: web.BaseRequest) -> bool:
    """True for a head that came whole and is over its limit."""
    headers = request.raw_headers
    return len(headers) > _FEW and sum(len(name) + len(value) for name, value in headers) > LARGEST_HEAD


def _size(message: Any) -> int:
    """Bytes of a head, about: its first line is left out where there is none."""
    lines = getattr(message, "raw_headers", ())
    return len(getattr(message, "path", "")) + sum(len(name) + len(value) + 4 for name, value in lines)


def _refusal(status: int, reason: str) -> web.Response:
    body = orjson.dumps({"code": status, "message": reason})
    response = web.Response(status=status, body=body, content_type="application/json")
    response.force_close()
    return response


class Connections(web.Server):
    """Makes and counts the connections."""

    def __init__(
        self,
        answer: Answer,
        limits: Limits,
        malformed: Callable[[int], None],
        refused: Callable[[], object] = lambda: None,
        overspent: Callable[[], object] = lambda: None,
        clock: Clock | None = None,
    ) -> None:
        """`malformed` is called with the status of each request that was no HTTP, `refused` for each connection that
        is one too many, `overspent` for each that was closed for what its chunks would have cost."""
        super().__init__(answer)
        self.turns = Turns(clock or Clock())
        self.overspent = overspent
        self.limits = limits
        self.malformed = malformed
        self.refused = refused
        self.turned_away = 0
        self._by_address: dict[str, dict[Connection, None]] = {}
        self._all: dict[Connection, None] = {}

    def __call__(self) -> RequestHandler:
        keepalive = self.limits.keepalive_seconds
        return Connection(self, loop=asyncio.get_running_loop(), keepalive_timeout=keepalive, **_PARSER)

    def __len__(self) -> int:
        return len(self._all)

    def made(self, connection: Connection) -> None:
        """Take it in, or turn it away; where there is no room, one that has never sent a request makes room."""
        mine = self._by_address.setdefault(connection.address, {})
        for there, most, status in (
            (mine, self.limits.per_address, "429 Too Many Requests"),
            (self._all, self.limits.connections, "503 Service Unavailable"),
        ):
            if len(there) >= most:
                victim = self._idlest(there)
                if victim is None:
                    self.turned_away += 1
                    self.refused()
                    connection.turn_away(status, "too many connections")
                    return
                self.lost(victim)
                victim.turn_away("408 Request Timeout", "no request came, and others wait")
        mine = self._by_address.setdefault(connection.address, {})
        mine[connection] = self._all[connection] = None

    def lost(self, connection: Connection) -> None:
        """Forget it; a second time does no harm."""
        self._all.pop(connection, None)
        mine = self._by_address.get(connection.address)
        if mine is not None:
            mine.pop(connection, None)
            if not mine:
                del self._by_address[connection.address]

    def _idlest(self, there: dict[Connection, None]) -> Connection | None:
        """The oldest that has never completed a request and is not new either."""
        before = asyncio.get_running_loop().time() - _SETTLING
        for connection in there:
            if connection.served == 0 and connection.since is not None and connection.since < before:
                return connection
        return None

    def sweep(self) -> int:
        """Close who takes too long over a request's head; how many those were. Called about once a second."""
        before = asyncio.get_running_loop().time() - self.limits.head_seconds
        late = list(self._late(before))
        for connection in late:
            connection.turn_away("408 Request Timeout", "the request's head did not come in time")
        return len(late)

    def _late(self, before: float) -> Iterator[Connection]:
        for connection in self._all:
            since = connection.idle_since
            if since is not None and since < before:
                yield connection
