"""Confirmations and marks: made again they are events of their own, handed out again they are not."""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

import pump.vendors.hik_connect
from pump.core.event import Event
from pump.vendors.hik_connect.marks import LIFE, PREFIX, Marks, is_mark
from pump.vendors.hik_connect.parse import normalise
from pump.vendors.hik_connect.uploads import PREFIX as UPLOADS
from pump.vendors.hik_connect.uploads import Uploads

RECEIVED = datetime(2026, 11, 20, 8, 0, tzinfo=UTC)
FOLDER = Path(pump.vendors.hik_connect.__file__).parent / "samples"
START: dict[str, Any] = json.loads((FOLDER / "alarm-leaving-queue.json").read_text())["record"]


def alarm(**fields: Any) -> dict[str, Any]:
    return copy.deepcopy(START) | fields


def mark(state: str, **fields: Any) -> dict[str, Any]:
    return alarm(msgType="3", markState=state, **fields)


def confirmation(state: str = "1", **fields: Any) -> dict[str, Any]:
    return alarm(msgType="2", affirmedState=state, **fields)


class Queue:
    """The alarm queue as a source reads it: batches, the spool's state, restarts."""

    def __init__(self, restarts: bool = False) -> None:
        self.uploads = Uploads()
        self.stored: dict[str, Any] = {}
        self.restarts = restarts
        self.batches = 0

    def hand(self, *records: Any, batch: str | None = "", stored: bool = True) -> list[Event]:
        """The events of a batch, under a new id where none is given; not `stored`: the spool refused it."""
        self.batches += 1
        if self.restarts or not stored:
            self.load()
        name, begun = f"batch {self.batches}" if batch == "" else batch, False
        found = []
        for record in records:
            if not begun and is_mark(record):
                begun = True
                self.uploads.marks.begin(name, records, RECEIVED)
            found.append(normalise("alarm", copy.deepcopy(record), ZoneInfo("UTC"), RECEIVED, self.uploads))
        if not begun:
            self.uploads.marks.begin(None, (), RECEIVED)
        if stored:
            self.stored |= self.uploads.state(RECEIVED) | self.uploads.marks.state()
            self.stored = {key: value for key, value in self.stored.items() if value is not None}
        else:
            self.load()
        return [event for [event] in found if isinstance(event, Event)]

    def load(self) -> None:
        kept = json.loads(json.dumps(self.stored))
        self.uploads = Uploads.load({key: kept[key] for key in kept if key.startswith(UPLOADS)}, UPLOADS)
        self.uploads.marks = Marks.load({key: kept[key] for key in kept if key.startswith(PREFIX)}, PREFIX)


def ids(events: Sequence[Event]) -> list[str]:
    return [event.id for event in events]


SEQUENCES: dict[str, tuple[list[Any], list[int]]] = {
    # What is sent, and which of the events each is.
    "1, 0, 1": ([mark("1"), mark("0"), mark("1")], [1, 2, 3]),
    "1, 0, 1, 0, 1": ([mark(state) for state in "10101"], [1, 2, 3, 4, 5]),
    "0, 1, 0": ([mark(state) for state in "010"], [1, 2, 3]),
    "the same again": ([mark("1"), mark("1"), mark("0"), mark("0")], [1, 1, 2, 2]),
    "numbers": ([mark("1") | {"markState": 1, "msgType": 3}, mark("0"), mark("1")], [1, 2, 3]),
    "confirmed, not, confirmed": ([confirmation(state) for state in "101"], [1, 2, 3]),
    "a confirmation between": ([mark("1"), confirmation(), mark("1")], [1, 2, 1]),
    "a pulse": ([mark(state, pulseAlarm="true") for state in "101"], [1, 2, 3]),
    "two alarms": ([mark("1"), mark("0", guid="other"), mark("1"), mark("1", guid="other")], [1, 2, 1, 3]),
    "two pulses of one guid": (
        [mark("1"), mark("0", timeInfo={"startTime": "2023-04-13T09:00:00Z"}), mark("1")],
        [1, 2, 1],
    ),
    "other records between": ([mark("1"), alarm(guid="x"), mark("0"), alarm(guid="y"), mark("1")], [1, 2, 3, 4, 5]),
}


# Two batches in a row that say the same, word for word, cannot be told from one that is handed out again.
ALIKE = {("1, 0, 1, 0, 1", 2): [1, 2, 1, 2, 3]}


def places(events: Sequence[Event]) -> list[int]:
    known = list(dict.fromkeys(ids(events)))
    return [known.index(event.id) + 1 for event in events]


@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize("size", [1, 2, 3, 100])
@pytest.mark.parametrize("kind", SEQUENCES)
def test_a_state_that_comes_again_is_an_event_and_one_that_stays_is_none(kind: str, size: int, restarts: bool) -> None:
    records, expected = SEQUENCES[kind]
    queue = Queue(restarts)
    queue.hand(alarm())
    events = [event for at in range(0, len(records), size) for event in queue.hand(*records[at : at + size])]
    assert places(events) == ALIKE.get((kind, size), expected)


@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize("size", [1, 2, 3, 100])
@pytest.mark.parametrize("again", ["the same id", "another id", "no id", "refused first"])
@pytest.mark.parametrize("kind", SEQUENCES)
def test_a_batch_handed_out_again_is_the_same_events(kind: str, again: str, size: int, restarts: bool) -> None:
    records, expected = SEQUENCES[kind]
    queue, events = Queue(restarts), list[Event]()
    for at in range(0, len(records), size):
        batch = records[at : at + size]
        name = None if again == "no id" else f"{at}"
        if again == "refused first":
            queue.hand(*batch, batch=name, stored=False)
        found = queue.hand(*batch, batch=name)
        for _ in range(2):
            assert ids(queue.hand(*batch, batch="" if again == "another id" else name)) == ids(found)
        events += found
    assert places(events) == ALIKE.get((kind, size), expected)


