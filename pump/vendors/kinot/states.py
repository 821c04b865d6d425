"""What is known of each device, and the one place where a status meets it.

Statuses of one device are taken one after another, or two in flight would be compared with the same old state and
tell one change twice; those of different devices share their commits.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final

import orjson

from pump.core.clock import Clock
from pump.core.errors import Unavailable
from pump.core.event import Event
from pump.ingest.devices import PREFIX
from pump.ingest.intake import Intake
from pump.ingest.strangers import AGE, DAY, FULL, Acquaintances, Share
from pump.spool import Gap
from pump.vendors.kinot.parse import Outcome, Status, compare, state_key

MOST: Final = 100_000
"""Devices that are remembered; no account has so many, so more are made up."""
RESULTS: Final = 512
"""Results of commands that are remembered by their digests. The spool knows longer, but for some days only."""
_RESULTS: Final = "results"
"""The key of their state."""
SINCE: Final = "since"
"""Of a stranger's state: when it was heard for the first time, ms since 1970. Who is known has none."""


class States:
    """Every device's stored state, kept in memory as the spool has it.

    Whom Kinot signs for or lists is known, and else those of `strangers`: with `accept_unsigned` anybody may push.
    """

    def __init__(self, intake: Intake, clock: Clock, *, every: bool, named: Collection[str] = frozenset()) -> None:
        """`named`: the serial numbers that the configuration has, and "gateway/" with those of gateways."""
        self._intake = intake
        intake.table = self
        self._clock = clock
        self._every = every
        self._known: dict[str, dict[str, Any]] = intake.state(PREFIX)
        self._acquaintances = Acquaintances(named, intake.accepted)
        self._share = Share()
        self._touched: dict[str, float] = {}
        """When the last push about a device was taken, monotonic seconds."""
        for since, key in sorted((row[SINCE], key) for key, row in self._known.items() if row.get(SINCE) is not None):
            self._keep(key, self._known[key] | {SINCE: since})
        self._began = clock.monotonic()
        self._locks: dict[str, asyncio.Lock] = {}
        self._waiting: Counter[str] = Counter()
        self._results: list[str] = [*(intake.state(_RESULTS).get(_RESULTS) or ())]
        self._results_lock = asyncio.Lock()
        self._tasks: set[asyncio.Task[Outcome]] = set()

    def of(self, sn: str) -> dict[str, Any] | None:
        """The stored state of a lock or sensor, None for one that was never seen."""
        return self._known.get(state_key(sn))

    def kind(self, sn: str) -> str | None:
        """lock or sensor, of one that is no stranger; None for one that was never seen."""
        state = self._known.get(state_key(sn))
        return None if state is None or self.stranger(sn) else state.get("facts", {}).get("kind")

    def known(self) -> Iterator[tuple[str, str]]:
        """Kind and number of every device that is no stranger, gateways too."""
        for key, state in self._known.items():
            facts = state.get("facts", {})
            if state.get(SINCE) is None or key.removeprefix(PREFIX) in self._acquaintances:
                yield facts.get("kind", ""), key.rpartition("/")[2]

    def stranger(self, sn: str) -> bool:
        """True for a lock or sensor that nobody knows, be it heard of or not."""
        state = self._known.get(state_key(sn))
        return (state is None or state.get(SINCE) is not None) and sn not in self._acquaintances

    async def take(
        self, status: Status, *, asked: float | None = None, digest: str | None = None, signed: bool = True,
        gap: Gap | None = None,
    ) -> Outcome:  # fmt: skip
        """Compare, store the difference with the new state; returns when both are on disk.

        `asked` is when a status that was read was asked for, monotonic seconds; None: it was pushed, `digest` stands
        for what was, and `signed` is False where anybody may have sent it. A difference helps to fill `gap`. Raises
        Unavailable where the spool refuses; the state stays as it was then.
        """
        # The put may be stored though its caller was cancelled; the state that it stored must then be the one in
        # memory too, so comparing, storing and remembering are one piece that is not cut.
        task = asyncio.create_task(self._take(status, asked, digest, signed, gap), name=f"kinot {status.key}")
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return await asyncio.shield(task)

    async def take_result(self, event: Event, digest: str, *, signed: bool = True) -> None:
        """Store a command's result, but not one that was stored before; `digest` stands for its content.

        An unsigned one is a stranger's, whatever device it names. Its time says nothing: it may be that of the
        device's last change. Raises Unavailable.
        """
        async with self._results_lock:
            if digest in self._results:
                self._intake.count("duplicate")
                return
            results = [*self._results, digest][-RESULTS:]
            put = self._intake.put if signed else partial(self._intake.put, stranger=True)
            await put(event, state={_RESULTS: results})
            self._results = results

    def _done(self, task: asyncio.Task[Outcome]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # whoever waited has it; nobody did where they were cancelled, and the device tries again

    @asynccontextmanager
    async def _alone(self, key: str) -> AsyncIterator[None]:
        """One at a time for each device."""
        self._waiting[key] += 1
        try:
            async with self._locks.setdefault(key, asyncio.Lock()):
                yield
        finally:
            self._waiting[key] -= 1
            if not self._waiting[key]:  # whoever sends makes up devices: none may leave anything behind
                del self._waiting[key], self._locks[key]

    async def _take(
        self, status: Status, asked: float | None, digest: str | None, signed: bool, gap: Gap | None
    ) -> Outcome:
        key = status.key
        trusted = signed or asked is not None
        if trusted and key not in self._known and len(self._known) - len(self._share) >= MOST:
            raise Unavailable(f"more than {MOST} devices")
        async with self._alone(key):
            state = self._known.get(key)
            if asked is not None and self._overtaken(status, state, asked):
                return "old"
            since = None if state is None else state.get(SINCE)
            if state is not None:
                state = {name: value for name, value in state.items() if name != SINCE}
            reconciled = asked is not None and status.kind != "gateway"
            ahead = self._intake.ahead
            result = compare(status, state, every=self._every, reconciled=reconciled, ahead=ahead, digest=digest)
            row, met = result.state, self._since(key, since, new=state is None, trusted=trusted)
            if row is None and met != since:
                row = state  # nothing but that it is known now
            if row is not None and met is not None:
                row = {**row, SINCE: met}
            if result.events or row is not None:
                stored = {} if row is None else {key: row}
                if gap is not None:
                    await self._intake.gaps.fill(gap, result.events, stored)
                else:
                    put = self._intake.put if met is None else partial(self._intake.put, stranger=True)
                    await put(*result.events, state=stored)
            if row is not None:
                self._keep(key, row)
            if asked is None and key in self._known:
                self._touched[key] = self._clock.monotonic()
            self._age()
            if result.outcome != "first":
                missed = result.outcome == "changed" and asked is not None and status.kind != "gateway"
                self._intake.count("missed" if missed else result.outcome)
            return result.outcome

    # --- who is known -----------------------------------------------------------------------------------------------

    def _since(self, key: str, since: int | None, *, new: bool, trusted: bool) -> int | None:
        """When the stranger was heard for the first time, None where the device is known (from now on)."""
        if trusted or key.removeprefix(PREFIX) in self._acquaintances or (since is None and not new):
            return None
        if since is None:
            return self._clock.now_ms()
        if len(self._known) - len(self._share) >= MOST:
            return since
        return None if any(begin <= since < end for begin, end in self._clock.ages.old(DAY)) else since

    def _keep(self, key: str, row: dict[str, Any]) -> None:
        """Have this state in memory; where it is one stranger's too many, others are forgotten."""
        self._known[key] = row
        if row.get(SINCE) is None:
            self._share.drop(key)
            return
        self._share.count(key, len(key) + len(orjson.dumps(row)))
        while (oldest := self._share.surplus()) is not None:
            self._forget(oldest)
            self._intake.count("stranger_forgotten")
            self._intake.devices_full(FULL, known=len(self._known) - len(self._share), strangers=len(self._share))

    def _forget(self, key: str) -> None:
        """Remove a stranger from memory and from the stored state."""
        self._share.drop(key)
        if key.removeprefix(PREFIX) in self._acquaintances:
            return
        del self._known[key]
        self._touched.pop(key, None)
        self._intake.forget(key, key.rpartition("/")[2])

    def names(self, key: str) -> bool:
        """See `Table`."""
        return self._acquaintances.named(key)

    async def forget(self, key: str) -> None:
        """See `Table`."""
        row = PREFIX + key
        async with self._alone(row):
            if row in self._known:
                self._forget(row)

    def _age(self) -> None:
        """Forget the strangers of which nothing came for too long; a run counts from its beginning."""
        now = self._clock.monotonic()
        while (key := self._share.oldest) is not None and now - self._touched.get(key, self._began) >= AGE:
            self._forget(key)
            self._intake.count("stranger_aged")

    def _overtaken(self, status: Status, state: dict[str, Any] | None, asked: float) -> bool:
        """Whether a push came while the list was on its way, and the list's time does not say which is newer."""
        if state is None or self._touched.get(status.key, -1.0) < asked:
            return False
        at = state.get("at")
        return status.stamp is None or at is None or status.moment(self._intake.ahead) <= at
