"""Conservation: what was acknowledged is delivered, a dead letter, or inside a loss that was reported; for each sink.

Pure: it is given what the vendors account for and what the sinks' peers have, and says what does not add up.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from tests.chaos.harness.account import Due, Held, Key, Seen

SLACK: Final = 0.3
"""Seconds by which a gap may begin after, or end before, a message that it stands for: stamps are rounded."""
JUMPED: Final = 2.5
"""The same where the clock has jumped: times from before are given by the clock of now, within two seconds
(docs/clocks.md)."""
NEAR: Final = 30.0
"""Seconds between a jump of the clock and what is missing, where the gap has no width."""
SHOWN: Final = 5
"""Events that one sentence names."""
STOPPING: Final = "pump.stopping"
"""The last event of a run: it may still be on its way when the daemon ends."""
GAP, REPAIRED = "pump.gap", "pump.spool.repaired"
_LETTERS: Final = re.compile(r"damaged rows were set aside: [^(;]*?\b(\d+) of dead\b[^(;]*(?:\(([^)]*)\))?")
"""Of a repair's reason: the number of dead letters that were set aside, and the names of some of all such rows."""
_TORN: Final = re.compile(r"what could not be read of [^;]*\bdead\b")
"""Of a repair's reason: dead letters that nobody could count."""


@dataclass(slots=True)
class Account:
    """All that is known besides what the sinks have."""

    due: Sequence[Due]
    offsets: Sequence[float] = (0.0,)
    """All differences that the daemon's clock ever had from the right one, seconds."""
    jumps: Sequence[float] = ()
    """When it jumped, by the right clock."""
    damaged: Sequence[tuple[float, float]] = ()
    """When bytes of the spool were flipped: from the daemon's end to when its sources were back, by the right clock."""


@dataclass(slots=True)
class Verdict:
    """The oracle's."""

    wrong: list[str] = field(default_factory=list)
    """A sentence for each thing that does not add up."""
    events: int = 0
    due: Counter[str] = field(default_factory=Counter)
    """By source: what had to be there."""
    in_gaps: Counter[str] = field(default_factory=Counter)
    """By source: what is missing, inside a gap that was reported."""
    gaps: Counter[str] = field(default_factory=Counter)
    """Gaps by source."""
    lost: int = 0
    """Events that the spool reported as lost by damage."""
    repaired: int = 0
    again: Counter[str] = field(default_factory=Counter)
    """By sink: how many events came more than once."""
    dead: Counter[str] = field(default_factory=Counter)
    """By sink."""


def judge(account: Account, sinks: Mapping[str, Held]) -> Verdict:
    """Count everything."""
    found = Verdict()
    every = _merged(sinks, found)
    found.events = len(every)
    reported = _Reported(account, every.values(), sinks, found)
    for due in account.due:
        found.due[due.source] += 1
    found.wrong += _doubled_records(every.values(), reported)
    for name, held in sinks.items():
        found.dead[name] = len(held.dead)
        found.wrong += _sink(name, held, every, account.due, reported, found)
    # The first sink's word for what no sink has, for it has no dead letters.
    first = next(iter(sinks.values()))
    has = {(one.source, one.identity) for one in first.events}
    for due in account.due:
        if due[:2] not in has and reported.covers(due):
            found.in_gaps[due.source] += 1
    return found


def _merged(sinks: Mapping[str, Held], found: Verdict) -> dict[Key, Seen]:
    """Every event that any sink has; one id with two contents is wrong."""
    every: dict[Key, Seen] = {}
    two: dict[Key, str] = {}
    for name, held in sinks.items():
        for event in held.events:
            if every.setdefault(event.key, event).digest != event.digest:
                two[event.key] = name
    if two and not _damage(every.values()):
        found.wrong.append(
            f"{len(two)} ids have two contents: {_some(f'{key} in {name}' for key, name in two.items())}"
        )
    return every


def _damage(events: Iterable[Seen]) -> bool:
    """Has the spool lost events that some sinks had already? A vendor that sends one again makes it anew then."""
    return any(event.type == REPAIRED and int(event.data.get("lost") or 0) for event in events)


