"""The listener itself: who may send, how much, how slowly; who gets a request; what a refusing spool means."""

from __future__ import annotations

import asyncio
import base64
import os
import resource
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import orjson
import pytest

from pump.core.rate import TokenBucket
from pump.ingest.push.admission import client, within
from pump.spool.errors import Verdict
from pump.testing import ManualClock
from tests.certificates import certificate, needs_openssl
from tests.unit.vendors.avaeye.site import AvaEyeSite, avaeye_site, capture, read_answer, request

_BODY = b'{"parkId":"10000","deviceId":"1001","params":{"recordId":"x","plateNo":"B1"}}'
_POST = request("/api/upark/capture", _BODY)


async def test_pipelined_requests_are_answered_in_order(tmp_path: Path) -> None:
    async with avaeye_site(tmp_path) as site:
        keepalive = request("/api/upark/keepalive", b'{"parkId":"1","deviceId":"2"}')
        answers = await site.send(_POST + keepalive + _POST, answers=3)
        assert [answer.status for answer in answers] == [200, 200, 200]
        assert ["svrTime" in (answer.json["data"] or {}) for answer in answers] == [False, True, False]


async def test_expect_100_continue_is_answered_before_the_body_comes(tmp_path: Path) -> None:
    async with avaeye_site(tmp_path) as site:
        reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
        head, _, body = request("/api/upark/capture", _BODY, {"Expect": "100-Continue"}).partition(b"\r\n\r\n")
        writer.write(head + b"\r\n\r\n")
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(body)
        answer = await read_answer(reader)
        assert answer is not None
        assert answer.status == 200
        writer.close()


async def test_a_slow_body_is_answered_408_and_a_slow_head_too(tmp_path: Path) -> None:
    async with avaeye_site(tmp_path, body_timeout="50ms", header_timeout="50ms") as site:
        (answer,) = await site.send(_POST[:-10])
        assert (answer.status, answer.json["code"]) == (408, 101)
        reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
        writer.write(_POST[:20])
        running = asyncio.create_task(site.listener.run())
        answered = await read_answer(reader)
        assert answered is not None
        assert answered.status == 408
        assert await reader.read() == b""
        running.cancel()
        writer.close()


async def test_an_address_has_so_many_connections_and_idle_ones_make_room(tmp_path: Path) -> None:
    async with avaeye_site(tmp_path, max_connections_per_address=3) as site:
        idle = [await asyncio.open_connection("127.0.0.1", site.port) for _ in range(3)]
        # a connection is safe for a second: until then further ones are turned away, and told when to come again
        reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
        refused = await read_answer(reader)
        assert refused is not None
        assert (refused.status, refused.headers["retry-after"]) == (429, "5")
        writer.close()
        status = 429
        while status == 429:
            answers = await site.send(_POST)
            status = answers[0].status if answers else 429
        assert status == 200
        for _, each in idle:
            each.close()


async def test_slow_attackers_keep_nobody_from_being_served(tmp_path: Path) -> None:
    async with avaeye_site(tmp_path, max_connections_per_address=1000, max_connections=1000) as site:
        attackers = []
        for number in range(400):
            reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
            writer.write(_POST[: 10 + number % (len(_POST) - 20)])  # some in the head, some in the body
            attackers.append((reader, writer))
        for number in range(50):
            assert (await site.post("capture", capture(str(number)))).status == 200
        assert len(await site.events()) == 50
        for _, writer in attackers:
            writer.close()


async def test_only_allowed_addresses_may_push_and_trusted_proxies_name_them(tmp_path: Path) -> None:
    server: dict[str, Any] = {"allow": ["10.0.0.0/8"], "trusted_proxies": ["127.0.0.0/8"]}
    async with avaeye_site(tmp_path, **server) as site:
        for forwarded, status in (
            ("10.1.2.3", 200), ("192.0.2.1", 403), ("10.1.2.3, 192.0.2.1", 403), ("192.0.2.1, 10.1.2.3", 200),
            ("junk", 403), ("", 403), ("[::ffff:10.0.0.1]:4711", 200),
        ):  # fmt: skip
            answer = await site.post("capture", capture(forwarded), X_Forwarded_For=forwarded)
            assert (forwarded, answer.status) == (forwarded, status)


def test_whose_request_it_is() -> None:
    ipv4 = ip_network("10.0.0.0/8")
    proxies = (ipv4,)
    assert within("::ffff:10.1.1.1", [ipv4])
    assert client("192.0.2.7", "10.9.9.9", proxies) == "192.0.2.7", "an untrusted peer is not believed"
    assert client("10.0.0.1", "198.51.100.1, 10.0.0.2", proxies) == "198.51.100.1"
    assert client("10.0.0.1", "spoofed, 198.51.100.1", proxies) == "198.51.100.1"


async def test_a_device_has_its_pace(tmp_path: Path) -> None:
    clock = ManualClock()
    async with avaeye_site(tmp_path, clock=clock, device_rate=0.1) as site:
        answers = [await site.post("capture", capture(str(n))) for n in range(8)]
        assert [answer.status for answer in answers] == [200] * 6 + [429] * 2, "a minute's worth"
        assert answers[-1].headers["retry-after"] == "10"
        assert answers[-1].json["code"] == 101
        other = {**capture("other"), "deviceId": "1002"}
        assert (await site.post("capture", other)).status == 200
        clock.advance(10.0)
        assert (await site.post("capture", capture("7"))).status == 200
        assert (await site.post("capture", capture("8"))).status == 429
        assert len(await site.events()) == 8


