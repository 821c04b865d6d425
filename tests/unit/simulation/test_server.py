"""A simulator's address: taken, left with everything broken off, and taken again."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from pump.simulation.server import RawServer, Server, WebServer, perform, portions
from pump.testing import ManualClock


class Web(WebServer):
    """Answers its path; "/hang" never."""

    def __init__(self, host: str = "127.0.0.1", port: int = 0) -> None:
        super().__init__(host, port)
        self.asked = asyncio.Event()

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        self.asked.set()
        if request.path == "/hang":
            await asyncio.Event().wait()
        return web.Response(text=request.path)

    async def traffic(self, rate: float) -> None:
        await asyncio.Event().wait()


class Raw(RawServer):
    """Repeats each line that it is sent."""

    def __init__(self, host: str = "127.0.0.1", port: int = 0) -> None:
        super().__init__(host, port)
        self.ended = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readuntil(b"\n"):
                writer.write(line)
                await writer.drain()
        finally:
            self.ended += 1


async def test_its_port_is_none_that_the_system_gives_to_who_asks_for_any_while_it_is_away() -> None:
    first, _ = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    async with Web() as one, Web() as other:
        assert _port(one) != _port(other)
        assert max(_port(one), _port(other)) < first


def _port(server: Server) -> int:
    return int(server.url.rpartition(":")[2])


async def _echoed(server: Raw) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", _port(server))
    writer.write(b"hello\n")
    line = await reader.readline()
    writer.close()
    return line


@pytest.mark.parametrize("kind", [Web, Raw])
async def test_who_comes_back_is_at_the_same_address_and_who_is_away_refuses(kind: type[Any]) -> None:
    async with kind() as server:
        before = server.url
        await server.go_away()
        with pytest.raises(OSError, match=r"refused|failed"):
            await asyncio.open_connection("127.0.0.1", _port(server))
        await server.come_back()
        assert server.url == before
        (await asyncio.open_connection("127.0.0.1", _port(server)))[1].close()
        await server.go_away()
        await server.go_away()


async def test_an_answer_that_hangs_does_not_hold_up_the_end() -> None:
    async with aiohttp.ClientSession() as http, Web() as server:
        async with http.get(f"{server.url}/there") as answer:
            assert await answer.text() == "/there"
        server.asked.clear()
        hanging = asyncio.create_task(http.get(f"{server.url}/hang").__aenter__())
        await server.asked.wait()
        await server.go_away()
        with pytest.raises(aiohttp.ClientError):
            await hanging


async def test_connections_are_broken_off_and_their_tasks_have_ended() -> None:
    async with Raw() as server:
        assert await _echoed(server) == b"hello\n"
        reader, writer = await asyncio.open_connection("127.0.0.1", _port(server))
        writer.write(b"x\n")
        assert await reader.readline() == b"x\n"
        await server.go_away()
        assert server.ended == 2
        assert await reader.read() == b""
        writer.close()
        await server.come_back()
        assert await _echoed(server) == b"hello\n"


async def test_an_address_that_is_taken_is_an_error_and_leaves_no_socket() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(OSError, match="in use"):
            await Web(port=taken.getsockname()[1]).come_back()


def test_an_address_of_ipv6_stands_in_brackets() -> None:
    assert Web("::1", 80).url == "http://[::1]:80"


async def test_perform_names_the_address_once_it_can_be_reached_and_ends_by_cancellation() -> None:
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    server = Web()
    task = asyncio.create_task(perform(server, 1.0, ready.set_result))
    assert await ready == server.url
    (await asyncio.open_connection("127.0.0.1", _port(server)))[1].close()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize(("rate", "wanted"), [(0.0, 0), (0.5, 5), (1000.0, 10_000)])
async def test_portions_add_up_to_the_rate(rate: float, wanted: int) -> None:
    clock = ManualClock()
    made: list[int] = []

    async def traffic() -> None:
        async for due in portions(clock, rate):
            made.append(due)

    task = asyncio.create_task(traffic())
    for _ in range(10):
        await clock.sleeping()
        clock.advance(1.0)
    await clock.sleeping()
    task.cancel()
    assert sum(made) == wanted
