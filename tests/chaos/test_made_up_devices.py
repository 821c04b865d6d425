"""More made-up devices than a share of the table holds, against the real daemon: the configured cameras are watched."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import orjson
import pytest

from pump.ingest.strangers import ROWS
from pump.spool.offline import state
from tests.bench.push_load import pump

MIB: Final = 1 << 20
GROWTH: Final = 96 * MIB
COUNT: Final = int(os.environ.get("PUMP_MADE_UP", ROWS + 500))
CONNECTIONS: Final = 20
CAMERAS: Final = (
    '[sources.gate.cameras."10000/1"]\nname = "North gate"\n[sources.gate.cameras."10000/2"]\nname = "South gate"'
)

pytestmark = pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="the system tells no memory")


def _memory(process: int) -> int:
    text = Path(f"/proc/{process}/status").read_text()
    return int(text.split("VmRSS:")[1].split()[0]) * 1024


async def _keepalives(port: int, devices: Sequence[tuple[str, str]]) -> set[int]:
    """One after the other over one connection."""
    statuses = set()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for park, device in devices:
        body = orjson.dumps({"parkId": park, "deviceId": device, "params": {}})
        writer.write(f"POST /api/upark/keepalive HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode())
        writer.write(body)
        head = await reader.readuntil(b"\r\n\r\n")
        statuses.add(int(head.split()[1]))
        length = int(head.lower().split(b"content-length:")[1].split()[0])
        await reader.readexactly(length)
    writer.transport.abort()
    return statuses


async def _flood(port: int) -> set[int]:
    made_up = [(f"{number % 7}", f"made up {number}") for number in range(COUNT)]
    parts = (made_up[begin::CONNECTIONS] for begin in range(CONNECTIONS))
    return set().union(*await asyncio.gather(*(_keepalives(port, part) for part in parts)))


def _rows(folder: Path) -> dict[str, dict[str, Any]]:
    return {key: row for _, key, row in state(folder / "state", "device/")}


def test_made_up_devices_cost_no_camera_its_place(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    with pump(tmp_path, sink=CAMERAS) as server:
        assert asyncio.run(_keepalives(server.port, [("10000", "1")])) == {200}
        before = _memory(server.process.pid)
        assert asyncio.run(_flood(server.port)) == {200}
        assert asyncio.run(_keepalives(server.port, [("10000", "2")])) == {200}
        growth = _memory(server.process.pid) - before
    record_property("growth_mib", growth // MIB)
    if os.environ.get("PUMP_FIGURES"):
        print(f"{COUNT} made-up devices: {growth // MIB} MiB")
    assert growth <= GROWTH
    rows = _rows(tmp_path)
    assert {key for key, row in rows.items() if "since" not in row} == {"device/10000/1", "device/10000/2"}
    assert all(rows[f"device/10000/{number}"]["online"] for number in (1, 2))
    assert len(rows) <= ROWS + 2, "no more on disk than in memory"
    lines = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    (full,) = (line for line in lines if line["type"] == "pump.devices.full")
    assert full["data"]["strangers"] <= ROWS
