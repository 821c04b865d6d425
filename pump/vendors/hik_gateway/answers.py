"""What the gateway's refusals mean, and what goes wrong on a link (document, 9.23, 9.24, A.2)."""

from __future__ import annotations

from typing import Any, Final

from pump.vendors.hik_gateway.codes import ADVICE, OTHER, REFUSED, STATUS, Advice
from pump.vendors.hik_gateway.lenient import loads

REJECTED_WAIT: Final = 600.0
"""Seconds after a rejected password: accounts lock after a few, for half an hour."""


class Trouble(Exception):
    """The link is gone or was refused. `reason` is for people; `advice` rules the waiting, `wait` overrides it."""

    def __init__(self, reason: str, advice: Advice = OTHER, wait: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.advice = advice
        self.wait = wait


class Rejected(Trouble):
    """The gateway does not take the password. `wait` is at least 10 minutes."""


def refused(error: OSError) -> Trouble:
    """Nothing listens: worth asking again soon."""
    return Trouble(f"{REFUSED.text} ({error.strerror or type(error).__name__})", REFUSED)


def answer(status: int, body: bytes, what: str) -> Trouble:
    """The trouble that an HTTP answer tells of, as precisely as it can be said. `what` was asked."""
    fields = status_fields(body)
    if status == 401:
        return _rejected(fields)
    sub = str(fields.get("subStatusCode") or "")
    words = str(fields.get("statusString") or "").replace(" ", "").lower()
    advice = ADVICE.get(sub.lower()) or STATUS.get(status) or ADVICE.get(words) or _by_class(fields)
    if advice is ADVICE["badauthorization"]:
        return _rejected(fields)
    told = [f"HTTP {status}", *(str(fields[name]) for name in ("statusString", "subStatusCode") if fields.get(name))]
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
    wait = max(REJECTED_WAIT, lock)
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
        ADVICE["badauthorization"],
        wait,
    )


def _seconds(*values: Any) -> float:
    for value in values:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return max(0.0, float(value))
        if isinstance(value, str) and value.strip().isdecimal():
            return float(value)
    return 0.0
