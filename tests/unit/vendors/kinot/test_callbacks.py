"""Callbacks over the real listener: signed, stored, then answered; and all that may be wrong with one."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest

from pump.core.clock import Clock
from pump.ingest.devices import Device
from pump.ingest.push.request import Push
from pump.vendors.kinot.numbers import Number
from pump.vendors.kinot.simulator.callbacks import TRICKS, Trick
from pump.vendors.kinot.simulator.fleet import VENDOR_ZONE, written
from tests.unit.vendors.kinot.site import Site, kinot_site


async def run(tmp_path: Path, test: Any, **settings: Any) -> None:
    async with kinot_site(tmp_path, running=False, **settings) as site:
        await test(site)


def sensor(site: Site, place: int = 0) -> int:
    return site.kinot.fleet.sensors[place].sn


def lock(site: Site) -> int:
    return site.kinot.fleet.locks[0].sn


STATUS: dict[str, Any] = {
    "voltage": 3.6, "frequency": 38.5, "car_detected": 0, "low_battery": 0, "coil_fault": 0, "rs_si": -80,
    "device_type": 34,
}  # fmt: skip
"""The rest of a sensor's status, as the document has it."""


def signed(site: Site, **fields: Any) -> str:
    """A sensor's status as Kinot sends it; fields that are None are left out."""
    fields = {name: value for name, value in {**STATUS, **fields}.items() if value is not None}
    return signed_alone(site, **fields)


def signed_alone(site: Site, **fields: Any) -> str:
    """A body of these fields, signed."""
    fields = {name: Number(value) if isinstance(value, int | float) else value for name, value in fields.items()}
    return written({**fields, "sign": site.kinot.platform.sign(fields)})


def changed(seconds: int) -> str:
    """An `updated_at`, so long after a minute ago: the simulator, on the same clock, tells later changes only."""
    at = Clock().now() - timedelta(minutes=1) + timedelta(seconds=seconds)
    return at.astimezone(VENDOR_ZONE).isoformat(timespec="seconds")


async def test_a_status_is_answered_after_its_commit(tmp_path: Path) -> None:
    async def test(site: Site) -> None:
        site.intake.gate = asyncio.Event()
        site.kinot.change(sensor(site), car_detected=1)
        await site.until(lambda: site.intake.entered)
        assert site.kinot.platform.open == 1
        assert await site.events() == []
        site.intake.gate.set()
        await site.settled()
        sent = site.sent(sensor(site))
        assert (sent.status, sent.answer, sent.tries) == (200, '{"code":0,"message":"OK"}', 1)
        found = await site.events()
        assert [event["type"] for event in found] == ["parking.space.occupied", "device.battery.normal"]
        first = found[0]
        assert first["source"] == "/north/bays"
        assert first["subject"] == f"sensor/{sensor(site)}"
        assert first["data"]["parking"] == {"occupied": True, "fault": False}
        assert set(first["data"]["power"]) == {"volts", "low"}
        assert set(first["data"]["radio"]) == {"rssi", "coil_frequency"}

    await run(tmp_path, test)


async def test_only_changes_are_told(tmp_path: Path) -> None:
    async def test(site: Site) -> None:
        sn = lock(site)
        for flags in (
            {"car_detected": 1}, {}, {"car_detected": 0, "locked": 1}, {}, {"motor_fail": 1}, {"motor_fail": 0},
            {"shell_opened": 1}, {"low_battery": 1},
        ):  # fmt: skip
            site.kinot.change(sn, **flags)
            await site.settled()
        told = [(event["type"], event["data"]["phase"]) for event in await site.events()]
        assert told == [
            ("parking.space.occupied", "start"),
            ("parking.lock.lowered", "end"),
            ("device.battery.normal", "end"),
            ("parking.space.vacated", "end"),
            ("parking.lock.raised", "start"),
            ("device.fault.raised", "start"),
            ("device.fault.cleared", "end"),
            ("device.tamper", "start"),
            ("device.battery.low", "start"),
        ]
        assert site.counted("unchanged") == 2

    await run(tmp_path, test)


