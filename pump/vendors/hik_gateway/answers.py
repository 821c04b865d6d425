"""What the gateway's refusals mean, and what goes wrong on a link (document, 9.23, 9.24, A.2)."""

from __future__ import annotations

from typing import Any, Final

from pump.core.backoff import Backoff
from pump.ingest.stream.client import Answer
from pump.ingest.stream.handler import RetryAdvice
from pump.ingest.stream.lockout import LEAST
from pump.vendors.hik_gateway.codes import ADVICE, OTHER, REJECTED, STATUS, Advice
from pump.vendors.hik_gateway.lenient import loads

_FEW: Final = 2
"""Attempts left with which nothing is risked."""


class Trouble(Exception):
    """A call failed. `reason` is for people; `advice` rules the waiting, `wait`, in seconds, overrides it."""

    def __init__(self, reason: str, advice: Advice = OTHER, wait: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.advice = advice
        self.wait = wait


class Away(Trouble):
    """The gateway was not reached. `refused`: its host is there and nobody listens."""

    def __init__(self, reason: str, *, refused: bool) -> None:
        super().__init__(reason)
        self.refused = refused


class Rejected(Trouble):
    """The gateway does not take the password. `wait` is at least 10 minutes."""


class Expired(Trouble):
    """The challenge had expired before it was answered; whoever asks again and again may lock the account all the
    same."""


class Waits:
    """How long each kind of trouble is waited for, with a backoff of its own."""

    def __init__(self) -> None:
        self._backoffs: dict[Advice, Backoff] = {}

    def retry(self, trouble: Trouble) -> RetryAdvice:
        """As the stream wants it. What has no advice has no wait of its own."""
        rejected = None if isinstance(trouble, Expired) else isinstance(trouble, Rejected)
        return RetryAdvice(trouble.reason, self._wait(trouble), rejected)

    def reset(self) -> None:
        """The stream has carried something."""
        self._backoffs.clear()

    def _wait(self, trouble: Trouble) -> float | None:
        advice = trouble.advice
        if trouble.wait is not None or advice is OTHER:
            return trouble.wait
        backoff = self._backoffs.setdefault(advice, Backoff(advice.first, advice.cap))
        least = backoff.limit
        return least + 0.1 * min(backoff.next(), least)


def trouble(answer: Answer, what: str) -> Trouble:
    """What an answer tells of, as precisely as it can be said. `what` was asked."""
    fields = status_fields(answer.body)
    if answer.status == 401:
        if answer.challenge and not answer.wants_digest:
            return Trouble("the gateway asks for another login than digest", wait=60.0)
        # An expired challenge may count as a failed login: it is taken for one while few attempts are left.
        left = str(fields.get("retryTimes", _FEW + 1))
        if answer.stale and not (left.isdecimal() and int(left) <= _FEW):
            return Expired("the gateway's challenge had expired before it was answered")
        return _rejected(fields)
    sub = str(fields.get("subStatusCode") or "")
    words = str(fields.get("statusString") or "").replace(" ", "").lower()
    advice = ADVICE.get(sub.lower()) or STATUS.get(answer.status) or ADVICE.get(words) or _by_class(fields)
    if advice is REJECTED:
        return _rejected(fields)
    told = [
        f"HTTP {answer.status}",
        *(str(fields[key]) for key in ("statusString", "subStatusCode") if fields.get(key)),
    ]
    text = f"{what} was refused: {', '.join(told)}"
    return Trouble(f"{text}; {advice.text}" if advice.text else text, advice)


def status_fields(body: bytes) -> dict[str, Any]:
    """The ResponseStatus of a body, also one level down; empty where there is none."""
    try:
        found = loads(body)
    except ValueError:
        return {}
    if isinstance(found, dict) and len(found) == 1 and isinstance(inner := next(iter(found.values())), dict):
        found = inner
    return found if isinstance(found, dict) else {}


def _by_class(fields: dict[str, Any]) -> Advice:
    return STATUS[503] if fields.get("statusCode") in (2, "2") else OTHER


def _rejected(fields: dict[str, Any]) -> Rejected:
    lock = _seconds(fields.get("resLockTime"), fields.get("unlockTime"))
    wait = max(LEAST, lock)
    said = []
    for name, label in (("retryTimes", "attempts left"), ("retryLoginTime", "attempts left"), ("lockStatus", "lock")):
        if fields.get(name) is not None:
            said.append(f"{label}: {fields[name]}")
    if lock:
        said.append(f"locked for {lock:.0f} s")
    told = f" ({', '.join(said)})" if said else ""
    return Rejected(
        f"the gateway rejects the user name or the password{told}; the next attempt is in {wait / 60:.0f} minutes, for "
        "more of them would lock the account",
        wait=wait,
    )


def _seconds(*values: Any) -> float:
    for value in values:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return max(0.0, float(value))
        if isinstance(value, str) and value.strip().isdecimal():
            return float(value)
    return 0.0
