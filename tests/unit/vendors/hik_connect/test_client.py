"""Login, token, errors: against the simulator, and against a server that says whatever the test wants."""

from __future__ import annotations

import asyncio
import gc
import traceback
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import orjson
import pytest

from pump.core.clock import Clock
from pump.testing import ManualClock
from pump.vendors.common.api import Action, CallFailed
from pump.vendors.hik_connect import client as client_module
from pump.vendors.hik_connect.client import AppKey, Client
from pump.vendors.hik_connect.simulator.server import Fault, Quirks, Simulator

APP_KEY, SECRET_KEY = "ak-of-the-north-garage", "sk-that-nobody-may-see"
ADDRESS = ""
"""Where a failure names the server that it is about."""
MESSAGES = "/api/hccgw/combine/v1/mq/messages"
SUBSCRIBE = "/api/hccgw/combine/v1/mq/subscribe"
TOKEN = {"token": "hcc.kept", "refresh": None}


class Account:
    """What a client tells its owner."""

    def __init__(self) -> None:
        self.kept: list[dict[str, Any]] = []
        self.counts: Counter[str] = Counter()

    async def keep(self, state: dict[str, Any]) -> None:
        self.kept.append(state)

    def count(self, what: str) -> None:
        self.counts[what] += 1

    def client(
        self, server: str, clock: Clock, *, token: object = None, timeout: float = 20.0, key: str = SECRET_KEY
    ) -> Client:
        return Client(
            AppKey(server, APP_KEY, key),
            clock=clock,
            timeout=timeout,
            limiter=None,
            token=token,
            keep=self.keep,
            count=self.count,
        )


def simulator(clock: Clock, **more: Any) -> Simulator:
    return Simulator(clock=clock, app_key=APP_KEY, secret_key=SECRET_KEY, rate_limit=None, **more)


@asynccontextmanager
async def scripted(*answers: bytes | None, requests: asyncio.Queue[bytes] | None = None) -> AsyncIterator[str]:
    """A server that gives these bytes, one answer a connection, and closes; for None it says nothing for ever."""
    waiting = list(answers)
    over = asyncio.Event()
    handlers: set[asyncio.Task[None]] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        handlers.add(task)
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length"))
            body = await reader.readexactly(length)
            if requests is not None:
                requests.put_nowait(head + body)
            answer = waiting.pop(0)
            if answer is None:
                await over.wait()
            else:
                writer.write(answer)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        over.set()
        server.close()
        await asyncio.gather(*handlers)
        await server.wait_closed()


