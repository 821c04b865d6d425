"""Tuya parking: one lot is asked to agree, window by window, on how many vehicles passed and bills were made.

`send` only counts: the ledger is the sink's durable memory, and an event counted there is delivered. Reports are made
while there is nothing to send, so that every stored event is in the counts before a window is reported: `watch` begins
a call, and the call goes on beside whatever comes meanwhile. A lot that is away keeps no event waiting in the spool.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import MutableMapping
from types import TracebackType
from typing import Any, Final, Self

import structlog

from pump.commands.calls import JSON, PATIENCE, RawAnswer, RawCall
from pump.commands.contract import Command
from pump.commands.trial import Trial
from pump.core.backoff import Backoff
from pump.core.clock import Clock
from pump.core.errors import Gone, Misconfigured, Refusal, Unavailable
from pump.core.record import Batch, State
from pump.sink import Sink
from pump.sinks.tuya.answers import Action, CallFailed
from pump.sinks.tuya.client import Account, Info, TuyaClient
from pump.sinks.tuya.ledger import Ledger
from pump.sinks.tuya.passes import Meaning, Nameless
from pump.sinks.tuya.settings import TuyaSettings
from pump.sinks.tuya.windows import DIRECTIONS, Report

log = structlog.get_logger()

OWN: Final = ("/v1.0/token",)
"""The call that the sink alone makes."""
NAMELESS: Final = "nameless"
"""Of the memory's keys: passes by camera of which nobody says which way they went."""
MOST_NAMELESS: Final = 100
"""Cameras that are remembered so."""
STUBBORN: Final = 10
"""Refusals of one report in a row, for no reason of its own, after which others go first."""
_ASIDE: Final = {Action.ASIDE: (60.0, 300.0, 900.0, 3600.0), Action.LATER: (60.0, 300.0)}
"""Seconds that a refused report waits aside, the first time and so on; the last one counts for all others."""
_WRONG_WAIT: Final = 60.0
"""Seconds until a cloud is tried again that only a person can content."""