async def test_the_state_is_a_row_of_the_device_table(tmp_path: Path) -> None:
    async def test(site: Site) -> None:
        sn = lock(site)
        bay = site.kinot.change(sn, car_detected=1)
        await site.settled()
        row = Device.of(str(sn), site.intake.state("device/")[f"device/{sn}"])
        assert (row.online, row.interval) == (True, None)
        assert datetime.fromisoformat(row.seen) == bay.updated
        measures = {"volts": round(bay.volts, 3), "rssi": round(bay.rssi, 1), "coil_frequency": round(bay.frequency, 3)}
        assert row.facts == {"serial": str(sn), "kind": "lock", "name": "parking lock", **measures}

    await run(tmp_path, test)


async def test_emit_all_tells_every_status(tmp_path: Path) -> None:
    async def test(site: Site) -> None:
        for flags in ({"car_detected": 1}, {}, {}):
            site.kinot.change(sensor(site), **flags)
            await site.settled()
        assert [event["type"] for event in await site.events("device.status")] == ["device.status"] * 2

    await run(tmp_path, test, emit="all")


@pytest.mark.parametrize("trick", TRICKS)
async def test_an_odd_callback_is_taken_or_refused_and_never_told_twice(tmp_path: Path, trick: Trick) -> None:
    async def test(site: Site) -> None:
        sn = sensor(site)
        site.kinot.change(sn, car_detected=1)
        await site.settled()
        site.kinot.platform.retries = ()
        site.kinot.platform.tricks.append(trick)
        site.kinot.change(sn, car_detected=0)
        await site.settled()
        spaces = [event["type"] for event in await site.events("parking.space")]
        lost = trick in ("wrong_sign", "unsigned", "lost")
        assert spaces == ["parking.space.occupied"] + ["parking.space.vacated"] * (not lost)
        strange = await site.events("pump.record.unparsed")
        assert len(strange) == (trick in ("wrong_sign", "unsigned"))
        if trick in ("wrong_sign", "unsigned"):
            assert site.sent(sn).status == 403
            assert site.counted("wrong sign" if trick == "wrong_sign" else "unsigned refused") == 1
        assert site.counted("old") == (trick == "old")
        assert site.counted("duplicate") == (trick == "duplicate")
        if trick == "duplicate":
            assert site.sent(sn).status == 200

    await run(tmp_path, test)


async def test_unsigned_callbacks_are_taken_where_that_is_wanted_and_counted(tmp_path: Path) -> None:
    async def test(site: Site) -> None:
        site.kinot.platform.tricks.append("unsigned")
        site.kinot.change(sensor(site), car_detected=1)
        await site.settled()
        assert [event["type"] for event in await site.events("parking")] == ["parking.space.occupied"]
        assert site.counted("unsigned") == 1
        site.kinot.platform.retries = ()
        site.kinot.platform.tricks.append("wrong_sign")
        site.kinot.change(sensor(site, 1), car_detected=1)
        await site.settled()
        assert site.sent(sensor(site, 1)).status == 403, "a wrong sign is no missing sign"

    await run(tmp_path, test, accept_unsigned=True)


async def test_unsigned_callbacks_of_devices_that_kinot_has_not_signed_for_are_strangers(tmp_path: Path) -> None:
    async def test(site: Site) -> None:
        sn = sensor(site)
        site.kinot.change(sn, car_detected=0)
        await site.settled()
        site.kinot.platform.tricks.append("unsigned")
        site.kinot.change(sn, car_detected=1)
        await site.settled()
        assert site.spool.strangers == 0, "Kinot has signed for it before"
        made_up = orjson.loads(site.sent(sn).body) | {"sn": 999_999_999}
        made_up.pop("sign", None)
        assert (await site.post("/status", orjson.dumps(made_up)))[0] == 200
        before = len(await site.events())
        assert (await site.post("/status", orjson.dumps(made_up | {"car_detected": 0})))[0] == 200
        assert len(await site.events()) > before
        assert site.spool.strangers > 0

    await run(tmp_path, test, accept_unsigned=True)