def http(body: bytes | object, status: str = "200 OK", *headers: str, length: int | None = None) -> bytes:
    content = body if isinstance(body, bytes) else orjson.dumps(body)
    lines = [
        f"HTTP/1.1 {status}",
        f"Content-Length: {len(content) if length is None else length}",
        "Connection: close",
        *headers,
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + content


OK = http({"errorCode": "0", "data": {"batchId": "0"}})


async def failure(account: Account, server: str, *, clock: Clock | None = None, timeout: float = 20.0) -> CallFailed:
    """How one call fails that uses a kept token."""
    async with account.client(server, clock or Clock(), token={**TOKEN, "server": server}, timeout=timeout) as client:
        with pytest.raises(CallFailed) as caught:
            await client.call("combine", MESSAGES, {})
    assert "hcc.kept" not in "".join(traceback.format_exception(caught.value)) + repr(caught.value)
    return caught.value


# -- token -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("expire_time", ["number", "text"])
async def test_one_login_serves_all_queues_and_the_next_run(expire_time: Any) -> None:
    clock, account = ManualClock(), Account()
    async with simulator(clock, quirks=Quirks(expire_time=expire_time)) as vendor:
        async with account.client(vendor.url, clock) as client, asyncio.TaskGroup() as group:
            for queue in ("combine", "alarm", "rawmsg"):
                group.create_task(client.call(queue, SUBSCRIBE, {"subscribeType": 1}))
        async with account.client(vendor.url, clock, token=account.kept[-1]) as client:
            await client.call("combine", MESSAGES, {})
        assert vendor.account.logins == account.counts["login"] == 1
        assert len(account.kept) == 1
        assert APP_KEY not in str(account.kept)
        assert SECRET_KEY not in str(account.kept)


@pytest.mark.parametrize("login", ["new", "same", "replaces"])
@pytest.mark.parametrize("fate", ["expire_tokens", "forget_tokens"])
async def test_a_refused_token_is_renewed_once_for_all_queues(fate: str, login: Any) -> None:
    clock, account = ManualClock(), Account()
    async with simulator(clock, quirks=Quirks(login=login)) as vendor, account.client(vendor.url, clock) as client:
        await client.call("combine", SUBSCRIBE, {"subscribeType": 1})
        for _ in range(2):
            getattr(vendor, fate)()
            async with asyncio.TaskGroup() as group:
                for queue in ("combine", "alarm", "rawmsg"):
                    group.create_task(client.call(queue, MESSAGES, {}))
        assert vendor.account.logins == 3


async def test_a_token_refused_right_after_a_login_is_no_reason_for_another() -> None:
    clock, account = ManualClock(), Account()
    async with simulator(clock) as vendor, account.client(vendor.url, clock) as client:
        vendor.faults.push(Fault("error", MESSAGES, times=2, code="OPEN000007"))
        with pytest.raises(CallFailed) as caught:
            await client.call("combine", MESSAGES, {})
        assert caught.value.answer.action is Action.LOGIN
        assert vendor.account.logins == 2


async def test_a_token_is_renewed_before_it_expires_and_a_failure_then_stops_nothing() -> None:
    clock, account = ManualClock(), Account()
    async with simulator(clock) as vendor, account.client(vendor.url, clock) as client:
        await client.call("combine", SUBSCRIBE, {"subscribeType": 1})
        clock.advance(timedelta(days=6).total_seconds())
        vendor.lose_subscription()
        await client.call("combine", SUBSCRIBE, {"subscribeType": 1})
        assert vendor.account.logins == 1
        clock.advance(timedelta(hours=12).total_seconds())
        vendor.faults.push(Fault("status", "token/get", times=2))
        for _ in range(5):
            await client.call("combine", MESSAGES, {})
        assert len(vendor.account.times("token/get")) == 2, "a failed renewal is not repeated at every call"
        clock.advance(61.0)
        await client.call("combine", MESSAGES, {})
        clock.advance(61.0)
        await client.call("combine", MESSAGES, {})
        assert vendor.account.logins == 2
        assert vendor.account.refusals == {}


@pytest.mark.parametrize("away", [timedelta(days=-20_000), timedelta(days=10), timedelta(days=3650)])
async def test_a_token_of_a_wrong_clock_makes_no_login_loop_and_serves_on_when_it_is_mended(away: timedelta) -> None:
    right, account = ManualClock(), Account()
    wrong = ManualClock(right.now() + away)
    async with simulator(right) as vendor, account.client(vendor.url, wrong) as client:
        await client.call("combine", SUBSCRIBE, {"subscribeType": 1})
        for _ in range(5):
            await client.call("combine", MESSAGES, {})
        assert vendor.account.logins == 1
        wrong.jump(-away.total_seconds())
        for _ in range(5):
            await client.call("combine", MESSAGES, {})
        assert vendor.account.logins <= 2, "renewed at most once more"
        for clock in (right, wrong):
            clock.advance(timedelta(days=8).total_seconds())
        vendor.expire_tokens()
        vendor.faults.push(Fault("error", MESSAGES, times=1, code="OPEN000007"))
        await client.call("combine", SUBSCRIBE, {"subscribeType": 1})
        assert vendor.account.logins <= 3


@pytest.mark.parametrize(
    "expires", [1, 0, -1, None, "soon", [], True, 1e300, "inf", "nan", "9" * 400, 2**63, 1795000000000]
)
async def test_whatever_the_vendor_says_of_the_expiry_it_makes_no_login_loop(expires: object) -> None:
    clock, account = ManualClock(), Account()
    login = http({"errorCode": "0", "data": {"accessToken": "hcc.x", "expireTime": expires, "userId": "u"}})
    async with scripted(login, OK, OK, OK) as server, account.client(server, clock) as client:
        for _ in range(3):
            await client.call("combine", MESSAGES, {})
            clock.advance(10.0)
        assert account.counts["login"] == 1


@pytest.mark.parametrize("code", ["OPEN000001", "OPEN000002", "OPEN300002", "OPEN000021"])
async def test_what_refuses_the_login_concerns_the_whole_account(code: str) -> None:
    clock, account = ManualClock(), Account()
    async with simulator(clock) as vendor, account.client(vendor.url, clock) as client:
        vendor.faults.push(Fault("error", "token/get", code=code))
        with pytest.raises(CallFailed) as caught:
            await client.call("combine", MESSAGES, {})
        assert (caught.value.code, caught.value.answer.action) == (code, Action.MISCONFIGURED)
        assert caught.value.answer.account
        assert caught.value.answer.advice
        assert account.kept == []


@pytest.mark.parametrize(
    "data", [None, [], "x", {}, {"accessToken": ""}, {"accessToken": 7}, {"accessToken": "a\r\nb"}]
)
async def test_a_login_without_a_token_is_a_failure_to_repeat(data: object) -> None:
    account = Account()
    async with scripted(http({"errorCode": "0", "data": data})) as server:
        async with account.client(server, Clock()) as client:
            with pytest.raises(CallFailed) as caught:
                await client.call("combine", MESSAGES, {})
        assert caught.value.answer.action is Action.RETRY


@pytest.mark.parametrize("state", [None, [], "x", {}, {"token": 1}, {"token": "t", "server": "https://evil.example"}])
async def test_a_kept_token_that_cannot_be_used_is_replaced(state: object) -> None:
    clock, account = ManualClock(), Account()
    async with simulator(clock) as vendor, account.client(vendor.url, clock, token=state) as client:
        await client.call("combine", SUBSCRIBE, {"subscribeType": 1})
        assert vendor.account.logins == 1


async def test_calls_go_where_the_login_says_and_only_if_it_may() -> None:
    clock, account = ManualClock(), Account()
    async with simulator(clock) as vendor, simulator(clock) as other:
        vendor.area_domain = other.url
        other.account.tokens = vendor.account.tokens
        async with account.client(vendor.url, clock) as client:
            await client.call("combine", SUBSCRIBE, {"subscribeType": 1})
        assert [call.path for call in other.account.calls] == [SUBSCRIBE]
        vendor.area_domain = "https://evil.example"
        async with account.client(vendor.url, clock) as client:
            await client.call("combine", SUBSCRIBE, {"subscribeType": 1})
        assert vendor.account.calls[-1].path == SUBSCRIBE
        assert account.counts["refused domain"] == 1


# -- what comes instead of an answer ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "code", "action"),
    [
        (http(b"<html>"), "no error code", Action.RETRY),
        (http(b""), "no error code", Action.RETRY),
        (http(b"[]"), "no error code", Action.RETRY),
        (http(b"null"), "no error code", Action.RETRY),
        (http(b'{"errorCode": null}'), "no error code", Action.RETRY),
        (http(b'{"errorCode": {"a": 1}}'), "no error code", Action.RETRY),
        (http(b'{"errorCode": "<script>\\n"}'), "no error code", Action.RETRY),
        (http(b'{"data": {}}'), "no error code", Action.RETRY),
        (http(b'{"errorCode": "0', length=4000), ADDRESS, Action.RETRY),
        (http(b'{"errorCode": "OPEN000016"}'), "OPEN000016", Action.SUBSCRIBE),
        (http(b'{"errorCode": "OPEN000012"}'), "OPEN000012", Action.POLL),
        (http(b'{"errorCode": "OPEN000021"}'), "OPEN000021", Action.MISCONFIGURED),
        (http(b'{"errorCode": "OPEN987654"}'), "OPEN987654", Action.RETRY),
        (http(b'{"errorCode": 17}'), "17", Action.RETRY),
        (http(b'{"errorCode": true, "data": {}}'), "True", Action.RETRY),
        (http(b'{"errorCode": "1", "data": {"event": []}}'), "1", Action.RETRY),
        (http(b"oops", "500 Internal Server Error"), "HTTP 500", Action.RETRY),
        (http(b'{"errorCode": "OPEN000016"}', "500 Internal Server Error"), "OPEN000016", Action.SUBSCRIBE),
        (http(b'{"errorCode": "0"}', "502 Bad Gateway"), "HTTP 502", Action.RETRY),
        (http(b"", "302 Found", "Location: http://127.0.0.1:1/"), "HTTP 302", Action.RETRY),
        (http(b"", "418 Teapot"), "HTTP 418", Action.RETRY),
        (b"garbage\r\n\r\n", ADDRESS, Action.RETRY),
        (b"", ADDRESS, Action.RETRY),
    ],
)
async def test_each_kind_of_answer_becomes_one_failure(answer: bytes, code: str, action: Action) -> None:
    async with scripted(answer) as server:
        failed = await failure(Account(), server)
    assert failed.answer.action is action
    assert failed.code == (str(server) if code == ADDRESS else code), "never the name of a class"


