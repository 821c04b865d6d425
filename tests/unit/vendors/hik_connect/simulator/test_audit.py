"""The vendor's audit finds each fault that a pump can make of later uploads and marks; paths and account show them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import aiohttp
import pytest

from pump.core.event import Event
from pump.testing import ManualClock
from pump.vendors.hik_connect.parse import normalise
from pump.vendors.hik_connect.simulator.account import QUEUES
from pump.vendors.hik_connect.simulator.audit import audit
from pump.vendors.hik_connect.simulator.messages import KINDS
from pump.vendors.hik_connect.simulator.server import Simulator
from pump.vendors.hik_connect.uploads import Uploads

RECEIVED = datetime(2026, 11, 20, 8, 0, tzinfo=UTC)
Json = dict[str, Any]


def played(*kinds: str) -> tuple[Simulator, list[Json]]:
    """A simulator whose queues are completed, and the events that a right pump makes of them."""
    vendor, events = Simulator(clock=ManualClock()), list[Json]()
    for queue in QUEUES:
        held, uploads = vendor.account.queues[queue], Uploads()
        held.subscribe(None, 0.0)
        for kind in kinds or KINDS[queue]:
            if kind not in KINDS[queue]:
                continue
            for record in vendor.make(queue, 10, kind):  # type: ignore[arg-type]
                vendor.put(queue, record)
                [event] = normalise(queue, record, ZoneInfo("UTC"), RECEIVED, uploads)
                assert isinstance(event, Event)
                events.append({"id": event.id, "data": event.data})
        held.completed = list(held.put)
    return vendor, events


def test_what_a_right_pump_makes_is_in_order() -> None:
    vendor, events = played()
    assert audit(vendor.account, events) == []
    assert audit(vendor.account, reversed(events)) == []
    counted = {queue: vendor.account.queues[queue].counted("upload") for queue in QUEUES}
    assert counted == {"alarm": 15, "combine": 15, "rawmsg": 15}
    assert vendor.account.queues["alarm"].counted("mark") == 8 + 5


def _second(events: list[Json]) -> Json:
    return next(event for event in events if event["data"]["update"])


def _mark(events: list[Json]) -> Json:
    return next(event for event in events if event["data"]["raw"].get("msgType") == "3")


HARM: dict[str, Callable[[list[Json]], object]] = {
    "is 0 events": lambda events: events.remove(_second(events)),
    "is 2 events": lambda events: events.append({**_second(events), "id": "another"}),
    "which no event is": lambda events: _second(events)["data"].update(updates="nobody"),
    "not the first upload": lambda events: _second(events)["data"].pop("updates"),
    "has update False": lambda events: _second(events)["data"].update(update=False),
    "has update True and is upload 1": lambda events: events[0]["data"].update(update=True),
    "has the phase": lambda events: _mark(events)["data"].update(phase="start"),
    "does not name its alarm": lambda events: [
        _mark(events)["data"].pop(name, None) for name in ("incident", "updates")
    ],
}


@pytest.mark.parametrize("says", HARM)
def test_each_fault_is_found(says: str) -> None:
    vendor, events = played("second upload", "marks")
    HARM[says](events)
    assert any(says in sentence for sentence in audit(vendor.account, events))


def test_a_record_that_was_never_completed_may_be_missing() -> None:
    vendor, events = played("marks", "second upload")
    lost = vendor.account.queues["alarm"].completed.pop()
    kept = [event for event in events if event["data"]["raw"].get("systemId") != lost]
    assert len(kept) < len(events)
    assert audit(vendor.account, kept) == []


async def test_another_process_can_ask_for_the_audit() -> None:
    clock = ManualClock()
    async with Simulator(clock=clock) as vendor, aiohttp.ClientSession() as session:
        held = vendor.account.queues["alarm"]
        held.subscribe(None, clock.monotonic())
        vendor.put("alarm", *vendor.make("alarm", 5, "marks"))
        held.completed = list(held.put)
        async with session.post(f"{vendor.url}/_simulator/audit", json={"events": []}) as answer:
            wrong = (await answer.json())["wrong"]
        async with session.get(f"{vendor.url}/_simulator/account") as answer:
            queue = (await answer.json())["queues"]["alarm"]
        assert len(wrong) == 5
        assert (queue["second_uploads"], queue["marks"]) == (0, 4)
