"""The simulator by itself: what it refuses, and TLS; spoken to without the pump's client."""

from __future__ import annotations

import asyncio
from pathlib import Path

import orjson
import pytest
from aiohttp import ClientSession, DigestAuthMiddleware

from pump.core.clock import Clock
from pump.vendors.hik_gateway.parse import loads
from pump.vendors.hik_gateway.simulator.http import status_xml
from pump.vendors.hik_gateway.simulator.messages import Messages
from pump.vendors.hik_gateway.simulator.server import Quirks, Simulator, simulate
from tests.certificates import needs_openssl, self_signed
from tests.unit.vendors.hik_gateway.site import site

SUBSCRIBE = "/ISAPI/Event/notification/subscribeDeviceMgmt?format=json"
ALL = {"SubscribeDeviceMgmt": {"eventMode": "all", "defenceMode": "all"}}


def session(password: str = "secret1") -> ClientSession:
    return ClientSession(middlewares=(DigestAuthMiddleware("admin", password, preemptive=False),))


async def test_the_document_s_flow_by_hand() -> None:
    async with Simulator(clock=Clock()) as vendor, session() as http:
        async with http.post(vendor.url + SUBSCRIBE, data=orjson.dumps(ALL)) as stream:
            assert stream.status == 200
            assert stream.content_type == "multipart/mixed"
            number = next(iter(vendor.subscriptions))
            first = await stream.content.readuntil(b"}\n")
            assert b"--boundary\r\nContent-Type: application/json" in first
            # eventMode all: no status, no single devices.
            path = f"{vendor.url}/ISAPI/Event/notification/subscribeDeviceMgmt/{number}/queryStatus?format=json"
            async with http.get(path) as answer:
                assert answer.status == 403
                assert loads(await answer.read())["errorCode"] == 0x40000001
            path = f"{vendor.url}/ISAPI/Event/notification/unSubscribeDeviceMgmt/{number}?format=json"
            async with http.delete(path) as answer:
                assert answer.status == 200
            rest = await stream.content.read()
            assert rest.rstrip().endswith(b"--boundary--")
        assert vendor.account.closed == [str(number)]


async def test_wrong_passwords_are_counted_down_to_the_lock() -> None:
    async with Simulator(clock=Clock(), quirks=Quirks(attempts=2)) as vendor:
        seen = []
        for _ in range(3):
            async with session("wrong") as http, http.post(vendor.url + SUBSCRIBE, data=b"{}") as answer:
                assert answer.status == 401
                fields = loads(await answer.read())
                seen.append((fields["retryTimes"], fields["lockStatus"]))
        assert seen == [(1, "unlock"), (0, "lock"), (0, "lock")]
        async with session() as http, http.post(vendor.url + SUBSCRIBE, data=orjson.dumps(ALL)) as answer:
            assert answer.status == 401


async def test_the_limit_of_subscriptions() -> None:
    async with (
        Simulator(clock=Clock(), quirks=Quirks(subscriptions=1)) as vendor,
        session() as http,
        http.post(vendor.url + SUBSCRIBE, data=orjson.dumps(ALL)) as stream,
    ):
        assert stream.status == 200
        async with http.post(vendor.url + SUBSCRIBE, data=orjson.dumps(ALL)) as answer:
            assert loads(await answer.read())["subStatusCode"] == "deployExceedMax"
        stream.close()


async def test_simulate_says_where_it_listens_and_ends_by_cancellation() -> None:
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(simulate(rate=50.0, on_ready=ready.set_result))
    assert (await ready).startswith("http://127.0.0.1:")
    task.cancel()
    await asyncio.wait({task})
    assert task.cancelled()


@needs_openssl
@pytest.mark.parametrize("trust", ["its own authority", "anybody"])
async def test_tls(tmp_path: Path, trust: str) -> None:
    certificate, context = self_signed(tmp_path)
    settings = {"ca": str(certificate)} if trust == "its own authority" else {"verify_tls": False}

    async with site(tmp_path / "spool", tls=context, settings=settings) as one:
        await one.up()
        sent = one.vendor.put(one.vendor.messages.cid(next(iter(one.vendor.devices))))
        await one.stored(1)
        assert await one.identities() == sent
        await one.stop()
        assert len(one.vendor.account.closed) == 1, "the calls beside the stream have to believe it too"


@needs_openssl
async def test_a_stranger_s_certificate_is_not_believed(tmp_path: Path) -> None:
    _, context = self_signed(tmp_path)
    (tmp_path / "other").mkdir()
    stranger, _ = self_signed(tmp_path / "other")

    for number, settings in enumerate(({}, {"ca": str(stranger)})):
        async with site(tmp_path / f"spool{number}", tls=context, settings=settings) as one:
            await one.until(lambda: one.intake.component.state == "down")  # ends within the loop
            assert "certificate" in one.intake.component.reason
            assert one.vendor.digest.logins == []


@needs_openssl
async def test_a_ca_that_cannot_be_used_is_told_and_a_mended_one_is_taken_without_a_restart(tmp_path: Path) -> None:
    certificate, context = self_signed(tmp_path)
    ca = tmp_path / "ca.pem"

    async with site(tmp_path / "spool", tls=context, settings={"ca": str(ca)}) as one:
        await one.until(lambda: one.intake.component.state == "down")
        assert f"certificates of {ca} cannot be used" in one.intake.component.reason
        assert one.vendor.digest.logins == []
        ca.write_bytes(certificate.read_bytes())
        one.pace = 1.0
        await one.until(lambda: one.clock.monotonic() > 590.0)
        one.pace = 0.05
        await one.up()


async def test_it_refuses_inside_200_and_tells_who_is_offline() -> None:
    async with Simulator(clock=Clock()) as vendor, session() as http:
        path = f"{vendor.url}/ISAPI/ContentMgmt/DeviceMgmt/deviceList?format=json"
        order = orjson.dumps({"SearchDescription": {"position": 0, "maxResult": 9, "Filter": {}}})
        vendor.faults.answers["deviceList"] = (200, status_xml("2", "Device Busy", "noMemory"))
        async with http.post(path, data=order) as answer:
            assert (answer.status, answer.content_type) == (200, "application/xml")
            assert b"<subStatusCode>noMemory</subStatusCode>" in await answer.read()
        vendor.faults.answers.clear()
        first, second, third = list(vendor.devices.values())[:3]
        vendor.put(vendor.messages.status(first.index, online=False))
        second.status = "OffLine"
        async with http.post(path, data=order) as answer:
            rows = orjson.loads(await answer.read())["SearchResult"]["MatchList"]
        assert [row["Device"]["devStatus"] for row in rows] == ["offline", "OffLine", "online"]
        assert third.online


def test_a_clip_is_its_alarm_s_and_what_lasts_counts() -> None:
    messages = Messages(Clock(), Quirks())
    alarm = messages.cid("d", "1103", zone=4, CIDParam="", state="inactive")
    clip = messages.review("d", of=alarm)["EventNotificationAlert"]["VideoReview"]["HikCIDParams"]
    cid = alarm["EventNotificationAlert"]["CIDAlarm"]
    assert (clip["UUID"], clip["triggerTime"], clip["ZoneNo"]) == (cid["UUID"], cid["triggerTime"], 4)
    assert "zoneNo" not in clip
    assert alarm["EventNotificationAlert"]["eventState"] == "inactive"
    lasting = messages.lasting("d", "VMD", count=3)["EventNotificationAlert"]
    assert (lasting["eventState"], lasting["activePostCount"]) == ("active", 3)
