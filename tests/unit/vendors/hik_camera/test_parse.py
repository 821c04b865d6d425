from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import orjson
import pytest
from jsonschema import Draft202012Validator
from pydantic import ValidationError

import pump.vendors.hik_camera
from pump.core.clock import Clock
from pump.core.event import Event, encode
from pump.core.schema import event_schema
from pump.core.taxonomy import TYPES
from pump.ingest.stream.client import Answer
from pump.vendors.hik_camera import SOURCE
from pump.vendors.hik_camera.access import ACCESS
from pump.vendors.hik_camera.codes import EVENTS
from pump.vendors.hik_camera.device import advise
from pump.vendors.hik_camera.document import read_document
from pump.vendors.hik_camera.incidents import OpenIncidents
from pump.vendors.hik_camera.parse import Facts, parse
from pump.vendors.hik_camera.simulator.messages import Records
from pump.vendors.hik_camera.simulator.server import BURSTS, PULSES, Quirks, Simulator
from tests.certificates import needs_openssl, self_signed
from tests.unit.vendors.hik_camera.site import site

SAMPLES = sorted((Path(pump.vendors.hik_camera.__file__).parent / "samples").glob("*.json"))
FACTS = Facts(
    serial="DS-2CD000020260101AAWRTEST00001", name="North gate", model="DS-2CD0000", category="IPCamera",
    names={"1": "Lane 1", "33": "Yard"},
)  # fmt: skip
PARIS = ZoneInfo("Europe/Paris")
VALID = Draft202012Validator(event_schema(), format_checker=Draft202012Validator.FORMAT_CHECKER)


def check(event: Event) -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads(encode(event, "/north/door", datetime.now(UTC)))
    VALID.validate(found)
    return found


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_two_sources_share_no_subject_and_ids_do_not_follow_the_sources_name(path: Path) -> None:
    body = json.loads(path.read_text(encoding="utf-8"))["body"].encode()
    drive, yard = (
        parse(dict(read_document(body)), replace(FACTS, qualifier=name), PARIS) for name in ("drive", "yard")
    )
    for one, other in zip([drive, *drive.others], [yard, *yard.others], strict=True):
        assert (one.matter, one.fingerprint) == (other.matter, other.fingerprint)
        for event, twin in zip(one.events, other.events, strict=True):
            assert event.id == twin.id or not event.dedup_time_ms  # without a time ids are drawn
            if event.subject is None or event.subject.startswith("device/"):
                assert event.subject == twin.subject  # the serial number is the world's
            else:
                assert event.subject.split("/")[1] == "drive"
                assert event.subject.replace("/drive/", "/yard/") == twin.subject


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_samples_become_what_they_say(path: Path) -> None:
    sample = json.loads(path.read_text(encoding="utf-8"))
    tree = read_document(sample["body"].encode())
    alert = parse(dict(tree), FACTS, PARIS)
    assert (alert.heartbeat, alert.row.durative, alert.pictures) == (
        sample["heartbeat"], sample["lasts"], sample["pictures"],
    )  # fmt: skip
    matters = OpenIncidents(10.0)
    alerts = [] if alert.heartbeat else [alert, *alert.others]
    events = [event for one in alerts for event in matters.take(one, 0.0)[0]]
    assert len(events) == len(sample["expect"])
    for event, wanted in zip(events, sample["expect"], strict=True):
        found = check(event)
        raw = found["data"].pop("raw")
        root = tree.pop("", "")
        assert raw == ({root: tree} if root else tree) or event is not events[0]
        if found["data"].get("incident") == event.id:
            found["data"]["incident"] = "*"
        for number, medium in enumerate(found["data"].get("media", [])):
            assert medium["id"] == f"{event.id}/{number}"
            medium["id"] = "*"
        if wanted["time"] is None:
            assert found["data"].pop("time_source") == "received"
        else:
            assert found["time"] == wanted["time"]
        assert (found["type"], found.get("subject"), found["data"]) == (
            wanted["type"], wanted["subject"], wanted["data"],
        )  # fmt: skip


