"""Answers on the wire: in one piece behind a head made once a second, and aiohttp's own where they are special."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from email.utils import formatdate
from pathlib import Path

import orjson

from pump.testing import ManualClock
from tests.unit.vendors.avaeye.site import avaeye_site, capture, read_answer, request

_ALIVE = request("/api/upark/keepalive", b'{"parkId":"1","deviceId":"2"}')


async def test_answers_of_one_connection_have_their_own_bodies_and_the_date_of_their_second(tmp_path: Path) -> None:
    clock = ManualClock()
    async with avaeye_site(tmp_path, clock=clock) as site:
        reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
        seen = []
        for number, seconds in enumerate((0.0, 0.0, 1.0, 60.0)):
            clock.advance(seconds)
            date = formatdate(clock.now_ms() // 1000, usegmt=True)
            bodies = []
            for raw in (request("/api/upark/capture", orjson.dumps(capture(str(number)))), _ALIVE):
                writer.write(raw)
                answer = await read_answer(reader)
                assert answer is not None
                assert answer.status == 200
                size = str(len(answer.body))
                kind = "application/json"
                assert answer.headers == {"server": "pump", "content-type": kind, "content-length": size, "date": date}
                bodies.append(answer.json)
            captured, alive = bodies
            assert captured == {"code": 200, "message": "success", "data": ""}
            assert alive["data"]["svrTime"] == clock.now_ms()
            seen.append(date)
        assert len(set(seen)) == 3
        writer.close()


async def test_an_answer_in_the_first_second_of_1970_has_its_date_too(tmp_path: Path) -> None:
    """A board without a battery for its clock begins there."""
    clock = ManualClock(datetime.fromtimestamp(0, UTC))
    async with avaeye_site(tmp_path, clock=clock) as site:
        (answer,) = await site.send(_ALIVE)
        assert answer.headers["date"] == "Thu, 01 Jan 1970 00:00:00 GMT"


async def test_what_is_special_is_answered_as_http_wants_it(tmp_path: Path) -> None:
    async with avaeye_site(tmp_path) as site:
        for raw, status, connection, bodiless in (
            (_ALIVE.replace(b"HTTP/1.1\r\n", b"HTTP/1.0\r\n"), b"HTTP/1.0 200", None, False),
            (_ALIVE.replace(b"HTTP/1.1\r\n", b"HTTP/1.1\r\nConnection: close\r\n"), b"HTTP/1.1 200", b"close", False),
            (
                b"HEAD /api/upark/keepalive HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
                b"HTTP/1.1 405",
                b"close",
                True,
            ),
        ):
            reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
            writer.write(raw)
            async with asyncio.timeout(30):
                head, _, body = (await reader.read()).partition(b"\r\n\r\n")  # through the end: it is closed
            assert head.startswith(status)
            assert b"Server: pump" in head
            fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
            assert fields.get(b"connection") == connection
            assert (body == b"") == bodiless
            assert bodiless or int(fields[b"content-length"]) == len(body)
            writer.close()
