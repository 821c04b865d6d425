"""The simulated account: what its queues held, what was handed out, completed, refused; for tests to audit."""

from __future__ import annotations

import re
import secrets
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final, Literal

QueueName = Literal["alarm", "combine", "rawmsg"]
QUEUES: Final[tuple[QueueName, ...]] = ("alarm", "combine", "rawmsg")
DAY: Final = 86_400.0
TOKEN_LIFE: Final = 7 * DAY  # 3.2
SUBSCRIPTION_LIFE: Final = 2 * DAY  # 4.2, 4.4: without a pull
RETENTION: Final = 3 * DAY

_SIGN = re.compile(rb"([?&]sign=)[0-9a-f]{16}")


@dataclass(slots=True)
class Entry:
    """A record in a queue: its identity, its JSON, when it arrived (monotonic seconds)."""

    identity: str
    body: bytes
    at: float


@dataclass(slots=True)
class Batch:
    """Records that were handed out together; `body` is the JSON list of them, made once. `again`: a redelivery."""

    id: str
    entries: list[Entry]
    body: bytes
    again: bool = False

    def sign(self) -> None:
        """Signs the links afresh, as the vendor may at every answer."""
        self.body = _SIGN.sub(rb"\g<1>" + secrets.token_hex(8).encode(), self.body)


@dataclass(slots=True)
class Queue:
    """One queue of the account. The lists hold identities of records (`traffic.identity`), oldest first.

    put: what was queued. handed: what was answered, as often as it was. completed: what was completed, once each,
    with completed_at beside it (monotonic seconds). lost: what arrived without a subscription. filtered: what the
    subscription's types left out. expired: what was older than 3 days before it was completed.
    """

    name: QueueName
    put: list[str] = field(default_factory=list)
    handed: list[str] = field(default_factory=list)
    completed: list[str] = field(default_factory=list)
    completed_at: list[float] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    filtered: list[str] = field(default_factory=list)
    expired: list[str] = field(default_factory=list)
    redelivered: int = 0
    batches: int = 0
    subscribed: bool = False
    wanted: bool = False  # subscribed once, and not cancelled by the client since: traffic flows
    types: frozenset[str] | None = None
    subscriptions: int = 0
    died: int = 0
    last_pull: float = 0.0
    # The queued records by what they speak of, each as an "upload" or a "mark" (`traffic.matter`).
    matters: dict[str, dict[str, str]] = field(default_factory=dict)
    waiting: deque[Entry] = field(default_factory=deque)
    out: list[Batch] = field(default_factory=list)
    last: Batch | None = None
    poison: Entry | None = None  # stands in the middle of the next new batch

    def subscribe(self, types: frozenset[str] | None, now: float) -> None:
        """All types when None; a second subscription replaces the first and keeps what waits."""
        self.subscribed, self.wanted, self.types, self.last_pull = True, True, types, now
        self.subscriptions += 1

    def unsubscribe(self, *, empty: bool, wanted: bool = False) -> None:
        """Ends the subscription; with `empty` what waits is lost."""
        self.subscribed, self.wanted = False, wanted
        if empty:
            self.lost.extend(entry.identity for batch in self.out if not batch.again for entry in batch.entries)
            self.lost.extend(entry.identity for entry in self.waiting)
            self.out.clear()
            self.waiting.clear()

    def alive(self, now: float, *, empty: bool) -> bool:
        """Whether a subscription stands; it dies after 2 days without a pull."""
        if self.subscribed and now - self.last_pull > SUBSCRIPTION_LIFE:
            self.died += 1
            self.unsubscribe(empty=empty, wanted=True)
        return self.subscribed

    def add(self, identity: str, code: str | None, body: bytes, now: float) -> None:
        """A record arrives from a device; call `alive` first."""
        if not self.subscribed:
            self.lost.append(identity)
        elif self.types is not None and code not in self.types:
            self.filtered.append(identity)
        else:
            self.put.append(identity)
            self.waiting.append(Entry(identity, body, now))

    def speaks(self, identity: str, of: tuple[str, str] | None) -> None:
        """Note what a record that was queued speaks of."""
        if of is not None and self.put and self.put[-1] == identity:
            self.matters.setdefault(of[0], {})[identity] = of[1]

    def counted(self, role: str) -> int:
        """How many second uploads, or how many marks and confirmations were queued."""
        roles = [list(records.values()).count(role) for records in self.matters.values()]
        return sum(roles) if role == "mark" else sum(number - 1 for number in roles if number)

    def pull(self, limit: int, now: float) -> Batch | None:
        """The batch to hand out: the same until it is completed. None when the queue is empty."""
        self.last_pull = now
        self._expire(now)
        if not self.out:
            if self.poison is not None and self.waiting:
                middle = min(limit, len(self.waiting)) // 2
                self.poison.at = self.waiting[0].at
                self.put.insert(len(self.put) - len(self.waiting) + middle, self.poison.identity)
                self.waiting.insert(middle, self.poison)
                self.poison = None
            if self.waiting:
                entries = [self.waiting.popleft() for _ in range(min(limit, len(self.waiting)))]
                self.out.append(_batch(entries))
                self.batches += 1
        if not self.out:
            return None
        self.handed.extend(entry.identity for entry in self.out[0].entries)
        return self.out[0]

    def complete(self, batch_id: str, now: float) -> bool:
        """Whether the batch was known; then its records are done with."""
        self._expire(now)
        batch = next((one for one in self.out if one.id == batch_id), None)
        if batch is None:
            return False
        self.out.remove(batch)
        self.last = batch
        if not batch.again:
            self.completed.extend(entry.identity for entry in batch.entries)
            self.completed_at.extend([now] * len(batch.entries))
        return True

    def redeliver(self, *, new_id: bool, resigned: bool) -> bool:
        """Puts the batch completed last in front again; False when none was."""
        if self.last is None:
            return False
        again = Batch(_batch_id() if new_id else self.last.id, self.last.entries, self.last.body, again=True)
        if resigned:
            again.sign()
        self.out.insert(0, again)
        self.redelivered += 1
        return True

    @property
    def remaining(self) -> int:
        """What waits behind the batch that is handed out."""
        return len(self.waiting) + sum(len(batch.entries) for batch in self.out[1:] if not batch.again)

    def _expire(self, now: float) -> None:
        oldest = now - RETENTION
        for batch in [one for one in self.out if not one.again and one.entries[0].at < oldest]:
            # The batch is unknown from here on; what of it is young enough comes in the next one.
            self.out.remove(batch)
            self.waiting.extendleft(reversed(batch.entries))
        while self.waiting and self.waiting[0].at < oldest:
            self.expired.append(self.waiting.popleft().identity)