def test_every_code_has_its_type() -> None:
    types = {row.type for row in EVENTS.values()} | {row.end for row in EVENTS.values() if row.end}
    types |= {row.type for row in ACCESS.values()}
    assert types <= set(TYPES)
    assert all(code == code.lower() for code in EVENTS)
    wanted = "anpr accesscontrollerevent io linedetection fielddetection pir tma peoplecounting diskfull videoloss"
    assert set(wanted.split()) <= set(EVENTS)


def test_ids_are_made_of_what_the_device_says() -> None:
    records = Records(Clock(), Quirks(), 3)
    (message,) = records.make("access")
    once = parse(read_document(message.body), FACTS, PARIS).event.id
    assert parse(read_document(message.body), FACTS, PARIS).event.id == once
    renamed = Facts(serial=FACTS.serial, names={"1": "Another name"})
    assert parse(read_document(message.body), renamed, UTC).event.id == once, "an id is not made of configuration"
    bare = Records(Clock(), Quirks(serial_numbers=False), 3)
    ids = {parse(read_document(bare.make("anpr")[0].body), FACTS, PARIS).event.id for _ in range(50)}
    assert len(ids) == 50
    signed = (
        b"<a><eventType>x</eventType><dateTime>2026-11-20T08:00:00Z</dateTime><pictureURL>http://a/%s</pictureURL></a>"
    )
    assert len({parse(read_document(signed % part), FACTS, PARIS).event.id for part in (b"1", b"2")}) == 1
    clockless = b"<a><eventType>x</eventType><dateTime>1970-01-01T00:00:00Z</dateTime></a>"
    assert len({parse(read_document(clockless), FACTS, PARIS).event.id for _ in range(2)}) == 2


def test_every_made_up_message_fits_the_schema() -> None:
    records = Records(Clock(), Quirks(), 9)
    for kind in (*PULSES, *BURSTS) * 5:
        for message in records.make(kind, repeats=2):
            for event in parse(read_document(message.body), FACTS, PARIS).events:
                check(event)


@pytest.mark.parametrize(
    "wrong",
    [
        {"url": "rtsp://192.0.2.10"}, {"url": "http://admin:secret@192.0.2.10"}, {"url": "192.0.2.10"},
        {"password": "${NOT_THERE}"}, {"heartbeat_timeout": "0s"}, {"username": "a:b"}, {"surprise": 1},
    ],
)  # fmt: skip
def test_wrong_settings_are_told(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as told:
        SOURCE.Settings.model_validate(
            {"type": "hik-camera", "url": "http://192.0.2.10", "password": "x", **wrong}, context={"environ": {}}
        )
    assert "secret" not in str(told.value)


def test_refusals_say_what_to_do() -> None:
    body = (
        b"<userCheck><statusValue>401</statusValue><lockStatus>lock</lockStatus><unlockTime>1786</unlockTime>"
        b"<retryLoginTime>0</retryLoginTime></userCheck>"
    )
    locked = advise(Answer(401, "application/xml", body))
    assert locked.wait == 1786
    assert "0 attempts left" in locked.reason
    assert "locked for 1786 s" in locked.reason
    left = advise(
        Answer(401, "application/json", b'{"lockStatus": "unlock", "retryTimes": 4, "errorCode": 0x40000003}')
    )
    assert left.wait is None
    assert "4 attempts left" in left.reason
    assert advise(Answer(503, "", b"")).wait == 60.0
    assert "right" in advise(Answer(403, "", b"")).reason


@needs_openssl
@pytest.mark.parametrize("trust", ["its own authority", "anybody", "the system's authorities"])
async def test_tls(tmp_path: Path, trust: str) -> None:
    certificate, context = self_signed(tmp_path)
    settings: dict[str, Any] = {"ca": str(certificate)} if trust == "its own authority" else {}
    if trust == "anybody":
        settings = {"verify_tls": False}

    async def main() -> None:
        clock = Clock()
        async with (
            Simulator(clock=clock, ssl=context) as device,
            site(tmp_path / "spool", device, clock, **settings) as pump,
        ):
            if not settings:
                await pump.until(lambda: pump.state == "down")
                assert not device.account.requests
                return
            await device.connected()
            device.emit("access")
            await pump.stored(lambda events: any(event["type"].startswith("access.") for event in events))

    await main()
