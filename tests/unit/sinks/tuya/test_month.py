"""A month of a lot: late events, outages of the cloud, absences and crashes of the pump; both sides end up equal."""

from __future__ import annotations

import copy
import random
from collections import Counter
from contextlib import suppress
from typing import Any

from pump.core.errors import Unavailable
from pump.core.record import Record
from tests.unit.sinks.tuya.lot import HOUR, Site, event, own, site

DAYS = 31
WINDOW = 2 * HOUR
LATEST_HOURS = 60
"""Hours by which a late event may be late."""


class Spool:
    """Arrivals in order, a cursor, and a memory that a kill leaves as some commit has stored it."""

    def __init__(self, here: Site, seed: int) -> None:
        self.here = here
        self.draw = random.Random(f"month/{seed}")
        self.records: list[Record] = []
        self.cursor = 0
        self.truth: Counter[tuple[int, int]] = Counter()
        """Passes by direction and window."""
        self._coming: dict[int, list[tuple[int, int]]] = {}

    def drive(self, hour: int) -> None:
        """The vehicles of one hour pass; some are known at once, some hours later, now and then a whole hour is."""
        begin = self.here.now()
        whole_hour_late = self.draw.random() < 0.03
        for _ in range(self.draw.choice((0, 0, 1, 3, 6))):
            at, direction = begin + self.draw.randrange(HOUR), self.draw.randrange(2)
            self.here.lot.saw(own(at), direction=direction)
            self.truth[direction, at - at % WINDOW] += 1
            late = self.draw.randrange(1, LATEST_HOURS) if whole_hour_late or self.draw.random() < 0.05 else 0
            self._coming.setdefault(hour + late, []).append((at, direction))

    def arrive(self, hour: int) -> None:
        """What comes in this hour is stored."""
        for at, direction in sorted(self._coming.pop(hour, [])):
            seq = len(self.records) + 1
            arrived = max(at, self.here.now())
            self.records.append(event(seq, at, camera=str(1001 + direction), arrived=arrived))

    async def deliver(self, sink: Any, *, kill: bool) -> None:
        """What is not delivered goes to the sink, in batches; a kill may leave cursor and memory behind."""
        before = copy.deepcopy(self.here.memory) if kill else {}
        position = self.cursor
        while position < len(self.records):
            batch = self.records[position : position + self.draw.randrange(1, 20)]
            with suppress(Unavailable):  # it is down, and has counted them
                await sink.send(batch)
            position += len(batch)
        if not kill:
            self.cursor = position
        elif self.draw.random() < 0.5:  # neither was stored; else the memory was, and the cursor was not
            self.here.memory.clear()
            self.here.memory.update(before)


async def test_a_month_of_windows_ends_accepted_and_equal_on_both_sides() -> None:
    async with site() as here:
        spool = Spool(here, 7)
        begin, hours = here.now(), DAYS * 24
        hour = 0
        away = 0
        while hour < hours + LATEST_HOURS:
            async with here.sink(window="2h") as sink:
                for _ in range(spool.draw.randrange(1, 40)):  # hours until the pump stops, is killed, or stands still
                    if hour < hours:
                        spool.drive(hour)
                    spool.arrive(hour)
                    if not away and spool.draw.random() < 0.03:
                        away = spool.draw.randrange(1, 9)
                        await here.cloud.go_away()
                    elif away and not (away := away - 1):
                        await here.cloud.come_back()
                    if spool.draw.random() < 0.1:
                        here.cloud.failures.extend(spool.draw.choices((500, 1010, 1199, 1109, "lost", "HTTP 503"), k=3))
                    if spool.draw.random() < 0.02:
                        here.cloud.forget_tokens()
                    await spool.deliver(sink, kill=False)
                    await here.elapse(sink, 3600, rests=not away, at_least=900.0 if away else 0.0)
                    hour += 1
                await spool.deliver(sink, kill=spool.draw.random() < 0.5)
            for _ in range(spool.draw.choice((0, 0, 1, 5, 30))):  # the pump is down: what comes waits at the vendor
                if hour < hours:
                    spool.drive(hour)
                missed = spool._coming.pop(hour, [])
                spool._coming.setdefault(hour + 1, []).extend(missed)
                here.clock.advance(3600)
                hour += 1
        if away:
            await here.cloud.come_back()
        here.cloud.failures.clear()
        async with here.sink(window="2h") as sink:
            spool.arrive(hour)
            await spool.deliver(sink, kill=False)
            await here.elapse(sink, 3 * 3600 + 600)
        assert not spool._coming
        assert sum(spool.truth.values()) == len(spool.records) > 1000

        assert here.lot.disagreements() == []
        given = {(direction, start): total for (_, direction, start, _), total in here.lot.newest().items()}
        first = min(start for _, start in spool.truth)
        for start in range(first, begin + hours * HOUR, WINDOW):
            for direction in (0, 1):
                assert given[direction, start] == spool.truth[direction, start]
        ends = {end - start for _, _, start, end in here.lot.newest()}
        assert ends == {WINDOW}
        kept = [value for key, value in here.memory.items() if key.startswith("window/")]
        assert all(
            {kind: window["counts"].get(kind, 0) for kind in ("in", "out")} == window["sent"]
            for window in kept
            if window["end"] <= here.now() - 300_000
        )
        assert set(here.cloud.refusals) <= {500, 1010, 1011, 1199, 1109}
