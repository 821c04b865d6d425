"""Commands over a camera's own interface: each verb, refusals, lost answers, and at most one action."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest

from pump.commands.contract import Command, Expired, NotTaken
from pump.commands.verbs import VERBS
from pump.core.clock import Clock
from pump.testing import ManualClock
from pump.vendors.avaeye import carried, lapi
from tests.unit.vendors.avaeye.commanded import TARGET, commanded

TOMORROW: Final = (datetime.now(UTC) + timedelta(days=1)).isoformat(timespec="seconds")
"""Cameras count seconds to January 2038, so that no date serves for ever."""
_TABLE: list[tuple[str, dict[str, Any], str, Any]] = [
    ("gate.open", {}, "open", None),
    ("gate.hold-open", {}, "open and lock", None),
    ("gate.release", {}, "unlock", None),
    ("gate.close", {}, "close", None),
    ("list.add", {"plate": "A12345", "list": "allow", "owner": "Tom"}, "add Allow", ["A12345"]),
    ("list.add", {"plate": "A12345", "list": "block", "until": TOMORROW}, "add Block", ["A12345"]),
    ("display.show", {"text": "Welcome", "line": 2, "seconds": 4.5}, "show",
     {"rows": ["", "Welcome", "", ""], "seconds": 5, "type": 1}),
    ("display.show", {"text": "Full", "voice": "Full", "color": "green"}, "show",
     {"rows": ["Full", "", "", ""], "seconds": 0, "type": 2}),
    ("camera.capture", {}, "capture", None),
    ("camera.reboot", {}, "reboot", None),
]  # fmt: skip


@pytest.mark.parametrize(("verb", "arguments", "action", "content"), _TABLE)
async def test_each_verb_is_the_call_of_the_document(
    tmp_path: Path, verb: str, arguments: dict[str, Any], action: str, content: Any
) -> None:
    async with commanded(tmp_path) as there:
        assert (await there.result(verb, **arguments)).status == "done"
        assert [one[:2] for one in there.camera.account.actions] == [(action, content)]
        assert there.camera.account.rejected == 0


async def test_a_plate_is_taken_off_the_list_that_it_was_put_on(tmp_path: Path) -> None:
    async with commanded(tmp_path) as there:
        plate: dict[str, Any] = {"plate": "A12345", "list": "allow"}
        since: dict[str, Any] = {"from": "2026-01-01T00:00:00Z"}
        assert (await there.result("list.add", **plate, **since)).status == "done"
        (row,) = there.camera.lists["Allow"].values()
        assert (row["BeginTime"], row["EndTime"]) == (1767225600, 2**31 - 1)
        assert (await there.result("list.add", **plate)).status == "refused"  # the camera knows the id
        assert (await there.result("list.remove", plate="A12345", list="block")).status == "refused"
        assert (await there.result("list.remove", **plate)).status == "done"
        assert there.camera.account.names == ["add Allow", "remove Allow"]


async def test_a_plate_is_taken_off_the_block_list_too(tmp_path: Path) -> None:
    async with commanded(tmp_path) as there:
        plate: dict[str, Any] = {"plate": "B12345", "list": "block"}
        assert (await there.result("list.add", **plate)).status == "done"
        assert (await there.result("list.remove", **plate)).status == "done"
        assert (there.camera.account.names, there.camera.lists["Block"]) == (["add Block", "remove Block"], {})


@pytest.mark.parametrize(
    ("verb", "arguments", "reason"),
    [
        ("list.add", {"plate": "A" * 17, "list": "allow"}, "16 characters"),
        ("list.add", {"plate": "A1", "list": "allow", "until": "1999-01-01T00:00:00Z"}, "until"),
        ("list.add", {"plate": "A1", "list": "allow", "until": "2040-01-01T00:00:00Z"}, "2038"),
        ("display.show", {"text": "A", "line": 5}, "4 lines"),
        ("display.show", {"text": "A", "color": "blue"}, "colours"),
        ("display.show", {"text": "A", "voice": "B"}, "speaks"),
        ("camera.capture", {"channel": 3}, "channel 0"),
    ],
)
async def test_what_the_document_bounds_more_tightly_is_refused_before_it_is_sent(
    tmp_path: Path, verb: str, arguments: dict[str, Any], reason: str
) -> None:
    async with commanded(tmp_path) as there:
        found = await there.result(verb, **arguments)
        assert (found.status, reason in found.reason) == ("refused", True)
        assert there.camera.account.actions == []


@pytest.mark.parametrize(
    ("quirk", "value", "verb", "status", "acted"),
    [
        ("drop", True, "camera.reboot", "unknown", 1),  # a PUT, which aiohttp would send again
        ("drop", True, "gate.open", "unknown", 1),
        ("garbled", True, "gate.open", "unknown", 1),
        ("status", 500, "gate.open", "unknown", 0),
        ("status", 403, "gate.open", "refused", 0),
        ("status", 302, "gate.open", "refused", 0),
        ("open", True, "gate.open", "done", 1),
    ],
)
async def test_an_answer_is_believed_for_what_it_says_and_nothing_is_sent_twice(
    tmp_path: Path, quirk: str, value: Any, verb: str, status: str, acted: int
) -> None:
    async with commanded(tmp_path, control="lapi") as there:
        setattr(there.camera.quirks, quirk, value)
        assert (await there.result(verb)).status == status
        assert len(there.camera.account.actions) == acted


async def test_a_slow_camera_times_out_having_acted_once(tmp_path: Path) -> None:
    clock = ManualClock()
    async with commanded(tmp_path, clock=clock) as there:
        there.camera.quirks.hold = asyncio.Event()
        ticket = await there.ask("gate.open", expires=30)
        while not there.camera.account.actions:
            await asyncio.sleep(0)
        waiting = asyncio.ensure_future(ticket.result)
        await clock.run(40.0)
        assert (await asyncio.wait_for(waiting, 60)).status == "timed-out"
        there.camera.quirks.hold.set()
        assert there.camera.account.names == ["open"]


async def test_a_stop_leaves_a_call_that_was_answered_by_nobody_unknown(tmp_path: Path) -> None:
    async with commanded(tmp_path) as there:
        there.camera.quirks.hold = asyncio.Event()
        ticket = await there.ask("camera.reboot")
        while not there.camera.account.actions:
            await asyncio.sleep(0)
        await there.desk.close()
        assert (await ticket.result).status == "unknown"
        assert there.camera.account.names == ["reboot"]


async def test_nothing_is_sent_when_the_time_is_over_before_the_connection_stands(tmp_path: Path) -> None:
    clock = ManualClock()
    async with commanded(tmp_path, clock=clock) as there:
        command = Command("r1", "camera.reboot", TARGET, {}, "socket", clock.monotonic(), clock)
        with pytest.raises(Expired):
            await there.source.command(command)
        assert (command.sent, there.camera.account.actions) == (False, [])


async def test_a_rejected_password_is_not_tried_again_and_stands_nowhere(tmp_path: Path) -> None:
    async with commanded(tmp_path, password="wrong-secret", control="lapi") as there:
        first = await there.result("gate.open")
        second = await there.result("gate.open")
        assert (first.status, second.status) == ("refused", "failed")
        assert there.camera.account.rejected == 1
        assert there.camera.account.actions == []
        assert "wrong-secret" not in f"{first}{second}{await there.site.events(whole=True)}"


async def test_a_camera_that_is_not_there_got_nothing(tmp_path: Path) -> None:
    async with commanded(tmp_path, control="lapi") as there:
        await there.camera.go_away()
        assert (await there.result("camera.reboot")).status == "failed"


async def test_only_who_is_known_can_be_commanded(tmp_path: Path) -> None:
    async with commanded(tmp_path) as there:
        hello = {"version": "1.0", "parkId": "10000", "deviceId": "666", "params": {"ipAddress": "192.0.2.66"}}
        assert (await there.site.post("basicinfo", hello)).status == 200
        assert [one.subject for one in there.source.targets()] == [TARGET]
        with pytest.raises(NotTaken, match="no source has"):
            await there.ask("gate.open", "camera/10000/666")


_NEAR = ["192.0.2.0/24", "127.0.0.0/8"]


@pytest.mark.parametrize(
    ("said", "allow", "verbs"),
    [
        ("192.0.2.7", [], lapi.VERBS), ("2001:db8::7", [], lapi.VERBS), ("192.0.2.7", _NEAR, lapi.VERBS),
        ("203.0.113.9", _NEAR, ()), ("127.0.0.1", [], ()), ("::ffff:7f00:1", [], ()), ("evil.example.com", [], ()),
        ("224.0.0.1", [], ()),
    ],
)  # fmt: skip
async def test_the_address_that_a_known_camera_reported_is_taken_where_a_camera_can_be(
    tmp_path: Path, said: str, allow: list[str], verbs: Any
) -> None:
    table: dict[str, Any] = {"devices": ["10000/1002"], "cameras": {}, "control": "lapi", "allow": allow}
    async with commanded(tmp_path, **table) as there:
        alive = {"version": "1.0", "parkId": "10000", "deviceId": "1002", "params": {}}
        assert (await there.site.post("keepalive", alive)).status == 200
        assert set(there.source.verbs("camera/10000/1002")) == set()  # where it came from is not what it reported
        about = {"deviceName": "HC121", "ipAddress": said}
        hello = {"version": "1.0", "parkId": "10000", "deviceId": "1002", "params": about}
        assert (await there.site.post("basicinfo", hello)).status == 200
        assert set(there.source.verbs("camera/10000/1002")) == set(verbs)


def test_every_verb_is_one_of_the_vocabulary() -> None:
    assert VERBS.keys() >= lapi.VERBS | carried.VERBS


async def test_without_a_login_there_are_the_keep_alives_alone(tmp_path: Path) -> None:
    async with commanded(tmp_path, username=None, password=None, clock=Clock()) as there:
        assert set(there.source.verbs(TARGET)) == carried.VERBS
