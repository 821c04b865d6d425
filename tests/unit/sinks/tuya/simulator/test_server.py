"""The simulated cloud refuses what the vendor would refuse; each call here is made by hand, by the document's rule."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from typing import Any

import aiohttp
import orjson
import pytest

from pump.sinks.tuya.simulator import Cloud, Lot, Own
from pump.sinks.tuya.simulator.server import CLIENT_ID, DEVICE, SECRET
from pump.testing import ManualClock

INFO = {"totalCount": 2, "startTime": 1_795_161_600_000, "endTime": 1_795_165_200_000, "passDirection": 0}
BODY = {"dataType": 0, "recordSyncInfos": [INFO]}
Change = Callable[[dict[str, str]], object]


class Caller:
    """Signs as the rule says, and breaks it where a test wants."""

    def __init__(self, cloud: Cloud, clock: ManualClock, session: aiohttp.ClientSession) -> None:
        self.cloud, self.clock, self.session = cloud, clock, session
        self.token = ""
        self.nonces = 0

    async def call(
        self, method: str, target: str, body: bytes = b"", *, change: Change = lambda headers: None, late_ms: int = 0
    ) -> Any:
        stamp, token = str(self.clock.now_ms() + late_ms), self.token
        self.nonces += 1
        nonce = f"n{self.nonces}"
        text = f"{CLIENT_ID}{token}{stamp}{nonce}{method}\n{hashlib.sha256(body).hexdigest()}\n\n{target}"
        headers = {
            "client_id": CLIENT_ID, "access_token": token, "t": stamp, "nonce": nonce, "sign_method": "HMAC-SHA256",
            "sign": hmac.new(SECRET.encode(), text.encode(), hashlib.sha256).hexdigest().upper(),
        }  # fmt: skip
        change(headers)
        async with self.session.request(method, self.cloud.url + target, data=body, headers=headers) as answer:
            return orjson.loads(await answer.read())

    async def login(self) -> None:
        self.token = (await self.call("GET", "/v1.0/token?grant_type=1"))["result"]["access_token"]

    async def sync(self, body: Any = BODY, device: str = DEVICE, **more: Any) -> Any:
        raw = body if isinstance(body, bytes) else orjson.dumps(body)
        return await self.call("POST", f"/v1.0/parking-control/{device}/records/sync", raw, **more)


@pytest.fixture
async def caller() -> Any:
    clock = ManualClock()
    lots = {DEVICE: Lot(), "jieshun": Lot(supported=False)}
    async with Cloud(clock=clock, lots=lots) as cloud, aiohttp.ClientSession() as session:
        caller = Caller(cloud, clock, session)
        await caller.login()
        yield caller


async def test_a_right_call_is_taken_with_a_number(caller: Caller) -> None:
    answer = await caller.sync()
    assert answer["success"] is True
    assert answer["result"]["sn"]
    assert caller.cloud.lots[DEVICE].claims == [(0, 0, INFO["startTime"], INFO["endTime"], 2)]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda headers: headers.update(sign=headers["sign"].lower()), 1004),
        (lambda headers: headers.update(sign="0" * 64), 1004),
        (lambda headers: headers.update(nonce="another"), 1004),
        (lambda headers: headers.update(sign_method="HMAC-MD5"), 1004),
        (lambda headers: headers.update(client_id="other"), 1005),
        (lambda headers: headers.update(t="yesterday"), 1013),
        (lambda headers: headers.pop("access_token"), 1004),
    ],
)
async def test_a_call_that_is_not_signed_by_the_rule_is_refused(caller: Caller, change: Change, code: int) -> None:
    assert (await caller.sync(change=change))["code"] == code
    assert caller.cloud.lots[DEVICE].claims == []


async def test_one_byte_beside_those_that_were_signed_is_refused(caller: Caller) -> None:
    raw = orjson.dumps(BODY)
    signed: dict[str, str] = {}
    await caller.sync(raw, change=signed.update)
    assert (await caller.sync(raw + b" ", change=lambda headers: headers.update(sign=signed["sign"])))["code"] == 1004
    assert (await caller.sync(raw, change=lambda headers: headers.update(signed)))["code"] == 1004, "sent again"


@pytest.mark.parametrize("late_ms", [300_001, -300_001])
async def test_a_time_that_is_off_is_refused(caller: Caller, late_ms: int) -> None:
    assert (await caller.sync(late_ms=late_ms))["code"] == 1013


async def test_a_token_that_is_unknown_or_over_is_refused(caller: Caller) -> None:
    caller.clock.advance(7200)
    assert (await caller.sync())["code"] == 1010
    caller.cloud.forget_tokens()
    assert (await caller.sync())["code"] == 1011
    await caller.login()
    assert (await caller.sync())["success"] is True


@pytest.mark.parametrize(
    ("info", "code"),
    [
        ({"endTime": INFO["startTime"] + 86_400_001}, 1101),
        ({"endTime": INFO["startTime"]}, 1101),
        ({"startTime": 1_795_161_600}, 1101),
        ({"totalCount": -1}, 1101),
        ({"totalCount": "2"}, 1104),
        ({"passDirection": 2}, 1101),
        ({"passDirection": None}, 1101),
    ],
)
async def test_a_window_that_is_none_is_refused(caller: Caller, info: dict[str, Any], code: int) -> None:
    assert (await caller.sync({**BODY, "recordSyncInfos": [{**INFO, **info}]}))["code"] == code


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", 1109),
        ({"dataType": 0}, 1109),
        ({"dataType": 2, "recordSyncInfos": [INFO]}, 1101),
        ({"data_type": 0, "record_sync_infos": [INFO]}, 1109),
    ],
)
async def test_a_body_that_is_none_is_refused(caller: Caller, body: Any, code: int) -> None:
    assert (await caller.sync(body))["code"] == code


async def test_an_unknown_device_another_path_and_a_lot_of_jieshun_s_are_refused(caller: Caller) -> None:
    assert (await caller.sync(device="nobody"))["code"] == 2010
    assert (await caller.call("GET", f"/v1.0/parking-control/{DEVICE}/records/sync"))["code"] == 1108
    assert (await caller.sync(device="jieshun"))["code"] == 2003


async def test_a_lot_whose_count_differs_reports_that_time_again(caller: Caller) -> None:
    lot, again = caller.cloud.lots[DEVICE], list[int]()
    for at in (0, 1, 2, 3_600_000):
        lot.saw(Own(INFO["startTime"] + at, "", lambda at=at: again.append(at)), direction=0)  # type: ignore[misc]
    await caller.sync()
    assert again == [0, 1, 2]
    assert len(lot.disagreements()) == 1
    await caller.sync({**BODY, "recordSyncInfos": [{**INFO, "totalCount": 3}]})
    assert again == [0, 1, 2]
    assert lot.disagreements() == []


async def test_it_can_be_asked_what_came_and_be_shown_passes(caller: Caller) -> None:
    async with caller.session.post(
        f"{caller.cloud.url}/_simulator/passes", data=orjson.dumps([{"direction": 0, "at": INFO["startTime"]}])
    ) as answer:
        assert answer.status == 200
    await caller.sync()
    async with caller.session.get(f"{caller.cloud.url}/_simulator/account") as answer:
        account = orjson.loads(await answer.read())
    assert (account["calls"], len(account["claims"]), len(account["disagreements"])) == (1, 1, 1)
    async with caller.session.post(f"{caller.cloud.url}/_simulator/fail", data=orjson.dumps({"code": 500})):
        assert (await caller.sync())["code"] == 500