def test_an_older_batch_is_known_by_its_id() -> None:
    queue = Queue()
    first, second = queue.hand(mark("1"), batch="a"), queue.hand(mark("0"), batch="b")
    assert ids(queue.hand(mark("1"), batch="a")) == ids(first)
    assert ids(queue.hand(mark("0"), batch="b")) == ids(second)
    third = queue.hand(mark("1"), batch="c")
    assert places([*first, *second, *third]) == [1, 2, 3]


def test_the_first_time_of_each_state_has_the_id_that_it_always_had() -> None:
    queue = Queue()
    for record in (mark("1"), mark("0"), confirmation()):
        [plain] = normalise("alarm", copy.deepcopy(record), ZoneInfo("UTC"), RECEIVED)
        assert isinstance(plain, Event)
        assert ids(queue.hand(record)) == [plain.id]


@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize("word", ["true", "1", 1, True])
@pytest.mark.parametrize("code", ["100657", "10057"])
@pytest.mark.parametrize("silent", [False, True])
@pytest.mark.parametrize("kind", ["2", "3"])
def test_a_confirmation_or_mark_of_a_pulse_names_it(
    kind: str, silent: bool, code: str, word: Any, restart: bool
) -> None:
    """Silent: only the alarm itself says that it is a pulse."""
    fields: dict[str, Any] = {"pulseAlarm": word, "eventSource": START["eventSource"] | {"eventType": code}}
    queue = Queue(restart)
    [pulse] = queue.hand(alarm(**fields))
    told = fields | ({"pulseAlarm": None} if silent else {})
    [event] = queue.hand(alarm(msgType=kind, markState="1", affirmedState="1", **told))
    assert event.data["updates"] == pulse.id
    assert event.data["incident"] == pulse.data.get("incident", START["guid"])
    assert (event.data["phase"], event.data["update"]) == ("update", False)
    assert event.data["alarm"]["guid"] == pulse.data["alarm"]["guid"]


def test_each_pulse_of_a_repeated_guid_is_named_by_its_own_marks() -> None:
    queue = Queue()
    later = {"timeInfo": {"startTime": "2023-04-13T09:00:00Z"}}
    _, pulse = queue.hand(alarm(), alarm(**later))
    of_start, of_pulse = queue.hand(mark("1"), mark("1", **later))
    assert of_pulse.data["updates"] == pulse.id
    assert "updates" not in of_start.data, "a start is an incident"
    assert of_start.data["incident"] == START["guid"]


def test_a_mark_of_a_pulse_that_was_never_stored_names_it_by_its_guid_alone() -> None:
    [event] = Queue().hand(mark("1", pulseAlarm="1"))
    assert event.data["incident"] == START["guid"]
    assert "updates" not in event.data


def test_first_states_of_alarms_are_held_once_and_one_that_goes_on_takes_no_other_along() -> None:
    marks = Marks()
    marks.begin("1", [mark("1", guid="a"), mark("1", guid="b")], RECEIVED)
    assert [marks.nth(guid, "".join(("mark ", "1"))) for guid in "ab"] == [1, 1]
    one, other = (value for key, value in marks.state().items() if not key.endswith("batches"))
    assert one["counts"] is other["counts"]
    assert (one["last"], one["counts"]) == ("mark 1", {"mark 1": 1})
    marks.begin("2", [mark("0", guid="a")], RECEIVED)
    assert [marks.nth("a", state) for state in ("mark 0", "mark 1")] == [1, 2]
    assert one["counts"] == other["counts"] == {"mark 1": 1}
    assert marks.nth("b", "mark 0") == 1


@pytest.mark.parametrize("other", [alarm(), 7, None, "x", [mark("1")], {}, mark("1") | {"msgType": True}])
def test_a_batch_without_a_mark_is_the_same_with_and_without_its_records(other: Any) -> None:
    assert not is_mark(other)
    states = []
    for records in ([other], ()):
        marks = Marks()
        marks.begin("a", [other, mark("1")], RECEIVED)
        assert marks.nth("g", "1") == 1
        marks.state()
        marks.begin("b", records, RECEIVED)
        states.append(marks.state())
        # No longer the newest: without an id it is another batch.
        marks.begin(None, [other, mark("1")], RECEIVED)
        assert [marks.nth("g", state) for state in "01"] == [1, 2]
    assert states[0] == states[1]


def test_what_is_remembered_is_bounded_in_number_and_age() -> None:
    marks = Marks(limit=3)
    marks.begin("a", [mark("1")], RECEIVED)
    for n in range(10):
        assert marks.nth(n, "1") == 1
    stored = {key: value for key, value in marks.state().items() if value is not None}
    assert len(stored) == 3 + 1
    again = Marks.load(stored, PREFIX, limit=3)
    again.begin("b", [mark("0")], RECEIVED + LIFE + timedelta(seconds=1))
    assert again.nth(11, "1") == 1
    assert sum(value is None for value in again.state().values()) == 3


@pytest.mark.parametrize("broken", [None, 7, {}, {"at": 1, "last": "1", "counts": {"1": "x"}}, {"batches": [1, {}]}])
def test_a_memory_that_cannot_be_read_is_none(broken: Any) -> None:
    marks = Marks.load({f"{PREFIX}a": broken, f"{PREFIX}batches": broken}, PREFIX)
    marks.begin("a", [mark("1"), 7, None], RECEIVED)
    assert [marks.nth("g", state) for state in "1011"] == [1, 1, 2, 2]
    assert marks.state()
