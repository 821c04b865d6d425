"""Links of a device, opened with the login that its stream has: one log-in at a time, and none while it is locked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Final

import aiohttp
from yarl import URL

from pump.core.clock import Clock
from pump.ingest.fetch.errors import FetchLater
from pump.ingest.stream.client import Answer, ConnectionLost, DigestClient, UnexpectedStatus
from pump.ingest.stream.lockout import LEAST, LoginLockout

NOT_YET: Final = 2.0
"""Seconds after which a source that does not run yet is asked again."""

OPENING: Final = 30.0
"""Seconds until the answer has begun: others wait behind it, and a half-open connection never errs."""


@dataclass(slots=True, frozen=True)
class DeviceParts:
    """What a source that runs lends."""

    client: DigestClient
    lockout: LoginLockout
    advise: Callable[[Answer], str]
    """The device's refusal in words."""


class DeviceLogin:
    """One device's. `parts` gives None until the source has begun."""

    def __init__(self, parts: Callable[[], DeviceParts | None], clock: Clock) -> None:
        self._parts = parts
        self._clock = clock
        self._one = asyncio.Lock()
        self._until = 0.0
        self._reason = ""

    @asynccontextmanager
    async def open(self, url: URL) -> AsyncIterator[aiohttp.ClientResponse]:
        """The answer of status 200 to a GET; see `access.Login`."""
        parts = self._parts()
        if parts is None:
            raise FetchLater("away", "the source does not run yet", wait=NOT_YET, away=True)
        async with AsyncExitStack() as stack:
            try:
                # One at a time, so that a password that is rejected is known before the next tries it.
                async with self._one:
                    self._check(parts)
                    async with asyncio.timeout(OPENING):
                        response = await stack.enter_async_context(parts.client.stream("GET", url))
            except UnexpectedStatus as refused:
                raise self._refused(url, parts, refused.answer) from None
            except TimeoutError:
                raise FetchLater("timeout", f"{url.host} gave no answer in time", away=True) from None
            except ConnectionLost as lost:
                raise FetchLater("away", lost.reason, away=True) from None
            yield response

    def _check(self, parts: DeviceParts) -> None:
        left = max(parts.lockout.left, self._until - self._clock.monotonic())
        if left > 0:
            reason = self._reason or "the password was rejected"
            raise FetchLater("login", f"{reason}; no picture is asked for meanwhile", wait=left, away=True)

    def _refused(self, url: URL, parts: DeviceParts, answer: Answer) -> FetchLater:
        """After a 401 nothing is asked for a while: it may be the right to read pictures alone that is missing, so the
        stream's own lock-out is left alone, and yet each may count as a failed login."""
        if answer.status != 401:
            return FetchLater("status", f"{url.host} answers HTTP {answer.status}", away=answer.status == 503)
        if answer.stale:
            return FetchLater("login", f"{url.host} found its challenge too old")
        self._until, self._reason = self._clock.monotonic() + LEAST, parts.advise(answer)
        return FetchLater("login", self._reason, wait=LEAST, away=True)
