"""A request that must reach its device or cloud once at the most.

aiohttp repeats a PUT, a DELETE or a GET by itself where the connection ends before an answer (3.14, `_request`), on a
fresh connection too: a device that acts and then drops its answer would act twice. There is no public way to turn it
off, so that the second connection is refused here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from ssl import SSLContext
from typing import Final, NamedTuple

import aiohttp
from aiohttp.client_reqrep import ClientRequest
from aiohttp.connector import Connection
from aiohttp.tracing import Trace
from yarl import URL

Sending = Callable[[], Awaitable[None] | None]
"""Called, and awaited where it is to be, when nothing but the request's first byte is left; what it raises ends it."""

CONNECTING: Final = 3.0
"""Seconds for a connection: a device of the same site answers at once, or it is not there."""
_CHUNK: Final = 256 << 10


class OnceConnector(aiohttp.TCPConnector):
    """Lets one request out, and one more after each challenge for a password.

    `sending` is called when the connection stands, before the first byte; what it raises ends the request.
    """

    def __init__(self, sending: Sending, *, connecting: float = CONNECTING, ssl: SSLContext | bool = True) -> None:
        """`connecting`: the seconds that a connection may take."""
        super().__init__(ssl=ssl, force_close=True)
        self._sending = sending
        self._connecting = connecting
        self._out = False

    async def connect(self, req: ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout) -> Connection:
        """As TCPConnector's. Raises ServerDisconnectedError for a repetition, and what `sending` raises."""
        if self._out:
            raise aiohttp.ServerDisconnectedError("the connection ended before the answer; it is not sent again")
        try:
            async with asyncio.timeout(self._connecting):
                connection = await super().connect(req, traces, timeout)
        except TimeoutError:
            raise aiohttp.ConnectionTimeoutError(f"no connection within {self._connecting:g} s") from None
        try:
            if (noting := self._sending()) is not None:
                await noting
        except BaseException:
            connection.close()
            raise
        self._out = True
        return connection

    async def watch(self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        """The middleware, inside the login's, that sees a challenge: what was challenged was not acted upon."""
        response = await handler(request)
        if response.status == 401:
            self._out = False
        return response


class Answered(NamedTuple):
    """An answer; `content` is None where it has more bytes than were allowed."""

    status: int
    headers: Mapping[str, str]
    content: bytes | None


async def send_once(
    method: str, url: URL, body: bytes | None, headers: Mapping[str, str], *, sending: Sending,
    timeout: float, largest: int, connecting: float = CONNECTING, proxy: str | None = None,
) -> Answered:  # fmt: skip
    """One request on a connection of its own: one that stood idle may be closed in the moment in which it is used, and
    nobody would know what became of the request. `largest` is in bytes, `timeout` in seconds from the first to the
    last, `connecting` in seconds for the connection.

    Raises aiohttp's errors, TimeoutError, OSError, ValueError, and what `sending` raises. No redirection is followed
    and no cookie kept.
    """
    async with (
        asyncio.timeout(timeout),
        aiohttp.ClientSession(
            connector=OnceConnector(sending, connecting=connecting),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),
            headers={"Accept": "application/json"},
            cookie_jar=aiohttp.DummyCookieJar(),
        ) as session,
        session.request(method, url, data=body, headers=headers, allow_redirects=False, proxy=proxy) as response,
    ):
        content = await read(response, largest)
        return Answered(response.status, response.headers.copy(), content)


async def read(response: aiohttp.ClientResponse, largest: int) -> bytes | None:
    """The body, or None where it has more than `largest` bytes."""
    parts: list[bytes] = []
    size = 0
    async for part in response.content.iter_chunked(_CHUNK):
        size += len(part)
        if size > largest:
            response.close()
            return None
        parts.append(part)
    return b"".join(parts)