async def test_what_is_refused_is_kept_as_a_stranger_s(tmp_path: Path) -> None:
    async def test(site: Site) -> None:
        assert (await site.post("/status", b"{no json"))[0] == 400
        assert len(await site.events("pump.record.unparsed")) == 1
        assert site.spool.strangers > 0

    await run(tmp_path, test)


async def test_a_commands_result_is_told_with_its_state(tmp_path: Path) -> None:
    async def test(site: Site) -> None:
        sn = lock(site)
        for state, reason in (("pending", "NULL"), ("failed", "the device does not answer"), ("failed", "NULL")):
            site.kinot.result(sn, state, reason, guid="3019FF21")
            await site.settled()
        found = await site.events("command")
        assert [event["data"]["command"] for event in found] == [
            {"request_id": "3019FF21", "status": "pending"},
            {"request_id": "3019FF21", "status": "failed", "reason": "the device does not answer"},
        ]
        assert [event["data"]["severity"] for event in found] == ["info", "warning"]
        assert {event["subject"] for event in found} == {f"lock/{sn}"}

    await run(tmp_path, test)


async def test_a_spool_that_refuses_gets_the_failure_form_and_the_callback_comes_again(tmp_path: Path) -> None:
    async def test(site: Site) -> None:
        sn = sensor(site)
        site.intake.refusing = True
        status, answer, headers = await site.post("/status", signed(site, sn=sn, car_detected=1, updated_at=changed(0)))
        assert (status, answer["code"], headers["Retry-After"]) == (503, 10000, "7")
        site.kinot.platform.retries = (0.001,) * 200
        site.kinot.change(sn, car_detected=1)
        await site.until(lambda: site.sent(sn).tries > 2)
        site.intake.refusing = False
        await site.settled()
        assert site.sent(sn).acknowledged
        assert [event["type"] for event in await site.events("parking")] == ["parking.space.occupied"]

    await run(tmp_path, test)


async def test_two_callbacks_of_one_device_at_once_are_compared_one_after_the_other(tmp_path: Path) -> None:
    async def test(site: Site) -> None:
        sn, other = sensor(site), sensor(site, 1)
        site.intake.gate = asyncio.Event()
        for flags in ({"car_detected": 1}, {"car_detected": 1}, {"car_detected": 1}):
            site.kinot.change(sn, **flags)
        site.kinot.change(other, car_detected=1)
        await site.until(lambda: site.intake.entered == 2)
        site.intake.gate.set()
        await site.settled()
        told = await site.events("parking")
        assert sorted(event["subject"] for event in told) == sorted([f"sensor/{sn}", f"sensor/{other}"])

    await run(tmp_path, test)


async def test_a_caller_that_is_cancelled_leaves_memory_and_spool_alike(tmp_path: Path) -> None:
    async def test(site: Site) -> None:
        sn = sensor(site)
        site.intake.gate = asyncio.Event()
        body = signed(site, sn=sn, car_detected=1, updated_at=changed(0)).encode()
        task = asyncio.create_task(
            site.source.handle(Push("POST", "/kinot/bays/status", body=body), site.intake, site.listener.admission)
        )
        await site.until(lambda: site.intake.entered)
        task.cancel()
        await asyncio.wait({task})
        assert task.cancelled()
        site.intake.gate.set()
        status, _, _ = await site.post("/status", signed(site, sn=sn, car_detected=1, updated_at=changed(5)))
        assert status == 200
        assert [event["type"] for event in await site.events("parking")] == ["parking.space.occupied"]
        assert site.counted("unchanged") == 1

    await run(tmp_path, test)


