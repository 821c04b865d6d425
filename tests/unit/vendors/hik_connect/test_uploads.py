"""Second uploads of every kind, by record: pure, with the memory as it is and as it is after a restart."""

from __future__ import annotations

import copy
import json
import tracemalloc
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

import pump.vendors.hik_connect
from pump.core.event import Event, Unparsed, event_id
from pump.vendors.hik_connect.parse import Queue, normalise
from pump.vendors.hik_connect.uploads import LIFE, PREFIX, Uploads

RECEIVED = datetime(2026, 11, 20, 8, 0, tzinfo=UTC)
FOLDER = Path(pump.vendors.hik_connect.__file__).parent / "samples"
DOOR = "data__openDoorInfo__event"
SNAPSHOT = [{"snapPicUrl": "https://a/snap?sign=1", "snapPicType": 0}]
PLATES = [{"pictureURL": "https://a/plate?sign=1"}]
PICTURE = [{"url": "https://a/1.jpg?sign=1"}]
FILE = {"type": "1", "saveState": "0", "extendInfo": {"sourceID": "s", "captureIndex": "1"}}
LINKED = FILE | {"url": "https://a/2.jpg?sign=1", "URL": "https://a/2.jpg?sign=1"}


def sample(name: str, **fields: Any) -> tuple[Queue, dict[str, Any]]:
    """The sample's record after some fields were set, or removed where None; "a__b" is b within a."""
    entry = json.loads((FOLDER / f"{name}.json").read_text())
    record = copy.deepcopy(entry["record"])
    for path, value in fields.items():
        *groups, last = path.split("__")
        inner = record
        for group in groups:
            inner = inner.setdefault(group, {})
        if value is None:
            inner.pop(last, None)
        else:
            inner[last] = value
    return entry["queue"], record


def one(queue: Queue, record: object, uploads: Uploads | None) -> Event:
    [event] = normalise(queue, copy.deepcopy(record), ZoneInfo("UTC"), RECEIVED, uploads)
    assert isinstance(event, Event), event
    return event


def restarted(uploads: Uploads, stored: dict[str, Any], now: datetime = RECEIVED) -> Uploads:
    """What the next process knows: `stored` is the spool's state, JSON and nothing else."""
    stored |= uploads.state(now)
    for key in [key for key, value in stored.items() if value is None]:
        del stored[key]
    return Uploads.load(json.loads(json.dumps(stored)), PREFIX)


