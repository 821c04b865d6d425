"""The order of fetches: each when it is due, so many of a host and in all at a time, the first to die first.

A host that is away is asked by one link at a time, with growing waits; its other links wait for that one's luck.
"""

from __future__ import annotations

import heapq
import random
from dataclasses import dataclass, field
from itertools import count
from typing import Final

from pump.core.backoff import Backoff
from pump.spool import Fetch
from pump.spool.tables.fetches import Name

FIRST: Final = 1.0
LONGEST: Final = 30.0
"""Seconds of the first and the longest wait, drawn evenly from nought on."""
LAST: Final = 5.0
"""Seconds before a link's death in which the last try is due, where the backoff would wait beyond it."""


@dataclass(slots=True, eq=False)
class Job:
    """One link on its way; times are monotonic seconds."""

    fetch: Fetch
    host: str
    deadline: float
    backoff: Backoff | None = None
    """From its first failure on: most have none."""
    tries: int = 0
    reason: str = ""
    """Of the last failure."""
    waiting: bool = True
    asking: bool = False
    """Its host works for it."""


@dataclass(slots=True, eq=False)
class _Host:
    backoff: Backoff
    later: list[tuple[float, int, Job]] = field(default_factory=list)
    due: list[tuple[float, int, Job]] = field(default_factory=list)
    """By their deadlines."""
    active: int = 0
    storing: int = 0
    closed_until: float = 0.0
    away: bool = False

    def first(self) -> Job | None:
        """The next that is due; those that were dropped are passed over."""
        while self.due and not self.due[0][2].waiting:
            heapq.heappop(self.due)
        return self.due[0][2] if self.due else None


class Schedule:
    """All links that wait. Pure but for the randomness of its waits."""

    def __init__(self, *, per_host: int, at_once: int, rng: random.Random | None = None) -> None:
        self._per_host = per_host
        self._at_once = at_once
        self._rng = rng or random.Random()  # one for all: each would be seeded by the system, which takes 0.4 ms
        self._hosts: dict[str, _Host] = {}
        self._jobs: dict[Name, Job] = {}
        self._numbers = count()
        self.active = 0
        """Links that are being asked now."""

    @property
    def away(self) -> list[str]:
        """The hosts that are away."""
        return [name for name, host in self._hosts.items() if host.away]

    def add(self, fetch: Fetch, host: str, deadline: float) -> None:
        """Have it asked as soon as may be; in the place of an older one of its name that is not being asked."""
        self.drop(fetch.name)
        job = Job(fetch, host, deadline)
        self._jobs[fetch.name] = job
        self._push(job, None)

    def drop(self, name: Name) -> bool:
        """Forget it; False where it does not wait here: one that is being asked ends on its own."""
        if (job := self._jobs.pop(name, None)) is not None:
            job.waiting = False
        return job is not None

    def _push(self, job: Job, at: float | None) -> None:
        host = self._hosts.setdefault(job.host, _Host(Backoff(FIRST, LONGEST, self._rng)))
        number = next(self._numbers)
        if at is None:
            heapq.heappush(host.due, (job.deadline, number, job))
        else:
            heapq.heappush(host.later, (at, number, job))

    def ready(self, now: float) -> tuple[list[Job], list[Job]]:
        """(Those to be asked now, those whose time is over); neither is known to the schedule afterwards.

        One that was never asked is asked once, be its time over, unless its host is away: clocks may be wrong.
        """
        ask: list[Job] = []
        dead: list[Job] = []
        for name, host in list(self._hosts.items()):
            while host.later and host.later[0][0] <= now:
                job = heapq.heappop(host.later)[2]
                if job.waiting:
                    self._push(job, None)
            while (first := host.first()) is not None and first.deadline <= now and (first.tries or host.away):
                dead.append(self._pop(host))
            room = 1 if host.away else self._per_host
            while host.closed_until <= now and host.active < room and self.active < self._at_once and host.first():
                job = self._pop(host)
                job.asking = True
                ask.append(job)
                host.active += 1
                self.active += 1
            if not (host.later or host.due or host.active or host.storing):
                del self._hosts[name]
        return ask, dead

    def _pop(self, host: _Host) -> Job:
        job = heapq.heappop(host.due)[2]
        job.waiting = False
        self._jobs.pop(job.fetch.name, None)
        return job

    def next(self, now: float) -> float | None:
        """When something is due, for who has looked at `ready`; None: nothing until something changes."""
        times: list[float] = []
        for host in self._hosts.values():
            if host.later:
                times.append(host.later[0][0])
            if (first := host.first()) is not None:
                if host.closed_until > now:
                    times.append(host.closed_until)
                if first.deadline > now:
                    times.append(first.deadline)
        return min(times, default=None)

    def answered(self, job: Job) -> None:
        """Its host has given all of it; it counts as active until it has ended."""
        job.asking = False
        host = self._hosts[job.host]
        host.active -= 1
        host.storing += 1

    def ended(self, job: Job, *, there: bool) -> None:
        """It is not being asked any more; `there`: its host has answered."""
        self.active -= 1
        host = self._hosts[job.host]
        if job.asking:
            host.active -= 1
        else:
            host.storing -= 1
        job.asking = False
        if there:
            host.away, host.closed_until = False, 0.0
            host.backoff.reset()

    def close(self, name: str, now: float, wait: float | None = None) -> None:
        """The host is away, or wants to be left in peace for `wait` seconds."""
        host = self._hosts[name]
        if host.closed_until <= now or wait is not None:  # those that failed together are one failure
            drawn = host.backoff.next()
            host.closed_until = max(host.closed_until, now + (drawn if wait is None else wait))
        host.away = True

    def again(self, job: Job, now: float, wait: float | None = None) -> bool:
        """Have it asked once more after its wait; False where it would be dead by then."""
        if job.fetch.name in self._jobs:
            return True  # a link signed afresh has its place
        job.backoff = job.backoff or Backoff(FIRST, LONGEST, self._rng)
        drawn = job.backoff.next()
        at = now + (drawn if wait is None else wait)
        if at >= job.deadline:
            at = job.deadline - LAST
            if at <= now:
                return False
        job.waiting = True
        self._jobs[job.fetch.name] = job
        self._push(job, at)
        return True
