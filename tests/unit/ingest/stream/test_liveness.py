"""The watchdog and what a broken body leaves behind, each by itself; the challenges of a 401."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from pump.ingest.stream.client import Answer, challenges
from pump.ingest.stream.liveness import ReadTimeout, ReadWatchdog, remaining
from pump.testing import ManualClock


async def watching(clock: ManualClock, timeout: float) -> tuple[ReadWatchdog, asyncio.Task[None]]:
    dog = ReadWatchdog(clock, timeout)
    task = asyncio.create_task(dog.watch())
    await clock.sleeping()
    return dog, task


async def put_down(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait({task})


async def test_the_watchdog_ends_a_wait_that_lasts_for_the_time_out() -> None:
    clock = ManualClock()
    dog, task = await watching(clock, 30.0)
    await clock.run(7.0)
    dog.waiting()
    await clock.run(29.9)
    assert not task.done()
    await clock.run(0.2)
    with pytest.raises(ReadTimeout):
        await task


async def test_the_watchdog_begins_anew_with_each_wait() -> None:
    clock = ManualClock()
    dog, task = await watching(clock, 30.0)
    for _ in range(10):
        dog.waiting()
        await clock.run(20.0)
        dog.served()
        assert dog.waited == pytest.approx(20.0)
    assert not task.done()
    await put_down(task)


async def test_the_watchdog_counts_no_time_in_which_nobody_waits() -> None:
    clock = ManualClock()
    dog, task = await watching(clock, 30.0)
    dog.waiting()
    await clock.run(10.0)
    dog.served()
    await clock.run(1000.0)
    assert not task.done()
    dog.served()  # a second time changes nothing
    assert dog.waited == pytest.approx(10.0)
    dog.waiting()
    await clock.run(29.0)
    assert not task.done()
    await clock.run(1.1)
    with pytest.raises(ReadTimeout):
        await task


@pytest.mark.parametrize("read", [0, 3, 1000])
async def test_what_had_arrived_of_a_broken_body_is_not_lost(read: int) -> None:
    """A body with a length that is not reached: aiohttp raises before it hands out what it has."""
    sent = b"0123456789" * 200

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n" + sent)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}/") as response:
        found = await response.content.readexactly(read) if read else b""
        async with asyncio.timeout(30.0):
            while response.content.exception() is None:
                await asyncio.sleep(0.001)  # aiohttp tells nobody that a body broke but who reads
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.content.readany()
        assert found + remaining(response.content) == sent
        assert remaining(response.content) == b"", "twice"
    server.close()
    await server.wait_closed()


@pytest.mark.parametrize(
    ("header", "wanted"),
    [
        ("", []),
        ('Digest realm="r", nonce="n", qop="auth"', ['Digest realm="r", nonce="n", qop="auth"']),
        ('Basic realm="b", Digest realm="r", nonce=n', ['Basic realm="b"', 'Digest realm="r", nonce=n']),
        ('Digest realm="r", nonce="n", Basic realm="b"', ['Digest realm="r", nonce="n"', 'Basic realm="b"']),
        ('Negotiate,Digest realm = "r",nonce = "n"', ["Negotiate", 'Digest realm = "r",nonce = "n"']),
        # What looks like another challenge inside a quoted string is none.
        (r'Basic realm="a \", Digest realm=x", Bearer', [r'Basic realm="a \", Digest realm=x"', "Bearer"]),
    ],
)
def test_challenges_are_told_apart(header: str, wanted: list[str]) -> None:
    assert challenges(header) == wanted


def test_a_digest_login_is_found_wherever_it_stands() -> None:
    assert Answer(401, "", b"", 'Basic realm="b", digest realm="r", nonce="n"').wants_digest
    assert not Answer(401, "", b"", 'Basic realm="Digest realm=x"').wants_digest
    assert not Answer(401, "", b"").wants_digest