# Sample, what the first upload has, what the later ones have.
LATER: dict[str, tuple[str, dict[str, Any], list[dict[str, Any]]]] = {
    "plate: no list, pictures, more pictures": (
        "alarm-plate-blocklist",
        {"anprinfo__pictureInfo": None},
        [{"anprinfo__pictureInfo": PLATES}, {"anprinfo__pictureInfo": PLATES * 2}],
    ),
    "plate: empty list": (
        "alarm-plate-blocklist", {"anprinfo__pictureInfo": []}, [{"anprinfo__pictureInfo": PLATES}]
    ),
    "plate: blank link": (
        "alarm-plate-blocklist",
        {"anprinfo__pictureInfo": [{"pictureURL": ""}]},
        [{"anprinfo__pictureInfo": PLATES}],
    ),
    "plate: no group": ("alarm-plate-blocklist", {"anprinfo": None}, [{"anprinfo": {"pictureInfo": PLATES}}]),
    "plate: one picture, then two": (
        "alarm-plate-blocklist", {"anprinfo__pictureInfo": PLATES}, [{"anprinfo__pictureInfo": PLATES * 2}]
    ),
    "combine plate": (
        "combine-motion",
        {"eventType": "10500", "eventData__anprinfo": {"licensePlate": "A 1", "pictureInfo": []}},
        [{"eventType": "10500", "eventData__anprinfo": {"licensePlate": "A 1", "pictureInfo": PLATES}}],
    ),
    "alarm file: saved, its link later": (
        "alarm-leaving-queue", {"fileInfo": {"file": [FILE]}}, [{"fileInfo": {"file": [LINKED]}}]
    ),
    **{
        f"combine file: link later in state {state}": (
            "combine-motion",
            {"eventData__fileInfo": {"file": [FILE | {"saveState": state}]}},
            [{"eventData__fileInfo": {"file": [LINKED | {"saveState": state}]}}],
        )
        for state in ("0", "1", "2", "4", 0, None)
    },
    "alarm file: none, then one, then two": (
        "alarm-leaving-queue",
        {"fileInfo": {}},
        [{"fileInfo": {"file": [LINKED]}}, {"fileInfo": {"file": [LINKED, LINKED]}}],
    ),
    "alarm end": (
        "alarm-end", {"fileInfo": {"file": [FILE]}}, [{"fileInfo": {"file": [LINKED]}}]
    ),
    "pulse": ("alarm-pulse-late", {"fileInfo": None}, [{"fileInfo": {"file": [LINKED]}}]),
    **{
        f"snapshot in {place}": (
            "rawmsg-temperature",
            {},
            [{f"{place}__acsSnapPicList": SNAPSHOT}, {f"{place}__acsSnapPicList": SNAPSHOT * 2}],
        )
        for place in (DOOR, f"{DOOR}__basicInfo", f"{DOOR}__intelliInfo", "data__openDoorInfo", "data")
    },
    "snapshot without its link first": (
        "rawmsg-temperature",
        {f"{DOOR}__intelliInfo__acsSnapPicList": [{"snapPicType": 0}]},
        [{f"{DOOR}__intelliInfo__acsSnapPicList": SNAPSHOT}],
    ),
    "access marked as an update": ("rawmsg-access", {}, [{"update": True, "picture": PICTURE}]),
    "access marked as an update, as text, twice": (
        "rawmsg-access",
        {"update": "false"},
        [{"update": "true", "picture": PICTURE}, {"update": "true", "picture": PICTURE, "video": PICTURE}],
    ),
    "access not marked": ("rawmsg-access", {}, [{"picture": PICTURE}]),
    "access with a snapshot and an update": (
        "rawmsg-temperature", {}, [{"update": True, f"{DOOR}__intelliInfo__acsSnapPicList": SNAPSHOT}]
    ),
    "access without a serial number": (
        "rawmsg-access",
        {f"{DOOR}__basicInfo__serialNo": None, f"{DOOR}__intelliInfo__acsSnapPicList": None},
        [
            {
                f"{DOOR}__basicInfo__serialNo": None,
                f"{DOOR}__intelliInfo__acsSnapPicList": SNAPSHOT,
                "update": True,
                "picture": PICTURE,
            }
        ],
    ),
    "a person's picture": (
        "rawmsg-temperature", {}, [{f"{DOOR}__intelliInfo__personPicUrl": "https://a/person?sign=1"}]
    ),
    "a door's picture": ("rawmsg-temperature", {}, [{f"{DOOR}__basicInfo__elementPicUrl": "https://a/door?sign=1"}]),
    "on-board: attachments": ("rawmsg-phone", {"update": False}, [{"update": True, "picture": PICTURE}]),
    "on-board: attachments without the mark": ("rawmsg-phone", {"update": False}, [{"picture": PICTURE}]),
    "on-board: an attachment without its link first": (
        "rawmsg-phone", {"picture": [{"url": ""}]}, [{"picture": PICTURE}, {"picture": PICTURE * 2}]
    ),
    "on-board: no uuid": (
        "rawmsg-phone",
        {"uuid": None, "update": False, "picture": []},
        [{"uuid": None, "update": True, "picture": PICTURE}],
    ),
    "a driver's picture": (
        "combine-sharp-turn",
        {"eventData": {"vehicleRelatedInfo": {"vehicleInfo": {"driverInfos": [{"driverName": "A"}]}}}},
        [{"eventData": {"vehicleRelatedInfo": {"vehicleInfo": {"driverInfos": [
            {"driverName": "A", "driverFacePic": "https://a/face?sign=1"}]}}}}],
    ),
}  # fmt: skip


