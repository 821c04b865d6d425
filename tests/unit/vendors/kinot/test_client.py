"""The REST client against the simulator, whose gateway checks every byte: calls, pages, and every way to fail."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any

import pytest
from structlog.testing import capture_logs

from pump.core.clock import Clock
from pump.testing import ManualClock
from pump.vendors.common import api
from pump.vendors.common.api import Action, Answer, CallFailed, Reply
from pump.vendors.kinot import answers
from pump.vendors.kinot.client import Client, objects_of
from pump.vendors.kinot.simulator.server import Fault, Quirks, Simulator


@asynccontextmanager
async def both(
    *, app_key: str = "ak", app_secret: str = "sk", timeout: float = 10.0, clock: Clock | None = None, **more: Any
) -> AsyncIterator[tuple[Simulator, Client]]:
    """A Kinot and a client of it that does not hurry because it need not."""
    async with Simulator(clock=Clock(), **more) as kinot:
        client = Client(
            server=kinot.url,
            app_key=app_key,
            app_secret=app_secret,
            clock=clock or Clock(),
            timeout=timeout,
            interval=0,
        )
        async with client:
            yield kinot, client


async def failing(fault: Fault | None = None, timeout: float = 10.0, **more: Any) -> CallFailed:
    """How a call fails."""
    async with both(timeout=timeout, **more) as (kinot, client):
        if fault is not None:
            kinot.faults.append(fault)
        with pytest.raises(CallFailed) as caught:
            await client.device("lockers", "419631107")
        return caught.value


@pytest.mark.parametrize("of_page", [False, True])
@pytest.mark.parametrize("bays", [0, 1, 29, 300, 301, 320, 603, 700])
async def test_a_list_is_read_page_by_page_to_its_end(bays: int, of_page: bool) -> None:
    async with both(bays=bays, quirks=Quirks(count_of_page=of_page)) as (kinot, client):
        pages = [page async for page in client.devices("lockers")]
        told = [str(each["sn"]) for page in pages for each in page]
        assert told == [str(bay.sn) for bay in kinot.fleet.locks]
        assert all(len(page) == 100 for page in pages[:-1])
        offsets = [call.target.partition("offset=")[2] for call in kinot.asked]
        assert offsets == [str(page) for page in range(len(offsets))], "offset counts pages"
        assert all("limit=100" in call.target for call in kinot.asked)
        assert {call.outcome for call in kinot.asked} == {"0"}


async def test_an_account_without_such_devices_has_an_empty_list() -> None:
    async with both() as (kinot, client):
        kinot.faults.append(Fault("code", "lockers", code=10111))
        assert [page async for page in client.devices("lockers")] == []


@pytest.mark.parametrize("commas", [False, True])
async def test_single_devices_are_read(commas: bool) -> None:
    async with both(quirks=Quirks(suffix_commas=commas)) as (kinot, client):
        bay, sensor = kinot.fleet.locks[0], kinot.fleet.sensors[0]
        found = await client.device("lockers", str(bay.sn))
        assert found is not None
        assert found["sn"] == str(bay.sn)
        assert found["bt_match_code"]
        assert (await client.device("sensors", str(sensor.sn)) or {})["active"] == "1"
        assert (await client.device("dtu_devices", "644219880") or {})["online"] == "online"
        assert await client.device("sensors", str(bay.sn)) is None


async def test_a_wrong_secret_shows_both_strings_in_the_log() -> None:
    with capture_logs() as logs:
        failure = await failing(app_secret="wr0ng")
    assert failure.answer is answers.MESSAGES["invalid signature"]
    assert failure.answer.action is Action.MISCONFIGURED
    told = next(line for line in logs if line["event"] == "The API gateway has signed another string")
    assert told["gateway"] == f"Invalid Signature, Server StringToSign:`{told['ours']}`"
    assert "wr0ng" not in str(logs)
    assert (await failing(app_key="nobody")).answer is answers.MESSAGES["invalid appkey"]


@pytest.mark.parametrize("minutes", [-16, -14, 14, 16])
async def test_a_wrong_clock_is_told_as_one(minutes: int) -> None:
    async def main() -> None:
        now = Clock().now()
        clock = ManualClock(now)
        clock.jump(minutes * 60)
        async with both(clock=clock) as (_, client):
            if abs(minutes) < 15:
                assert await client.device("dtu_devices", "644219880")
                return
            with pytest.raises(CallFailed) as caught:
                await client.device("dtu_devices", "644219880")
            assert caught.value.answer is answers.MESSAGES["timestamp expired"]

    await main()


@pytest.mark.parametrize("days", [-20_000, 10, 3650])
async def test_a_signature_of_a_mended_clock_is_taken_at_once(days: int) -> None:
    clock = ManualClock(Clock().now())
    clock.jump(days * 86400)
    async with both(clock=clock) as (_, client):
        with pytest.raises(CallFailed) as caught:
            await client.device("dtu_devices", "644219880")
        assert caught.value.answer.action is Action.RETRY
        assert "clock" in caught.value.answer.text
        clock.jump(-days * 86400)
        assert await client.device("dtu_devices", "644219880")


@pytest.mark.parametrize(("message", "answer"), answers.MESSAGES.items())
async def test_each_message_of_the_gateway_has_its_row(message: str, answer: Answer) -> None:
    told = f"{message.title()} USER Flow Control" if "throttled" in message else message.title()
    assert (await failing(Fault("status", status=403, message=told))).answer is answer


@pytest.mark.parametrize(
    ("code", "answer"), [(int(code), row) for code, row in answers.CODES.items() if code != "10111"]
)
async def test_each_code_of_kinot_has_its_row(code: int, answer: Answer) -> None:
    assert (await failing(Fault("code", code=code))).answer is answer


@pytest.mark.parametrize(
    ("fault", "answer"),
    [
        (Fault("code", code=99999), answers.answer_of("99999")),
        (Fault("status", status=429, message=""), answers.answer_of_status(429, "")),
        (Fault("status", status=418, message=""), answers.answer_of_status(499, "")),
        (Fault("status", status=500, message="something new"), answers.answer_of_status(502, "")),
        (Fault("status", status=302, message=""), answers.answer_of_status(301, "")),
        (Fault("garbage"), answers.NOT_JSON),
        (Fault("drop", times=3), api.CUT_OFF),
    ],
)
async def test_other_failures_have_a_row_too(fault: Fault, answer: Answer) -> None:
    assert (await failing(fault)).answer is answer


async def test_a_server_that_is_silent_or_not_there_is_told_as_such() -> None:
    assert (await failing(Fault("hang"), timeout=0.2)).answer is api.SILENCE

    async with Simulator(clock=Clock()) as kinot:
        url = kinot.url
    client = Client(server=url, app_key="ak", app_secret="sk", clock=Clock(), timeout=5.0)
    async with client:
        with pytest.raises(CallFailed) as caught:
            await client.device("lockers", "1")
    assert caught.value.answer is api.UNREACHABLE
    assert not caught.value.answered


async def test_calls_keep_their_distance() -> None:
    clock = ManualClock(Clock().now())
    async with Simulator(clock=clock) as kinot:
        client = Client(server=kinot.url, app_key="ak", app_secret="sk", clock=clock, timeout=10.0)
        async with client:
            calls = asyncio.gather(*(client.device("dtu_devices", "644219880") for _ in range(4)))
            while not calls.done():
                clock.advance(0.01)
                await asyncio.sleep(0.001)
            await calls
        times = [call.at for call in kinot.asked]
    assert all(later - earlier >= 0.15 for earlier, later in pairwise(times))


async def test_a_test_notification_is_fired_for_a_device() -> None:
    async with both() as (kinot, client):
        sn = str(kinot.fleet.locks[0].sn)
        assert (await client.fire_test(sn, "status_changed"))["error_detail"] == "no callback url"
        kinot.register("http://127.0.0.1:9/kinot/bays")
        told = await client.fire_test(sn, "command_resp")
        assert (told["callback_url"], told["error_detail"]) == ("http://127.0.0.1:9/kinot/bays/command", "sent")
        assert kinot.asked[-1].body == {"sn": sn, "callback_type": "command_resp"}


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b'{"code": 10012, "message": "x"}', "10012"),
        (b'{"code": "10012", "message": "x"}', "10012"),
        (b'{"code": 10012, "objects": [{"sn": 1}],}', "10012"),
        (b'{"code": "", "objects": []}', ""),
        (b'{"code": true, "objects": []}', "True"),
        (b'{"code": null, "objects": []}', "no code"),
        (b'{"objects": []}', "no code"),
        (b"[]", "no code"),
    ],
)
async def test_a_refusal_inside_200_is_a_failure_however_its_code_is_written(body: bytes, code: str) -> None:
    async with both() as (_, client):
        with pytest.raises(CallFailed) as caught:
            client._judge(Reply(200, {}, body), "")
        assert caught.value.code == code


@pytest.mark.parametrize("code", ["0", '"0"'])
async def test_success_may_be_a_number_or_a_text(code: str) -> None:
    async with both() as (_, client):
        body = b'{"code": %s, "objects": [{"sn": 1}]}' % code.encode()
        assert objects_of(client._judge(Reply(200, {}, body), ""))