class _Reported:
    """The losses that the pump has reported."""

    def __init__(self, account: Account, events: Iterable[Seen], sinks: Container[str], found: Verdict) -> None:
        self._sinks = sinks
        self._offsets = account.offsets
        self._jumps = account.jumps
        self._slack = JUMPED if account.jumps else SLACK
        self._spans: defaultdict[str, list[tuple[float, float]]] = defaultdict(list)
        self._damaged = account.damaged
        self.by_sink: Counter[str] = Counter()
        self._letters: Counter[str] = Counter()
        self._nameless = 0.0
        """Dead letters that were lost, without a sink's name."""
        for event in events:
            if event.type == REPAIRED:
                found.repaired += 1
                self._note_letters(str(event.data.get("reason")))
            if event.type != GAP:
                continue
            found.gaps[event.source] += 1
            if event.source != "pump":
                span = (datetime.fromisoformat(event.data[name]).timestamp() for name in ("from", "to"))
                self._spans[event.source].append((next(span), next(span)))
            elif (sink := event.data.get("sink")) is not None:
                self.by_sink[sink] += int(event.data.get("count") or 0)
            else:
                found.lost += int(event.data.get("count") or 0)
        self.lost = found.lost
        self.repaired = found.repaired

    def covers(self, due: Due) -> bool:
        """Does a gap of its source hold it?"""
        if due.since is None or due.until is None:
            return False  # it was acknowledged: no gap excuses that
        spans = self._spans[due.source]
        for ahead in self._offsets:
            since, until = due.since + ahead - self._slack, due.until + ahead + self._slack
            if any(begin <= until and since <= end for begin, end in spans):
                return True
        # A gap over a clock that was set back while the pump did not run has no width (docs/clocks.md).
        if any(begin == end for begin, end in spans) and any(abs(jump - due.until) < NEAR for jump in self._jumps):
            return True
        # Where a flipped byte took the note of the last sign of life, the repair is all that can be reported.
        return self.repaired > 0 and any(begin <= due.until and due.since <= end for begin, end in self._damaged)

    def _note_letters(self, reason: str) -> None:
        """Count the dead letters that a repair set aside; named as "number/sink", the first few of them."""
        for count, names in _LETTERS.findall(reason):
            parts = [name.partition("/") for name in names.split(", ")]
            named = Counter(sink for number, _, sink in parts if number.isdigit() and sink in self._sinks)
            self._letters += named
            self._nameless += max(0, int(count) - named.total())
        if _TORN.search(reason):  # a whole page, say
            self._nameless = math.inf

    def excused_letters(self, name: str, held: Held, every: Iterable[Key], got: Container[Key]) -> set[Key]:
        """Of what the sink never takes and has no dead letter of: as many as repairs have reported letters lost."""
        gone = sorted(key for key in every if key not in got and key not in held.dead and held.refuses(key))
        return set(gone[: int(min(len(gone), self._letters[name] + self._nameless))])

    def may_miss(self, sink: str) -> int:
        """The number of events that were reported as lost to this sink."""
        return self.lost + self.by_sink[sink]


def _sink(
    name: str, held: Held, every: Mapping[Key, Seen], due: Sequence[Due], reported: _Reported, found: Verdict
) -> Iterator[str]:
    counts = Counter(event.key for event in held.events)
    more = {key: count for key, count in counts.items() if count > 1}
    found.again[name] = sum(more.values()) - len(more)
    if held.once and more:
        shown = _some(f"{key} {count} times" for key, count in more.items())
        yield f"{name}: {len(more)} events are there more than once: {shown}"
    if both := held.dead & counts.keys():
        yield f"{name}: {len(both)} events are delivered and dead letters: {_some(map(str, both))}"

    dead = held.dead | reported.excused_letters(name, held, every, counts)

    # Of what the vendors were promised.
    has = {(event.source, event.identity) for event in held.events}
    has |= {(every[key].source, every[key].identity) for key in dead if key in every}
    missing = [one for one in due if one[:2] not in has and not reported.covers(one)]
    # What a log has filled is an event without the queue's identity, and the queue's record then is none: by number.
    filled = Counter(event.source for event in {one.key: one for one in held.events}.values() if event.filled)
    absent_of = Counter(one.source for one in missing)
    missing = [one for one in missing if absent_of[one.source] > filled[one.source]]
    allowed = reported.may_miss(name)
    if len(missing) > allowed:
        yield (
            f"{name}: {len(missing)} records that vendors were told of are missing and {allowed} were reported lost: "
            f"{_some(f'{one.source} {one.identity}' for one in missing)}"
        )

    # Of what any sink has.
    absent = [
        event for key, event in every.items()
        if key not in counts and key not in dead and event.type != STOPPING
    ]  # fmt: skip
    if len(absent) > allowed:
        yield (
            f"{name}: {len(absent)} events that other sinks have are missing and {allowed} were reported lost: "
            f"{_some(f'{event.type} {event.key}' for event in absent)}"
        )


def _doubled_records(events: Iterable[Seen], reported: _Reported) -> Iterator[str]:
    """Records of which one thing is said by two events, each with an id of its own."""
    said: defaultdict[tuple[str, str, str], set[Key]] = defaultdict(set)
    for event in events:
        if event.identity is not None:
            said[event.source, event.identity, event.type].add(event.key)
    twice = {name: keys for name, keys in said.items() if len(keys) > 1}
    if twice:
        shown = _some(f"{name}: {sorted(keys)}" for name, keys in twice.items())
        yield f"{len(twice)} records are two events each: {shown}"


def out_of_order(sinks: Mapping[str, Held]) -> Iterator[str]:
    """Sinks that have a source's events, at first sight, in another order than the first sink.

    None where damage took events that some sinks had: those that come again come later, to the others alone.
    """
    names = list(sinks)
    if any(_damage(held.events) for held in sinks.values()):
        return
    first = _orders(sinks[names[0]])
    for name in names[1:]:
        order = _orders(sinks[name])
        for source, keys in order.items():
            here = set(keys)
            there = [key for key in first.get(source, ()) if key in here]
            known = set(there)
            keys = [key for key in keys if key in known]
            if keys != there:
                at = next(place for place, pair in enumerate(zip(keys, there, strict=True)) if pair[0] != pair[1])
                yield f"{name}: the events of {source} are out of order from the {at + 1}th on: {keys[at]}"


def _orders(held: Held) -> dict[str, list[Key]]:
    found: defaultdict[str, dict[Key, None]] = defaultdict(dict)
    for event in held.events:
        found[event.source].setdefault(event.key)
    return {source: list(keys) for source, keys in found.items()}


def _some(texts: Iterable[str]) -> str:
    shown = list(texts)
    return "; ".join(shown[:SHOWN]) + (f"; and {len(shown) - SHOWN} more" if len(shown) > SHOWN else "")