@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize("kind", LATER)
def test_what_comes_later_is_an_update_of_the_first(kind: str, restart: bool) -> None:
    name, before, later = LATER[kind]
    queue, record = sample(name, **before)
    uploads, stored = Uploads(), dict[str, Any]()
    first = one(queue, record, uploads)
    assert first.data["update"] is False
    assert "updates" not in first.data
    seconds: list[Event] = []
    for fields in later:
        if restart:
            uploads = restarted(uploads, stored)
        second = one(*sample(name, **fields), uploads)
        assert (second.data["update"], second.data.get("updates")) == (True, first.id)
        assert second.data["phase"] == "update"
        before_it = seconds[-1] if seconds else first
        assert len(second.data["media"]) >= len(before_it.data.get("media", []))
        seconds.append(second)
    assert len({first.id, *(second.id for second in seconds)}) == 1 + len(seconds)
    if restart:
        uploads = restarted(uploads, stored)
    # Handed out again, with links signed afresh, each is what it was.
    again = [one(queue, record, uploads), *(one(*sample(name, **fields), uploads) for fields in later)]
    assert [(event.id, event.data.get("updates")) for event in again] == [
        (event.id, event.data.get("updates")) for event in [first, *seconds]
    ]


@pytest.mark.parametrize("kind", LATER)
def test_a_later_upload_names_no_event_where_the_first_is_not_known(kind: str) -> None:
    name, _, later = LATER[kind]
    queue, record = sample(name, **later[0])
    event = one(queue, record, Uploads())
    assert "updates" not in event.data
    assert event.data["update"] is (record.get("update") in (True, "true"))
    assert one(queue, record, None).id == event.id


def test_an_update_that_comes_before_its_first_is_named_by_nothing() -> None:
    uploads = Uploads()
    later = one(*sample("rawmsg-phone", update=True, picture=PICTURE), uploads)
    first = one(*sample("rawmsg-phone", update=False, picture=[]), uploads)
    last = one(*sample("rawmsg-phone", update=True, picture=PICTURE * 2), uploads)
    assert "updates" not in later.data
    assert first.data["update"] is False
    assert last.data["updates"] == first.id


@pytest.mark.parametrize("harm", [10**30, [[[[[]]]]]])
def test_a_first_upload_that_cannot_be_written_is_forgotten(harm: Any) -> None:
    if isinstance(harm, list):
        for _ in range(400):
            harm = [harm]
    uploads = Uploads()
    queue, record = sample("combine-second-upload")
    one(queue, record | {"eventData": {}, "more": harm}, uploads)
    assert "updates" not in one(queue, record, uploads).data


