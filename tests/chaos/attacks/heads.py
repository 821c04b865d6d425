"""Heads that are huge, many, or lead to answers that nobody reads."""

from __future__ import annotations

import asyncio
from typing import Final

from tests.chaos.attacks.frame import Attack, Stream, answered, connect, head, send

CONNECTIONS: Final = 500


async def huge_heads(port: int, seconds: float) -> list[Stream]:
    """95 headers of 8 KB each, with and without an end."""
    streams = await connect(port, CONNECTIONS)
    lines = [b"X-%d: " % number + b"y" * 8000 for number in range(95)]
    whole = head(10, *lines)
    sent = [whole if number % 2 else whole[:-2] for number in range(len(streams))]
    statuses = [answered([each], [part]) for each, part in zip(streams, sent, strict=True)]
    assert set().union(*await asyncio.gather(*statuses)) <= {431, 0}
    return streams


async def pipelined(port: int, seconds: float) -> list[Stream]:
    """Request upon request, and no answer is ever read."""
    streams = await connect(port, 100)
    one = head(2) + b"{}"
    await asyncio.wait([asyncio.create_task(send(each, [one * 500] * 40)) for each in streams], timeout=seconds)
    return streams


async def tiny_headers(port: int, seconds: float) -> list[Stream]:
    """As many headers as a request may have, of one letter each; the answers are not read."""
    streams = await connect(port, 100)
    one = head(2, *[b"%c%c:1" % (97 + number // 26, 97 + number % 26) for number in range(95)]) + b"{}"
    await asyncio.wait([asyncio.create_task(send(each, [one * 50] * 40)) for each in streams], timeout=seconds)
    return streams


ATTACKS = [Attack(huge_heads, quick=True), Attack(pipelined, quick=True), Attack(tiny_headers, quick=True)]
