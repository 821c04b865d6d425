"""The vendor's audit of the events that a pump made of its records: uploads, confirmations and marks.

By the document a second upload brings attachments to the same alarm (4.2) or message (A.3.91), and a confirmation or a
mark repeats the alarm's guid (A.3.20). So each record that was completed must be one event; the later uploads of a
matter updates that name the first; each mark an event of its own that names its alarm.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pump.vendors.hik_connect.simulator import messages as traffic
from pump.vendors.hik_connect.simulator.account import Account, Queue

Event = Mapping[str, Any]


def audit(account: Account, events: Iterable[Event]) -> list[str]:
    """A sentence for each fault; none where all is as it should be.

    `events` are the pump's, in any order, each with its record in `data.raw`. What is not completed may be missing.
    """
    made: dict[str, list[Event]] = {}
    ids: set[str] = set()
    for event in events:
        raw = event["data"].get("raw")
        ids.add(event["id"])
        if isinstance(raw, dict):
            made.setdefault(traffic.identity(raw), []).append(event)
    wrong: list[str] = []
    for found in made.values():
        for event in found:
            named = event["data"].get("updates")
            if named is not None and named not in ids:
                wrong.append(f"{event['id']} updates {named}, which no event is")
    for queue in account.queues.values():
        wrong += _queue(queue, made)
    return wrong


def _queue(queue: Queue, made: Mapping[str, list[Event]]) -> Iterable[str]:
    done = set(queue.completed)
    alarms: dict[str, list[str]] = {}  # starts, pulses and ends, by guid and start
    for of, records in queue.matters.items():
        alarms.setdefault(of.rpartition(" ")[0], []).extend(records)
    for of, records in queue.matters.items():
        completed = {identity: role for identity, role in records.items() if identity in done}
        for identity in completed:
            if (number := len(made.get(identity, ()))) != 1:
                yield f"the record {identity} of {of} is {number} events"
        found = [(made[identity][0], role) for identity, role in completed.items() if identity in made]
        uploads = [event for event, role in found if role == "upload"]
        yield from _uploads(uploads)
        starts = [made[identity][0] for identity in alarms.get(of, ()) if identity in made]
        yield from _marks([event for event, role in found if role == "mark"], starts)


def _uploads(uploads: list[Event]) -> Iterable[str]:
    for place, event in enumerate(uploads):
        data = event["data"]
        if data["update"] is not (place > 0):
            yield f"{event['id']} has update {data['update']} and is upload {place + 1}"
        elif place > 0 and data.get("updates") != uploads[0]["id"]:
            yield f"{event['id']} updates {data.get('updates')} and not the first upload {uploads[0]['id']}"


def _marks(marks: list[Event], starts: list[Event]) -> Iterable[str]:
    names = {start["id"] for start in starts} | {start["data"].get("incident") for start in starts} - {None}
    for event in marks:
        data = event["data"]
        if data["phase"] != "update":
            yield f"the mark {event['id']} has the phase {data['phase']}"
        if starts and not names & {data.get("updates"), data.get("incident")}:
            yield f"the mark {event['id']} does not name its alarm"