def test_a_poison_record_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever goes wrong after the record was looked up, it makes no event to be named."""
    uploads = Uploads()
    queue, record = sample("alarm-second-upload")
    broken = record | {"fileInfo": {}, "alarmPriority": {"level": "2"}, "anprinfo": {"licensePlate": "A"}}
    with monkeypatch.context() as harm:
        harm.setattr("pump.vendors.hik_connect.groups.vehicle", lambda *_: 1 / 0)
        [kept] = normalise(queue, broken, ZoneInfo("UTC"), RECEIVED, uploads)
    assert isinstance(kept, Unparsed)
    assert "updates" not in one(queue, record, uploads).data


def test_what_is_remembered_is_bounded_in_number_and_age_on_disk_too() -> None:
    stored: dict[str, Any] = {}
    uploads = Uploads(limit=200)
    for n in range(1000):
        assert uploads.first(n, f"{n:032x}", ())[1] is None
        if n % 7 == 0:
            stored |= uploads.state(RECEIVED)
    uploads = restarted(uploads, stored)
    assert len(stored) <= 200 / 64 + 2
    assert uploads.seen(0) is None
    assert uploads.seen(999) is not None
    assert sum(uploads.seen(n) is not None for n in range(1000)) >= 200
    assert uploads.first("new", "x" * 32, ())[1] is None
    uploads = restarted(uploads, stored, RECEIVED + LIFE + timedelta(seconds=1))
    assert [uploads.seen(key) is not None for key in (999, "new")] == [False, True]
    assert len(stored) == 1


def test_the_oldest_goes_first_whether_it_is_stored_yet_or_was_loaded() -> None:
    stored: dict[str, Any] = {}
    uploads = Uploads(limit=10)
    for n in range(60):
        uploads.first(n, f"{n:032x}", ())
        if n % 4 == 3:
            stored |= uploads.state(RECEIVED)
        assert [one for one in range(60) if uploads.seen(one)] == list(range(max(0, n - 9), n + 1))
    again = Uploads.load(stored, PREFIX, limit=10)
    for n in range(60, 75):
        again.first(n, f"{n:032x}", ())
        assert [one for one in range(75) if again.seen(one)] == list(range(n - 9, n + 1))


def test_a_full_memory_is_small_and_holds_the_newest_word_for_word() -> None:
    """An alarm queue fills it in an hour, and what it then is must not be a leak to look at."""
    stored: dict[str, Any] = {}
    tracemalloc.start()
    try:
        uploads, before = Uploads(4_000), tracemalloc.get_traced_memory()[0]
        for number in range(5_000):
            uploads.begin()
            uploads.first(f"record {number}", event_id("event", number), ("files", number % 50), number % 3)
            if number % 20 == 19:
                stored |= uploads.state(RECEIVED + timedelta(seconds=number))
        held = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert held < 4_000 * 220, "bytes, with the pieces of state themselves; 270 a record as texts of their own"
    again = restarted(uploads, stored)
    assert all(uploads.seen(f"record {number}") is None for number in range(1_000))
    for number in range(1_000, 5_000):
        seen = uploads.seen(f"record {number}")
        assert seen is not None
        assert (seen.id, seen.links) == (event_id("event", number), number % 3)
        assert again.seen(f"record {number}") == seen


@pytest.mark.parametrize("broken", [None, 7, {}, {"at": "x", "seen": 3}, {"at": 1, "seen": "a\nb c\n d e f g h"}])
def test_a_memory_that_cannot_be_read_is_none(broken: Any) -> None:
    uploads = Uploads.load({f"{PREFIX}1": broken, f"{PREFIX}x": broken, PREFIX: broken}, PREFIX)
    assert uploads.first("key", "id", ()) == ("id", None)
    assert uploads.first("key", "other", ("picture",)) == ("other", "id")
    assert uploads.state(RECEIVED)


def test_a_line_that_cannot_be_read_takes_no_other_along() -> None:
    uploads, stored = Uploads(), dict[str, Any]()
    for name in "abc":
        uploads.first(name, f"id-of-{name}", ())
    restarted(uploads, stored)
    [(key, piece)] = stored.items()
    stored[key] = piece | {"seen": piece["seen"].replace("id-of-b ", "")}
    again = restarted(Uploads(), stored)
    assert [seen.id if (seen := again.seen(name)) else None for name in "abc"] == ["id-of-a", None, "id-of-c"]
    assert again.first("b", "id-new", ())[1] is None
    again = restarted(again, stored)
    assert [seen.id if (seen := again.seen(name)) else None for name in "abc"] == ["id-of-a", "id-new", "id-of-c"]
    later = RECEIVED + LIFE + timedelta(days=1)
    assert again.first("d", "id-of-d", ())[1] is None
    again = restarted(again, stored, later)
    assert [again.seen(name) is not None for name in "abcd"] == [False, False, False, True]


def test_a_guid_that_repeats_after_a_restart_is_still_a_pulse() -> None:
    entry = json.loads((FOLDER / "alarm-repeated-guid.json").read_text())
    uploads, stored = Uploads(), dict[str, Any]()
    one("alarm", entry["before"][0], uploads)
    assert one("alarm", entry["record"], restarted(uploads, stored)).data["phase"] == "pulse"
