"""One link, asked once: the answer on disk, or why not, and whether another try may help."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

import aiohttp
from aiohttp.abc import AbstractResolver
from yarl import URL

import pump
from pump.core.clock import Clock
from pump.core.net.addresses import Forbidden, Gate
from pump.core.net.outcome import retry_after, why
from pump.ingest.fetch.access import PictureAccess, Side
from pump.ingest.fetch.decryption import Broken, CodeMissing, Decryptor
from pump.ingest.fetch.errors import FetchFailed, FetchLater, LinkForbidden
from pump.ingest.fetch.hosts import HostRule
from pump.ingest.fetch.incoming import Arrived, Incoming, Unbelievable
from pump.ingest.media import Media, TooLarge

HOPS: Final = 3
"""Redirects that are followed."""
LONGEST: Final = 600.0
"""Seconds that a whole answer may take: a host that trickles must not keep its place for ever."""
_CONNECT: Final = 10.0
_BUFFER: Final = 1 << 18
_REDIRECTS: Final = frozenset((301, 302, 303, 307, 308))
_BUSY: Final = frozenset((429, 502, 503, 504))
"""Statuses of a host that wants to be left in peace, whatever it is asked for."""
_WAIT: Final = 86400.0
"""Seconds; a Retry-After beyond it is taken for a mistake."""

_Read = Callable[[], Awaitable[bytes]]


class _PublicGate(Gate):
    """Every forbidden address has the same words, so that aiohttp passes the error on where a name has several."""

    def __init__(self) -> None:
        super().__init__(private=False)

    def __call__(self, info: tuple[Any, ...]) -> socket.socket:
        try:
            return super().__call__(info)
        except Forbidden:
            raise Forbidden("its name leads to a private or loopback address") from None


class Downloader:
    """The connections to hosts of pictures; an async context manager."""

    def __init__(
        self, media: Media, *, hosts: Sequence[HostRule], largest: int, timeout: float, clock: Clock,
        connections: int = 64, resolver: AbstractResolver | None = None,
    ) -> None:  # fmt: skip
        """`hosts` is `[media] hosts`, `largest` the bytes of one file, `timeout` seconds of silence.

        `resolver` looks names up; None: the system's.
        """
        self._media = media
        self._hosts = tuple(hosts)
        self._largest = largest
        self._timeout = timeout
        self._clock = clock
        self._connections = connections
        self._resolver = resolver
        self._sessions: dict[Side, aiohttp.ClientSession] = {}
        self._decryptors: dict[int, Decryptor] = {}

    async def __aenter__(self) -> Downloader:
        # A pool for each side: a connection that was allowed on one must never serve the other.
        for side, gate in (
            (Side.PUBLIC, _PublicGate()),
            (Side.NAMED, Gate(private=True)),
            (Side.OWN, Gate(private=True)),
        ):
            connector = aiohttp.TCPConnector(limit=self._connections, socket_factory=gate, resolver=self._resolver)
            self._sessions[side] = aiohttp.ClientSession(
                connector=connector,
                connector_owner=True,
                timeout=aiohttp.ClientTimeout(total=LONGEST, sock_connect=_CONNECT, sock_read=self._timeout),
                headers={"User-Agent": f"pump/{pump.__version__}", "Accept": "*/*", "Accept-Encoding": "identity"},
                auto_decompress=False,  # a few KB may become gigabytes
                cookie_jar=aiohttp.DummyCookieJar(),
                read_bufsize=_BUFFER,
                trust_env=False,  # a proxy of the environment would connect for us, to wherever it likes
            )
        return self

    async def __aexit__(self, *_: object) -> None:
        for session in self._sessions.values():
            await session.close()
        self._sessions.clear()

    def incoming(self) -> Incoming:
        """Room for a file that is to come; `let_go` it in any case."""
        return Incoming(self._media)

    async def let_go(self, incoming: Incoming) -> None:
        """Remove what is left of it, also where its task is cancelled."""
        if incoming.spilled:
            # A task of its own: one who is cancelled may wait for nothing more, and a thread may still write.
            await asyncio.shield(self._media.threads.run(incoming.close))

    async def receive(self, link: str, access: PictureAccess, incoming: Incoming) -> None:
        """The bytes behind the link, to be given to `keep`. Raises FetchLater and FetchFailed; OSError of the disk."""
        try:
            url = address_of(link)
        except ValueError:
            raise FetchFailed("invalid", "it is no address") from None
        try:
            await self._ask(url, access, incoming)
        except Exception as error:  # noqa: BLE001  # each is raised again, in our words where it has any
            raise _meaning(url, error, begun=incoming.size > 0) from None

    async def keep(self, incoming: Incoming, kind: str, access: PictureAccess, *, stranger: bool = False) -> Arrived:
        """Have it in the store, durably; `kind` is what the event calls it, `stranger` as in `Media.keep`. Raises as
        `receive` does."""
        decryptor = self._decryptors.get(id(access)) or self._decryptors.setdefault(id(access), Decryptor(access.codes))
        run = self._media.threads.run
        try:
            return await run(incoming.finish, kind, decryptor, stranger)
        except Unbelievable as error:
            raise FetchLater("type", f"what came is no {kind}: {error.mime}") from None
        except TooLarge as error:
            raise FetchFailed("too large", str(error)) from None
        except Broken as error:
            raise FetchLater("encrypted", f"it cannot be decrypted: {error}") from None
        except CodeMissing:
            reason = "it is encrypted, and no verification code of the configuration fits; it is kept as it came"
            raise FetchFailed("encrypted", reason, kept=await run(incoming.keep_as_is, stranger)) from None

    async def _ask(self, url: URL, access: PictureAccess, incoming: Incoming) -> None:
        """Read the answer that is no redirect, its status a good one, each piece within `timeout`."""
        side = access.side(url, self._hosts)
        for _ in range(HOPS + 1):
            if side is Side.OWN and access.login is not None:
                async with access.login(url) as response, asyncio.timeout(LONGEST):
                    self._judge(url, response.status, response.headers)
                    await self._read(url, partial(self._in_time, response.content), incoming)
                return
            tls = access.tls if side is Side.OWN else True
            async with self._sessions[side].get(url, allow_redirects=False, ssl=tls) as response:
                if response.status not in _REDIRECTS:
                    self._judge(url, response.status, response.headers)
                    await self._read(url, response.content.readany, incoming)  # the session has the same limits
                    return
                there = self._redirected(url, response.headers.get("Location", ""))
            if access.side(there, self._hosts) is not side or (url.scheme == "https" and there.scheme != "https"):
                raise LinkForbidden(f"{url.host} redirects to {there.host}, where its links may not lead")
            url = there
        raise FetchLater("redirects", f"{url.host} redirects again and again")

    def _redirected(self, url: URL, location: str) -> URL:
        try:
            there = url.join(address_of(location))
        except ValueError:
            there = URL()
        if not location or not there.host:
            raise LinkForbidden(f"{url.host} redirects to what is no http or https link")
        return there

    def _judge(self, url: URL, status: int, headers: Mapping[str, str]) -> None:
        if status != 200:
            wait = retry_after(headers.get("Retry-After"), self._clock.now(), _WAIT)
            reason = f"{url.host} answers HTTP {status}"
            if status == 410:
                raise FetchFailed("status", reason)
            raise FetchLater("status", reason, wait=wait, away=status in _BUSY and wait is not None)
        if headers.get("Content-Encoding", "identity").strip().lower() not in ("", "identity"):
            raise FetchLater("encoded", f"{url.host} packs what was asked for as it is")
        length = headers.get("Content-Length", "")
        if length.isdigit() and int(length) > self._largest:
            raise self._too_large(int(length))

    def _too_large(self, size: int) -> FetchFailed:
        return FetchFailed("too large", f"it has {size} bytes, [media] max_file allows {self._largest}")

    async def _in_time(self, content: aiohttp.StreamReader) -> bytes:
        async with asyncio.timeout(self._timeout):
            return await content.readany()

    async def _read(self, url: URL, read: _Read, incoming: Incoming) -> None:
        while piece := await read():
            full = incoming.take(piece)
            if incoming.size > self._largest:
                raise self._too_large(incoming.size)
            if full:
                await self._media.threads.run(incoming.spill)
        if not incoming.size:
            raise FetchLater("empty", f"{url.host} answers with nothing")


def address_of(link: str) -> URL:
    """The link as it is, for a signature may be over its very bytes; quoted only where it could not be sent.

    Without user and password, which an event must not hand to anybody. Raises ValueError.
    """
    plain = link.isascii() and link.isprintable() and " " not in link
    url = URL(link, encoded=plain)
    if url.user is not None or url.password is not None:
        url = url.with_user(None)
    return url.with_fragment(None) if url.fragment else url


def _meaning(url: URL, error: Exception, *, begun: bool) -> Exception:
    """The error as the fetcher has it; `begun`: some of the answer had come."""
    if isinstance(error, LinkForbidden):
        return FetchFailed("forbidden", error.reason)
    if isinstance(error, aiohttp.InvalidURL):
        return FetchFailed("invalid", "it is no address")  # whose words are the whole link
    if isinstance(error, TimeoutError):
        return FetchLater("timeout", f"{url.host} gave no answer in time", away=not begun)
    if isinstance(error, aiohttp.ClientConnectorError):
        return _unreachable(url, error)
    if isinstance(error, aiohttp.ClientError | ValueError):
        return FetchLater("broken", f"{url.host} gave no whole answer: {why(error)}")
    return error


def _unreachable(url: URL, error: aiohttp.ClientConnectorError) -> Exception:
    cause = error.os_error
    if isinstance(cause, Forbidden):
        return FetchFailed("forbidden", f"{url.host}: {cause}")
    return FetchLater("away", f"{url.host} cannot be reached: {why(error)}", away=True)
