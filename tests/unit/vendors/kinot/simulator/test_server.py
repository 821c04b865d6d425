"""The simulator itself: a gateway that lets nothing wrong pass, days that look like days, callbacks tried again."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import aiohttp
import pytest
from yarl import URL

from pump.core.clock import Clock
from pump.testing import ManualClock
from pump.vendors.kinot.numbers import decode
from pump.vendors.kinot.sign import signed_headers
from pump.vendors.kinot.simulator.fleet import OCCUPANCY, TURNOVER, Fleet, written
from pump.vendors.kinot.simulator.server import Quirks, Simulator

TARGET = "/open/lora/v1/lockers?limit=10&offset=0"


def asked(
    changes: dict[str, str | None] | None = None, *, target: str = TARGET, sent: str | None = None,
    body: bytes = b"", sent_body: bytes | None = None, method: str = "GET", age_ms: int = 0, times: int = 1,
) -> tuple[int, str, dict[str, Any]]:  # fmt: skip
    """Sign one request, send another; status, the gateway's message and the answer of the last of `times`."""

    async def main() -> tuple[int, str, dict[str, Any]]:
        async with Simulator(clock=Clock()) as kinot, aiohttp.ClientSession() as session:
            stamp = Clock().now_ms() - age_ms
            headers, _ = signed_headers(method, target, body, key="ak", secret="sk", stamp_ms=stamp, nonce="n")
            for name, value in (changes or {}).items():
                if value is None:
                    del headers[name]
                else:
                    headers[name] = value
            url = URL(kinot.url + (sent or target), encoded=True)
            data = body if sent_body is None else sent_body
            for _ in range(times):
                async with session.request(method, url, headers=headers, data=data or None) as response:
                    text = await response.text()
                    found = response.status, response.headers.get("X-Ca-Error-Message", ""), decode(text or "{}")
                    assert (response.status == 200) == ("X-Ca-Request-Id" not in response.headers)
            return found

    return asyncio.run(main())


def test_a_signed_request_passes() -> None:
    status, message, answer = asked()
    assert (status, message, answer["code"], answer["count"]) == (200, "", "0", "10")


@pytest.mark.parametrize(
    ("how", "status", "begins"),
    [
        ({"changes": {"x-ca-signature": "AAAA"}}, 400, "Invalid Signature, Server StringToSign:`GET#application/json#"),
        ({"changes": {"x-ca-signature": None}}, 404, "Empty Signature"),
        ({"changes": {"x-ca-key": "other"}}, 400, "Invalid AppKey"),
        ({"changes": {"accept": "*/*"}}, 400, "Invalid Signature"),
        ({"changes": {"content-type": "application/json; charset=utf-8"}}, 400, "Invalid Signature"),
        ({"changes": {"date": "Fri, 20 Nov 2026 08:00:00 GMT"}}, 400, "Invalid Signature"),
        ({"changes": {"x-ca-nonce": "another"}}, 400, "Invalid Signature"),
        ({"changes": {"x-ca-timestamp": "soon"}}, 400, "Invalid Timestamp"),
        ({"changes": {"content-md5": "AAAA"}}, 400, "Invalid Content-MD5"),
        ({"age_ms": 901_000}, 400, "Timestamp Expired"),
        ({"age_ms": -905_000}, 400, "Timestamp Expired"),
        ({"times": 2}, 400, "Nonce Used"),
        ({"sent": TARGET.replace("=10", "=11")}, 400, "Invalid Signature"),
        ({"sent": TARGET.replace("lockers", "sensors")}, 400, "Invalid Signature"),
        ({"target": "/open/v1/x"}, 400, "API Not Found"),
        (
            {"method": "POST", "target": "/open/lora/v1/notifications", "body": b"{}", "sent_body": b"{ }"},
            400,
            "Invalid Content-MD5",
        ),
    ],
)
def test_the_gateway_lets_nothing_wrong_pass(how: dict[str, Any], status: int, begins: str) -> None:
    found = asked(**how)
    assert found[0] == status
    assert found[1].startswith(begins)


