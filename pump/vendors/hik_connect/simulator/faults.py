"""Faults on demand: what a simulated server does wrong, once, a few times, or until told otherwise."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Literal, get_args

Kind = Literal[
    "drop",  # the connection is closed before anything is done
    "lost_answer",  # the work is done, then the connection is closed: a lost complete
    "cut_answer",  # the work is done, half of the answer is sent, then the connection is closed
    "ignore",  # success is answered and nothing is done: a complete that takes no effect
    "delay",  # the work is done `seconds` late, also when the client has given up by then
    "hang",  # no answer until the client gives up; nothing is done
    "status",  # HTTP `status`, with `retry_after` where given; nothing is done
    "error",  # the vendor's error `code` inside HTTP 200; nothing is done
    "garbage",  # `body` instead of the answer; nothing is done
    "expired_token",  # every token of the account is expired before the call is looked at
    "lost_subscription",  # the subscription of the path's queue, or of all, ends before the call is looked at
    "redeliver",  # messages: the batch completed last comes again (`new_id`, `resigned`)
    "poison",  # messages: a record that nobody can read (`poison`) stands in the middle of the next new batch
]
Garbage = Literal["html", "text", "truncated", "empty", "array", "null"]
PoisonName = Literal["wrong types", "not an object", "null", "surrogate", "huge number", "deep"]

GARBAGE: dict[Garbage, tuple[bytes, str]] = {
    "html": (b"<html><body><h1>502 Bad Gateway</h1></body></html>", "text/html"),
    "text": (b"upstream connect error", "text/plain"),
    "truncated": (b'{"data":{"batchId":"5a32fddc6f5c01e0","remainingNumber":1,"events":[{"ev', "application/json"),
    "empty": (b"", "application/json"),
    "array": (b"[]", "application/json"),
    "null": (b"null", "application/json"),
}
POISON: dict[PoisonName, bytes] = {
    "wrong types": b'{"systemId":[],"guid":{},"eventId":[1],"eventType":{"":[]},"msgType":[],"basicInfo":"x",'
    b'"eventSource":7,"timeInfo":false,"eventData":"","data":0}',
    "not an object": b'"poison"',
    "null": b"null",
    "surrogate": rb'{"guid":"\ud800","eventId":"\udfff","basicInfo":{"systemId":"\ud800","msgType":"Msg330001"}}',
    "huge number": b'{"guid":1e999,"eventId":123456789012345678901234567890,"eventType":1e400}',
    "deep": b'{"guid":' + b"[" * 900 + b"]" * 900 + b"}",
}
_ONLY: dict[str, str] = {"redeliver": "/mq/messages", "poison": "/mq/messages"}


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault. `path` is what the call's path ends with ("combine/v1/mq/messages", "complete", "" for any call);
    the first `skip` such calls pass unharmed and the next `times` are hit. `seconds` delay every kind."""

    kind: Kind
    path: str = ""
    times: int = 1
    skip: int = 0
    seconds: float = 0.0
    status: int = 503
    retry_after: str | None = None
    code: str = "OPEN000000"
    body: Garbage = "html"
    new_id: bool = False
    resigned: bool = False
    poison: PoisonName = "wrong types"

    def __post_init__(self) -> None:
        """Raises ValueError for a kind, body or poison that is none: faults also come as JSON."""
        for name, known in (("kind", Kind), ("body", Garbage), ("poison", PoisonName)):
            if getattr(self, name) not in get_args(known):
                raise ValueError(f"{name} is none of {', '.join(get_args(known))}")


class Faults:
    """What waits to go wrong. A call takes the oldest fault that fits it, one at most."""

    def __init__(self) -> None:
        self._waiting: list[_Waiting] = []
        self.done: Counter[str] = Counter()

    def push(self, *faults: Fault) -> None:
        """Adds to what waits."""
        self._waiting.extend(_Waiting(fault, fault.skip, fault.times) for fault in faults)

    def clear(self) -> None:
        """Forgets all that waits."""
        self._waiting.clear()

    @property
    def waiting(self) -> list[Fault]:
        """What has not happened yet, or not often enough, oldest first."""
        return [one.fault for one in self._waiting]

    def take(self, path: str) -> Fault | None:
        """The fault of this call."""
        taken: Fault | None = None
        for one in self._waiting:
            if not path.endswith(one.fault.path) or not path.endswith(_ONLY.get(one.fault.kind, "")):
                continue
            if one.skip > 0:
                one.skip -= 1
            elif taken is None and one.times > 0:
                one.times -= 1
                taken = one.fault
        self._waiting = [one for one in self._waiting if one.times > 0]
        if taken is not None:
            self.done[taken.kind] += 1
        return taken


@dataclass(slots=True)
class _Waiting:
    fault: Fault
    skip: int
    times: int
