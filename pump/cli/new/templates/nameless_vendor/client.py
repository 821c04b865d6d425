"""The calls of one account. Whatever a call fails by becomes `Unavailable` or `Misconfigured` here, once for all."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Final, Self

import aiohttp

from pump.cli.new.templates.nameless_vendor.codes import answer_of
from pump.core.clock import Clock
from pump.core.errors import Misconfigured, Unavailable
from pump.core.net.outcome import retry_after, why

MOST: Final = 100
"""Records of one batch."""
_LARGEST: Final = 16 << 20
"""Bytes of an answer that are read."""
_LONGEST_WAIT: Final = 3600.0
"""Seconds; a Retry-After beyond it is taken for a mistake."""


class Client:
    """One account's calls; an async context manager that holds the connections."""

    def __init__(self, *, server: str, api_key: str, timeout: float, clock: Clock) -> None:
        self._server = server
        self._headers = {"Authorization": f"Bearer {api_key}", "Accept": "application/json"}
        self._timeout = timeout
        self._clock = clock
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=self._timeout),
            headers=self._headers,
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            session, self._session = self._session, None
            await session.close()

    async def records(self) -> bytes:
        """The answer of `GET /records`: what was not confirmed yet. Raises as `_call`."""
        return await self._call("GET", f"/records?most={MOST}")

    async def confirm(self, batch: int) -> None:
        """`POST /confirm`: the vendor may forget the batch. Raises as `_call`."""
        await self._call("POST", "/confirm", {"batch": batch})

    async def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> bytes:
        """Raises Unavailable (no answer, or one that says later), Misconfigured (only a person can mend it).

        The library's errors may hold the request's headers, the key among them: none is passed on.
        """
        assert self._session is not None, "the client is used outside its context"
        try:
            async with self._session.request(
                method, f"{self._server}{path}", json=body, allow_redirects=False
            ) as response:
                content = await _read(response)
                status, wish = response.status, response.headers.get("Retry-After")
        except TimeoutError:
            raise Unavailable(f"the vendor gives no answer for {self._timeout:g} s") from None
        except (aiohttp.ClientError, OSError) as error:
            raise Unavailable(f"the vendor cannot be reached: {why(error)}: check server") from None
        if 200 <= status < 300:
            return content
        answer = answer_of(status)
        if answer.person:
            raise Misconfigured(f"HTTP {status}: {answer.text}")
        wait = retry_after(wish, self._clock.now(), _LONGEST_WAIT)
        raise Unavailable(f"HTTP {status}: {answer.text}", retry_after=wait)


async def _read(response: aiohttp.ClientResponse) -> bytes:
    content = bytearray()
    async for piece in response.content.iter_any():
        content += piece
        if len(content) > _LARGEST:
            raise Unavailable(f"the answer is larger than {_LARGEST} bytes")
    return bytes(content)