async def test_what_is_known_survives_a_restart(tmp_path: Path) -> None:
    async with kinot_site(tmp_path, running=False) as site:
        site.kinot.change(sensor(site), car_detected=1)
        await site.settled()
    async with kinot_site(tmp_path, running=False) as site:
        site.kinot.change(sensor(site), car_detected=1)
        await site.settled()
        site.kinot.change(sensor(site), car_detected=0)
        await site.settled()
        told = await site.events("parking")
        assert [event["type"] for event in told] == ["parking.space.occupied", "parking.space.vacated"]
        assert told[1]["data"]["incident"] == told[0]["id"]


CODE = "61518-59257-29505-55487-10411-15740"
ODD: list[tuple[str, str, str, bytes | str, int, int, int]] = [
    # what, method, path, body, status, code, kept as unparsed
    ("nothing", "POST", "/status", b"", 400, 10012, 1),
    ("no JSON", "POST", "/status", b"hello", 400, 10012, 1),
    ("cut short", "POST", "/status", '{"sn":1,"bt_match_code":"' + CODE, 400, 10012, 1),
    ("a list", "POST", "/status", b"[1,2]", 400, 10012, 1),
    ("a number", "POST", "/command", b"7", 400, 10012, 1),
    ("binary", "POST", "/status", bytes(range(256)), 400, 10012, 1),
    ("too deep", "POST", "/status", b'{"a":' * 10_000, 400, 10012, 1),
    ("deep", "POST", "/status", b'{"a":' * 900 + b"1" + b"}" * 900, 400, 10012, 1),
    ("quotes without end", "POST", "/status", rb'{"a":"' + rb"\"" * 20_000 + b"\\", 400, 10012, 1),
    ("commas without end", "POST", "/status", b'{"a":1' + b", " * 20_000, 400, 10012, 1),
    ("too large", "POST", "/status", b'{"a":"' + b"x" * 70_000 + b'"}', 413, 10012, 0),
    ("no sign", "POST", "/status", b'{"sn":1,"car_detected":1}', 403, 10012, 1),
    ("a sign of nonsense", "POST", "/status", '{"sn":1,"sign":"é","bt_match_code":"' + CODE + '"}', 403, 10012, 1),
    ("GET", "GET", "/status", b"", 405, 10016, 0),
    ("PUT", "PUT", "/command", b"{}", 405, 10016, 0),
    ("another path", "POST", "/statuses", b"{}", 404, 10016, 0),
    ("the root", "POST", "", b"{}", 404, 10016, 0),
    ("below the path", "POST", "/status/more", b"{}", 404, 10016, 0),
]


@pytest.mark.parametrize("odd", ODD, ids=lambda odd: odd[0])
async def test_an_odd_request_gets_the_vendors_failure_form(
    tmp_path: Path, odd: tuple[str, str, str, bytes | str, int, int, int]
) -> None:
    async def test(site: Site) -> None:
        _, method, path, body, wanted, code, kept = odd
        status, answer, _ = await site.post(path, body, method=method)
        assert (status, answer["code"]) == (wanted, code)
        assert set(answer) == {"code", "message"}
        found = await site.events()
        assert [event["type"] for event in found] == ["pump.record.unparsed"] * kept
        assert CODE not in str(found)

    await run(tmp_path, test)


@pytest.mark.parametrize(
    "make",
    [
        lambda text: text.encode("utf-8-sig"),
        lambda text: text.encode("gb18030"),
        lambda text: text.replace("}", ",\n}").encode(),
        lambda text: text.encode().replace(b'":', b'" :\r\n\t'),
    ],
    ids=["a mark at the beginning", "gb18030", "a comma too many", "white space"],
)
async def test_a_body_in_other_clothes_is_taken(tmp_path: Path, make: Any) -> None:
    async def test(site: Site) -> None:
        text = signed(site, sn="车位", car_detected=1, updated_at=changed(0))
        status, answer, _ = await site.post("/status", make(text), **{"Content-Type": "text/plain"})
        assert (status, answer) == (200, {"code": 0, "message": "OK"})
        found = await site.events("parking")
        assert [(event["type"], event["subject"]) for event in found] == [("parking.space.occupied", "sensor/车位")]

    await run(tmp_path, test)