async def test_a_server_that_hangs_is_left_after_the_timeout() -> None:
    async with scripted(None) as server:
        failed = await failure(Account(), server, timeout=0.05)
    assert "in time" in str(failed)


async def test_a_server_that_drips_is_left_after_the_timeout() -> None:
    clock, account = ManualClock(), Account()
    async with simulator(clock) as vendor, account.client(vendor.url, clock, timeout=0.2) as client:
        await client.call("combine", SUBSCRIBE, {"subscribeType": 1})
        vendor.faults.push(Fault("hang", MESSAGES))
        with pytest.raises(CallFailed):
            await client.call("combine", MESSAGES, {})
        await client.call("combine", MESSAGES, {})


async def test_nobody_there() -> None:
    async with scripted() as server:
        pass
    failed = await failure(Account(), server)
    assert "cannot be reached" in str(failed)


async def test_a_server_that_proves_nothing_is_sent_nothing() -> None:
    heard: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.set_result(await reader.read(65536))
        writer.write(http(b"this is no TLS", "400 Bad Request"))
        writer.close()

    async with await asyncio.start_server(handle, "127.0.0.1", 0) as server:
        failed = await failure(Account(), f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        assert "not trusted" in str(failed)
        assert b"hcc.kept" not in await heard


async def test_a_body_without_end_is_not_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "MAX_BODY", 50_000)
    async with scripted(http(b'{"errorCode": "0", "data": "' + b"x" * 100_000 + b'"}')) as server:
        failed = await failure(Account(), server)
    assert failed.code == "too large"


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7.0),
        ("0.5", 0.5),
        ("Fri, 20 Nov 2026 08:00:30 GMT", 30.0),
        ("Fri, 20 Nov 2026 07:00:00 GMT", 0.0),
        ("999999999", 3600.0),
        ("-5", None),
        ("nan", None),
        ("soon", None),
        ("", None),
    ],
)
@pytest.mark.parametrize("status", ["429 Too Many Requests", "503 Service Unavailable"])
async def test_retry_after_is_a_number_or_a_date(status: str, header: str, seconds: float | None) -> None:
    async with scripted(http(b"", status, f"Retry-After: {header}")) as server:
        failed = await failure(Account(), server, clock=ManualClock())
    assert failed.retry_after == seconds


