"""The board: the last state of each thing, from what is stored, in bounded memory."""

from __future__ import annotations

import re
from pathlib import Path
from zoneinfo import ZoneInfo

from pump.ops.page.board.devices import Listed, table, unreachable
from pump.ops.page.board.fold import MOST, Board, Thing
from pump.testing.records import record
from tests.unit.ops.page.looking import Looking, looking, plain


async def _bay(there: Looking, number: int, *, occupied: bool, volts: float = 3.6) -> None:
    await there.event(
        f"parking.space.{'occupied' if occupied else 'vacated'}", subject=f"sensor/{number}",
        place={"lot": "North", "space": f"B{number}"}, parking={"occupied": occupied},
        power={"volts": volts, "low": volts < 3}, radio={"rssi": -80.0},
    )  # fmt: skip


def _section(page: str, name: str) -> str:
    """The words of one section."""
    found = re.search(rf'<section aria-labelledby="{name}">.*?</section>', page, re.DOTALL)
    assert found is not None
    return plain(found[0])


async def test_the_board_has_the_last_state_of_each_thing(tmp_path: Path) -> None:
    async with looking(tmp_path) as there:
        for number in range(4):
            await _bay(there, number, occupied=True)
        await _bay(there, 3, occupied=False, volts=2.1)
        for way in ("in", "in", "out", None):
            vehicle = {"plate": "A1", **({"direction": way} if way else {})}
            await there.event("vehicle.passed", place={"lot": "North"}, vehicle=vehicle)
        panel = {"device": {"id": "p1", "name": "Panel"}, "place": {"partition": 1}}
        await there.event("security.disarmed", **panel)
        await there.event("security.armed", alarm={"mode": "stay"}, **panel)
        await there.event("access.door.opened", subject="door/1", device={"name": "Back <door>"})
        await there.event("device.offline", subject="camera/1", phase="start", device={"name": "Yard"})
        await there.event("device.offline", subject="camera/2", phase="start", device={"name": "Gone and back"})
        await there.event("device.online", subject="camera/2")
        status, page = await there.get("/board")
        assert status == 200
        assert "North 3 of 4 bays are taken Today 2 in, 1 out, 4 passes in all" in _section(page, "lots")
        assert "Panel" in _section(page, "partitions")
        assert "armed (stay)" in _section(page, "partitions")
        assert "Back <door>" in _section(page, "doors")
        assert "<door>" not in page
        assert "Yard" in _section(page, "offline")
        assert "Gone and back" not in _section(page, "offline")
        assert _section(page, "batteries").index("B3") < _section(page, "batteries").index("B0")
        await _bay(there, 0, occupied=False)
        assert "2 of 4 bays are taken" in _section((await there.get("/board"))[1], "lots")


async def test_an_empty_board_says_so(tmp_path: Path) -> None:
    async with looking(tmp_path) as there:
        for language in ("en", "de"):
            status, page = await there.get(f"/board?lang={language}")
            assert (status, page.count('class="none"')) == (200, 6)


async def test_gates_stand_beside_doors_by_what_was_said_of_them_or_done_to_them(tmp_path: Path) -> None:
    async def gate() -> str:
        return _section((await there.get("/board"))[1], "doors")

    async with looking(tmp_path) as there:
        about = {"subject": "camera/1", "device": {"name": "North gate"}}
        await there.event("command.result", command={"verb": "gate.open", "status": "refused"}, **about)
        await there.event("command.result", command={"verb": "picture.take", "status": "done"}, **about)
        assert "North gate" not in await gate()
        for verb, said in (("gate.hold-open", "stays open"), ("gate.open", "opened by command")):
            await there.event("command.result", command={"verb": verb, "status": "done"}, **about)
            assert f"North gate {said}" in await gate()
        await there.event("access.barrier.obstructed", phase="start", **about)
        assert "North gate something is in the way" in await gate()
        await there.event("access.barrier.obstructed", phase="end", **about)
        assert "North gate free again" in await gate()
        await there.event("parking.lock.raised", subject="sensor/7", place={"space": "B7"})
        assert "B7 raised: barred" in await gate()


