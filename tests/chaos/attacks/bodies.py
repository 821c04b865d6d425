"""Bodies that are large, packed, deep, or never end."""

from __future__ import annotations

import asyncio
import gzip

from tests.chaos.attacks.frame import MAX_BODY, MIB, Attack, Stream, answered, connect, head, send, status


async def dribbled_bodies(port: int, seconds: float) -> list[Stream]:
    """Each nearly whole, none finished."""
    streams = await connect(port, 60)
    sending = asyncio.gather(*(send(each, [head(MAX_BODY), *[b"x" * MIB] * 14]) for each in streams))
    refused = [asyncio.create_task(status(each)) for each in streams]
    await asyncio.wait(refused, return_when=asyncio.FIRST_COMPLETED)
    assert {503, 0} & {task.result() for task in refused if task.done()}
    for task in refused:
        task.cancel()
    await asyncio.gather(*refused, return_exceptions=True)
    sending.cancel()
    await asyncio.gather(sending, return_exceptions=True)
    return streams


async def whole_bodies(port: int, seconds: float) -> list[Stream]:
    streams = await connect(port, 60)
    body = b'{"parkId":"1","deviceId":"2","params":{"recordId":"1","x":"' + b"x" * (15 * MIB) + b'"}}'
    statuses = await answered(streams, [head(len(body)), body])
    assert 200 in statuses
    assert statuses <= {200, 503, 0}
    return streams


async def small_bombs(port: int, seconds: float) -> list[Stream]:
    """Packed bodies that are just small enough."""
    streams = await connect(port, 150)
    body = gzip.compress(b'{"parkId":"1","deviceId":"2","params":{"recordId":"1","x":"' + b"x" * (15 * MIB) + b'"}}')
    statuses = await answered(streams, [head(len(body), b"Content-Encoding: gzip"), body])
    assert 200 in statuses
    assert statuses <= {200, 503, 0}
    return streams


async def large_bombs(port: int, seconds: float) -> list[Stream]:
    streams = await connect(port, 100)
    body = gzip.compress(b"x" * (200 * MIB), 9)
    statuses = await answered(streams, [head(len(body), b"Content-Encoding: gzip"), body])
    assert statuses <= {413, 503, 0}, "none is taken"
    return streams


async def packed_values(port: int, seconds: float) -> list[Stream]:
    """Five million lists in a few KiB."""
    streams = await connect(port, 40)
    body = gzip.compress(b'{"params":{"recordId":"1","x":[' + b"[]," * (5 * MIB) + b"[]]}}")
    statuses = await answered(streams, [head(len(body), b"Content-Encoding: gzip"), body])
    assert 400 in statuses
    assert statuses <= {400, 503, 0}
    return streams


async def deep_bodies(port: int, seconds: float) -> list[Stream]:
    streams = await connect(port, 60)
    body = b'{"params":' * 800_000 + b"1" + b"}" * 800_000
    statuses = await answered(streams, [head(len(body)), body])
    assert 400 in statuses
    assert statuses <= {400, 429, 503, 0}
    return streams


ATTACKS = [
    Attack(dribbled_bodies), Attack(whole_bodies, quick=True), Attack(small_bombs), Attack(large_bombs),
    Attack(packed_values, quick=True), Attack(deep_bodies),
]  # fmt: skip