class TuyaSink(Sink[TuyaSettings]):
    """Counts for one lot."""

    Settings = TuyaSettings
    watches = True

    def __init__(self, name: str, settings: TuyaSettings, *, state: State | None, clock: Clock, site: str) -> None:
        super().__init__(name, settings, state=state, clock=clock, site=site)
        self._memory: MutableMapping[str, Any] = {}
        self._meaning = Meaning(settings.directions, settings.bills)
        self._backoff = Backoff()
        self._away = ""
        """Why the newest call came to nothing; "" while the cloud answers."""
        self._failed: tuple[tuple[int, int], int] | None = None
        """The report that was refused last, and how often in a row."""
        self._asides: Counter[tuple[int, int]] = Counter()
        self._calling: asyncio.Task[None] | None = None

    def recall(self, memory: MutableMapping[str, Any]) -> None:
        """The ledger lies there, and the token."""
        self._memory = memory

    async def __aenter__(self) -> Self:
        """Read the ledger; nobody is called yet."""
        settings = self.settings
        self._ledger = Ledger(
            self._memory,
            window_ms=settings.window_ms,
            lag_ms=settings.lag_ms,
            named=frozenset(settings.directions.values()),
            able=("in", "out", "bill") if settings.bills else ("in", "out"),
            clock=self.clock,
        )
        self._client = self._made()
        await self._client.__aenter__()
        return self

    def _made(self) -> TuyaClient:
        settings = self.settings
        client_id, secret = settings.client_id.get_secret_value(), settings.client_secret.get_secret_value()
        account = Account(settings.host, client_id, secret, settings.timeout)
        return TuyaClient(account, self._memory, clock=self.clock, naming=settings.naming)

    async def try_out(self, trial: Trial) -> None:
        """As Sink.try_out: a token is asked for, and not kept; should it end a daemon's, that asks anew."""
        trial.not_tried.append("reporting counts: the lot would keep them")
        client = self._made()
        async with client:
            try:
                await client.log_in()
            except CallFailed as failure:
                wrong = failure.action is Action.WRONG
                raise (Misconfigured if wrong else Unavailable)(str(failure)) from None
            finally:
                if client.date:
                    trial.clock(client.date, self.clock.now())
        trial.found.append("the client id and its secret are accepted")

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the call that is on its way: what the lot took of it and did not say is reported again."""
        calling, self._calling = self._calling, None
        if calling is not None:
            calling.cancel()
            await asyncio.wait({calling})
            if not calling.cancelled():
                calling.exception()
        await self._client.__aexit__(kind, error, trace)

    async def send(self, batch: Batch) -> State | None:
        """Count the batch. Raises Unavailable with all of it done where the cloud is away: the sink stays down."""
        left_out: Counter[str] = Counter()
        repeated = 0
        for record in batch:
            found = self._meaning.of(record)
            if isinstance(found, Nameless):
                left_out["no direction"] += 1
                self._note_nameless(found.camera)
            elif found is not None:
                why = self._ledger.count(found.kind, found.at, record.seq, record.recorded)
                if why == "repeated":
                    repeated += 1
                elif why:
                    left_out[why] += 1
        self.duplicates, self.left_out = repeated, left_out
        if self._away:
            raise Unavailable(self._away, done=[record.seq for record in batch])
        return None

    async def call(self, command: Command, call: RawCall) -> RawAnswer:
        """As Sink.call, with the project's signature and token."""
        if call.below(OWN):
            raise Refusal("the token is the sink's own")
        if call.content_type != JSON:
            raise Refusal(f"Tuya takes {JSON} alone")
        try:
            return await self._client.raw(call, command.sending, command.remaining + PATIENCE)
        except CallFailed as failure:
            raise Unavailable(str(failure)) from None

    def _note_nameless(self, camera: str) -> None:
        known: dict[str, int] = dict(self._memory.get(NAMELESS, {}))
        if camera not in known:
            if len(known) >= MOST_NAMELESS:
                return
            log.warning(
                "A camera's passes are not counted, for directions does not name it", sink=self.name, camera=camera
            )
        self._memory[NAMELESS] = {**known, camera: known.get(camera, 0) + 1}

    async def watch(self) -> State | None:
        """Report what is due, one window after another; returns once a cloud that was away answers again."""
        while True:
            if self._calling is None:
                report = self._ledger.next()
                if report is None and self._away and not self._ledger.holds_back:
                    self._away = ""  # what it was away for is no longer due, such as under a clock that was wrong
                    return None
                if report is None:
                    await self.clock.sleep(self._ledger.wait())
                    continue
                self._calling = asyncio.create_task(self._report(report), name=f"sink {self.name} reports")
            calling = self._calling
            # a wait alone: what ends this watch, an event that came, must not end the call
            await asyncio.wait({calling})
            self._calling = None
            calling.result()
            if self._away:
                self._away = ""
                return None

    async def _report(self, report: Report) -> None:
        """One report to its end. Raises what `watch` raises."""
        window = report.window
        infos = [Info(count, window.start, window.end, DIRECTIONS[kind]) for kind, count in report.counts.items()]
        try:
            sn = await self._client.sync(self.settings.device_id, report.data_type, infos)
        except CallFailed as failure:
            self._refused(report, failure)
            return
        self._failed = None
        self._asides.pop(report.name, None)
        self._backoff.reset()
        self._ledger.accepted(report, sn)
        log.debug(
            "A lot has taken a window's counts",
            sink=self.name, start_ms=window.start, data_type=report.data_type, counts=report.counts, sn=sn,
        )  # fmt: skip

    def _refused(self, report: Report, failure: CallFailed) -> None:
        """Act as the failure asks. Raises Unavailable, Misconfigured, Gone; returns where the next report may go."""
        reason = f"the lot's cloud: {failure}"
        if failure.action is Action.NEVER:
            raise Gone(f"this lot does not take part: {failure}")
        if failure.action is Action.WRONG:
            raise Misconfigured(reason, retry_after=_WRONG_WAIT)
        before, count = self._failed or (report.name, 0)
        count = count + 1 if before == report.name and failure.answered else int(failure.answered)
        self._failed = report.name, count
        if failure.action is Action.ASIDE or count >= STUBBORN:
            waits = _ASIDE[Action.ASIDE if failure.action is Action.ASIDE else Action.LATER]
            seconds = waits[min(self._asides[report.name], len(waits) - 1)]
            self._asides[report.name] += 1
            self._failed = None
            self._ledger.set_aside(report, str(failure), seconds)
            log.error(
                "A lot refuses a window's counts, which are reported again later",
                sink=self.name, start_ms=report.window.start, reason=str(failure), wait_s=seconds,
            )  # fmt: skip
            if failure.action is Action.ASIDE:
                return
        self._away = reason
        wait = self._backoff.next() if failure.retry_after is None else failure.retry_after
        raise Unavailable(reason, retry_after=wait)
