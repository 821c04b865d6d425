"""A cloud's REST API as its clients meet it: the connections, and one call from request to answer."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Final, Self
from urllib.request import getproxies, proxy_bypass

import aiohttp
from yarl import URL

from pump.commands.once import Answered, Sending, read, send_once

UNANSWERED: Final = (aiohttp.ClientError, TimeoutError, OSError, ValueError)
"""Of a call that gets no answer; `pump.core.net.outcome.why` has the words. They carry the request's headers, token or
signature among them: never passed on as they are."""


class RestClient:
    """The connections of a client; an async context manager. It keeps no cookies and follows no redirects."""

    def __init__(self, timeout: float, largest: int) -> None:
        """`timeout`: seconds of a call, its connecting included; `largest`: bytes of an answer that are read."""
        self._timeout = timeout
        self._largest = largest
        self._session: aiohttp.ClientSession | None = None
        self._proxies: dict[URL, str | None] = {}
        self.date = ""
        """The server's clock, as the newest answer's Date has it; "" for none."""

    @property
    def open(self) -> bool:
        """True inside the context."""
        return self._session is not None

    async def __aenter__(self) -> Self:
        limit = self._timeout
        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=limit, connect=limit, sock_connect=limit, sock_read=limit),
            headers={"Accept": "application/json"},
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            session, self._session = self._session, None
            await session.close()

    async def answered(
        self, method: str, url: URL, body: bytes | None, headers: Mapping[str, str], *,
        sending: Sending | None = None, timeout: float | None = None, largest: int | None = None,
    ) -> Answered:  # fmt: skip
        """One call to its end. Raises `UNANSWERED`.

        With `sending` the request leaves once at the most, on a connection of its own, and what `sending` raises is
        raised; `timeout` in seconds and `largest` in bytes then stand for those of the others.
        """
        assert self._session is not None, "the client is used outside its context"
        if sending is not None:
            found = await send_once(
                method, url, body, headers, sending=sending, timeout=self._timeout if timeout is None else timeout,
                largest=self._largest if largest is None else largest, connecting=self._timeout,
                proxy=self._proxy(url),
            )  # fmt: skip
        else:
            async with self._session.request(
                method, url, data=body, headers=headers, allow_redirects=False, proxy=self._proxy(url)
            ) as response:
                content = await read(response, self._largest)
                found = Answered(response.status, response.headers.copy(), content)
        self.date = found.headers.get("Date", "")
        return found

    def _proxy(self, url: URL) -> str | None:
        origin = url.origin()
        if origin not in self._proxies:
            self._proxies[origin] = proxy_of(origin)
        return self._proxies[origin]


def proxy_of(url: URL) -> str | None:
    """The proxy that the environment (HTTPS_PROXY, NO_PROXY) wants for calls to `url`, None for none.

    To be asked once for each server. aiohttp's own `trust_env` asks in two hops to a thread for every call, and
    would send the cloud a password of ~/.netrc.
    """
    named = getproxies().get(url.scheme)
    if not named or proxy_bypass(url.host or ""):
        return None
    return named if "://" in named else f"http://{named}"
