"""Turns at the parser: what chunks may cost a connection and an address, and that others come between."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import orjson
import pytest
from aiohttp.web_protocol import MAX_MSG_QUEUE_SIZE
from structlog.testing import capture_logs

from pump.ingest.push import turns
from pump.ingest.push.turns import FRAMING, FRAMING_RATE, Turns
from pump.testing.clock import ManualClock
from tests.unit.vendors.avaeye.site import AvaEyeSite, avaeye_site, capture, read_answer, request

_HEAD = b"POST /api/upark/capture HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
_NONE = 1e-9
"""Seconds of a turn that one slice uses up, on any machine."""


def _chunked(body: bytes, size: int, extension: bytes = b"") -> bytes:
    parts = [body[place : place + size] for place in range(0, len(body), size)]
    return b"".join(b"%x%s\r\n%s\r\n" % (len(part), extension, part) for part in parts) + b"0\r\n\r\n"


def _overspent(site: AvaEyeSite) -> float:
    return site.metrics.registry.get_sample_value("pump_push_overspent_connections_total") or 0.0


@pytest.mark.parametrize(
    ("size", "remark"), [(1, 500), (2, 5000), (64, 1 << 20), (1 << 14, 1 << 20)], ids=lambda number: f"{number:d}"
)
async def test_what_devices_may_well_send_in_chunks_is_taken(tmp_path: Path, size: int, remark: int) -> None:
    async with avaeye_site(tmp_path) as site:
        body = orjson.dumps(capture(remark="x" * remark))
        for _ in range(2):
            (answer,) = await site.send(_HEAD + _chunked(body, size))
            assert answer.status == 200
        assert _overspent(site) == 0


async def test_what_is_paid_a_moment_later_costs_the_address_nothing(tmp_path: Path) -> None:
    """The bytes around a chunk may come alone, before those of the body that pay for them."""
    async with avaeye_site(tmp_path) as site:
        allowance = site.listener._server.turns
        assert allowance.afford("127.0.0.1", 60 * FRAMING_RATE - 1000)
        whole = _HEAD + _chunked(orjson.dumps(capture(remark="x" * 10_000)), 64)
        reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
        for place in range(0, len(whole), 5):
            writer.write(whole[place : place + 5])
            await writer.drain()
            await asyncio.sleep(0)
        answer = await read_answer(reader)
        assert answer is not None
        assert answer.status == 200
        writer.close()


@pytest.mark.parametrize(
    "flood",
    [b"2\r\nxx\r\n", b"1;" + b"a=b;" * 100 + b"\r\nx\r\n", b"00000001\r\nx\r\n", b"1 \t  \r\nx\r\n"],
    ids=["tiny", "extensions", "padded", "spaces"],
)
async def test_chunks_that_cost_more_than_they_carry_close_the_connection(tmp_path: Path, flood: bytes) -> None:
    async with avaeye_site(tmp_path) as site:
        reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
        writer.write(_HEAD)
        answer = asyncio.create_task(read_answer(reader))
        for _ in range(2 * FRAMING // len(flood) + 100):
            writer.write(flood)
        found = await answer
        assert found is None or found.status == 400  # an answer may be lost where the kernel has unread bytes
        writer.close()
        assert (await site.post("capture", capture("after"))).status == 200


async def test_endless_trailers_close_the_connection(tmp_path: Path) -> None:
    async with avaeye_site(tmp_path) as site:
        reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
        writer.write(_HEAD + b"2\r\n{}\r\n0\r\n" + b"a: b\r\n" * 20_000)
        found = await read_answer(reader)
        assert found is None or found.status == 400
        writer.close()
        assert (await site.post("capture", capture("after"))).status == 200


async def test_an_address_that_spends_too_much_on_chunks_is_refused_such_and_nothing_else(tmp_path: Path) -> None:
    clock = ManualClock()
    async with avaeye_site(tmp_path, clock=clock) as site:
        allowance = site.listener._server.turns
        assert allowance.afford("127.0.0.1", 60 * FRAMING_RATE)
        tiny = _HEAD + _chunked(orjson.dumps(capture()), 1)
        found = await site.send(tiny)
        assert [answer.status for answer in found] in ([], [429])
        assert _overspent(site) == 1
        assert (await site.post("capture", capture())).status == 200
        (answer,) = await site.send(_HEAD + _chunked(orjson.dumps(capture(remark="x" * 9999)), 1000))
        assert answer.status == 200
        clock.advance(60)
        (answer,) = await site.send(tiny)
        assert answer.status == 200


async def test_what_overspends_is_logged_once_a_minute_and_counted_each_time(tmp_path: Path) -> None:
    clock = ManualClock()
    async with avaeye_site(tmp_path, clock=clock) as site:
        running = asyncio.create_task(site.listener.run())
        with capture_logs() as logs:

            def logged() -> list[int]:
                return [line["count"] for line in logs if "chunks" in line["event"]]

            for _ in range(3):
                await site.send(_HEAD + b"1\r\nx\r\n" * FRAMING)
                for _ in range(5):
                    clock.advance(1)
                    await asyncio.sleep(0)
            assert _overspent(site) == 3
            assert logged() == [1]
            while len(logged()) < 2:
                clock.advance(1)
                await asyncio.sleep(0)
            assert logged() == [1, 2]
        running.cancel()


def test_each_address_has_framing_of_its_own() -> None:
    clock = ManualClock()
    allowance = Turns(clock)
    assert allowance.afford("a", 60 * FRAMING_RATE)
    assert not allowance.afford("a", 1)
    assert allowance.afford("a", -5)
    assert allowance.afford("b", 1)
    clock.advance(1)
    assert allowance.afford("a", FRAMING_RATE)
    assert not allowance.afford("a", 1)


async def test_between_two_slices_of_what_one_connection_sends_the_rest_of_the_loop_has_its_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "TURN", _NONE)
    async with avaeye_site(tmp_path) as site:
        body = orjson.dumps(capture(remark="x" * (1 << 20)))
        sending = asyncio.create_task(site.send(_HEAD + _chunked(body, 64)))
        passes = 0
        while not sending.done():
            await asyncio.sleep(0)
            passes += 1
        assert sending.result()[0].status == 200
        assert passes >= len(body) // turns.SLICE


async def test_requests_beyond_those_of_one_pass_wait_for_the_next_and_none_is_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "REQUESTS", 1)
    async with avaeye_site(tmp_path, device_rate=0) as site:
        one = request("/api/upark/keepalive", b'{"parkId":"1","deviceId":"2"}')
        leaving = [await asyncio.open_connection("127.0.0.1", site.port) for _ in range(10)]
        for _, writer in leaving:
            writer.write(one * 5)
        found = [site.send(one * 5, answers=5) for _ in range(20)]
        for _, writer in leaving:
            writer.transport.abort()
        assert [answer.status for answers in await asyncio.gather(*found) for answer in answers] == [200] * 100


async def test_whatever_comes_in_whatever_pieces_is_answered_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pipelined requests of all sizes and framings, cut anywhere, with the shortest turns."""
    monkeypatch.setattr(turns, "TURN", _NONE)
    drawn = random.Random(13)
    async with avaeye_site(tmp_path, device_rate=0) as site:
        whole = b""
        for number in range(120):
            body = orjson.dumps(capture(f"r{number}", remark="x" * drawn.choice((0, 100, 5000, 60_000))))
            if drawn.random() < 0.5:
                whole += request("/api/upark/capture", body)
            else:
                whole += _HEAD + _chunked(body, drawn.choice((48, 1000, 70_000)))
        reader, writer = await asyncio.open_connection("127.0.0.1", site.port)

        async def send() -> None:
            place = 0
            while place < len(whole):
                end = place + drawn.choice((1, 10, 1000, 100_000))
                writer.write(whole[place:end])
                await writer.drain()
                await asyncio.sleep(0)
                place = end

        sending = asyncio.create_task(send())
        for _ in range(120):
            answer = await read_answer(reader)
            assert answer is not None
            assert answer.status == 200
        await sending
        writer.close()
        records = [event["data"]["raw"]["params"]["recordId"] for event in await site.events()]
        assert records == [f"r{number}" for number in range(120)]


