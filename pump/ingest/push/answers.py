"""Answers as they are written: nearly all in one piece, behind a head that is made once a second."""

from __future__ import annotations

from email.utils import formatdate
from typing import Final

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import HttpVersion11

from pump.core.clock import Clock
from pump.ingest.push.request import Response

_HEADERS: Final = {"Server": "pump"}


class Written(web.StreamResponse):
    """An answer that is written as it stands, to any number of requests; of aiohttp's own the head is made anew, field
    by field, for each."""

    def __init__(self, whole: bytes) -> None:
        """`whole`: head and body."""
        super().__init__()
        self._whole = whole
        self._keep_alive = True

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter:
        """Write it all; raises ConnectionError where the device is gone."""
        writer = request.writer
        await writer.write(self._whole)
        await writer.drain()
        return writer

    async def write_eof(self, data: bytes = b"") -> None:
        """Called by aiohttp last; nothing is left to be written."""


class Answers:
    """One listener's."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._second: int | None = None
        self._date = b""
        """The end of a head within that second."""
        self._last: tuple[Response, Written] | None = None
        """The last one of that second: sources answer nearly all requests with one and the same `Response`."""

    def make(self, request: web.BaseRequest, response: Response, *, close: bool) -> web.StreamResponse:
        """The answer to a request; `close`: the connection ends with it."""
        if (
            response.status != 200
            or response.headers
            or close
            or request.method == "HEAD"
            or request.version != HttpVersion11
            or not request.keep_alive
        ):
            return _ordinary(response, close=close)
        second = self._clock.now_ms() // 1000
        if second != self._second:
            self._second, self._last = second, None
            self._date = f"\r\nDate: {formatdate(second, usegmt=True)}\r\n\r\n".encode()
        if self._last is None or self._last[0] is not response:
            self._last = response, self._written(response)
        return self._last[1]

    def _written(self, response: Response) -> Written:
        kind, body = response.content_type.encode(), response.body
        return Written(
            b"HTTP/1.1 200 OK\r\nServer: pump\r\nContent-Type: %b\r\nContent-Length: %d%b%b"
            % (kind, len(body), self._date, body)
        )


def _ordinary(response: Response, *, close: bool) -> web.Response:
    answer = web.Response(
        body=response.body,
        status=response.status,
        content_type=response.content_type,
        headers={**_HEADERS, **response.headers},
    )
    if close:
        answer.force_close()
    return answer
