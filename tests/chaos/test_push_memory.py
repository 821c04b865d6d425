"""Attacks on the push listener, with the real daemon's memory watched: none costs more than the limits allow.

The bound: the bodies that are held at a time, in the pieces that they came in and whole, and what the few large ones
that are worked on take beside that. Without the limits 60 plain bodies take 1.3 GiB, and 200 packed ones of 15 KiB 3.2.
"""

from __future__ import annotations

import asyncio
import gzip
import os
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final

import pytest

from pump.config.model import ServerSettings
from pump.ingest.push.admission import HELD
from pump.ingest.push.connections import LARGEST_HEAD
from pump.ingest.push.listener import TURNS
from tests.bench.push_load import capture, pump

MIB: Final = 1 << 20
MAX_BODY: Final = int(ServerSettings().max_body)
COPIES: Final = 5
"""Of a body that is worked on: as it came, as text, in the message, in the event, as its line of JSON."""
MARGIN: Final = 96 * MIB
"""What sockets have brought and nobody has read, 1 MiB each; and what the allocator keeps."""
BODIES: Final = 2 * HELD + TURNS * COPIES * MAX_BODY + MARGIN
CONNECTIONS: Final = 500
HEADS: Final = 3 * CONNECTIONS * LARGEST_HEAD + MARGIN
"""A head stands in the parser, in its message, and in its request. Without the limit it was 750 MiB."""

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]

pytestmark = pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="the system tells no peak")


def _memory(process: int, name: str) -> int:
    """Bytes: VmRSS what it has now, VmHWM the most since the last reset."""
    text = Path(f"/proc/{process}/status").read_text()
    return int(text.split(f"{name}:")[1].split()[0]) * 1024


def _head(length: int, *lines: bytes) -> bytes:
    first = b"POST /api/upark/capture HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n" % length
    return b"".join([first, *(line + b"\r\n" for line in lines), b"\r\n"])


async def _open(port: int, count: int) -> list[Stream]:
    return [await asyncio.open_connection("127.0.0.1", port) for _ in range(count)]


async def _send(stream: Stream, parts: Sequence[bytes]) -> None:
    """Send for as long as it is taken."""
    try:
        for part in parts:
            stream[1].write(part)
            await stream[1].drain()
    except ConnectionError:
        pass  # refused, and closed


async def _status(stream: Stream) -> int:
    """Of the answer; 0 where the connection was broken instead."""
    try:
        return int((await stream[0].readuntil(b"\r\n")).split()[1])
    except (ConnectionError, asyncio.IncompleteReadError):
        return 0


async def _answered(streams: list[Stream], parts: Sequence[bytes]) -> set[int]:
    """The statuses that they all are answered with."""
    sending = asyncio.gather(*(_send(stream, parts) for stream in streams))
    statuses = await asyncio.gather(*(_status(stream) for stream in streams))
    for _, writer in streams:
        writer.transport.abort()  # who was refused reads no more
    await sending
    return set(statuses)


async def dribbled_bodies(port: int) -> list[Stream]:
    """Each nearly whole, none finished."""
    streams = await _open(port, 60)
    sending = asyncio.gather(*(_send(each, [_head(MAX_BODY), *[b"x" * MIB] * 14]) for each in streams))
    refused = [asyncio.create_task(_status(each)) for each in streams]
    await asyncio.wait(refused, return_when=asyncio.FIRST_COMPLETED)
    assert {503, 0} & {task.result() for task in refused if task.done()}
    for task in refused:
        task.cancel()
    await asyncio.gather(*refused, return_exceptions=True)
    sending.cancel()
    await asyncio.gather(sending, return_exceptions=True)
    return streams


async def whole_bodies(port: int) -> list[Stream]:
    streams = await _open(port, 60)
    body = b'{"parkId":"1","deviceId":"2","params":{"recordId":"1","x":"' + b"x" * (15 * MIB) + b'"}}'
    statuses = await _answered(streams, [_head(len(body)), body])
    assert 200 in statuses
    assert statuses <= {200, 503, 0}
    return streams


