"""Raw calls of the tuya sink, signed as its own; the simulated cloud verifies every byte of the signature."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from pump.commands.calls import RawCall
from pump.commands.contract import Command
from pump.core.errors import Refusal, Unavailable
from pump.sinks.tuya.simulator.server import DEVICE, SECRET
from pump.sinks.tuya.sink import TuyaSink
from tests.unit.sinks.tuya.lot import HOUR, Site, site

SYNC = f"/v1.0/parking-control/{DEVICE}/records/sync"


def order(here: Site) -> Command:
    return Command("1", "call", "call/lot", {}, "socket", here.clock.monotonic() + 10.0, here.clock)


def counts(here: Site) -> bytes:
    info = {"totalCount": 3, "startTime": here.now() - HOUR, "endTime": here.now(), "passDirection": 0}
    return orjson.dumps({"dataType": 0, "recordSyncInfos": [info]})


async def made(here: Site, sink: TuyaSink, method: str, path: str, body: bytes = b"") -> tuple[Any, bool, str]:
    command = order(here)
    answer = await sink.call(command, RawCall(method, path, body))
    assert not any(token in answer.body.decode() for token in here.cloud._tokens), "the token is hidden"
    return orjson.loads(answer.body), command.sent, answer.no


async def test_the_documents_call_is_made_with_the_sinks_own_token() -> None:
    async with site(knows=False) as here, here.sink() as sink:
        answer, sent, no = await made(here, sink, "POST", SYNC, counts(here))
        assert (answer["success"], answer["result"], sent, no) == (True, {"sn": "135000001"}, True, "")
        answer, _, no = await made(here, sink, "GET", "/v1.0/other?b=2&a=1")
        assert (answer["code"], "1108" in no, here.cloud.tokens_given) == (1108, True, 1)


async def test_a_refused_token_is_renewed_once_and_nothing_else_made_again() -> None:
    async with site(knows=False) as here, here.sink() as sink:
        await made(here, sink, "POST", SYNC, counts(here))
        here.cloud.forget_tokens()
        answer, _, _ = await made(here, sink, "POST", SYNC, counts(here))
        assert (answer["success"], here.cloud.tokens_given, here.cloud.calls) == (True, 2, 2)
        here.cloud.failures.append("lost")
        command = order(here)
        with pytest.raises(Unavailable):
            await sink.call(command, RawCall("POST", SYNC, counts(here)))
        assert (command.sent, here.cloud.calls) == (True, 3)


async def test_the_token_is_the_sinks_own_and_an_absent_cloud_is_no_call() -> None:
    async with site(knows=False) as here, here.sink() as sink:
        for path in ("/v1.0/token?grant_type=1", "/v1.0/token/abc", "/V1.0/%74oken"):
            with pytest.raises(Refusal, match="own"):
                await sink.call(order(here), RawCall("GET", path))
        await made(here, sink, "POST", SYNC, counts(here))
        await here.cloud.go_away()
        command = order(here)
        with pytest.raises(Unavailable) as lost:
            await sink.call(command, RawCall("POST", SYNC, counts(here)))
        assert (command.sent, SECRET in str(lost.value)) == (False, False)
