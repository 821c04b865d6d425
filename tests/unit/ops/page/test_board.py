"""The board: the last state of each thing, from what is stored, in bounded memory."""

from __future__ import annotations

import re
from pathlib import Path
from zoneinfo import ZoneInfo

from pump.ops.page.board.fold import MOST, Board
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
            assert (status, page.count('class="none"')) == (200, 5)


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
