"""A vendor's REST API as its client meets it: one call from the request to its end, and the row that says what follows.

Every way a call can come to nothing is one `CallFailed` with an `Answer`: a row of the vendor's own tables, or one of
those below, which are alike for all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import Enum
from types import TracebackType
from typing import Final, NamedTuple, Self
from urllib.request import getproxies, proxy_bypass

import aiohttp
from yarl import URL

from pump.commands.once import Sending, send_once
from pump.core.errors import Misconfigured, Unavailable
from pump.ingest.recording.tap import Tap

LONGEST_RETRY_AFTER: Final = 3600.0
"""Seconds that a server's Retry-After is believed at the most."""
_CHUNK: Final = 256 << 10


class Action(Enum):
    """The step that follows a failed call."""

    RETRY = "retry"
    """Ask again, with backoff."""
    SKIP = "skip"
    """This thing is not there; go on with the next."""
    LOGIN = "login"
    """Get a new token, once, and ask again."""
    SUBSCRIBE = "subscribe"
    """The queue's subscription is gone: make it anew, report the gap."""
    POLL = "poll"
    """The batch is unknown: ask for messages again."""
    MISCONFIGURED = "misconfigured"
    """Only a person can mend it: wait long."""


@dataclass(slots=True, frozen=True)
class Answer:
    """One row: the meaning of an answer and what follows."""

    action: Action
    meaning: str
    advice: str = ""
    """For the operator; empty where waiting is all that can be done."""
    account: bool = False
    """The whole account is concerned, and no part of it can go on."""

    @property
    def text(self) -> str:
        """Meaning and advice in one line."""
        return f"{self.meaning}: {self.advice}" if self.advice else self.meaning

    def of_account(self) -> Answer:
        """The same row, where the whole account is concerned."""
        return replace(self, account=True)


def retry(meaning: str, advice: str = "") -> Answer:
    """A row after which the call is repeated."""
    return Answer(Action.RETRY, meaning, advice)


def wrong(meaning: str, advice: str, *, account: bool = False) -> Answer:
    """A row after which a person must help."""
    return Answer(Action.MISCONFIGURED, meaning, advice, account)


SILENCE: Final = retry("no answer in time")
CUT_OFF: Final = retry("the answer broke off")
UNREACHABLE: Final = retry("the server cannot be reached", "check server, name resolution and the network")
UNTRUSTED: Final = retry("the server's certificate is not trusted", "check the clock, and who stands between")


class CallFailed(Exception):
    """A call came to nothing; `answer` says what to do about it. No text of it holds a key, a token or a signature.

    `code` is the vendor's code, "HTTP 503" or the like, or the address. `retry_after` is the server's wish in
    seconds. `body` is the whole answer where it was not of the vendor's form. `unsent`: there was no connection, so
    that not one byte of the request has left.
    """

    def __init__(
        self, code: str, answer: Answer, *, retry_after: float | None = None, body: bytes = b"", unsent: bool = False
    ) -> None:
        super().__init__(f"{code}: {answer.text}")
        self.code = code
        self.answer = answer
        self.retry_after = retry_after
        self.body = body
        self.unsent = unsent

    @property
    def answered(self) -> bool:
        """True where it was the vendor, or a server before it, that said no."""
        return self.code.isdecimal() or self.code.startswith("HTTP ")


def outward(failure: CallFailed) -> Misconfigured | Unavailable:
    """The failure as a source raises it: a person must help, or it may go by itself."""
    kind = Misconfigured if failure.answer.action is Action.MISCONFIGURED else Unavailable
    return kind(str(failure))


@dataclass(slots=True, frozen=True)
class Limits:
    """The bounds of every call, and the vendor's rows for an answer beyond them."""

    timeout: float
    """Seconds of one call, its connecting included."""
    largest: int
    """Bytes of an answer that are read."""
    too_large: Answer
    garbage: Answer
    """Of what is no HTTP."""


class Reply(NamedTuple):
    """An answer read whole, whatever its status."""

    status: int
    headers: Mapping[str, str]
    """Their names match in any case."""
    content: bytes

    def retry_after(self, now: datetime) -> float | None:
        """The seconds of its Retry-After; see `retry_after`."""
        return retry_after(self.headers.get("Retry-After"), now)