async def test_passes_are_counted_by_the_direction_table(tmp_path: Path) -> None:
    lot = """
[sinks.lot]
type = "tuya"
host = "https://openapi.tuyaeu.com"
client_id = "an-id"
client_secret = "a-secret"
device_id = "bf1234567890"
directions = { "North/1001" = "in", "North/1002" = "out" }
enabled = false
"""
    async with looking(tmp_path, lot) as there:
        for device, count in (("1001", 3), ("1002", 2), ("1003", 1)):
            for _ in range(count):
                await there.event("vehicle.passed", place={"lot": "North"}, device={"id": device})
        await there.event("vehicle.passed", place={"lot": "North"}, device={"id": "1001"}, update=True)
        said = _section((await there.get("/board"))[1], "lots")
        assert "North Today 3 in, 2 out, 6 passes in all" in said


async def test_an_alarm_stands_on_the_board_until_it_is_over(tmp_path: Path) -> None:
    async with looking(tmp_path) as there:
        alarm = {"severity": "critical", "place": {"zone": "Back door"}, "device": {"name": "Panel"}}
        await there.event("security.burglary", phase="start", incident="i", **alarm)
        await there.event("security.fire", phase="start", incident="j", severity="critical", device={"name": "Hall"})
        await there.event("security.armed", severity="info", alarm={"mode": "away"}, device={"name": "Quiet"})
        said = _section((await there.get("/board"))[1], "alarms")
        assert "(2)" in said
        assert "nobody has taken note" in said
        assert "Quiet" not in said
        await there.event("security.burglary", phase="end", incident="i", **alarm)
        said = _section((await there.get("/board"))[1], "alarms")
        assert "Hall" in said
        assert "Panel" not in said


def test_the_table_of_devices_puts_right_what_events_said() -> None:
    said = {
        "gate camera/10000/1001": Thing("Back", "", "device.offline", "2026-11-20T08:00:00Z", 7),
        "gate camera/10000/1002": Thing("Away", "", "device.offline", "2026-11-20T08:00:00Z", 8),
        "arc panel/3": Thing("Not in a table", "", "device.offline", "2026-11-20T08:00:00Z", 9),
    }
    devices = {
        ("gate", "10000/1001"): Listed(online=True, name="Back", seen="2026-11-20T09:00:00Z"),
        ("gate", "10000/1002"): Listed(online=False, name="Away", seen="2026-11-20T07:59:00Z"),
        ("gate", "10000/1003"): Listed(online=False, name="Long gone", seen="2026-10-01T00:00:00Z"),
        ("gate", "10000/1004"): Listed(online=False, name="Never there", seen=""),
    }
    away = unreachable(said, devices)
    assert {thing.name for thing in away.values()} == {"Away", "Not in a table", "Long gone"}
    assert next(one.since for one in away.values() if one.name == "Long gone") == "2026-10-01T00:00:00Z"


async def test_the_table_is_read_from_the_spool(tmp_path: Path) -> None:
    async with looking(tmp_path) as there:
        rows = {"online": False, "seen": "2026-10-01T00:00:00+00:00", "facts": {"name": "Long gone"}}
        there.daemon.spool.remember("gate", "device/10000/1003", rows)
        there.daemon.spool.remember("gate", "device/10000/1004", rows | {"since": 5.0, "facts": {"name": "Stranger"}})
        await there.event()
        assert table(there.daemon.spool.folder) == {
            ("gate", "10000/1003"): Listed(online=False, name="Long gone", seen="2026-10-01T00:00:00+00:00")
        }
        said = _section((await there.get("/board"))[1], "offline")
        assert "Long gone" in said
        assert "2026-10-01" in said


def test_a_board_is_bounded_and_takes_each_event_once() -> None:
    board = Board(ZoneInfo("UTC"))
    made = [record(number, type_="device.offline") for number in range(1, 50)]
    board.fold(made)
    board.fold(made)
    assert sum(count for count, _ in board.hours.values()) == 49
    assert board.position == 49
    many = [record(number, type_="device.offline", source=f"s{number}") for number in range(100, 100 + MOST + 500)]
    board.fold(many)
    assert len(board.offline) == MOST
