"""A queue's subscription: how its calls look, and what is remembered of it (document, 5.3.1, 5.4.1)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from pump.vendors.common.values import member
from pump.vendors.hik_connect.parse import Queue


def _alarm(types: Sequence[str]) -> dict[str, Any]:
    if not types:
        return {"subscribeType": 1, "subscribeMode": 0}
    return {"subscribeType": 1, "subscribeMode": 1, "eventType": [int(code) for code in types]}


def _combine(types: Sequence[str]) -> dict[str, Any]:
    return {"subscribeType": 1, "msgType": list(types)} if types else {"subscribeType": 1}


def _rawmsg(types: Sequence[str]) -> dict[str, Any]:
    return {"subscribeType": 1, "msgType": list(types)}  # must be there, and empty for all


@dataclass(slots=True, frozen=True)
class Calls:
    """How a queue's calls look."""

    path: str
    subscription: Callable[[Sequence[str]], dict[str, Any]]
    sized: bool
    """Whether messages takes maxNumberPerTime."""


CALLS: Final[dict[Queue, Calls]] = {
    "combine": Calls("/api/hccgw/combine/v1/mq", _combine, sized=True),
    "alarm": Calls("/api/hccgw/alarm/v1/mq", _alarm, sized=True),
    "rawmsg": Calls("/api/hccgw/rawmsg/v1/mq", _rawmsg, sized=False),
}


@dataclass(slots=True)
class SubscriptionState:
    """What is known of a queue's subscription; in the spool it outlives the daemon."""

    account: str
    """A digest of the app key: another account's subscription is none of ours."""
    types: list[str] | None = None
    """What is subscribed to, empty for all; None: nothing, or it was lost."""
    last: datetime | None = None
    """When messages were last asked for with success."""
    lost: datetime | None = None
    """The subscription was lost, at some time after this, and the gap has not been told."""
    regained: datetime | None = None
    """When it stood again: the end of that gap."""

    def state(self) -> dict[str, Any]:
        """As the spool keeps it; times in milliseconds since 1970."""
        return {
            "account": self.account,
            "types": self.types,
            "last": _milliseconds(self.last),
            "lost": _milliseconds(self.lost),
            "regained": _milliseconds(self.regained),
        }

    @classmethod
    def load(cls, state: object, account: str) -> SubscriptionState:
        """What `state` gave; a blank one where it is another account's."""
        if member(state, "account") != account:
            return cls(account)
        types = member(state, "types")
        return cls(
            account,
            [str(code) for code in types] if isinstance(types, list) else None,
            *(_time(member(state, name)) for name in ("last", "lost", "regained")),
        )


def _milliseconds(time: datetime | None) -> int | None:
    return None if time is None else round(time.timestamp() * 1000)


def _time(milliseconds: object) -> datetime | None:
    if not isinstance(milliseconds, int):
        return None
    try:
        return datetime.fromtimestamp(milliseconds / 1000, UTC)
    except (OverflowError, OSError, ValueError):
        return None