async def test_a_signed_message_without_a_number_is_kept(tmp_path: Path) -> None:
    async def test(site: Site) -> None:
        status, answer, _ = await site.post("/status", signed(site, updated_at=changed(0)))
        assert (status, answer) == (400, {"code": 10012, "message": "the message has no sn"})
        assert [event["type"] for event in await site.events()] == ["pump.record.unparsed"]

    await run(tmp_path, test)


async def test_the_source_is_found_by_its_name_in_any_case(tmp_path: Path) -> None:
    async def test(site: Site) -> None:
        body = signed(site, sn=1, car_detected=1, updated_at=changed(0))
        status, _, _ = await site.post("//Status/", body)
        assert status == 200

    await run(tmp_path, test)


# --- one reading of what is signed ------------------------------------------------------------------------------------


def recut(body: str, *pieces: tuple[str, str]) -> str:
    """The body of an eavesdropper: the same sign over the same text, its fields cut elsewhere."""
    fields = orjson.loads(body)
    kept = {name: value for name, value in fields.items() if name == "sign"}
    return orjson.dumps({**kept, **dict(pieces)}).decode()


async def test_fields_that_are_cut_elsewhere_are_refused_though_the_sign_is_right(tmp_path: Path) -> None:
    async def test(site: Site) -> None:
        body = signed(site, sn=7, car_detected=1, updated_at=changed(0))
        fields = {name: str(value) for name, value in orjson.loads(body).items() if name != "sign"}
        plain = "&".join(f"{name}={fields[name]}" for name in sorted(fields))
        for pieces in (
            [tuple(plain.split("=", 1))],  # all of it in one value
            [("car_detected", plain.split("=", 1)[1])],
            [(plain.rpartition("=")[0], plain.rpartition("=")[2])],  # all of it in one name
        ):
            status, answer, _ = await site.post("/status", recut(body, *pieces))
            assert (status, answer["code"]) == (400, 10012)
        assert {event["type"] for event in await site.events()} == {"pump.record.unparsed"}
        assert site.counted("wrong form") == 3
        assert (await site.post("/status", body))[0] == 200
        assert site.counted("first") == 0

    await run(tmp_path, test)


LOCK: dict[str, Any] = {"locked": 0, "shell_opened": 0, "bar_position_error": 0, "motor_fail": 0, "device_type": 18}
RESULT: dict[str, Any] = {
    "guid": "3019FF21", "sn": 7, "commnad_status": "succeeded", "reason": "NULL", "device_type": 34,
}  # fmt: skip


@pytest.mark.parametrize("missing", [*STATUS, "sn", "updated_at"])
async def test_all_that_the_document_lists_must_be_there(tmp_path: Path, missing: str) -> None:
    async def test(site: Site) -> None:
        for more in ({}, LOCK):
            fields = {"sn": 7, "updated_at": changed(0), **more, missing: None}
            status, answer, _ = await site.post("/status", signed(site, **fields))
            if missing == "device_type":
                assert (status, answer["message"]) == (400, "the message has no device_type")
            assert status == 400
            assert missing in answer["message"]
        assert not await site.events("parking")

    await run(tmp_path, test)


@pytest.mark.parametrize("missing", [*RESULT, "updated_at"])
async def test_all_of_a_commands_result_must_be_there(tmp_path: Path, missing: str) -> None:
    async def test(site: Site) -> None:
        whole = {**RESULT, "updated_at": changed(0)}
        status, _, _ = await site.post("/command", signed_alone(site, **{**whole, "sn": 8}))
        assert status == 200
        del whole[missing]
        status, _, _ = await site.post("/command", signed_alone(site, **whole))
        assert status == 400
        assert len(await site.events("command")) == 1

    await run(tmp_path, test)


