"""Connections that come and go, handshakes, and requests that are none."""

from __future__ import annotations

import asyncio
import ssl
import time

from tests.chaos.attacks.frame import Attack, Stream, connect, head, send, status

_TRUSTING = ssl.create_default_context()
_TRUSTING.check_hostname = False
_TRUSTING.verify_mode = ssl.CERT_NONE


async def _flood(workers: int, seconds: float, one: object) -> None:
    assert callable(one)
    until = time.monotonic() + seconds

    async def worker() -> None:
        while time.monotonic() < until:
            try:
                await one()
            except OSError:
                await asyncio.sleep(0.01)

    await asyncio.gather(*(worker() for _ in range(workers)))


async def nothing(port: int, seconds: float) -> list[Stream]:
    """For comparison: how quickly /healthz answers on this machine, now, without any attack."""
    await asyncio.sleep(seconds)
    return []


async def come_and_go(port: int, seconds: float) -> list[Stream]:
    """Connections opened and closed without a word."""

    async def one() -> None:
        (stream,) = await connect(port, 1)
        stream[1].transport.abort()

    await _flood(50, seconds, one)
    return []


async def garbage(port: int, seconds: float) -> list[Stream]:
    """A connection for each line that is no HTTP."""

    async def one() -> None:
        (stream,) = await connect(port, 1)
        await send(stream, [b"\x16\x03\x01 hello\r\n\r\n"])
        await status(stream)
        stream[1].transport.abort()

    await _flood(50, seconds, one)
    return []


async def handshakes(port: int, seconds: float) -> list[Stream]:
    """TLS begun anew each time, to its end."""

    async def one() -> None:
        (stream,) = await connect(port, 1, _TRUSTING)
        stream[1].transport.abort()

    await _flood(50, seconds, one)
    return []


async def half_handshakes(port: int, seconds: float) -> list[Stream]:
    """A beginning of TLS, and nothing more; what TLS is not, to a port that speaks it."""
    kept: list[Stream] = []

    async def one() -> None:
        (stream,) = await connect(port, 1)
        await send(stream, [b"\x16\x03\x01\x02\x00\x01" if len(kept) % 2 else b"GET / HTTP/1.1\r\n\r\n"])
        kept.append(stream)
        if len(kept) > 300:
            kept.pop(0)[1].transport.abort()

    await _flood(50, seconds, one)
    return kept


async def slow_readers(port: int, seconds: float) -> list[Stream]:
    """Questions that have long answers or none, and a window that takes a few bytes of them."""
    streams = await connect(port, 200)
    one = head(0, path=b"/nothing/" + b"x" * 4000)
    await asyncio.wait([asyncio.create_task(send(each, [one * 100] * 10)) for each in streams], timeout=seconds)
    return streams


ATTACKS = [
    Attack(nothing), Attack(come_and_go, quick=True), Attack(garbage), Attack(slow_readers),
    Attack(handshakes, tls=True), Attack(half_handshakes, tls=True),
]  # fmt: skip
