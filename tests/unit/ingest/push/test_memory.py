"""What one request may cost: the size of its head, the number of its values, the bytes of it that are kept."""

from __future__ import annotations

import asyncio
import gc
import gzip
import tracemalloc
from contextlib import suppress
from pathlib import Path

import orjson
import pytest

from pump.core.errors import MessageError
from pump.ingest.push.admission import HELD, LARGE, SHARE
from pump.ingest.push.connections import LARGEST_HEAD
from pump.vendors.avaeye.parse import MOST_VALUES, loads
from pump.vendors.avaeye.secrets import strip_ruin
from tests.unit.vendors.avaeye.site import AvaEyeSite, avaeye_site, capture, read_answer, request

_BODY = orjson.dumps(capture())


def _head(size: int, end: bytes = b"\r\n") -> bytes:
    """A request's head of about so many bytes."""
    lines = b"".join(b"X-%d: %s\r\n" % (number, b"y" * 1000) for number in range(size // 1008))
    head = b"POST /api/upark/capture HTTP/1.1\r\nHost: pump\r\nContent-Length: %d\r\n" % len(_BODY)
    return head + lines + end


async def _alive(site: AvaEyeSite) -> None:
    assert (await site.post("capture", capture("after"))).status == 200


@pytest.mark.parametrize(("size", "status"), [(LARGEST_HEAD - 2000, 200), (LARGEST_HEAD + 1100, 431)])
async def test_a_head_has_its_limit_though_each_line_of_it_is_short(tmp_path: Path, size: int, status: int) -> None:
    async with avaeye_site(tmp_path) as site:
        (answer,) = await site.send(_head(size) + _BODY)
        assert answer.status == status
        await _alive(site)


async def test_a_head_that_never_ends_is_answered_431_before_it_has_cost_much(tmp_path: Path) -> None:
    async with avaeye_site(tmp_path) as site:
        reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
        head = _head(LARGEST_HEAD + 1100, end=b"")
        for place in range(0, len(head), 2000):
            writer.write(head[place : place + 2000])
            await asyncio.sleep(0)
        answer = await read_answer(reader)
        assert answer is not None
        assert answer.status == 431
        writer.close()
        await _alive(site)


async def test_a_body_that_comes_in_pieces_is_no_head(tmp_path: Path) -> None:
    async with avaeye_site(tmp_path) as site:
        reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
        for number in range(2):
            whole = request("/api/upark/capture", orjson.dumps(capture(str(number), remark="x" * 300_000)))
            for place in range(0, len(whole), 10_000):
                writer.write(whole[place : place + 10_000])
                await writer.drain()
                await asyncio.sleep(0)
            answer = await read_answer(reader)
            assert answer is not None
            assert answer.status == 200
        writer.close()
        assert len(await site.events()) == 2


async def test_what_was_held_of_bodies_is_given_back_whatever_became_of_them(tmp_path: Path) -> None:
    large = orjson.dumps(capture("large", remark="x" * 1_500_000))
    async with avaeye_site(tmp_path / "whole", max_body="2MiB") as site:
        packed = {"Content_Encoding": "gzip"}
        for body, headers, status in (
            (large, {}, 200),
            (gzip.compress(large), packed, 200),
            (gzip.compress(large * 2), packed, 413),
            (gzip.compress(large)[:-9], packed, 400),
            (large[:-1], {}, 400),
            (b"x" * (2 << 20), {}, 400),
        ):
            assert (await site.post("capture", body, **headers)).status == status
            assert not site.listener.admission.budget.held
    async with avaeye_site(tmp_path / "short", max_body="2MiB", body_timeout="50ms") as site:
        for short in (request("/api/upark/capture", large)[:-10], request("/api/upark/capture", large)[:700_000]):
            (answer,) = await site.send(short)
            assert answer.status == 408
        _, writer = await asyncio.open_connection("127.0.0.1", site.port)
        writer.write(request("/api/upark/capture", large)[:-10])
        await writer.drain()
        writer.transport.abort()
        async with asyncio.timeout(60.0):
            while site.listener.admission.budget.held:  # nobody tells when the one that broke off is noticed
                await asyncio.sleep(0.001)


async def test_one_address_that_dribbles_large_bodies_keeps_no_other_s_picture_out(tmp_path: Path) -> None:
    large = orjson.dumps(capture("large", remark="x" * 1_500_000))

    async with avaeye_site(tmp_path, trusted_proxies=["127.0.0.1"]) as site:
        dribbling = b"POST /api/upark/capture HTTP/1.1\r\nHost: pump\r\nX-Forwarded-For: 10.0.0.1\r\n"
        dribbling += b"Content-Length: 16000000\r\n\r\n" + bytes(15_000_000)
        writers = []
        for _ in range(HELD // SHARE // 15_000_000):
            _, writer = await asyncio.open_connection("127.0.0.1", site.port)
            writer.write(dribbling)
            writers.append(writer)
            while site.listener.admission.budget.held < len(writers) * 15_000_000:  # else a later one may overtake it
                await asyncio.sleep(0.001)
        reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
        writers.append(writer)
        writer.write(dribbling)
        answer = await read_answer(reader)
        assert answer is not None
        assert answer.status == 503
        assert (await site.post("capture", large, X_Forwarded_For="10.0.0.2")).status == 200
        for writer in writers:
            writer.transport.abort()
        async with asyncio.timeout(20.0):
            while site.listener.admission.budget.held:  # nobody tells when those that broke off are noticed
                await asyncio.sleep(0.001)
        assert (await site.post("capture", large, X_Forwarded_For="10.0.0.1")).status == 200


def test_a_body_has_so_many_values() -> None:
    few = b'{"x":[' + b"[]," * (MOST_VALUES - 10) + b"[]]}"
    assert len(loads(few)["x"]) == MOST_VALUES - 9
    for many in (b'{"x":[' + b"[]," * (MOST_VALUES + 10) + b"[]]}", b'{"x":' * (2 * MOST_VALUES + 10)):
        with pytest.raises(MessageError, match="more than 50000 values"):
            loads(many)


async def test_of_a_large_ruin_the_beginning_is_kept_without_secrets(tmp_path: Path) -> None:
    async with avaeye_site(tmp_path) as site:
        body = b'{"plateNo": "A1", "pwd": "hush", "data": "' + "é".encode() * 60_000 + b'", "pwd": "hush'
        assert (await site.post("capture", body)).status == 400
        (event,) = await site.events()
        data = event["data"]
        assert data["error"].endswith(f"; the first 64 KiB of {len(body)} bytes are kept")
        raw = data["raw"]
        assert raw.startswith('{"plateNo": "A1", "pwd": "*****", "data": "éé')
        assert 65_000 < len(raw.encode()) <= 65_536 + 3, "no letter is cut in two, nothing more is kept"


@pytest.mark.parametrize(
    ("ruin", "kept"),
    [
        (b'{"username":"u","user":"v","pwd":"p"', b'{"username":"*****","user":"*****","pwd":"*****"'),
        (b'PWD = "p", mqttParam: {"a":{', b'PWD = "*****", mqttParam: "*****"'),
        (b'"accessKeySecret":"never ends', b'"accessKeySecret":"*****"'),
        (b'{"parkId":"1","x":"a pwd is', b'{"parkId":"1","x":"a pwd is'),
        (b"", b""),
    ],
)
def test_a_ruin_without_its_secrets(ruin: bytes, kept: bytes) -> None:
    assert strip_ruin(ruin) == kept


async def _answered(reader: asyncio.StreamReader) -> None:
    """Return once the listener has refused: who still sends may see the connection break instead of the answer."""
    with suppress(ConnectionError, asyncio.IncompleteReadError):
        await reader.readuntil(b"\r\n")


@pytest.mark.parametrize("taken", [True, False], ids=["being read", "refused"])
async def test_a_body_that_breaks_off_is_freed_though_the_collector_does_not_come_by(
    tmp_path: Path, taken: bool
) -> None:
    size = 6 << 20
    async with avaeye_site(tmp_path, max_body="8MiB" if taken else "1MiB") as site:
        await _alive(site)
        gc.collect()
        gc.disable()
        tracemalloc.start()
        try:
            before = tracemalloc.get_traced_memory()[0]
            reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
            writer.write(b"POST /api/upark/capture HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (size + 1))
            writer.write(bytes(size))
            if taken:
                async with asyncio.timeout(60):
                    while site.listener.admission.budget.held < size:
                        await asyncio.sleep(0.001)
            else:
                await _answered(reader)
            writer.transport.abort()
            del reader, writer
            async with asyncio.timeout(60):
                while tracemalloc.get_traced_memory()[0] > before + (1 << 20):
                    await asyncio.sleep(0.001)
        finally:
            tracemalloc.stop()
            gc.enable()


@pytest.mark.parametrize(
    ("sent", "overspent"),
    [(b"2\r\nab\r\n" * 6000, 20), (b"no size\r\n" + b"x" * 60_000, 0)],
    ids=["tiny chunks", "no HTTP any more"],
)
async def test_nothing_stays_of_chunks_that_were_turned_away(tmp_path: Path, sent: bytes, overspent: int) -> None:
    chunks = b"POST /api/upark/capture HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + sent
    async with avaeye_site(tmp_path) as site:
        await _alive(site)
        gc.collect()
        gc.disable()
        tracemalloc.start()
        try:
            before = tracemalloc.get_traced_memory()[0]
            for _ in range(20):
                reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
                writer.write(chunks)
                await _answered(reader)
                writer.transport.abort()
            assert site.listener._overspenders == overspent
            del reader, writer
            async with asyncio.timeout(60):
                while tracemalloc.get_traced_memory()[0] > before + (1 << 19):  # 20 times what came is over 0.7 MB
                    await asyncio.sleep(0.001)
        finally:
            tracemalloc.stop()
            gc.enable()


async def test_a_large_body_counts_with_what_it_is_read_into(tmp_path: Path) -> None:
    large = orjson.dumps(capture("large", remark="x" * (LARGE + 1000)))
    async with avaeye_site(tmp_path) as site:
        held: list[int] = []
        count = site.listener.admission.budget.count

        def watched(peer: str, size: int) -> bool:
            fits = count(peer, size)
            held.append(site.listener.admission.budget.held)
            return fits

        site.listener.admission.budget.count = watched  # type: ignore[method-assign]
        assert (await site.post("capture", large)).status == 200
        assert max(held) == 2 * len(large)
        assert held[-1] == 0