def test_a_query_in_any_order_is_the_same_query() -> None:
    assert asked(sent="/open/lora/v1/lockers?offset=0&limit=10")[0] == 200


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("limit=9&offset=0", 10012),
        ("limit=101&offset=0", 10012),
        ("limit=10&offset=3", 10012),
        ("limit=10&offset=2", 0),
    ],
)
def test_pages_have_the_documents_limits(query: str, code: int) -> None:
    status, _, answer = asked(target=f"/open/lora/v1/lockers?{query}")
    assert (status, answer["code"]) == (200, str(code))


@pytest.mark.parametrize(
    "target", ["/open/lora/v1/nothing", "/open/lora/v1/lockers/1", "/open/lora/v1/notifications?device_type=18"]
)
def test_what_is_not_there_has_a_code(target: str) -> None:
    assert asked(target=target)[2]["code"] in ("10016", "10111")


def test_a_day_in_the_garage_looks_like_one() -> None:
    fleet = Fleet(bays=200, seed=7)
    taken = []
    for hour in range(24):
        for turn in range(int(300 * TURNOVER[hour]) + 60):
            fleet.turn(datetime(2026, 11, 20, hour, turn % 60, tzinfo=UTC))
        taken.append(sum(bay.flags["car_detected"] for bay in fleet.bays.values()) / 200)
    assert min(taken[9:16]) > 0.6 > 0.45 > max(taken[2:5])
    assert all(abs(found - wanted) < 0.25 for found, wanted in zip(taken[7:20], OCCUPANCY[7:20], strict=True))
    assert sum(TURNOVER) / 24 == pytest.approx(1.0, abs=0.1)


def test_the_same_seed_makes_the_same_day() -> None:
    def day(seed: int) -> list[str]:
        fleet = Fleet(seed=seed)
        return [written(fleet.turn(datetime(2026, 11, 20, 9, tzinfo=UTC)).fields()) for _ in range(50)]

    assert day(3) == day(3) != day(4)


def test_a_moment_of_a_bay_is_never_used_twice() -> None:
    fleet = Fleet(bays=2, seed=1)
    seen = [(bay.sn, bay.updated) for bay in (fleet.turn(datetime(2026, 11, 20, 9, tzinfo=UTC)) for _ in range(40))]
    assert len(set(seen)) == 40


async def test_a_callback_that_nobody_takes_is_tried_again_and_given_up() -> None:
    clock = ManualClock()
    async with Simulator(clock=clock, retries=(1.0, 2.0), quirks=Quirks()) as kinot:
        kinot.register(f"{kinot.url}/kinot")  # its own gateway refuses it: any answer but code 0 will do
        kinot.change(kinot.fleet.sensors[0].sn, car_detected=1)
        while kinot.platform.open:
            clock.advance(0.1)
            await asyncio.sleep(0.001)
        callback = kinot.platform.callbacks[0]
        assert (callback.tries, callback.given_up, callback.acknowledged) == (3, True, False)
        assert kinot.platform.repeated == 2


@pytest.mark.parametrize(("hour", "curve", "changes"), [(3, True, 12), (8, True, 780), (3, False, 300)])
async def test_the_traffic_follows_the_hour(hour: int, curve: bool, changes: int) -> None:
    """0.5 a second over the day, for ten minutes: 0.04 of it at three, 2.6 of it at eight."""

    async def main() -> int:
        clock = ManualClock(datetime(2026, 11, 20, hour, tzinfo=UTC))
        async with Simulator(clock=clock, retries=()) as kinot:
            kinot.register("http://127.0.0.1:9/kinot")
            traffic = asyncio.create_task(kinot.traffic(0.5, curve=curve))
            await clock.run(600.0, turns=3)
            traffic.cancel()
            await asyncio.wait({traffic})
            return len(kinot.platform.callbacks)

    assert (await main()) == pytest.approx(changes, abs=2)


async def test_who_did_not_register_gets_nothing() -> None:
    async with Simulator(clock=Clock()) as kinot:
        kinot.change(kinot.fleet.sensors[0].sn, car_detected=1)
        assert kinot.platform.callbacks == []
