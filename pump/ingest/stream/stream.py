"""The life of an endless multipart response: open, watch, read, lose, store the gap, open again.

A vendor gives a `StreamHandler` and a `DigestClient`; `Stream.run` does the rest:

- each connection has a digest login with a fresh challenge; a rejected password waits 10 minutes, also over a restart
  of the process, unless it was changed meanwhile;
- any bytes are a sign of life. Silence for `heartbeat_timeout`, or a part that is unfinished after three of them,
  breaks the link. Only time spent reading counts: while `put` waits for a spool that refuses, nothing is read, the
  link stands, and the vendor is held back by TCP;
- a link that carried something is opened again within a second, a refused connection or a silent device is tried
  every 2 s, all else backs off to 60 s, or waits as long as the handler's `RetryAdvice` says;
- time without a link, the process's own downtime included, becomes one `pump.gap` when the link is back.
"""

from __future__ import annotations

from typing import Final

import structlog

from pump.core.backoff import Backoff
from pump.core.clock import Clock
from pump.core.errors import Misconfigured, bare
from pump.ingest.stream.client import Answer, ConnectionLost, DigestClient, UnexpectedStatus
from pump.ingest.stream.connection import LOSSES, UNFINISHED, Renewed, StreamConnection, StreamOptions
from pump.ingest.stream.handler import RetryAdvice, StreamHandler, StreamRefused
from pump.ingest.stream.intake import StreamIntake
from pump.ingest.stream.liveness import ReadTimeout
from pump.ingest.stream.lockout import KEY, STALE, LoginLockout

log = structlog.get_logger()

CUT: Final = (0.8, 60.0)
"""The first and the longest wait, in seconds, after a cut and after what has no wait of its own."""
ABSENT: Final = (1.0, 1.8)
"""The same after a refused connection and after silence."""


class Stream:
    """One stream's life. Make it once a source, outside `run`: it remembers over runs when the link was lost."""

    def __init__(
        self,
        store: StreamIntake,
        client: DigestClient,
        handler: StreamHandler,
        *,
        clock: Clock,
        lockout: LoginLockout,
        options: StreamOptions | None = None,
    ) -> None:
        self.store = store
        self._client = client
        self._handler = handler
        self._clock = clock
        self._lockout = lockout
        self._options = options or StreamOptions()
        self._logged = ""
        """Why the link was lost or could not be had, as the log last said."""
        self._stale = 0
        """Expired challenges in a row."""
        self._cut = Backoff(*CUT)
        self._absent = Backoff(*ABSENT)

    @property
    def connected(self) -> bool:
        """True while the link is up."""
        return self.store.connected

    def hurry(self) -> None:
        """A password that was rejected may be tried again now."""
        self._lockout.hurry()

    async def run(self) -> None:
        """For ever. Raises `Misconfigured` for a rejected password, and what the handler raises."""
        intake, outage = self.store.intake, self.store.outage
        outage.alive = outage.alive or intake.last_activity
        intake.component.expects = UNFINISHED * self._options.heartbeat_timeout + 90.0
        self._lockout.load(intake.state(KEY))
        while True:
            self._lockout.check()
            wait = await self._once()
            intake.count("reconnect")
            await self._clock.sleep(wait)

    def renew(self) -> None:
        """Break the link and open it again at once: what is asked for has changed. Called from anywhere."""
        self._handler.renewal.set()

    # --- one connection -------------------------------------------------------------------------------------------

    async def _once(self) -> float:
        """Connect and read until the link is lost; the seconds to wait before the next."""
        self._handler.renewal.clear()
        connection = StreamConnection(
            self.store, self._client, self._handler, clock=self._clock, lockout=self._lockout, options=self._options
        )
        failure: Exception | None = None
        try:
            await connection.run()
        except LOSSES as error:
            failure = bare(error)
        if connection.answered:
            self._stale = 0
        if connection.carried:
            self._absent.reset()
        if isinstance(failure, UnexpectedStatus):
            return await self._refused(failure.answer)
        if isinstance(failure, StreamRefused):
            return await self._postponed(failure.retry, None)
        return self._lost(failure, connection)

    def _lost(self, failure: Exception | None, connection: StreamConnection) -> float:
        peer, intake = self._options.peer, self.store.intake
        reason = f"the {peer} ended the stream"
        if isinstance(failure, ReadTimeout):
            reason = f"the {peer} was silent for {connection.watchdog.timeout:g} s"
        elif isinstance(failure, ConnectionLost):
            reason = failure.reason
        # Silence has taken its time already: an attempt that hangs is answered as soon as the device is back.
        soon = isinstance(failure, ReadTimeout) or (isinstance(failure, ConnectionLost) and failure.refused)
        self.store.outage.lost(reason)
        if connection.carried or reason != self._logged:  # a device that stays away is tried every 2 s: once is enough
            log.info("The stream's link is lost", source=intake.name, reason=reason)
        self._logged = reason
        if connection.carried:
            self._cut.reset()
        if isinstance(failure, Renewed):
            return 0.0
        intake.down(reason)
        return self._absent.next() if soon else self._cut.next()

    # --- what an answer means -------------------------------------------------------------------------------------

    async def _refused(self, answer: Answer) -> float:
        retry = self._handler.refused(answer)
        if retry.rejected is None:
            rejected = answer.status == 401 and not (answer.stale and self._stale < STALE)
            retry = RetryAdvice(retry.reason, retry.wait, rejected)
        self._stale = self._stale + 1 if answer.stale else 0
        return await self._postponed(retry, answer.status)

    async def _postponed(self, retry: RetryAdvice, status: int | None) -> float:
        intake, outage, peer = self.store.intake, self.store.outage, self._options.peer
        if retry.rejected:
            outage.lost("the password was rejected")
            await self._lockout.reject(retry, self.store)
            raise Misconfigured(retry.reason, retry_after=self._lockout.left)
        outage.lost(f"the {peer} {'has no stream to give' if status is None else f'answered HTTP {status}'}")
        intake.down(retry.reason)
        log.warning("The stream is refused", source=intake.name, status=status, advice=retry.reason)
        return self._cut.next() if retry.wait is None else retry.wait
