"""A device's HTTP interface behind a digest login: single questions, and the request that opens a stream.

Each request is a connection of its own with a fresh challenge: nonces may live 3 s, and an expired one may count as
a failed login (docs/field.md). A header may hold several challenges, and there may be several headers (RFC 9110,
11.6.1); aiohttp's middleware reads the beginning of the first alone (3.14), so that a device that offers Basic before
Digest could not be logged in to.
"""

from __future__ import annotations

import asyncio
import re
import ssl as tls
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol, cast

import aiohttp
import anyio
from multidict import CIMultiDict
from pydantic import SecretStr
from yarl import URL

from pump.commands.once import OnceConnector
from pump.core.errors import Misconfigured
from pump.core.files import given
from pump.core.net.outcome import why
from pump.ingest.recording.tap import Tap

LARGEST_ANSWER: Final = 4 << 20
"""Bytes that are read of an answer that is no stream."""
_BUFFER: Final = 1 << 17
_STALE: Final = re.compile(r'\bstale\s*=\s*"?true\b', re.IGNORECASE)


@dataclass(slots=True, frozen=True)
class Answer:
    """An answer, read whole."""

    status: int
    content_type: str
    """In lower case, without parameters."""
    body: bytes
    challenge: str = ""
    """WWW-Authenticate of a 401."""
    date: str = ""
    """The device's clock, where it has a Date header."""

    @property
    def stale(self) -> bool:
        """A 401 that minds the nonce's age alone, not the password."""
        return self.status == 401 and _STALE.search(self.challenge) is not None

    @property
    def wants_digest(self) -> bool:
        """True where a digest login is among those that a 401 offers."""
        return any(one.lower().startswith("digest ") for one in challenges(self.challenge))