async def test_what_cannot_be_read_has_its_pace_too(tmp_path: Path) -> None:
    async with avaeye_site(tmp_path, clock=ManualClock(), device_rate=2 / 60) as site:
        answers = [await site.post("capture", b"ruin %d" % n) for n in range(4)]
        assert [answer.status for answer in answers] == [400, 400, 429, 429]
        assert [answer.json["code"] for answer in answers] == [301, 301, 101, 101]
        assert len(await site.events()) == 2
        assert (await site.post("capture", capture())).status == 200, "whoever can be read has a pace of its own"


async def test_a_device_may_make_fifty_requests_a_second_unless_told_otherwise(tmp_path: Path) -> None:
    clock = ManualClock()
    async with avaeye_site(tmp_path, clock=clock) as site:
        keepalive = request("/api/upark/keepalive", b'{"parkId":"1","deviceId":"2"}')
        answers = await site.send(keepalive * 3001, answers=3001)
        assert [answer.status for answer in answers] == [200] * 3000 + [429], "a minute's worth at once"
        clock.advance(1.0)
        answers = await site.send(keepalive * 51, answers=51)
        assert [answer.status for answer in answers] == [200] * 50 + [429]


def test_the_pace_forgets_who_was_silent_longest() -> None:
    pace = TokenBucket(1.0, ManualClock())
    for key in range(30_000):
        assert pace.take(key) == 0.0
    assert len(pace._buckets) <= 20_000


async def test_a_refusing_spool_is_answered_503_in_the_vendors_form(tmp_path: Path) -> None:
    async with avaeye_site(tmp_path) as site:
        await site.post("keepalive", capture())
        site.spool._writer.refuse(Verdict.FULL.value)
        assert (await site.post("keepalive", capture())).status == 200  # nothing comes with it that is to be stored
        for path in ("capture", "transchannel", "some/thing"):
            answer = await site.post(path, capture())
            assert (answer.status, answer.json["code"]) == (503, 101)
            assert int(answer.headers["retry-after"]) > 0
        assert (await site.post("capture", b"ruin")).status == 503
        assert await site.events() == []


@pytest.mark.parametrize(
    ("park", "device", "source"),
    [("1", "7", "gate"), ("2", "7", "gate1"), ("2", "9", "gate2"), ("3", "7", "gate3"), ("4", None, "gate3")],
)
async def test_a_shared_path_goes_to_the_source_that_knows_the_park(
    tmp_path: Path, park: str, device: str | None, source: str
) -> None:
    tables: list[dict[str, Any]] = [
        {"park_ids": ("1",)}, {"park_ids": ("2",)}, {"park_ids": ("2",), "devices": ("9",)}, {},
    ]  # fmt: skip
    async with avaeye_site(tmp_path, *tables) as site:
        body = {"parkId": park, "deviceId": device, "params": {"recordId": "1"}}
        assert (await site.post("capture", body)).status == 200
        assert [event["source"] for event in await site.events()] == [f"/s/{source}"]


async def test_a_device_that_is_not_configured_is_refused(tmp_path: Path) -> None:
    async with avaeye_site(tmp_path, {"park_ids": ("1",)}) as site:
        answer = await site.post("capture", capture())
        assert (answer.status, answer.json["code"]) == (403, 301)
        assert await site.events(whole=True) == []


def _certificate(folder: Path, name: str) -> None:
    made, key = certificate(folder, name)
    made.replace(folder / "cert.pem")
    key.replace(folder / "key.pem")


def _name(port: int) -> str:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return ssl.get_server_certificate(("127.0.0.1", port))


async def _certificates(site: AvaEyeSite) -> str:
    return await asyncio.to_thread(_name, site.port)


@needs_openssl
async def test_a_renewed_certificate_is_taken_up_and_a_broken_one_is_not(tmp_path: Path) -> None:
    _certificate(tmp_path, "first")
    server: dict[str, Any] = {"tls_cert": tmp_path / "cert.pem", "tls_key": tmp_path / "key.pem"}
    async with avaeye_site(tmp_path / "state", **server) as site:
        assert site.listener.url.startswith("https://")
        trusting = ssl.create_default_context()
        trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
        assert (await site.send(_POST, tls=trusting))[0].status == 200
        first = await _certificates(site)
        assert not site.listener.reload_certificate()
        (tmp_path / "cert.pem").write_text("no certificate")
        assert not site.listener.reload_certificate()
        assert await _certificates(site) == first
        _certificate(tmp_path, "second")
        assert site.listener.reload_certificate()
        assert await _certificates(site) != first


@contextmanager
def no_descriptors() -> Iterator[None]:
    """This process can open nothing more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    opened: list[int] = []
    try:
        opened.append(os.open(os.devnull, os.O_RDONLY))
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(map(int, os.listdir("/proc/self/fd"))) + 1, hard))
        with suppress(OSError):
            while True:
                opened.append(os.open(os.devnull, os.O_RDONLY))
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for each in opened:
            os.close(each)


async def test_without_descriptors_a_picture_is_answered_503_and_taken_when_it_comes_again(tmp_path: Path) -> None:
    async with avaeye_site(tmp_path) as site:
        reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
        data = base64.b64encode(b"\xff\xd8\xff" + bytes(3000) + b"\xff\xd9").decode()
        body = orjson.dumps(capture(picInfo=[{"type": 1, "size": 3005, "data": data}]))
        statuses = []
        for lacking in (True, False):
            with no_descriptors() if lacking else nullcontext():
                writer.write(request("/api/upark/capture", body))
                answer = await read_answer(reader)
            assert answer is not None
            statuses.append(answer.status)
        assert statuses == [503, 200]
        writer.close()
