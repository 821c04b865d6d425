"""Made-up Hik-Connect records: deterministic, numbered, and spelled as the quirks say."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any

import orjson
import pytest

from pump.simulation.quirks import variants
from pump.testing import ManualClock
from pump.vendors.hik_connect.simulator.account import QUEUES, QueueName
from pump.vendors.hik_connect.simulator.faults import POISON
from pump.vendors.hik_connect.simulator.messages import KINDS, Traffic, code, identity, number
from pump.vendors.hik_connect.simulator.quirks import Quirks

# Switches of the account and of the answers; the simulator's own tests turn them.
NOT_OF_RECORDS = {
    "wrong_secret", "login", "expire_time", "retry_after", "unknown_fields", "lost_subscription", "webhook",
    "error_code", "empty_batch_id", "empty_list", "remaining", "alarm_list", "combine_list", "rawmsg_list",
    "links_signed",
}  # fmt: skip
ALL_KINDS = [(queue, kind) for queue in QUEUES for kind in KINDS[queue]]
OF_RECORDS = [one for one in variants(Quirks()) if one[0].partition("=")[0] not in NOT_OF_RECORDS]


def make(queue: QueueName, n: int, kind: Any = "mix", quirks: Quirks | None = None, seed: int = 0) -> list[Any]:
    return Traffic(ManualClock(), quirks or Quirks(), seed).make(queue, n, kind)


@pytest.mark.parametrize("queue", QUEUES)
def test_the_seed_decides_everything(queue: QueueName) -> None:
    assert make(queue, 100, seed=5) == make(queue, 100, seed=5)
    assert make(queue, 100, seed=5) != make(queue, 100, seed=6)


@pytest.mark.parametrize(("queue", "kind"), ALL_KINDS)
def test_every_kind_is_numbered_in_the_order_of_its_queue(queue: QueueName, kind: Any) -> None:
    records = make(queue, 7, kind, seed=9)
    assert [number(identity(record)) for record in records] == [1, 2, 3, 4, 5, 6, 7]
    assert all(len(identity(record)) == 32 for record in records)
    assert all(code(queue, record) for record in records)
    assert orjson.loads(orjson.dumps(records)) == records


def test_what_one_call_leaves_the_next_begins_with() -> None:
    whole = make("alarm", 8, "matter")
    traffic = Traffic(ManualClock(), Quirks())
    assert traffic.make("alarm", 3, "matter") + traffic.make("alarm", 5, "matter") == whole


def test_a_kind_of_another_queue_is_told() -> None:
    with pytest.raises(KeyError):
        make("alarm", 1, "gps")


@pytest.mark.parametrize(("name", "quirks"), OF_RECORDS, ids=[name for name, _ in OF_RECORDS])
def test_every_switch_shows_in_a_record(name: str, quirks: Quirks) -> None:
    plain = [make(queue, 4, kind) for queue, kind in ALL_KINDS]
    turned = [make(queue, 4, kind, quirks) for queue, kind in ALL_KINDS]
    assert turned != plain
    assert [[identity(record) for record in made] for made in turned] == [
        [identity(record) for record in made] for made in plain
    ]
    assert [[code(queue, record) for record in made] for (queue, _), made in zip(ALL_KINDS, turned, strict=True)] == [
        [code(queue, record) for record in made] for (queue, _), made in zip(ALL_KINDS, plain, strict=True)
    ]
    assert [_plate(made[0]) for made in turned] == [_plate(made[0]) for made in plain]


def _plate(record: dict[str, Any]) -> str:
    found = re.search(rb'"licensePlate(?:No)?":"([A-H]\d{5})"', orjson.dumps(record))
    return "" if found is None else found.group(1).decode()


def test_the_messages_of_one_alarm() -> None:
    start, confirmed, marked, end = make("alarm", 4, "matter")
    assert len({one["guid"] for one in (start, confirmed, marked, end)}) == 1
    assert [one["msgType"] for one in (start, confirmed, marked, end)] == ["1", "2", "3", "0"]
    assert [one["alarmState"] for one in (start, end)] == ["1", "0"]
    assert marked["markState"] == "1"
    assert start["timeInfo"] | end["timeInfo"] == end["timeInfo"]
    begun, ended = (datetime.fromisoformat(end["timeInfo"][key]) for key in ("startTime", "endTime"))
    assert ended > begun
    assert datetime.fromisoformat(end["timeInfo"]["endTimeLocal"]) == ended


def test_pulses_repeat_a_guid_at_other_times() -> None:
    pulses = make("alarm", 3, "pulse")
    assert len({one["guid"] for one in pulses}) == 1
    assert len({one["timeInfo"]["startTime"] for one in pulses}) == 3
    assert {one["pulseAlarm"] for one in pulses} == {"true"}


@pytest.mark.parametrize(("queue", "key"), [("alarm", "guid"), ("combine", "eventId"), ("rawmsg", "uuid")])
def test_a_second_upload_brings_files(queue: QueueName, key: str) -> None:
    first, second = make(queue, 2, "second upload")
    assert first[key] == second[key]
    assert b"/v3/alarms/pic/get" in orjson.dumps(second)
    assert number(identity(second)) == 2
    if queue == "rawmsg":
        assert [first["update"], second["update"]] == [False, True]


def test_what_is_late_says_so_differently_in_each_queue() -> None:
    assert [make("alarm", 1, kind)[0]["dataRetransmission"] for kind in ("camera", "late")] == [1, 0]
    assert [make("combine", 1, kind)[0]["basicInfo"]["dataRetransmission"] for kind in ("camera", "late")] == [0, 1]
    inner = [make("rawmsg", 1, kind)[0]["data"]["openDoorInfo"]["event"]["basicInfo"] for kind in ("access", "late")]
    assert [one.get("currentEvent") for one in inner] == [None, 0]


def test_access_messages_never_repeat_their_serial_number() -> None:
    inner = [one["data"]["openDoorInfo"]["event"] for one in make("rawmsg", 50, "access")]
    assert len({one["basicInfo"]["serialNo"] for one in inner}) == 50
    assert all(isinstance(one["basicInfo"]["eventType"], int) for one in inner)
    assert all(one["intelliInfo"]["personId"] for one in inner)


def test_naive_times_are_the_sites_own() -> None:
    quirks = Quirks(alarm_time="naive", rawmsg_time="naive", utc_offset=60)
    now = ManualClock().now().replace(tzinfo=None) + timedelta(hours=1)
    alarm = make("alarm", 1, "camera", quirks)[0]["timeInfo"]
    message = make("rawmsg", 1, "gps", quirks)[0]["basicInfo"]
    assert list(alarm) == ["startTime"]
    assert timedelta(0) <= now - datetime.fromisoformat(alarm["startTime"]) <= timedelta(seconds=3)
    assert timedelta(0) <= now - datetime.fromisoformat(message["occurrenceTime"]) <= timedelta(seconds=3)
    assert " " in message["occurrenceTime"]


@pytest.mark.parametrize("record", [17, None, "x", [], {}, {"systemId": 7}, *POISON.values()])
def test_what_has_no_number_has_an_identity_still(record: Any) -> None:
    assert identity(record) == identity(record)
    assert len(identity(record)) == 32
    with pytest.raises(ValueError, match="not a made-up record"):
        number(identity(record))
