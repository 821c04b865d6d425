"""One HTTP POST of events and what its answer means. Knows statuses, not records."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

import aiohttp
from yarl import URL

import pump
from pump.core.clock import Clock
from pump.core.net.addresses import Gate
from pump.core.net.outcome import retry_after, why
from pump.core.text import printable

_EXCERPT: Final = 200
"""Characters of an answer that are reported."""
_READ: Final = 64 << 10
"""Bytes of an answer that are read, so that its connection can serve again."""
LONGEST_WAIT: Final = 86400.0
"""Seconds; a Retry-After beyond it is taken for a mistake."""


class Verdict(Enum):
    """The meaning of an answer."""

    TAKEN = "taken"
    REFUSED = "refused"
    """This body and no other: trying it again is useless."""
    LATER = "later"
    SLOWER = "slower"
    """Later, and not so much at once."""
    GONE = "gone"
    """It wants no more, ever."""
    WRONG = "wrong"
    """Neither body nor time help: a person must look."""


_OF_STATUS: Final[dict[int, Verdict]] = {
    **dict.fromkeys((401, 402, 403, 404, 405, 407, 415, 421, 426), Verdict.WRONG),
    **dict.fromkeys((408, 423, 425), Verdict.LATER),
    **dict.fromkeys((429, 502, 503, 504), Verdict.SLOWER),
    410: Verdict.GONE,
}
_OF_CLASS: Final = {2: Verdict.TAKEN, 3: Verdict.WRONG, 4: Verdict.REFUSED, 5: Verdict.LATER}
"""By the status's first digit, where it has no row of its own. A redirection is not followed: it is wrong."""


_NOT_ITS_FAULT: Final = frozenset({408, 423, 425, 429, 503})
"""Of the statuses that mean later, those that are never about what was in the request."""


def meaning(status: int) -> Verdict:
    """The meaning of an HTTP status; an unknown class is no promise of anything."""
    return _OF_STATUS.get(status) or _OF_CLASS.get(status // 100, Verdict.LATER)


@dataclass(slots=True, frozen=True)
class Answer:
    """The result of a POST; `reason` for people, `wait` the seconds of a Retry-After."""

    meaning: Verdict
    reason: str = ""
    wait: float | None = None
    suspects_body: bool = False
    """Of a failure: whether it may be about this body, for the peer was there and could not do with it."""


class WebhookClient:
    """A session with one URL. Made on the running loop, to be closed."""

    def __init__(
        self,
        url: URL,
        *,
        timeout: float,
        connections: int,
        headers: Mapping[str, str],
        allow_private: bool,
        clock: Clock,
    ) -> None:
        self._url = url
        self._host = url.host or ""
        self._clock = clock
        self._gate = Gate(private=allow_private)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=connections, socket_factory=self._gate),
            timeout=aiohttp.ClientTimeout(total=timeout),
            headers={"User-Agent": f"pump/{pump.__version__}", "Accept": "*/*", **headers},
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,  # a proxy of the environment would connect for us, to wherever it likes
        )
        self._timeout = timeout

    async def close(self) -> None:
        """Let the connections go."""
        await self._session.close()

    async def reach(self) -> None:
        """Connect, for https with its certificate checked, and say nothing. Raises OSError, TimeoutError."""
        loop, port = asyncio.get_running_loop(), self._url.port or 0
        async with asyncio.timeout(self._timeout):
            found = await loop.getaddrinfo(self._host, port, type=socket.SOCK_STREAM)
            failed: OSError | None = None
            for info in found:
                try:
                    await self._connected(info)
                except OSError as error:
                    failed = failed or error
                else:
                    return
        if failed is not None:
            raise failed

    async def _connected(self, info: tuple[Any, ...]) -> None:
        loop = asyncio.get_running_loop()
        context = ssl.create_default_context() if self._url.scheme == "https" else None
        sock = self._gate(info)
        try:
            sock.setblocking(False)
            await loop.sock_connect(sock, info[4])
            name = self._host if context is not None else None
            transport, _ = await loop.create_connection(asyncio.Protocol, sock=sock, ssl=context, server_hostname=name)
        except BaseException:
            sock.close()
            raise
        transport.abort()

    async def post(self, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Send it once. A connection that had been kept and was closed meanwhile is not the body's fault: once more."""
        for last in (False, True):
            try:
                return await self._once(body, headers)
            except aiohttp.ServerDisconnectedError as error:
                if last:
                    return self._away(error)
            except TimeoutError:
                return Answer(Verdict.LATER, f"{self._host} gave no answer for {self._timeout:g} s", suspects_body=True)
            except (aiohttp.ClientError, OSError) as error:
                if self._gate.forbidden and isinstance(error, aiohttp.ClientConnectorError):
                    reason = f"{self._host}: {self._gate.forbidden}; allow_private = true would permit it"
                    return Answer(Verdict.WRONG, reason)
                return self._away(error)
        raise AssertionError("the loop returns")

    async def _once(self, body: bytes, headers: Mapping[str, str]) -> Answer:
        async with self._session.post(self._url, data=body, headers=headers, allow_redirects=False) as response:
            found = meaning(response.status)
            text = await _beginning(response)
            if found is Verdict.TAKEN:
                return Answer(found)
            reason = f"{self._host} answers {response.status} {response.reason or ''}".rstrip()
            if excerpt := _excerpt(text):
                reason += f": {excerpt}"
            suspects_body = found in (Verdict.LATER, Verdict.SLOWER) and response.status not in _NOT_ITS_FAULT
            wait = retry_after(response.headers.get("Retry-After"), self._clock.now(), LONGEST_WAIT)
            return Answer(found, reason, wait, suspects_body)

    def _away(self, error: BaseException) -> Answer:
        closed = isinstance(error, aiohttp.ServerDisconnectedError)
        return Answer(Verdict.LATER, f"{self._host} cannot be reached: {why(error)}", suspects_body=closed)


async def _beginning(response: aiohttp.ClientResponse) -> bytes:
    read = bytearray()
    try:
        while len(read) < _READ and (piece := await response.content.readany()):
            read += piece
    except (aiohttp.ClientPayloadError, asyncio.IncompleteReadError):
        pass  # the status has been said
    if not response.content.at_eof():
        response.close()
    return bytes(read[: 4 * _EXCERPT])


def _excerpt(text: bytes) -> str:
    return printable(" ".join(text.decode("utf-8", "replace").split())[:_EXCERPT])
