"""A recording is given again: behind the login, in order, in its time; pushes one by one until they are answered."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from pump.core.clock import Clock
from pump.ingest.recording.lines import Recorded, RecordedFile
from pump.ingest.stream.client import DigestClient, UnexpectedStatus
from pump.simulation.playing.play import Play
from pump.simulation.playing.pushing import Pusher
from pump.simulation.playing.running import Performance
from pump.simulation.playing.server import Player
from pump.simulation.server import WebServer
from pump.testing import ManualClock
from pump.vendors.hik_camera.simulator import PLAY as CAMERA
from pump.vendors.hik_connect.simulator import PLAY as CONNECT
from pump.vendors.hik_gateway.simulator import PLAY as GATEWAY
from pump.vendors.kinot.simulator import PLAY as KINOT
from pump.vendors.kinot.simulator.callbacks import signed

HEADERS = {"Content-Type": "application/json"}


def answer(at: int, path: str, body: str, method: str = "GET", status: int = 200) -> Recorded:
    return Recorded("answer", at, {"method": method, "path": path, "headers": HEADERS, "status": status}, body.encode())


def opened(at: int, link: int, path: str = "/stream", **more: Any) -> Recorded:
    headers = {"Content-Type": "multipart/mixed; boundary=MIME"}
    return Recorded("open", at, {"link": link, "method": "GET", "path": path, "headers": headers, **more}, b"")


def chunk(at: int, link: int, body: bytes) -> Recorded:
    return Recorded("chunk", at, {"link": link}, body)


def pushed(at: int, path: str, body: str, status: int = 200) -> Recorded:
    fields = {"method": "POST", "path": path, "headers": HEADERS, "status": status}
    return Recorded("push", at, fields, body.encode())


def recording(*frames: Recorded, vendor: str = "hik-camera") -> RecordedFile:
    return RecordedFile(vendor, datetime(2026, 11, 29, tzinfo=UTC), [*frames], "its time was over")


async def get(url: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.get(url) as found:
        return found.status, await found.text()


async def test_answers_come_in_their_order_and_the_last_one_again() -> None:
    frames = (
        answer(0, "/a?page=0", "one"), answer(1, "/a?page=1", "two"), answer(2, "/a?page=0", "three", status=503),
        answer(3, "/b?id=x", "four"),
    )  # fmt: skip
    async with Player(recording(*frames), Play(), clock=Clock(), pace=0) as player:
        assert await get(f"{player.url}/a?page=1") == (200, "two")
        assert await get(f"{player.url}/a?page=0") == (200, "one")
        assert await get(f"{player.url}/a?page=0") == (503, "three")
        assert await get(f"{player.url}/a?page=0") == (503, "three")
        assert await get(f"{player.url}/b?id=y") == (200, "four")  # of an id that nobody recorded
        assert (await get(f"{player.url}/c"))[0] == 404
        await player.said()


async def test_an_answer_comes_no_earlier_than_it_did_where_there_is_another_until_then() -> None:
    clock = ManualClock()
    play = Play(rest={"/messages": b"nothing"})
    async with Player(recording(answer(10_000, "/messages", "one")), play, clock=clock, pace=2) as player:
        assert await get(f"{player.url}/messages") == (200, "nothing")
        clock.advance(5)
        assert await get(f"{player.url}/messages") == (200, "one")
        assert await get(f"{player.url}/messages") == (200, "nothing")


async def test_streams_come_one_a_connection_behind_the_login() -> None:
    frames = (
        opened(0, 1), chunk(5, 1, b"--MIME one"), chunk(9, 1, b" and more"), Recorded("close", 9, {"link": 1}, b""),
        opened(50, 2), chunk(60, 2, b"--MIME two"),
    )  # fmt: skip
    async with Player(recording(*frames), CAMERA, clock=Clock(), pace=0) as player:
        stranger = DigestClient(player.url, username="admin", password="wrong")
        with pytest.raises(UnexpectedStatus, match="401"):
            async with stranger.stream("GET", "/stream"):
                pass
        client = DigestClient(player.url, username="admin", password="Camera-1")
        async with client.stream("GET", "/stream") as first:
            assert first.headers["Content-Type"] == "multipart/mixed; boundary=MIME"
            assert await first.read() == b"--MIME one and more"
        async with client.stream("GET", "/stream") as second:
            assert await second.content.readexactly(10) == b"--MIME two"
            await player.said()
        async with client.stream("GET", "/stream") as silent:  # there is no third one
            assert silent.status == 200


async def test_a_stream_that_was_joined_in_its_middle_begins_with_the_greeting() -> None:
    frames = (opened(0, 1, joined=True), chunk(5, 1, b"--MIME\r\n"))
    async with Player(recording(*frames), GATEWAY, clock=Clock(), pace=0) as player:
        client = DigestClient(player.url, username="admin", password="secret1")
        async with client.stream("GET", "/stream") as found:
            first = await found.content.readuntil(b"}}\r\n")
            assert first.startswith(b"--MIME\r\nContent-Type: application/json\r\n")
            assert b"SubscribeDeviceMgmtRsp" in first


async def test_a_stream_s_chunks_come_in_their_time() -> None:
    clock = ManualClock()
    frames = (opened(1000, 1), chunk(1000, 1, b"a"), chunk(61_000, 1, b"b"))
    async with (
        Player(recording(*frames), Play(), clock=clock, pace=10) as player,
        aiohttp.ClientSession() as session,
        session.get(f"{player.url}/stream") as found,
    ):
        assert await found.content.readexactly(1) == b"a"
        await clock.sleeping()
        clock.advance(5.9)
        assert clock.sleepers
        clock.advance(0.2)
        assert await found.content.readexactly(1) == b"b"


async def test_a_cloud_wants_its_login() -> None:
    path = "/api/hccgw/combine/v1/mq/messages"
    frames = (answer(0, path, '{"data": {"batchId": "7"}, "errorCode": "0"}', "POST"),)
    async with (
        Player(recording(*frames), CONNECT, clock=Clock(), pace=0) as player,
        aiohttp.ClientSession(player.url) as session,
    ):

        async def post(path: str, body: object, token: str = "") -> Any:
            async with session.post(path, json=body, headers={"Token": token}) as found:
                return await found.json()

        assert (await post(path, {}))["errorCode"] == "OPEN000007"
        login = "/api/hccgw/platform/v1/token/get"
        assert (await post(login, {"appKey": "ak", "secretKey": "wrong"}))["errorCode"] != "0"
        token = (await post(login, {"appKey": "ak", "secretKey": "sk"}))["data"]["accessToken"]
        assert (await post(path, {}, token))["data"]["batchId"] == "7"
        assert (await post(path, {}, token))["data"]["batchId"] == "0"


class Pump(WebServer):
    """It takes what is pushed; the first request is answered by closing the connection."""

    def __init__(self) -> None:
        super().__init__("127.0.0.1", 0)
        self.got: list[tuple[str, str]] = []
        self.drops = 1

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        if self.drops and request.transport is not None:
            self.drops -= 1
            request.transport.abort()
        self.got.append((request.path_qs, (await request.read()).decode()))
        return web.Response(status=200)


@asynccontextmanager
async def a_pump() -> AsyncIterator[Pump]:
    async with Pump() as pump:
        yield pump


async def before(_: Recorded) -> None:
    """Nothing is waited for."""


async def test_pushes_go_one_by_one_until_they_are_answered_signed_anew_where_they_were_taken() -> None:
    clock = ManualClock()
    body = '{"sn": 5, "sign": "0123",}'
    frames = (pushed(100, "/status", body), pushed(4100, "/status?x=1", body, status=403))
    async with a_pump() as pump:
        pusher = Pusher(recording(*frames, vendor="kinot"), KINOT, f"{pump.url}/kinot/bays", clock=clock, pace=1)
        task = asyncio.create_task(pusher.run(before))
        for seconds in (1.0, 3.0):  # the pause before the second try, and what is left of the recorded one
            await clock.sleeping()
            clock.advance(seconds)
        await task
        (path, first), (query, second) = pump.got[-2:]
    assert (path, query) == ("/kinot/bays/status", "/kinot/bays/status?x=1")
    assert signed({"sn": 5}, "sk") in first
    assert first.replace(signed({"sn": 5}, "sk"), "0123") == body
    assert second == body  # what was refused may have been refused for its sign
    assert (pusher.account.sent, pusher.account.otherwise) == (2, 1)


async def test_a_push_comes_after_the_answers_that_came_before_it() -> None:
    frames = (answer(0, "/list", "x"), pushed(1, "/a", json.dumps({})))
    async with a_pump() as pump:
        pump.drops = 0
        url: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        played = asyncio.Event()
        performance = Performance(recording(*frames), Play(claim="/x"), clock=Clock(), pace=0, to=pump.url)
        task = asyncio.create_task(performance.run(url.set_result, played.set))
        address = await url
        assert pump.got == []
        await get(f"{address}/list")
        await played.wait()
        assert pump.got == [("/x/a", "{}")]
        task.cancel()
        await asyncio.wait({task})
