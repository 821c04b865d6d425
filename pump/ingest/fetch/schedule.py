"""The order of fetches: each when it is due, so many of a host and in all at a time, the first to die first.

A host that is away is asked by one link at a time, with growing waits; its other links wait for that one's luck. Links
that strangers sent come behind all others of their host, and take half of the places at the most.
"""

from __future__ import annotations

import heapq
import random
from collections import deque
from dataclasses import dataclass, field
from itertools import count
from typing import Final

from pump.core.backoff import Backoff
from pump.spool import Fetch
from pump.spool.tables.fetches import Name

FIRST: Final = 1.0
LONGEST: Final = 30.0
"""Seconds of the first and the longest wait, drawn evenly from nought on."""
PARTS: Final = 144
"""Of a long life, as long as the longest wait is: a camera's link, which may live for a day, is not asked for all day
each half minute where its answer stays the same. A host that is away is asked as often as ever."""
LAST: Final = 5.0
"""Seconds before a link's death in which the last try is due, where the backoff would wait beyond it."""
BURST: Final = 8
"""Links of a host that are asked at one moment. More of a near host only get in each other's way: all end late, and the
disk waits for the first of them."""
PACE: Final = 0.05
"""Seconds after which a host is far enough away for as many more."""
_LINES: Final = (0, 1)
"""Of `_Host.due`."""


@dataclass(slots=True, eq=False)
class Job:
    """One link on its way; times are monotonic seconds."""

    fetch: Fetch
    host: str
    deadline: float
    longest: float
    """Seconds that it waits between two tries at the most."""
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
    due: tuple[list[tuple[float, int, Job]], list[tuple[float, int, Job]]] = field(default_factory=lambda: ([], []))
    """By their deadlines; strangers' in the second."""
    active: int = 0
    strange: int = 0
    """Strangers' of the active ones."""
    storing: int = 0
    closed_until: float = 0.0
    away: bool = False
    begun: deque[float] = field(default_factory=lambda: deque(maxlen=BURST))
    """When the last of them were asked."""

    @property
    def paced_until(self) -> float:
        """When one more may be asked."""
        return self.begun[0] + PACE if self.active >= BURST and len(self.begun) == BURST else 0.0

    def first(self, line: int) -> Job | None:
        """The next that is due in one of `due`; those that were dropped are passed over."""
        due = self.due[line]
        while due and not due[0][2].waiting:
            heapq.heappop(due)
        return due[0][2] if due else None


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
        self._strange = 0
        """Strangers' of them."""

    @property
    def away(self) -> list[str]:
        """The hosts that are away."""
        return [name for name, host in self._hosts.items() if host.away]

    def add(self, fetch: Fetch, host: str, deadline: float, now: float) -> None:
        """Have it asked as soon as may be; in the place of an older one of its name that is not being asked."""
        self.drop(fetch.name)
        job = Job(fetch, host, deadline, max(LONGEST, (deadline - now) / PARTS))
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
            heapq.heappush(host.due[job.fetch.stranger], (job.deadline, number, job))
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
            for line in _LINES:
                while (first := host.first(line)) is not None and first.deadline <= now and (first.tries or host.away):
                    dead.append(self._pop(host, line))
            while max(host.closed_until, host.paced_until) <= now and (place := self._free(host)) is not None:
                ask.append(self._pop(host, place))
                ask[-1].asking = True
                host.begun.append(now)
                self._count(host, ask[-1], 1)
                self._strange += place
                self.active += 1
            if not (host.later or any(host.due) or host.active or host.storing):
                del self._hosts[name]
        return ask, dead

    def _free(self, host: _Host) -> int | None:
        """The line of the host whose first may be asked now."""
        room = 1 if host.away else self._per_host
        if host.active >= room or self.active >= self._at_once:
            return None
        if host.first(0) is not None:
            return 0
        free = host.strange < max(1, room // 2) and self._strange < max(1, self._at_once // 2)
        return 1 if free and host.first(1) is not None else None

    def _count(self, host: _Host, job: Job, change: int) -> None:
        host.active += change
        host.strange += change * job.fetch.stranger

    def _pop(self, host: _Host, line: int) -> Job:
        job = heapq.heappop(host.due[line])[2]
        job.waiting = False
        self._jobs.pop(job.fetch.name, None)
        return job

    def next(self, now: float) -> float | None:
        """When something is due, for who has looked at `ready`; None: nothing until something changes."""
        times: list[float] = []
        for host in self._hosts.values():
            if host.later:
                times.append(host.later[0][0])
            for line in _LINES:
                if (first := host.first(line)) is not None:
                    found = (host.closed_until, host.paced_until, first.deadline)
                    times += [time for time in found if time > now]
        return min(times, default=None)

    def answered(self, job: Job) -> None:
        """Its host has given all of it; it counts as active until it has ended."""
        job.asking = False
        host = self._hosts[job.host]
        self._count(host, job, -1)
        host.storing += 1

    def ended(self, job: Job, *, there: bool) -> None:
        """It is not being asked any more; `there`: its host has answered."""
        self.active -= 1
        self._strange -= job.fetch.stranger
        host = self._hosts[job.host]
        if job.asking:
            self._count(host, job, -1)
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

    def again(self, job: Job, now: float, wait: float | None = None, *, away: bool = False) -> bool:
        """Have it asked once more after its wait; False where it would be dead by then. `away`: its host was."""
        if job.fetch.name in self._jobs:
            return True  # a link signed afresh has its place
        job.backoff = job.backoff or Backoff(FIRST, job.longest, self._rng)
        drawn = min(job.backoff.next(), LONGEST) if away else job.backoff.next()
        at = now + (drawn if wait is None else wait)
        if at >= job.deadline:
            at = job.deadline - LAST
            if at <= now:
                return False
        job.waiting = True
        self._jobs[job.fetch.name] = job
        self._push(job, at)
        return True
