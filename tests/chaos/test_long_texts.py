"""Pushes whose ids, names, keys and times are as long as a body may be: neither daemon nor spool keeps any of it.

Before texts had bounds 60 of them took 830 MiB for good: in the device table and its stored rows, in the limiter, in
caches and in events' subjects.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import orjson
import pytest

from tests.bench.push_load import capture, pump

MIB: Final = 1 << 20
GROWTH: Final = 96 * MIB
"""Of what the daemon holds once it has answered; while it works on a body of 15 MiB it takes some times that."""
KEPT: Final = 24 * MIB
"""Of what the next start holds beside the first."""
PUSHES: Final = 60
SIZES: Final = (1, 2, 1, 1, 2, 1, 15, 1, 1)
"""MiB, one after the other; as many as leave each kind of field another one each time."""

_MALLOC: Final = {
    "MALLOC_ARENA_MAX": "2",
    "MALLOC_MMAP_THRESHOLD_": f"{1 << 18}",
    "MALLOC_TRIM_THRESHOLD_": f"{1 << 18}",
}
"""So that what is free goes back: this is about what is held."""

pytestmark = pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="the system tells no memory")


def _memory(process: int, name: str) -> int:
    text = Path(f"/proc/{process}/status").read_text()
    return int(text.split(f"{name}:")[1].split()[0]) * 1024


def _long(number: int) -> str:
    return f"{number}-" + "x" * (SIZES[number % len(SIZES)] * MIB)


def _messages() -> Iterator[tuple[str, dict[str, Any]]]:
    """(path, message): each field of which something is remembered is the long one in turn."""
    heads: dict[str, Any] = {"parkId": "1", "deviceId": "2"}
    for number in range(PUSHES):
        long = _long(number)
        inner: dict[str, Any] = {"recordId": f"{number}", "plateNo": "A1"}
        fields: tuple[tuple[str, dict[str, Any]], ...] = (
            ("keepalive", {"deviceId": long}),
            ("keepalive", {"parkId": long}),
            ("basicinfo", {"params": {"deviceName": long}}),
            ("basicinfo", {"params": {"parkInfo": {"idInfo": [{"id": long}]}}}),
            ("capture", {"deviceId": long, "params": inner}),
            *(("capture", {"params": {**inner, name: long}}) for name in ("recordId", "plateNo", "picTime", "carType")),
            ("capture", {"params": {**inner, long: 1}}),
            ("capture", {"params": {**inner, "picInfo": [{"type": "1", "url": long}]}}),
            ("notifyresult/lamp", {"requestId": long}),
            ("notifyresult/lamp", {"message": long}),
            ("transchannel", {"params": {"data": long}}),
        )  # fmt: skip
        path, more = fields[number % len(fields)]
        yield path, {**heads, **more}


async def _push(port: int, path: str, body: bytes) -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"POST /api/upark/{path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode())
    writer.write(body)
    status = int((await reader.readuntil(b"\r\n")).split()[1])
    writer.transport.abort()
    return status


async def _attack(port: int) -> set[int]:
    return {await _push(port, path, orjson.dumps(message)) for path, message in _messages()}


def test_long_texts_cost_no_memory_and_none_is_kept_over_a_restart(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    with pump(tmp_path, environ=_MALLOC) as server:
        assert asyncio.run(_push(server.port, "capture", capture(500, 0))) == 200
        before = _memory(server.process.pid, "VmRSS")
        assert asyncio.run(_attack(server.port)) <= {200, 503}
        assert asyncio.run(_push(server.port, "capture", capture(500, 1))) == 200, "others are served after it"
        growth = _memory(server.process.pid, "VmRSS") - before
        peak = _memory(server.process.pid, "VmHWM") - before
    with pump(tmp_path, environ=_MALLOC) as server:
        assert asyncio.run(_push(server.port, "capture", capture(500, 2))) == 200
        kept = _memory(server.process.pid, "VmRSS") - before
    for name, value in (("growth", growth), ("peak", peak), ("kept", kept)):
        record_property(f"{name}_mib", value // MIB)
        if os.environ.get("PUMP_FIGURES"):
            print(f"long texts, {name}: {value // MIB} MiB")
    assert growth <= GROWTH
    assert kept <= KEPT
    stored = (tmp_path / "state" / "spool.db").stat().st_size
    assert stored <= 8 * MIB, "the spool has what is left of them, and the raw lies beside it"