async def small_bombs(port: int) -> list[Stream]:
    """Packed bodies that are just small enough."""
    streams = await _open(port, 150)
    body = gzip.compress(b'{"parkId":"1","deviceId":"2","params":{"recordId":"1","x":"' + b"x" * (15 * MIB) + b'"}}')
    statuses = await _answered(streams, [_head(len(body), b"Content-Encoding: gzip"), body])
    assert 200 in statuses
    assert statuses <= {200, 503, 0}
    return streams


async def large_bombs(port: int) -> list[Stream]:
    streams = await _open(port, 100)
    body = gzip.compress(b"x" * (200 * MIB), 9)
    statuses = await _answered(streams, [_head(len(body), b"Content-Encoding: gzip"), body])
    assert 413 in statuses
    assert statuses <= {413, 503, 0}
    return streams


async def packed_values(port: int) -> list[Stream]:
    """Five million lists in a few KiB."""
    streams = await _open(port, 40)
    body = gzip.compress(b'{"params":{"recordId":"1","x":[' + b"[]," * (5 * MIB) + b"[]]}}")
    statuses = await _answered(streams, [_head(len(body), b"Content-Encoding: gzip"), body])
    assert 400 in statuses
    assert statuses <= {400, 503, 0}
    return streams


async def deep_bodies(port: int) -> list[Stream]:
    streams = await _open(port, 60)
    body = b'{"params":' * 800_000 + b"1" + b"}" * 800_000
    statuses = await _answered(streams, [_head(len(body)), body])
    assert 400 in statuses
    assert statuses <= {400, 429, 503, 0}
    return streams


async def huge_heads(port: int) -> list[Stream]:
    """95 headers of 8 KB each, with and without an end."""
    streams = await _open(port, CONNECTIONS)
    lines = [b"X-%d: " % number + b"y" * 8000 for number in range(95)]
    whole = _head(10, *lines)
    sent = [whole if number % 2 else whole[:-2] for number in range(len(streams))]
    statuses = [_answered([each], [head]) for each, head in zip(streams, sent, strict=True)]
    assert set().union(*await asyncio.gather(*statuses)) <= {431, 0}
    return streams


async def pipelined(port: int) -> list[Stream]:
    """Request upon request, and no answer is ever read."""
    streams = await _open(port, 100)
    one = _head(2) + b"{}"
    await asyncio.wait([asyncio.create_task(_send(each, [one * 500] * 40)) for each in streams], timeout=5)
    return streams


Attack = Callable[[int], Awaitable[list[Stream]]]
ATTACKS: tuple[tuple[Attack, int], ...] = (
    *((attack, BODIES) for attack in (dribbled_bodies, whole_bodies, small_bombs, large_bombs)),
    *((attack, BODIES) for attack in (packed_values, deep_bodies)),
    *((attack, HEADS) for attack in (huge_heads, pipelined)),
)


async def _calm(port: int, record: int) -> int:
    stream = (await _open(port, 1))[0]
    body = capture(500, record)
    await _send(stream, [_head(len(body)), body[:700]])
    await asyncio.sleep(0.01)  # so that it comes in two pieces, more often than not
    await _send(stream, [body[700:]])
    status = await _status(stream)
    stream[1].close()
    return status


@pytest.mark.parametrize(("attack", "bound"), ATTACKS, ids=[attack.__name__ for attack, _ in ATTACKS])
def test_an_attack_costs_no_more_memory_than_the_limits_allow(
    attack: Attack, bound: int, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    async def main(port: int) -> None:
        streams = await attack(port)
        assert await _calm(port, 1) == 200, "others are served while it goes on"
        for _, writer in streams:
            writer.transport.abort()
        await asyncio.sleep(0)

    with pump(tmp_path, server="max_connections_per_address = 600") as server:
        process = server.process.pid
        asyncio.run(_warmed(server.port))
        before = _memory(process, "VmRSS")
        Path(f"/proc/{process}/clear_refs").write_text("5")
        asyncio.run(main(server.port))
        growth = _memory(process, "VmHWM") - before
        record_property("growth_mib", growth // MIB)
        if os.environ.get("PUMP_FIGURES"):
            print(f"{attack.__name__}: {growth // MIB} MiB of {bound // MIB}")
        assert growth < bound
        assert asyncio.run(_calm(server.port, 2)) == 200
        assert server.process.poll() is None


async def _warmed(port: int) -> None:
    assert await _calm(port, 0) == 200