class Caller:
    """The connections of a client; an async context manager. It keeps no cookies and follows no redirects."""

    def __init__(self, limits: Limits, tap: Tap | None = None) -> None:
        """`tap` gets every answer."""
        self._limits = limits
        self._tap = tap
        self._session: aiohttp.ClientSession | None = None
        self._proxies: dict[URL, str | None] = {}
        self.date = ""
        """The server's clock, as the newest answer's Date has it; "" for none."""

    async def __aenter__(self) -> Self:
        limit = self._limits.timeout
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

    async def send(
        self, method: str, url: URL, body: bytes | None, headers: Mapping[str, str], *,
        sending: Sending | None = None, timeout: float | None = None, largest: int | None = None,
    ) -> Reply:  # fmt: skip
        """One call to its end. Raises CallFailed for each way to get no answer, or one that is too large.

        With `sending` the request leaves once at the most, on a connection of its own, and what `sending` raises is
        raised; `timeout` in seconds and `largest` in bytes then stand for those of `Limits`.
        """
        assert self._session is not None, "the client is used outside its context"
        limits = self._limits
        try:
            if sending is not None:
                status, found, content = await send_once(
                    method, url, body, headers, sending=sending, timeout=limits.timeout if timeout is None else timeout,
                    largest=limits.largest if largest is None else largest, connecting=limits.timeout,
                    proxy=self._proxy(url),
                )  # fmt: skip
            else:
                async with self._session.request(
                    method, url, data=body, headers=headers, allow_redirects=False, proxy=self._proxy(url)
                ) as response:
                    content = await read(response, limits.largest)
                    status, found = response.status, response.headers.copy()
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            # The library's errors carry the request's headers, token or signature among them: none is passed on.
            raise translate(error, str(url.origin()), limits.garbage) from None
        self.date = found.get("Date", "")
        if content is None:
            raise CallFailed("too large", limits.too_large)
        if self._tap is not None:
            self._tap.answer(method, url.raw_path_qs, status, found, content)
        return Reply(status, found, content)

    def _proxy(self, url: URL) -> str | None:
        origin = url.origin()
        if origin not in self._proxies:
            self._proxies[origin] = proxy_of(origin)
        return self._proxies[origin]


def proxy_of(url: URL) -> str | None:
    """The proxy that the environment (HTTPS_PROXY, NO_PROXY) wants for calls to `url`, None for none.

    To be asked once for each server. aiohttp's own `trust_env` asks in two hops to a thread for every call, and
    would send the vendor a password of ~/.netrc.
    """
    named = getproxies().get(url.scheme)
    if not named or proxy_bypass(url.host or ""):
        return None
    return named if "://" in named else f"http://{named}"


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


def retry_after(header: str | None, now: datetime) -> float | None:
    """Seconds that Retry-After asks for, as a number or a date (RFC 9110, 10.2.3); at most an hour; `now` is aware."""
    if header is None:
        return None
    try:
        seconds = float(header)
    except ValueError:
        try:
            date = parsedate_to_datetime(header)
        except (ValueError, TypeError, OverflowError):
            return None
        date = date if date.tzinfo is not None else date.replace(tzinfo=UTC)
        seconds = (date - now).total_seconds()
    return min(max(seconds, 0.0), LONGEST_RETRY_AFTER) if seconds == seconds else None  # NaN is none


def translate(error: Exception, address: str, garbage: Answer) -> CallFailed:
    """The library's error as ours, sorted by its kind alone; `address` could not be reached, or did not answer rightly.

    `garbage` is the row of what is no HTTP.
    """
    unsent = isinstance(error, (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError))
    for kinds, answer in _KINDS:
        if isinstance(error, kinds):
            return CallFailed(address, answer or garbage, unsent=unsent)
    return CallFailed(address, UNREACHABLE)


_Kinds = type[Exception] | tuple[type[Exception], ...]
_KINDS: Final[tuple[tuple[_Kinds, Answer | None], ...]] = (
    (TimeoutError, SILENCE),
    ((aiohttp.ClientConnectorCertificateError, aiohttp.ClientConnectorSSLError), UNTRUSTED),
    (aiohttp.ClientConnectorError, UNREACHABLE),
    (aiohttp.ServerDisconnectedError, CUT_OFF),
    (aiohttp.ClientPayloadError, CUT_OFF),
    ((aiohttp.ClientResponseError, ValueError), None),
    (aiohttp.ClientOSError, CUT_OFF),
)
