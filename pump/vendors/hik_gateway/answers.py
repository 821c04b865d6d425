"""What the gateway's refusals mean, and what goes wrong on a link (document, 9.23, 9.24, A.2)."""

from __future__ import annotations

from typing import Any, Final

from pump.core.backoff import Backoff
from pump.ingest.stream.client import Answer
from pump.ingest.stream.handler import RetryAdvice
from pump.ingest.stream.lockout import LEAST
from pump.vendors.common.hik_status import refused, status_fields, status_number, status_of_xml
from pump.vendors.hik_gateway.codes import ADVICE, CLASSES, OTHER, REJECTED, STATUS, Advice
from pump.vendors.hik_gateway.parse import loads

_FEW: Final = 2
"""Attempts left with which nothing is risked."""
_FREE: Final = frozenset(("unlock", "unlocked"))
"""lockStatus of an account that is not locked (9.24, 9.33)."""


class Trouble(Exception):
    """A call failed. `reason` is for people; `advice` rules the waiting, `wait`, in seconds, overrides it."""

    def __init__(self, reason: str, advice: Advice = OTHER, wait: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.advice = advice
        self.wait = wait
        self.unsaid = False
        """An error's HTTP status without a ResponseStatus: nobody says what became of the call."""


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
    fields = said(answer.body)
    if answer.status == 401:
        if answer.challenge and not answer.wants_digest:
            return Trouble("the gateway asks for another login than digest", wait=60.0)
        # An expired challenge may count as a failed login: it is taken for one while few attempts are left.
        left = str(fields.get("retryTimes", _FEW + 1))
        if answer.stale and not (left.isdecimal() and int(left) <= _FEW):
            return Expired("the gateway's challenge had expired before it was answered")
        return _rejected(fields)
    if _word(fields) in REJECTED:
        return _rejected(fields)
    advice = _advice(answer.status, fields)
    told = [
        f"HTTP {answer.status}",
        *(str(fields[key]) for key in ("statusString", "subStatusCode") if fields.get(key)),
    ]
    text = f"{what} was refused: {', '.join(told)}"
    found = Trouble(f"{text}; {advice.text}" if advice.text else text, advice)
    found.unsaid = answer.status >= 500 and not fields
    return found


def said(body: bytes) -> dict[str, Any]:
    """The ResponseStatus of a body, in JSON or XML, by the document's names; empty where there is none."""
    if body.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        return status_of_xml(body)
    try:
        return status_fields(loads(body))
    except ValueError:
        return {}


def failed(answer: Answer) -> bool:
    """True for a call that has failed: by its HTTP status, or by a ResponseStatus that says so inside HTTP 200."""
    return not 200 <= answer.status < 300 or refused(said(answer.body))


def _advice(status: int, fields: dict[str, Any]) -> Advice:
    """The row of the most precise word there is: subStatusCode, statusString, statusCode, the HTTP status.

    403 alone, and 403 as an invalid operation, stand for the gateway's protocol; any other word speaks for itself.
    """
    sub = _word(fields)
    words = str(fields.get("statusString") or "").replace(" ", "").lower()
    code = status_number(fields.get("statusCode"))
    if found := ADVICE.get(sub) or (None if sub or words == "ok" else ADVICE.get(words)):
        return found
    if found := CLASSES.get(code or 0):
        return found
    if status == 403 and (sub or words or code not in (None, 4)):
        return OTHER
    return STATUS.get(status, OTHER)


def _word(fields: dict[str, Any]) -> str:
    return str(fields.get("subStatusCode") or "").strip().lower()


def _rejected(fields: dict[str, Any]) -> Rejected:
    advice = ADVICE.get(_word(fields), OTHER)
    words = f": {advice.text}" if advice.text else ""
    # resLockTime comes with an account that is open as well: then it is how long the next lock would last (9.24).
    free = str(fields.get("lockStatus") or "").strip().lower() in _FREE
    lock = 0.0 if free else _seconds(fields.get("resLockTime"), fields.get("unlockTime"))
    wait = max(LEAST, lock)
    parts = []
    for name, label in (("retryTimes", "attempts left"), ("retryLoginTime", "attempts left"), ("lockStatus", "lock")):
        if fields.get(name) is not None:
            parts.append(f"{label}: {fields[name]}")
    if lock:
        parts.append(f"locked for {lock:.0f} s")
    details = f" ({', '.join(parts)})" if parts else ""
    return Rejected(
        f"the gateway rejects the user name or the password{words}{details}; the next attempt is in "
        f"{wait / 60:.0f} minutes, for more of them would lock the account",
        advice,
        wait,
    )


def _seconds(*values: Any) -> float:
    for value in values:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return max(0.0, float(value))
        if isinstance(value, str) and value.strip().isdecimal():
            return float(value)
    return 0.0