async def test_a_radar_has_no_coil_and_needs_none(tmp_path: Path) -> None:
    async def test(site: Site) -> None:
        radar = {"sn": 9, "car_detected": 1, "updated_at": changed(0), "device_type": 33}
        status, _, _ = await site.post("/status", signed_alone(site, **radar))
        assert status == 200

    await run(tmp_path, test)


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"note": "new"}, "the document has no field 'note' for callbacks"),
        ({"sn": "7&car_detected=1"}, "the value of sn holds a mark that separates fields where they are signed"),
        ({"updated_at": "x=1"}, "the value of updated_at holds a mark that separates fields where they are signed"),
        ({"a=b&c": "1"}, "the document has no field 'a=b&c' for callbacks"),
    ],
)
async def test_other_fields_and_marks_in_them_are_refused(tmp_path: Path, more: dict[str, Any], reason: str) -> None:
    async def test(site: Site) -> None:
        status, answer, _ = await site.post("/status", signed(site, **{"sn": 7, "updated_at": changed(0), **more}))
        assert (status, answer["message"]) == (400, reason)

    await run(tmp_path, test)


async def test_a_field_that_comes_twice_is_refused(tmp_path: Path) -> None:
    async def test(site: Site) -> None:
        body = signed(site, sn=7, car_detected=1, updated_at=changed(0))
        status, answer, _ = await site.post("/status", body.replace("{", '{"car_detected":0,', 1))
        assert (status, answer["message"]) == (400, "a field comes twice")

    await run(tmp_path, test)


# --- what was sent before ---------------------------------------------------------------------------------------------


async def test_the_very_same_push_is_a_duplicate_and_turns_nothing_back(tmp_path: Path) -> None:
    """Also within the second, where its time alone does not say that it is older; and over a restart."""
    came = {"sn": 7, "car_detected": 1, "updated_at": changed(0)}
    async with kinot_site(tmp_path, running=False) as site:
        bodies = [signed(site, **came), signed(site, **{**came, "car_detected": 0})]
        for body in (*bodies, *bodies):
            assert (await site.post("/status", body))[0] == 200
        assert site.counted("duplicate") == 2
        before = await site.events()
    async with kinot_site(tmp_path, running=False) as site:
        for body in bodies:
            assert (await site.post("/status", body))[0] == 200
        assert site.counted("duplicate") == 2
        assert site.intake.state("device/")["device/7"]["values"]["car_detected"] == 0
        assert await site.events() == before


async def test_a_push_of_a_clock_ahead_that_is_sent_again_turns_nothing_back(tmp_path: Path) -> None:
    async def test(site: Site) -> None:
        ahead = signed(site, sn=7, car_detected=1, updated_at=changed(20 * 3600))
        for body in (ahead, signed(site, sn=7, car_detected=0, updated_at=changed(61)), ahead):
            assert (await site.post("/status", body))[0] == 200
        told = await site.events("parking")
        assert [event["type"] for event in told] == ["parking.space.occupied", "parking.space.vacated"]
        assert told[0]["data"]["time_source"] == "received"
        assert site.intake.state("device/")["device/7"]["values"]["car_detected"] == 0

    await run(tmp_path, test)


async def test_a_result_that_was_taken_before_is_no_event_however_long_ago(tmp_path: Path) -> None:
    async with kinot_site(tmp_path, running=False) as site:
        body = signed_alone(site, **RESULT, updated_at=changed(-30 * 86_400))
        for _ in range(2):
            assert (await site.post("/command", body))[0] == 200
        assert site.counted("duplicate") == 1
    async with kinot_site(tmp_path, running=False) as site:
        assert (await site.post("/command", body))[0] == 200
        assert site.counted("duplicate") == 1
        assert [event["type"] for event in await site.events()] == ["command.result"]
