"""What is subscribed to, as the gateway's messages say it (document, 9.27 to 9.30)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pump.vendors.hik_gateway.codes import ADVICE, ARMED, DEVICE_FAILURES

PATH = "/ISAPI/Event/notification"


@dataclass(slots=True)
class Wanted:
    """What the source wants to hear. `devices` None means every device by one order (eventMode "all")."""

    events: tuple[str, ...] = ()
    """Event types; empty means all."""
    devices: dict[str, tuple[str, ...]] | None = field(default=None)
    """Event types by devIndex; empty means `events`."""
    asked: dict[str, tuple[str, ...] | None] = field(default_factory=dict)
    """What an operator has said of single devices since the start; None: nothing is wanted of it."""

    def body(self) -> dict[str, Any]:
        """The SubscribeDeviceMgmt message."""
        order: dict[str, Any] = {"eventMode": "all" if self.devices is None else "device"}
        if self.devices is None:
            order["defenceMode"] = "part" if self.events else "all"
            if self.events:
                order["eventList"] = list(self.events)
        else:
            order["DevEventList"] = [{"Dev": self.device(index)} for index in self.devices]
        return {"SubscribeDeviceMgmt": order}

    def types(self, index: str) -> tuple[str, ...]:
        """The event types of one device; empty means all."""
        return (self.devices or {}).get(index) or self.events

    def of(self, known: Iterable[str]) -> dict[str, tuple[str, ...]]:
        """What is wanted where no list is configured: all of each known device, but for what was asked."""
        wanted = {index: self.asked.get(index, ()) for index in (*known, *self.asked)}
        return {index: types for index, types in wanted.items() if types is not None}

    def told(self) -> dict[str, Any]:
        """In words for people and JSON; an empty list means all."""
        told: dict[str, Any] = {"mode": "all" if self.devices is None else "device", "events": list(self.events)}
        if self.devices is not None:
            told["devices"] = {index: list(self.types(index)) for index in self.devices}
        return told

    def device(self, index: str) -> dict[str, Any]:
        """The order for one device."""
        types = self.types(index)
        order: dict[str, Any] = {"devIndex": index, "uploadMode": "part" if types else "all"}
        if types:
            order["eventList"] = list(types)
        return order


def amended(
    now: Sequence[str], *, types: Sequence[str] | None = None, add: Sequence[str] = (), drop: Sequence[str] = ()
) -> tuple[str, ...]:
    """Event types after a change; empty means all. ValueError, with advice, for a change that means nothing."""
    base = now if types is None else types
    if not base and (drop or (add and types is None)):
        raise ValueError("every event type is subscribed to: name those that are wanted (--types)")
    left = tuple(one for one in dict.fromkeys((*base, *add)) if one not in drop)
    if not left and (base or add):
        raise ValueError("no event type would be left, which means all of them: name those that are wanted (--types)")
    return left


@dataclass(slots=True, frozen=True)
class Granted:
    """The gateway's answer: the subscription's number, and the devices it could not subscribe, each with why."""

    id: str | None
    failed: Mapping[str, str]


def granted(message: Any) -> Granted | None:
    """What a SubscribeDeviceMgmtRsp says; None where the message is none."""
    answer = message.get("SubscribeDeviceMgmtRsp") if isinstance(message, dict) else None
    if not isinstance(answer, dict):
        return None
    number = answer.get("id")
    failed = {index: why(row.get("subStatusCode")) for index, row in _rows(answer.get("FailList"))}
    return Granted(None if number in (None, "") else str(number), failed)


def broken(message: Any) -> dict[str, str]:
    """The devices of a SubscribeQueryStatusList whose subscription does not stand, each with why."""
    rows = message.get("SubscribeQueryStatusList") if isinstance(message, dict) else None
    return {
        index: why(row.get("status"))
        for index, row in _rows(rows)
        if str(row.get("status") or ARMED).strip().lower() != ARMED
    }


def why(code: Any) -> str:
    """A failure in words, its code with it."""
    word = str(code).strip().lower()
    known = DEVICE_FAILURES.get(word) or (ADVICE[word].text if word in ADVICE else None)
    return f"{known} ({code})" if known else f"{code or 'no reason given'}"


def _rows(rows: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    for entry in rows if isinstance(rows, list) else ():
        row = entry.get("Dev", entry) if isinstance(entry, dict) else None
        if isinstance(row, dict) and row.get("devIndex"):
            yield str(row["devIndex"]), row
