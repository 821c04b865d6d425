"""The frame of attack rows: a row, what strangers send, and what an honest device gets meanwhile."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pump.config.model import ServerSettings
from tests.bench.push_load import capture

MIB: Final = 1 << 20
MAX_BODY: Final = int(ServerSettings().max_body)
GROWTH: Final = 96 * MIB
"""What an attack may cost in memory, unless its row says otherwise."""
CONFIG: Final = "max_connections_per_address = 600\n"
"""Keys of [server]."""

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Run = Callable[[int, float], Awaitable[list[Stream]]]
"""Given the port, it sends what it has to send, for so many seconds where it has no end, and returns the connections
that are still open."""


@dataclass(frozen=True)
class Attack:
    """A row."""

    run: Run
    growth: int = GROWTH
    """Bytes that the daemon's resident memory may grow by, at its highest."""
    config: str = CONFIG
    """Keys of [server]."""
    tls: bool = False
    quick: bool = False
    """It is among the few that the short form of the test takes."""
    why: str = ""
    """The reason of a bound that is not the common one."""

    @property
    def name(self) -> str:
        return self.run.__name__


def memory(process: int, name: str) -> int:
    """Bytes: VmRSS what it has now, VmHWM the most since the last reset."""
    text = Path(f"/proc/{process}/status").read_text()
    return int(text.split(f"{name}:")[1].split()[0]) * 1024


def head(length: int | None, *lines: bytes, path: bytes = b"/api/upark/capture") -> bytes:
    """Of a POST; `length` None leaves Content-Length out."""
    first = b"POST %s HTTP/1.1\r\nHost: x\r\n" % path
    if length is not None:
        first += b"Content-Length: %d\r\n" % length
    return b"".join([first, *(line + b"\r\n" for line in lines), b"\r\n"])


async def connect(port: int, count: int, tls: ssl.SSLContext | None = None) -> list[Stream]:
    """So many connections."""
    return [await asyncio.open_connection("127.0.0.1", port, ssl=tls) for _ in range(count)]


async def send(stream: Stream, parts: Sequence[bytes]) -> None:
    """Send for as long as it is taken."""
    try:
        for part in parts:
            stream[1].write(part)
            await stream[1].drain()
    except ConnectionError:
        pass  # refused, and closed


async def status(stream: Stream) -> int:
    """Of the answer; 0 where the connection was broken instead."""
    try:
        return int((await stream[0].readuntil(b"\r\n")).split()[1])
    except (ConnectionError, asyncio.IncompleteReadError):
        return 0


async def answered(streams: list[Stream], parts: Sequence[bytes]) -> set[int]:
    """The statuses that they all are answered with."""
    sending = asyncio.gather(*(send(stream, parts) for stream in streams))
    statuses = await asyncio.gather(*(status(stream) for stream in streams))
    for _, writer in streams:
        writer.transport.abort()  # who was refused reads no more
    await sending
    return set(statuses)


async def keep_sending(port: int, workers: int, seconds: float, parts: Sequence[bytes]) -> list[Stream]:
    """Each worker sends them over a connection, and over another where that one is closed; the last connections."""
    last: dict[int, Stream] = {}

    async def worker(number: int) -> None:
        while True:
            try:
                (last[number],) = await connect(port, 1)
            except OSError:
                await asyncio.sleep(0.01)
            else:
                await send(last[number], parts)
                if not last[number][1].is_closing():
                    await asyncio.Event().wait()  # all was taken, and no answer is read
                last[number][1].transport.abort()

    async with going_on(*(worker(number) for number in range(workers))):
        await asyncio.sleep(seconds)
    return list(last.values())


@asynccontextmanager
async def going_on(*tasks: Coroutine[None, None, None]) -> AsyncIterator[None]:
    """Tasks that last as long as the block does."""
    running = [asyncio.create_task(task) for task in tasks]
    try:
        yield
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def calm(port: int, record: int, tls: ssl.SSLContext | None = None) -> int:
    """The status that an honest device's capture gets, over a connection of its own."""
    stream = (await connect(port, 1, tls))[0]
    body = capture(500, record)
    await send(stream, [head(len(body)), body[:700]])
    await asyncio.sleep(0.01)  # so that it comes in two pieces, more often than not
    await send(stream, [body[700:]])
    found = await status(stream)
    stream[1].close()
    return found
