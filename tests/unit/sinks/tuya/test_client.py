"""The calls to Tuya's cloud: their bytes, and the meaning of each answer."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from aiohttp import web

from pump.core.clock import Clock
from pump.simulation.server import WebServer
from pump.sinks.tuya.answers import Action, CallFailed, result
from pump.sinks.tuya.client import KEY, Account, Info, Naming, TuyaClient
from pump.sinks.tuya.signing import Request, sign

SECRET = "client-test-secret"
ROWS = [Info(10, 1652777782808, 1652779976771, 0), Info(3, 1652777782808, 1652779976771, 1)]


class Recorder(WebServer):
    """Answers as it is told, and keeps what came."""

    def __init__(self, *answers: Any) -> None:
        super().__init__("127.0.0.1", 0)
        self.answers = list(answers)
        self.seen: list[tuple[web.BaseRequest, bytes]] = []

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        self.seen.append((request, await request.read()))
        if request.path == "/v1.0/token":
            return web.json_response({"success": True, "result": {"access_token": "a-token", "expire_time": 7200}})
        found = self.answers.pop(0)
        return found if isinstance(found, web.Response) else web.json_response(found)


def client(server: Recorder, memory: dict[str, Any], naming: Naming = "camel", timeout: float = 20.0) -> TuyaClient:
    account = Account(server.url, "client-1", SECRET, timeout)
    return TuyaClient(account, memory, clock=Clock(), naming=naming, nonce=lambda: "nonce-1")


@pytest.mark.parametrize(
    ("naming", "expected"),
    [
        (
            "camel",
            {
                "dataType": 0,
                "recordSyncInfos": [
                    {"totalCount": 10, "startTime": 1652777782808, "endTime": 1652779976771, "passDirection": 0},
                    {"totalCount": 3, "startTime": 1652777782808, "endTime": 1652779976771, "passDirection": 1},
                ],
            },
        ),
        (
            "snake",
            {
                "data_type": 0,
                "record_sync_infos": [
                    {"total_count": 10, "start_time": 1652777782808, "end_time": 1652779976771, "pass_direction": 0},
                    {"total_count": 3, "start_time": 1652777782808, "end_time": 1652779976771, "pass_direction": 1},
                ],
            },
        ),
    ],
)
async def test_the_body_is_the_document_s_and_its_very_bytes_are_signed(naming: Naming, expected: Any) -> None:
    memory: dict[str, Any] = {}
    async with Recorder({"result": {"sn": "135"}, "t": 1, "success": True}) as server:
        async with client(server, memory, naming) as calls:
            assert await calls.sync("6ce01", 0, ROWS) == "135"
        (_, _), (request, body) = server.seen
    assert orjson.loads(body) == expected
    assert (request.method, request.raw_path) == ("POST", "/v1.0/parking-control/6ce01/records/sync")
    assert request.headers["sign"] == sign(
        Request("POST", "/v1.0/parking-control/6ce01/records/sync", body),
        client_id="client-1", secret=SECRET, token="a-token", time_ms=int(request.headers["t"]), nonce="nonce-1",
    )  # fmt: skip
    assert memory[KEY]["token"] == "a-token"
    assert SECRET not in str(memory)


async def test_a_bill_has_no_direction() -> None:
    async with Recorder({"result": {"sn": 7}, "success": True}) as server, client(server, {}) as calls:
        assert await calls.sync("d", 1, [Info(4, 1652777782808, 1652779976771, None)]) == "7"
        assert b"passDirection" not in server.seen[-1][1]


@pytest.mark.parametrize(
    "answer",
    [{"success": True}, {"success": True, "result": True}, {"success": True, "result": {"sn": None}}],
    ids=repr,
)
async def test_an_answer_without_a_number_is_one_all_the_same(answer: dict[str, Any]) -> None:
    async with Recorder(answer) as server, client(server, {}) as calls:
        assert await calls.sync("d", 0, ROWS) == ""


async def test_a_token_of_another_account_is_not_used() -> None:
    ok = {"result": {"sn": "1"}, "success": True}
    memory = {KEY: {"token": "other", "until": 1 << 50, "of": "somebody"}}
    async with Recorder(ok, ok) as server:
        async with client(server, memory) as calls:
            await calls.sync("d", 0, ROWS)
        async with client(server, memory) as calls:
            await calls.sync("d", 0, ROWS)
        assert [request.path for request, _ in server.seen].count("/v1.0/token") == 1


@pytest.mark.parametrize(
    ("answer", "action", "words"),
    [
        ({"success": False, "code": 1004, "msg": "sign invalid"}, Action.WRONG, "client_secret"),
        ({"success": False, "code": "1011", "msg": "token invalid"}, Action.TOKEN, "1011"),
        ({"success": False, "code": 2009, "msg": "not support this device"}, Action.NEVER, "Jieshun"),
        ({"success": False, "code": 31999, "msg": "Command NOT supported by lot"}, Action.NEVER, "Jieshun"),
        ({"success": False, "code": 31999, "msg": "a\x1b[31mb\nc"}, Action.LATER, "a?[31mb c"),
        ({"success": False, "msg": "odd"}, Action.LATER, "odd"),
        ([], Action.LATER, "none of Tuya's"),
        ({"success": "yes"}, Action.LATER, "none of Tuya's"),
    ],
)
def test_the_meaning_of_an_answer(answer: Any, action: Action, words: str) -> None:
    with pytest.raises(CallFailed) as failed:
        result(200, orjson.dumps(answer))
    assert failed.value.action is action
    assert words in str(failed.value)


@pytest.mark.parametrize(
    ("status", "action"),
    [
        (400, Action.ASIDE),
        (401, Action.WRONG),
        (404, Action.WRONG),
        (302, Action.WRONG),
        (429, Action.LATER),
        (503, Action.LATER),
    ],
)
def test_the_meaning_of_a_status_without_a_code(status: int, action: Action) -> None:
    with pytest.raises(CallFailed) as failed:
        result(status, b"<html>")
    assert failed.value.action is action


def test_a_code_tells_more_than_its_status() -> None:
    with pytest.raises(CallFailed) as failed:
        result(503, b'{"success":false,"code":1004,"msg":"sign invalid"}')
    assert failed.value.action is Action.WRONG


async def test_a_token_that_the_vendor_repeats_is_not_reported() -> None:
    echo = {"success": False, "code": 9999, "msg": "token a-token of client-1 is odd"}
    async with Recorder(echo) as server, client(server, {}) as calls:
        with pytest.raises(CallFailed) as failed:
            await calls.sync("d", 0, ROWS)
    assert str(failed.value) == "code 9999: token ***** of client-1 is odd"


async def test_the_server_s_wish_to_wait_is_kept() -> None:
    busy = web.Response(status=429, headers={"Retry-After": "17"})
    async with Recorder(busy) as server, client(server, {}) as calls:
        with pytest.raises(CallFailed) as failed:
            await calls.sync("d", 0, ROWS)
    assert failed.value.retry_after == 17.0


async def test_an_answer_that_is_too_large_or_broken_off_has_words() -> None:
    class Closes(Recorder):
        async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
            if request.path != "/v1.0/token" and not self.answers:
                assert request.transport is not None
                request.transport.abort()
                return web.Response()
            return await super().answer(request)

    async with Closes({"success": True, "result": "x" * (64 << 10)}) as server, client(server, {}) as calls:
        with pytest.raises(CallFailed, match="more than 64 KiB"):
            await calls.sync("d", 0, ROWS)
        with pytest.raises(CallFailed) as failed:
            await calls.sync("d", 0, ROWS)
    assert str(failed.value) == "127.0.0.1 cannot be reached: the connection was closed"
    assert not failed.value.answered


async def test_the_environment_s_proxy_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Recorder({"success": True, "result": {"sn": 7}}) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        async with TuyaClient(Account("http://127.0.0.2:9", "client-1", SECRET, 20.0), {}, clock=Clock()) as calls:
            assert await calls.sync("d", 0, ROWS) == "7"


@pytest.mark.parametrize("token", [None, "", 5, "a\nb", "é"])
async def test_an_answer_without_a_token_is_no_login(token: Any) -> None:
    class Odd(Recorder):
        async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
            return web.json_response({"success": True, "result": {"access_token": token}})

    async with Odd() as server, client(server, {}) as calls:
        with pytest.raises(CallFailed, match="token"):
            await calls.sync("d", 0, ROWS)