@dataclass(slots=True)
class Call:
    """One request. Times are monotonic seconds; `outcome` is "0", the vendor's error code, an HTTP status, or the
    fault that swallowed the answer; `reason` says in words what was refused."""

    path: str
    at: float
    done: float | None = None
    in_flight: int = 1  # calls of its queue that were being answered when it arrived, itself among them
    outcome: str = ""
    reason: str = ""


@dataclass(slots=True)
class Account:
    """All that the simulator knows of one account, for audits."""

    queues: dict[str, Queue] = field(default_factory=lambda: {name: Queue(name) for name in QUEUES})
    calls: list[Call] = field(default_factory=list)
    refusals: Counter[str] = field(default_factory=Counter)  # by code or HTTP status
    reasons: Counter[str] = field(default_factory=Counter)  # the same in words
    logins: int = 0
    tokens: dict[str, float] = field(default_factory=dict)  # token: when it expires

    def times(self, path: str = "") -> list[float]:
        """When the calls arrived whose path ends with `path`, refused ones too."""
        return [call.at for call in self.calls if call.path.endswith(path)]

    def busiest_second(self) -> int:
        """The most calls that arrived within any one second."""
        times, most, first = sorted(call.at for call in self.calls), 0, 0
        for last, at in enumerate(times):
            while at - times[first] >= 1.0:
                first += 1
            most = max(most, last - first + 1)
        return most

    def most_in_flight(self, queue: QueueName) -> int:
        """The most calls of one queue that were being answered at once."""
        return max((call.in_flight for call in self.calls if f"/{queue}/v1/mq/" in call.path), default=0)

    def refuse(self, call: Call, code: str, reason: str) -> None:
        """Counts a refusal; nothing is refused silently."""
        self.refusals[code] += 1
        self.reasons[f"{code} {reason}"] += 1
        call.outcome, call.reason = code, reason

    def expire_tokens(self, now: float) -> None:
        """Every token dies now, whatever its expireTime said."""
        for token in self.tokens:
            self.tokens[token] = now

    def report(self, *, lists: bool = True) -> dict[str, Any]:
        """The account as JSON values; without `lists` numbers stand for the long lists."""
        return {
            "logins": self.logins,
            "calls": [_call(call) for call in self.calls] if lists else len(self.calls),
            "busiest_second": self.busiest_second(),
            "refusals": dict(self.refusals),
            "reasons": dict(self.reasons),
            "queues": {name: _report(queue, lists) for name, queue in self.queues.items()},
        }


_LISTS = ("put", "handed", "completed", "completed_at", "lost", "filtered", "expired")
_NUMBERS = ("redelivered", "batches", "subscribed", "subscriptions", "died", "remaining")


def _report(queue: Queue, lists: bool) -> dict[str, Any]:
    report: dict[str, Any] = {name: getattr(queue, name) for name in _NUMBERS}
    report["types"] = None if queue.types is None else sorted(queue.types)
    report["second_uploads"], report["marks"] = queue.counted("upload"), queue.counted("mark")
    for name in _LISTS:
        value = getattr(queue, name)
        report[name] = value if lists else len(value)
    return report


def _call(call: Call) -> dict[str, Any]:
    return {
        "path": call.path,
        "at": call.at,
        "done": call.done,
        "in_flight": call.in_flight,
        "outcome": call.outcome,
        "reason": call.reason,
    }


def _batch(entries: Iterable[Entry]) -> Batch:
    listed = list(entries)
    return Batch(_batch_id(), listed, b"[" + b",".join(entry.body for entry in listed) + b"]")


def _batch_id() -> str:
    return secrets.token_hex(48)