class ConnectionLost(Exception):
    """The connection did not come about, or has ended. `refused`: the host is there and nobody listens."""

    def __init__(self, reason: str, *, refused: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.refused = refused


class UnexpectedStatus(Exception):
    """The request was answered with another status than 200."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(f"HTTP {answer.status}")
        self.answer = answer


def tls_context(*, verify: bool, ca: Path | None = None) -> tls.SSLContext:
    """For https: checked against `ca` or the system's authorities, or not at all. Raises OSError, ssl.SSLError."""
    if ca:
        given.require_file(ca)
    context = tls.create_default_context(cafile=str(ca) if ca else None)
    if not verify:
        context.check_hostname = False
        context.verify_mode = tls.CERT_NONE
    return context


class DigestClient:
    """One device and one account on it. `count` gets "login" for each attempt, `tap` every answer but a 401."""

    def __init__(
        self,
        url: str,
        *,
        username: str,
        password: str,
        ssl: tls.SSLContext | bool = True,
        count: Callable[[str], None] = lambda what: None,
        tap: Tap | None = None,
    ) -> None:
        self.url = URL(url)
        self._username = username
        self._password = password
        self._ssl = ssl
        self._count = count
        self._tap = tap

    def _address(self, path: str | URL) -> URL:
        """Raises ValueError for an address of another host: the credentials are for this one alone."""
        if isinstance(path, URL):
            if path.origin() != self.url.origin():
                raise ValueError(f"{path.host} is not the device's own address")
            return path
        return URL(str(self.url).rstrip("/") + path)

    def exact(self, path: str) -> URL:
        """The address of a path that is percent-encoded already, and is sent as it is."""
        return URL(str(self.url).rstrip("/") + path, encoded=True)

    @asynccontextmanager
    async def stream(
        self,
        method: str,
        path: str | URL,
        *,
        body: bytes | None = None,
        content_type: str = "application/json",
        sending: Callable[[], None] | None = None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """The response of status 200, its headers read; closed, with its connection, at the end.

        `path` may be a whole address of the device. Without any time-out. Raises `ConnectionLost` and
        `UnexpectedStatus`; reading inside the context raises aiohttp's own errors.
        Redirections are not followed: the credentials are for this host alone.
        With `sending` it reaches the device once at the most (`OnceConnector`), and raises what `sending` raises.
        """
        headers = {"Accept-Encoding": "identity"}
        if body is not None:
            headers["Content-Type"] = content_type
        digest = Digest(self._username, self._password, preemptive=False)
        async with AsyncExitStack() as stack:
            connector, middlewares = self._connector(digest, sending)
            session = aiohttp.ClientSession(
                connector=connector,
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),
                middlewares=middlewares,
                read_bufsize=_BUFFER,
                trust_env=False,
            )
            stack.push_async_callback(_closed, session)
            try:
                response = await stack.enter_async_context(
                    session.request(method, self._address(path), data=body, headers=headers, allow_redirects=False)
                )
            except aiohttp.ClientConnectorError as error:
                if isinstance(error.os_error, ConnectionRefusedError):
                    where = f"{self.url.host}:{self.url.port}"
                    raise ConnectionLost(
                        f"nothing listens at {where}; is it running, is the port right?", refused=True
                    ) from error
                raise ConnectionLost(f"{self.url.host} cannot be reached: {why(error)}") from error
            except (aiohttp.ClientError, OSError, ValueError) as error:  # ValueError: some malformed answers
                raise ConnectionLost(f"{self.url.host} gave no answer: {why(error)}") from error
            finally:
                self._count("login")
            if response.status != 200:
                raise UnexpectedStatus(self._tapped(method, path, await read_answer(response)))
            try:
                yield response
            finally:
                response.close()  # an endless body must not be waited for

    def _connector(
        self, digest: Digest, sending: Callable[[], None] | None
    ) -> tuple[aiohttp.TCPConnector, tuple[aiohttp.ClientMiddlewareType, ...]]:
        if sending is None:
            return aiohttp.TCPConnector(ssl=self._ssl, force_close=True), (digest,)
        once = OnceConnector(sending, ssl=self._ssl)
        return once, (digest, once.watch)

    async def request(
        self,
        method: str,
        path: str | URL,
        *,
        body: bytes | None = None,
        content_type: str = "application/json",
        timeout: float = 10.0,
        sending: Callable[[], None] | None = None,
    ) -> Answer:
        """One question and its answer, of any status but 401. `sending`: see `stream`.

        Raises `ConnectionLost`, also after `timeout` seconds, and `UnexpectedStatus` for a 401, which must stop
        whoever asks.
        """
        try:
            async with (
                asyncio.timeout(timeout),
                self.stream(method, path, body=body, content_type=content_type, sending=sending) as response,
            ):
                return self._tapped(method, path, await read_answer(response))
        except UnexpectedStatus as refused:
            if refused.answer.status == 401:
                raise
            return refused.answer
        except TimeoutError:
            raise ConnectionLost(f"{self.url.host} gave no answer for {timeout:g} s") from None

    def _tapped(self, method: str, path: str | URL, answer: Answer) -> Answer:
        if self._tap is not None and answer.status != 401:
            asked = path.raw_path_qs if isinstance(path, URL) else path
            self._tap.answer(method, asked, answer.status, {"Content-Type": answer.content_type}, answer.body)
        return answer


class DigestSettings(Protocol):
    """The settings by which a device or gateway is reached and logged in to."""

    url: str
    username: str
    password: SecretStr
    verify_tls: bool
    ca: Path | None


def device_client(
    settings: DigestSettings, count: Callable[[str], None] = lambda what: None, tap: Tap | None = None
) -> DigestClient:
    """The client that such settings describe. Raises Misconfigured for an unusable `ca`."""
    ssl: tls.SSLContext | bool = True
    if settings.url.startswith("https:"):
        try:
            ssl = tls_context(verify=settings.verify_tls, ca=settings.ca)
        except (OSError, ValueError) as error:
            raise Misconfigured(f"the certificates of {settings.ca} cannot be used: {error}") from error
    password = settings.password.get_secret_value()
    return DigestClient(settings.url, username=settings.username, password=password, ssl=ssl, count=count, tap=tap)


async def _closed(session: aiohttp.ClientSession) -> None:
    with anyio.CancelScope(shield=True):  # a scope that was cancelled would leave it open
        await session.close()


async def read_answer(response: aiohttp.ClientResponse) -> Answer:
    """An answer that ends, read whole, up to `LARGEST_ANSWER`; `ConnectionLost` where one of status 200 is cut."""
    body = bytearray()
    try:
        while len(body) < LARGEST_ANSWER and (piece := await response.content.readany()):
            body += piece
    except (aiohttp.ClientError, OSError) as error:
        if response.status == 200:
            raise ConnectionLost(f"an answer was cut: {why(error)}") from error
    kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    challenge = ", ".join(response.headers.getall("WWW-Authenticate", []))
    return Answer(response.status, kind, bytes(body), challenge, response.headers.get("Date", ""))


_TOKEN: Final = r"[A-Za-z][\w!#$%&'*+.^`|~-]*"
_BORDER: Final = re.compile(rf'"(?:[^"\\]|\\.)*"|(,)\s*(?={_TOKEN}(?:\s+[^\s=,"]+\s*=|\s*(?:,|$)))')
"""A quoted string, in which a comma means nothing; or the comma before the next scheme."""


def challenges(header: str) -> list[str]:
    """One text a challenge, in their order, of a WWW-Authenticate header; several headers are joined by ", "."""
    found, begin = [], 0
    for border in _BORDER.finditer(header):
        if border[1]:
            found.append(header[begin : border.start()].strip())
            begin = border.end()
    return [one for one in (*found, header[begin:].strip()) if one]


@dataclass(slots=True, frozen=True)
class _Challenged:
    """The part of a 401 that the middleware reads."""

    status: int
    headers: CIMultiDict[str]
    url: URL


class Digest(aiohttp.DigestAuthMiddleware):
    """aiohttp's login, given the Digest challenge alone. There is no public way to choose one (aiohttp 3.14)."""

    def _authenticate(self, response: aiohttp.ClientResponse) -> bool:
        offered = challenges(", ".join(response.headers.getall("WWW-Authenticate", [])))
        for one in offered:
            if one.lower().startswith("digest "):
                alone = _Challenged(response.status, CIMultiDict({"WWW-Authenticate": one}), response.url)
                return super()._authenticate(cast(aiohttp.ClientResponse, alone))
        return False
