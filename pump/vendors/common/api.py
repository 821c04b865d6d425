"""A vendor's REST API as its client meets it: one call from the request to its end, and the row that says what follows.

Every way a call can come to nothing is one `CallFailed` with an `Answer`: a row of the vendor's own tables, or one of
those below, which are alike for all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum
from typing import Final, NamedTuple

import aiohttp
from yarl import URL

from pump.commands.once import Sending
from pump.commands.rest import UNANSWERED, RestClient
from pump.core.errors import Misconfigured, Unavailable
from pump.core.net.outcome import retry_after
from pump.ingest.recording.tap import Tap

LONGEST_RETRY_AFTER: Final = 3600.0
"""Seconds that a server's Retry-After is believed at the most."""


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
        """The seconds of its Retry-After."""
        return retry_after(self.headers.get("Retry-After"), now, LONGEST_RETRY_AFTER)


class VendorApi(RestClient):
    """The connections of a vendor's client; an async context manager."""

    def __init__(self, limits: Limits, tap: Tap | None = None) -> None:
        """`tap` gets every answer."""
        super().__init__(limits.timeout, limits.largest)
        self._limits = limits
        self._tap = tap

    async def send(
        self, method: str, url: URL, body: bytes | None, headers: Mapping[str, str], *,
        sending: Sending | None = None, timeout: float | None = None, largest: int | None = None,
    ) -> Reply:  # fmt: skip
        """As `answered`. Raises CallFailed for each way to get no answer, or one that is too large."""
        try:
            status, found, content = await self.answered(
                method, url, body, headers, sending=sending, timeout=timeout, largest=largest
            )
        except UNANSWERED as error:
            raise translate(error, str(url.origin()), self._limits.garbage) from None
        if content is None:
            raise CallFailed("too large", self._limits.too_large)
        if self._tap is not None:
            self._tap.answer(method, url.raw_path_qs, status, found, content)
        return Reply(status, found, content)


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
