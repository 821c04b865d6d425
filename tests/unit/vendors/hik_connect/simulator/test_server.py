"""The Hik-Connect simulator refuses, repeats, forgets and counts as the vendor does; all over a real socket."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import orjson
import pytest

from pump.testing import ManualClock
from pump.vendors.hik_connect.simulator.account import QUEUES, QueueName
from pump.vendors.hik_connect.simulator.messages import identity
from pump.vendors.hik_connect.simulator.server import Quirks, Simulator

DAY = 86_400
LOGIN = "/api/hccgw/platform/v1/token/get"


class Client:
    """A bare client: what it sends is what a test says."""

    def __init__(self, simulator: Simulator, clock: ManualClock, session: aiohttp.ClientSession) -> None:
        self.simulator, self.clock, self.session = simulator, clock, session
        self.headers = {"Content-Type": "application/json"}

    async def send(self, path: str, body: Any = None, *, method: str = "POST") -> tuple[int, Any]:
        data = body if isinstance(body, bytes) else orjson.dumps({} if body is None else body)
        async with self.session.request(method, self.simulator.url + path, data=data, headers=self.headers) as answer:
            content = await answer.read()
            return answer.status, orjson.loads(content) if content else None

    async def code(self, path: str, body: Any = None) -> str:
        status, answer = await self.send(path, body)
        assert status == 200
        return str(answer["errorCode"])

    async def login(self) -> dict[str, Any]:
        _, answer = await self.send(LOGIN, {"appKey": "ak", "secretKey": "sk"})
        self.headers["Token"] = answer["data"]["accessToken"]
        data: dict[str, Any] = answer["data"]
        return data

    async def subscribe(self, queue: QueueName, types: list[Any] | None = None, *, on: int = 1) -> str:
        body: dict[str, Any] = {"subscribeType": on}
        if queue == "alarm":
            body |= {"subscribeMode": 0} if types is None else {"subscribeMode": 1, "eventType": types}
        elif queue == "rawmsg" or types is not None:
            body["msgType"] = types or []
        return await self.code(f"/api/hccgw/{queue}/v1/mq/subscribe", body)

    async def messages(self, queue: QueueName = "combine", size: int | None = None) -> dict[str, Any]:
        body = {} if size is None else {"maxNumberPerTime": size}
        _, answer = await self.send(f"/api/hccgw/{queue}/v1/mq/messages", body)
        data: dict[str, Any] = answer["data"]
        return data

    async def complete(self, batch_id: Any, queue: QueueName = "combine") -> str:
        return await self.code(f"/api/hccgw/{queue}/v1/mq/messages/complete", {"batchId": batch_id})


Test = Callable[[Client], Awaitable[None]]


async def run(test: Test, *, quirks: Quirks | None = None, rate_limit: int | None = None, login: bool = True) -> None:
    clock = ManualClock()
    async with (
        Simulator(clock=clock, quirks=quirks, rate_limit=rate_limit) as simulator,
        aiohttp.ClientSession() as session,
    ):
        client = Client(simulator, clock, session)
        if login:
            await client.login()
        await test(client)


# -- refusals --------------------------------------------------------------------------------------------------------

MESSAGES = "/api/hccgw/combine/v1/mq/messages"
COMPLETE = "/api/hccgw/combine/v1/mq/messages/complete"
REFUSALS: list[tuple[str, Any, str]] = [
    (LOGIN, {"appKey": "other", "secretKey": "sk"}, "OPEN000001"),
    (LOGIN, {"appKey": "ak", "secretKey": "other"}, "OPEN000002"),
    (LOGIN, {"appKey": "ak", "secretKey": 7}, "OPEN000002"),
    (LOGIN, {"appKey": "ak"}, "OPEN000010"),
    (LOGIN, {"appKey": 7, "secretKey": "sk"}, "OPEN000008"),
    (LOGIN, {"appKey": "k" * 65, "secretKey": "sk"}, "OPEN000010"),
    (LOGIN, b"appKey=ak", "OPEN000008"),
    (LOGIN, [], "OPEN000008"),
    (MESSAGES, {"maxNumberPerTime": 99}, "OPEN000029"),
    (MESSAGES, {"maxNumberPerTime": 501}, "OPEN000029"),
    (MESSAGES, {"maxNumberPerTime": 250}, "OPEN000029"),
    (MESSAGES, {"maxNumberPerTime": "500"}, "OPEN000008"),
    (MESSAGES, {"maxNumberPerTime": True}, "OPEN000008"),
    (MESSAGES, {"pageSize": 100}, "OPEN000010"),
    (MESSAGES, {}, "OPEN000016"),
    ("/api/hccgw/alarm/v1/mq/messages", {}, "OPEN000016"),
    ("/api/hccgw/rawmsg/v1/mq/messages", {}, "OPEN000016"),
    ("/api/hccgw/rawmsg/v1/mq/messages", {"maxNumberPerTime": 100}, "OPEN000010"),
    ("/api/hccgw/rawmsg/v1/mq/subscribe", {"subscribeType": 1}, "OPEN000010"),
    ("/api/hccgw/rawmsg/v1/mq/subscribe", {"subscribeType": 1, "msgType": [330001]}, "OPEN000008"),
    ("/api/hccgw/combine/v1/mq/subscribe", {"subscribeType": 1, "msgType": "80001"}, "OPEN000008"),
    ("/api/hccgw/combine/v1/mq/subscribe", {"subscribeType": 2}, "OPEN000010"),
    ("/api/hccgw/combine/v1/mq/subscribe", {}, "OPEN000010"),
    ("/api/hccgw/alarm/v1/mq/subscribe", {"subscribeType": 1}, "OPEN000010"),
    ("/api/hccgw/alarm/v1/mq/subscribe", {"subscribeType": 1, "subscribeMode": 1}, "OPEN000010"),
    ("/api/hccgw/alarm/v1/mq/subscribe", {"subscribeType": 1, "subscribeMode": 1, "eventType": ["1"]}, "OPEN000008"),
]


@pytest.mark.parametrize(("path", "body", "code"), REFUSALS)
async def test_refuses_inside_http_200_and_counts(path: str, body: Any, code: str) -> None:
    async def test(client: Client) -> None:
        assert await client.code(path, body) == code
        account = client.simulator.account
        assert account.refusals == {code: 1}
        assert account.calls[-1].outcome == code
        assert account.calls[-1].reason
        assert sum(account.reasons.values()) == 1

    await run(test)


@pytest.mark.parametrize(("batch_id", "code"), [("0", "12"), ("", "12"), ("ab" * 48, "12"), (None, "10"), (7, "08")])
async def test_refuses_to_complete_what_is_no_batch(batch_id: Any, code: str) -> None:
    async def test(client: Client) -> None:
        await client.subscribe("combine")
        assert await client.complete(batch_id) == f"OPEN0000{code}"

    await run(test)


async def test_the_other_code_of_a_wrong_secret() -> None:
    async def test(client: Client) -> None:
        status, answer = await client.send(LOGIN, {"appKey": "ak", "secretKey": "other"})
        assert status == 200
        assert answer == {"message": "SECRET_KEY_NOT_EQUALS{OPEN300002}", "errorCode": "OPEN300002"}

    await run(test, quirks=Quirks(wrong_secret="OPEN300002"))


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "application/jsonp"])
async def test_wants_json(content_type: str) -> None:
    async def test(client: Client) -> None:
        client.headers["Content-Type"] = content_type
        assert await client.code(LOGIN, {"appKey": "ak", "secretKey": "sk"}) == "OPEN000010"
        client.headers["Content-Type"] = "application/json;charset=utf-8"
        assert await client.code(LOGIN, {"appKey": "ak", "secretKey": "sk"}) == "0"

    await run(test, login=False)


async def test_wants_a_token_that_it_gave() -> None:
    async def test(client: Client) -> None:
        del client.headers["Token"]
        assert await client.subscribe("combine") == "OPEN000010"
        client.headers["Token"] = "hcc.unknown"
        assert await client.subscribe("combine") == "OPEN000007"

    await run(test)


async def test_unknown_paths_and_methods_are_counted() -> None:
    async def test(client: Client) -> None:
        assert (await client.send("/api/hccgw/combine/v1/mq/message"))[0] == 404
        assert (await client.send(MESSAGES, method="GET"))[0] == 405
        assert client.simulator.account.refusals == {"404": 1, "405": 1}

    await run(test)


async def test_ignores_unknown_fields_where_told() -> None:
    async def test(client: Client) -> None:
        await client.subscribe("rawmsg")
        assert await client.code("/api/hccgw/rawmsg/v1/mq/messages", {"maxNumberPerTime": 100}) == "0"

    await run(test, quirks=Quirks(unknown_fields="ignored"))


# -- tokens and subscriptions ----------------------------------------------------------------------------------------


async def test_a_token_lives_seven_days_unless_refreshed() -> None:
    async def test(client: Client) -> None:
        data = await client.login()
        assert data["expireTime"] == client.clock.now_ms() // 1000 + 7 * DAY
        assert data["areaDomain"] == client.simulator.url
        client.clock.advance(7 * DAY - 1)
        assert await client.subscribe("combine") == "0"
        client.clock.advance(1)
        assert await client.subscribe("combine") == "OPEN000006"
        await client.login()
        assert await client.subscribe("combine") == "0"
        assert client.simulator.account.logins == 3

    await run(test)


@pytest.mark.parametrize(
    ("quirks", "same", "old"),
    [(Quirks(), False, "0"), (Quirks(login="same"), True, "0"), (Quirks(login="replaces"), False, "OPEN000006")],
)
async def test_what_a_new_login_does_to_the_old_token(quirks: Quirks, same: bool, old: str) -> None:
    async def test(client: Client) -> None:
        token = client.headers["Token"]
        await client.login()
        assert (client.headers["Token"] == token) is same
        client.headers["Token"] = token
        assert await client.subscribe("combine") == old

    await run(test, quirks=quirks)


async def test_tokens_die_early_on_demand() -> None:
    async def test(client: Client) -> None:
        client.simulator.expire_tokens()
        assert await client.subscribe("combine") == "OPEN000006"
        client.simulator.forget_tokens()
        assert await client.subscribe("combine") == "OPEN000007"

    await run(test)


async def test_the_area_domain_can_be_set() -> None:
    async def test(client: Client) -> None:
        client.simulator.area_domain = "https://isgp.hikcentralconnect.com"
        assert (await client.login())["areaDomain"] == "https://isgp.hikcentralconnect.com"

    await run(test)


async def test_a_subscription_dies_after_two_days_without_a_pull() -> None:
    async def test(client: Client) -> None:
        simulator, queue = client.simulator, client.simulator.account.queues["combine"]
        await client.subscribe("combine")
        for _ in range(2):
            client.clock.advance(2 * DAY)
            assert await client.code(MESSAGES) == "0"
        kept = simulator.put("combine", *simulator.make("combine", 3))
        client.clock.advance(2 * DAY + 1)
        lost = simulator.put("combine", *simulator.make("combine", 2))
        assert await client.code(MESSAGES) == "OPEN000016"
        assert (queue.put, queue.lost, queue.died) == (kept, lost, 1)

    await run(test)


async def test_nothing_is_queued_without_a_subscription() -> None:
    async def test(client: Client) -> None:
        simulator, queue = client.simulator, client.simulator.account.queues["combine"]
        lost = simulator.put("combine", *simulator.make("combine", 2))
        await client.subscribe("combine")
        kept = simulator.put("combine", *simulator.make("combine", 2))
        await client.subscribe("combine", on=0)
        lost += simulator.put("combine", *simulator.make("combine", 2))
        await client.subscribe("combine")
        assert [identity(record) for record in (await client.messages())["events"]] == kept
        assert (queue.put, queue.lost) == (kept, lost)

    await run(test)


async def test_a_lost_subscription_may_empty_the_queue() -> None:
    async def test(client: Client) -> None:
        simulator, queue = client.simulator, client.simulator.account.queues["combine"]
        await client.subscribe("combine")
        put = simulator.put("combine", *simulator.make("combine", 150))
        batch = await client.messages(size=100)
        simulator.lose_subscription()
        assert await client.complete(batch["batchId"]) == "OPEN000016"
        await client.subscribe("combine")
        assert (await client.messages())["batchId"] == "0"
        assert queue.lost == put

    await run(test, quirks=Quirks(lost_subscription="empties"))


@pytest.mark.parametrize(
    ("queue", "types", "kind", "codes"),
    [
        ("alarm", [10500, 10501], "anpr", {"10500", "10501"}),
        ("combine", ["140001"], "intercom", {"140001"}),
        ("rawmsg", ["Msg330001"], "gps", {"Msg330001"}),
    ],
)
async def test_a_subscription_by_type_filters(queue: QueueName, types: list[Any], kind: Any, codes: set[str]) -> None:
    async def test(client: Client) -> None:
        simulator, audited = client.simulator, client.simulator.account.queues[queue]
        assert await client.subscribe(queue, types) == "0"
        filtered = simulator.put(queue, *simulator.make(queue, 5, "late"))
        kept = simulator.put(queue, *simulator.make(queue, 4, kind))
        assert (audited.put, audited.filtered) == (kept, filtered)
        assert audited.types == frozenset(codes)
        assert audited.remaining == 4

    await run(test)


# -- batches ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", QUEUES)
async def test_a_batch_repeats_until_completed_then_the_next(name: QueueName) -> None:
    async def test(client: Client) -> None:
        simulator, queue = client.simulator, client.simulator.account.queues[name]
        await client.subscribe(name)
        put = simulator.put(name, *simulator.make(name, 450))
        size = None if name == "rawmsg" else 300
        key = {"alarm": "alarmMsg", "combine": "events", "rawmsg": "event"}[name]
        first = await client.messages(name, size)
        assert [identity(record) for record in first[key]] == put[:300]
        assert first["remainingNumber"] == 150
        assert await client.messages(name, None if name == "rawmsg" else 500) == first
        assert (await client.complete(first["batchId"], name)) == "0"
        assert (await client.complete(first["batchId"], name)) == "OPEN000012"
        second = await client.messages(name)
        assert second["batchId"] != first["batchId"]
        assert [identity(record) for record in second[key]] == put[300:]
        assert second["remainingNumber"] == 0
        assert queue.put == put
        assert queue.handed == put[:300] * 2 + put[300:]
        assert queue.completed == put[:300]
        assert queue.completed_at == [client.clock.monotonic()] * 300

    await run(test)


@pytest.mark.parametrize(
    ("quirks", "answer"),
    [
        (Quirks(), {"batchId": "0", "remainingNumber": 0, "events": None}),
        (Quirks(empty_batch_id="absent", empty_list="[]"), {"remainingNumber": 0, "events": []}),
        (Quirks(empty_batch_id="null", remaining="text"), {"batchId": None, "remainingNumber": "0", "events": None}),
        (Quirks(empty_list="absent", remaining="absent", combine_list="event"), {"batchId": "0"}),
    ],
)
async def test_how_an_empty_queue_answers(quirks: Quirks, answer: dict[str, Any]) -> None:
    async def test(client: Client) -> None:
        await client.subscribe("combine")
        assert await client.messages() == answer

    await run(test, quirks=quirks)


async def test_messages_live_three_days() -> None:
    async def test(client: Client) -> None:
        simulator, queue = client.simulator, client.simulator.account.queues["combine"]
        await client.subscribe("combine")
        old = simulator.put("combine", *simulator.make("combine", 2))
        batch = await client.messages()
        client.clock.advance(DAY * 1.5)
        young = simulator.put("combine", *simulator.make("combine", 2))
        assert await client.messages() == batch | {"remainingNumber": 2}
        client.clock.advance(DAY * 1.6)
        assert await client.complete(batch["batchId"]) == "OPEN000012"
        assert [identity(record) for record in (await client.messages())["events"]] == young
        assert (queue.expired, queue.completed) == (old, [])

    await run(test)


async def test_links_may_be_signed_at_every_answer() -> None:
    async def test(client: Client) -> None:
        await client.subscribe("combine")
        client.simulator.put("combine", *client.simulator.make("combine", 1, "camera"))
        first, second = await client.messages(), await client.messages()
        assert first["batchId"] == second["batchId"]
        assert first != second
        assert _unsigned(first) == _unsigned(second)

    await run(test, quirks=Quirks(links_signed="at every answer"))


def _unsigned(batch: dict[str, Any]) -> list[Any]:
    (record,) = batch["events"]
    file = record["eventData"]["fileInfo"]["file"][0]
    return [record["eventId"], file["url"].partition("sign=")[0], file["type"]]


# -- the limit and the account ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("quirks", "header"),
    [(Quirks(), None), (Quirks(retry_after="1"), "1"), (Quirks(retry_after="date"), "Fri, 20 Nov 2026 08:00:01 GMT")],
)
async def test_a_refusal_of_the_limit_may_say_when(quirks: Quirks, header: str | None) -> None:
    async def test(client: Client) -> None:
        async with client.session.post(client.simulator.url + LOGIN) as answer:
            assert answer.status == 429
            assert answer.headers.get("Retry-After") == header

    await run(test, quirks=quirks, rate_limit=1)
