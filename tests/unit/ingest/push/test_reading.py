"""Content-Encoding taken off: what devices mean by its names, its limit, and what is done beside the event loop."""

from __future__ import annotations

import asyncio
import gzip
import random
import threading
import tracemalloc
import zlib

import pytest
from aiohttp.base_protocol import BaseProtocol
from aiohttp.streams import StreamReader

from pump.ingest.push import reading
from pump.ingest.push.admission import BodyBudget, HeldBody
from pump.ingest.push.reading import unpack
from pump.ingest.push.request import IN_THREAD, Refused

_SMALL = b'{"parkId":"1"}'
_LARGE = random.Random(7).randbytes(2 * IN_THREAD).hex().encode()
_REPEATED = bytes(20 * IN_THREAD)
"""Packed it is small."""


def _bare(body: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(body) + packer.flush()


@pytest.mark.parametrize("body", [_SMALL, _LARGE, _REPEATED], ids=["small", "large", "repeated"])
@pytest.mark.parametrize(
    ("coding", "packed"),
    [
        ("gzip", gzip.compress),
        ("x-gzip", gzip.compress),
        ("deflate", zlib.compress),
        ("deflate", _bare),
        ("deflate", gzip.compress),
    ],
    ids=["gzip", "x-gzip", "deflate", "bare deflate", "gzip called deflate"],
)
async def test_what_is_packed_is_unpacked_within_its_limit(coding: str, packed: object, body: bytes) -> None:
    assert callable(packed)
    content: bytes = packed(body)

    assert await unpack(content, coding, len(body)) == body
    for broken, most, status in ((content, len(body) - 1, 413), (content[:-1], len(body), 400)):
        with pytest.raises(Refused) as refused:
            await unpack(broken, coding, most)
        assert refused.value.status == status


def test_another_coding_is_refused() -> None:
    with pytest.raises(Refused) as refused:
        asyncio.run(unpack(b"x", "br", 100))
    assert refused.value.status == 415


async def test_the_event_loop_unpacks_no_more_than_little(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[int, int, int]] = []
    inflate = reading._inflate

    def watched(body: bytes, bits: int, most: int) -> bytes | None:
        calls.append((threading.get_ident(), len(body), most))
        return inflate(body, bits, most)

    monkeypatch.setattr(reading, "_inflate", watched)

    for body in (_SMALL, _LARGE, _REPEATED):
        for packed, coding in ((gzip.compress(body), "gzip"), (_bare(body), "deflate")):
            assert await unpack(packed, coding, 16 << 20) == body
    on_the_loop = [(size, most) for thread, size, most in calls if thread == threading.get_ident()]
    assert on_the_loop
    assert max(max(each) for each in on_the_loop) <= IN_THREAD


async def test_a_small_body_in_tiny_pieces_costs_no_object_for_each() -> None:
    loop = asyncio.get_running_loop()
    protocol = BaseProtocol(loop)
    protocol.connection_made(asyncio.Transport())
    content = StreamReader(protocol, 1 << 16, loop=loop)
    joining = asyncio.create_task(reading._joined(content, HeldBody(BodyBudget(1 << 20), "192.0.2.1")))
    body = random.Random(3).randbytes(40_000)
    tracemalloc.start()
    try:
        for place in range(0, len(body), 2):
            content.feed_data(body[place : place + 2])
            await asyncio.sleep(0)
        assert tracemalloc.get_traced_memory()[1] < 4 * len(body)  # 20,000 objects are more than 20 times as much
    finally:
        tracemalloc.stop()
    content.feed_data(bytes(5000))
    content.feed_data(b"end")
    content.feed_eof()
    assert await joining == body + bytes(5000) + b"end"