@pytest.mark.parametrize("late", [1, MAX_MSG_QUEUE_SIZE + 1])
async def test_a_body_that_came_after_its_head_does_not_hold_up_what_was_pipelined_behind_it(
    tmp_path: Path, late: int
) -> None:
    """aiohttp 3.14.5's parser goes on counting it among those that wait to be taken, and stops at 32 of them; who
    pauses the connection sees 31, and so nobody lets the parser go on."""
    body = b'{"parkId":"1","deviceId":"2"}'
    head = b"POST /api/upark/keepalive HTTP/1.1\r\nHost: x\r\nContent-Length: %d" % len(body)
    one = head + b"\r\n\r\n" + body
    assert len(one) * (1 + MAX_MSG_QUEUE_SIZE) < turns.SLICE  # it is parsed at once
    async with avaeye_site(tmp_path, device_rate=0) as site:
        reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
        for number in range(late):
            writer.write(head + b"\r\nExpect: 100-continue\r\n\r\n")
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100")
            if number < late - 1:
                writer.write(body)
                assert await read_answer(reader) is not None
        writer.write(body + one * MAX_MSG_QUEUE_SIZE)
        async with asyncio.timeout(30):
            found = [await read_answer(reader) for _ in range(1 + MAX_MSG_QUEUE_SIZE)]
        assert [answer and answer.status for answer in found] == [200] * len(found)
        writer.close()