async def test_the_request_is_as_the_document_wants_it() -> None:
    requests: asyncio.Queue[bytes] = asyncio.Queue()
    async with (
        scripted(OK, requests=requests) as server,
        Account().client(server, Clock(), token={**TOKEN, "server": server}) as client,
    ):
        await client.call("combine", MESSAGES, {"maxNumberPerTime": 500})
    head, _, body = requests.get_nowait().partition(b"\r\n\r\n")
    assert head.startswith(b"POST /api/hccgw/combine/v1/mq/messages HTTP/1.1\r\n")
    assert b"\r\nToken: hcc.kept\r\n" in head
    assert b"\r\nContent-Type: application/json" in head
    assert orjson.loads(body) == {"maxNumberPerTime": 500}


async def test_the_environments_proxy_is_used_with_its_password_except_for_whom_it_leaves_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    requests: asyncio.Queue[bytes] = asyncio.Queue()
    async with scripted(OK, OK, requests=requests) as there:
        monkeypatch.setenv("http_proxy", there.replace("//", "//user:pass@"))
        far = "http://127.0.0.2:9"
        async with Account().client(far, Clock(), token={**TOKEN, "server": far}) as client:
            await client.call("combine", MESSAGES, {})
        head = requests.get_nowait()
        assert head.startswith(b"POST http://127.0.0.2:9/api/hccgw/combine/v1/mq/messages HTTP/1.1\r\n")
        assert b"\r\nProxy-Authorization: Basic dXNlcjpwYXNz\r\n" in head

        monkeypatch.setenv("no_proxy", "127.0.0.1")
        async with Account().client(there, Clock(), token={**TOKEN, "server": there}) as client:
            await client.call("combine", MESSAGES, {})
        assert requests.get_nowait().startswith(b"POST /api/")


async def test_a_cancelled_call_leaves_the_client_fit_for_the_next() -> None:
    requests: asyncio.Queue[bytes] = asyncio.Queue()
    async with (
        scripted(None, OK, requests=requests) as server,
        Account().client(server, Clock(), token={**TOKEN, "server": server}) as client,
    ):
        call = asyncio.create_task(client.call("combine", MESSAGES, {}))
        await requests.get()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert await client.call("combine", MESSAGES, {}) == {"batchId": "0"}
    gc.collect()
