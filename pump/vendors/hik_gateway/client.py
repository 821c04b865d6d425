"""The gateway's calls over HTTP: digest login, errors translated (document, 2 and 3)."""

from __future__ import annotations

import re
import ssl
from collections.abc import Callable
from typing import Any, Final

import orjson
from aiohttp import (
    ClientConnectorError,
    ClientError,
    ClientResponse,
    ClientSession,
    ClientTimeout,
    DigestAuthMiddleware,
    TCPConnector,
)

from pump.vendors.hik_gateway.answers import Trouble, answer, refused, status_fields
from pump.vendors.hik_gateway.lenient import loads
from pump.vendors.hik_gateway.settings import HikGatewaySettings

_STALE: Final = re.compile(r"\bstale\s*=\s*\"?true")
_FEW: Final = 2
_LARGEST: Final = 4 << 20
"""Bytes of an answer, beside the stream's."""


class Client:
    """One gateway. An async context manager: its connections live while it is open.

    Each call takes a fresh challenge, with a middleware of its own: nonces may live 3 s, and an expired one may
    count as a failed login. Raises Trouble, of which Rejected says that the password is not taken.
    """

    def __init__(self, settings: HikGatewaySettings, *, timeout: float, count: Callable[[str], None]) -> None:
        self._settings = settings
        self._timeout = timeout
        self._count = count
        self._session: ClientSession | None = None

    async def __aenter__(self) -> Client:
        secure: ssl.SSLContext | bool = self._settings.verify_tls
        self._session = ClientSession(connector=TCPConnector(limit=0, ssl=secure), auto_decompress=True)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def call(self, method: str, path: str, body: Any = None, *, what: str) -> Any:
        """The decoded JSON of a call that ends. `what` names it for people."""
        response = await self._send(method, path, body, total=self._timeout)
        async with response:
            content = await self._read(response)
        if response.status >= 400:
            raise answer(response.status, content, what)
        try:
            return loads(content) if content.strip() else {}
        except ValueError:
            raise Trouble(f"{what} was answered with something else than JSON") from None

    async def open(self, path: str, body: Any, *, what: str) -> ClientResponse:
        """The response of a call that does not end, its body unread. The caller closes it."""
        self._count("login")
        response = await self._send("POST", path, body, total=None)
        if response.status == 200:
            return response
        async with response:
            content = await self._read(response)
        raise answer(response.status, content, what)

    async def _send(self, method: str, path: str, body: Any, *, total: float | None) -> ClientResponse:
        assert self._session is not None
        settings = self._settings
        digest = DigestAuthMiddleware(settings.username, settings.password.get_secret_value(), preemptive=False)
        separator = "&" if "?" in path else "?"
        try:
            response = await self._session.request(
                method,
                f"{settings.url}{path}{separator}format=json",
                data=None if body is None else orjson.dumps(body),
                headers={} if body is None else {"Content-Type": "application/json"},
                middlewares=(digest,),
                timeout=ClientTimeout(total=total, sock_connect=self._timeout),
                allow_redirects=False,
            )
        except ClientConnectorError as error:
            if isinstance(error.os_error, ConnectionRefusedError):
                raise refused(error.os_error) from None
            raise Trouble(f"the gateway is not reached: {error.os_error.strerror or error}") from None
        except (ClientError, OSError, TimeoutError) as error:
            raise Trouble(f"the gateway broke off: {_said(error)}") from None
        if response.status == 401:
            raise await self._refusal(response)
        return response

    async def _refusal(self, response: ClientResponse) -> Trouble:
        challenge = response.headers.get("WWW-Authenticate", "").lower()
        async with response:
            content = await self._read(response)
        if challenge and not challenge.startswith("digest"):
            return Trouble("the gateway asks for another login than digest", wait=60.0)
        refusal = answer(401, content, "the login")
        # An expired challenge may count as a failed login: it is taken for one while few attempts are left.
        left = str(status_fields(content).get("retryTimes", _FEW + 1))
        if _STALE.search(challenge) and not (left.isdecimal() and int(left) <= _FEW):
            return Trouble("the gateway's challenge had expired before it was answered")
        return refusal

    async def _read(self, response: ClientResponse) -> bytes:
        try:
            content = await response.content.read(_LARGEST)
            while len(content) < _LARGEST and (more := await response.content.read(_LARGEST - len(content))):
                content += more
        except (ClientError, OSError, TimeoutError) as error:
            raise Trouble(f"the gateway broke off: {_said(error)}") from None
        return content


def _said(error: BaseException) -> str:
    return str(error) or type(error).__name__
