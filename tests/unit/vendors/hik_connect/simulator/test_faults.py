"""Each fault of the Hik-Connect simulator, and the paths by which another process fills, harms and audits it."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import orjson
import pytest

from pump.testing import ManualClock
from pump.vendors.hik_connect.simulator.account import Queue
from pump.vendors.hik_connect.simulator.faults import GARBAGE, POISON, Faults, Garbage, PoisonName
from pump.vendors.hik_connect.simulator.messages import number
from pump.vendors.hik_connect.simulator.server import Fault, Simulator, simulate

MESSAGES = "/api/hccgw/combine/v1/mq/messages"
COMPLETE = f"{MESSAGES}/complete"


class Site:
    """A subscribed combine queue with ten records in it, and a client."""

    def __init__(self, simulator: Simulator, clock: ManualClock, session: aiohttp.ClientSession) -> None:
        self.simulator, self.clock, self.session = simulator, clock, session
        self.headers: dict[str, str] = {}
        self.put: list[str] = []

    @property
    def queue(self) -> Queue:
        return self.simulator.account.queues["combine"]

    async def begin(self) -> None:
        answer = await self.post("/api/hccgw/platform/v1/token/get", {"appKey": "ak", "secretKey": "sk"})
        self.headers["Token"] = answer["data"]["accessToken"]
        await self.post("/api/hccgw/combine/v1/mq/subscribe", {"subscribeType": 1})
        self.put = self.simulator.put("combine", *self.simulator.make("combine", 10, "camera"))

    async def post(self, path: str, body: Any = None) -> Any:
        return orjson.loads(await self.content(path, body))

    async def content(self, path: str, body: Any = None) -> bytes:
        url = self.simulator.url + path
        async with self.session.post(url, json={} if body is None else body, headers=self.headers) as answer:
            return await answer.read()

    async def get(self, path: str) -> Any:
        async with self.session.get(self.simulator.url + path) as answer:
            return orjson.loads(await answer.read())

    def fault(self, *faults: Fault) -> None:
        self.simulator.faults.push(*faults)


async def run(test: Callable[[Site], Awaitable[None]]) -> None:
    clock = ManualClock()
    async with Simulator(clock=clock, rate_limit=None) as simulator, aiohttp.ClientSession() as session:
        site = Site(simulator, clock, session)
        await site.begin()
        await test(site)


async def test_dropped_before_the_work() -> None:
    async def test(site: Site) -> None:
        batch = (await site.post(MESSAGES))["data"]
        site.fault(Fault("drop", path="complete"))
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await site.post(COMPLETE, {"batchId": batch["batchId"]})
        assert site.queue.completed == []
        assert site.simulator.account.calls[-1].outcome == "drop"
        assert (await site.post(MESSAGES))["data"] == batch

    await run(test)


@pytest.mark.parametrize("kind", ["lost_answer", "cut_answer"])
async def test_dropped_after_the_work(kind: Any) -> None:
    async def test(site: Site) -> None:
        batch = (await site.post(MESSAGES))["data"]
        site.fault(Fault(kind, path="complete"))
        with pytest.raises(aiohttp.ClientError):
            await site.post(COMPLETE, {"batchId": batch["batchId"]})
        assert site.queue.completed == site.put
        assert (await site.post(COMPLETE, {"batchId": batch["batchId"]}))["errorCode"] == "OPEN000012"

    await run(test)


async def test_a_complete_without_effect() -> None:
    async def test(site: Site) -> None:
        batch = (await site.post(MESSAGES))["data"]
        site.fault(Fault("ignore", path="complete"))
        assert (await site.post(COMPLETE, {"batchId": batch["batchId"]}))["errorCode"] == "0"
        assert site.queue.completed == []
        assert (await site.post(MESSAGES))["data"] == batch

    await run(test)


async def test_late() -> None:
    async def test(site: Site) -> None:
        site.fault(Fault("delay", seconds=30))
        call = asyncio.create_task(site.post(MESSAGES), name="late call")
        await site.clock.sleeping()
        site.clock.advance(29)
        assert not call.done()
        site.clock.advance(1)
        assert len((await call)["data"]["events"]) == 10
        seen = site.simulator.account.calls[-1]
        assert seen.done is not None
        assert seen.done - seen.at == 30

    await run(test)


async def test_a_call_that_hangs_harms_no_other() -> None:
    async def test(site: Site) -> None:
        site.fault(Fault("hang"))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await site.post(MESSAGES)
        assert site.queue.handed == []
        assert len((await site.post(MESSAGES))["data"]["events"]) == 10

    await run(test)


async def test_hanging_and_late_calls_do_not_hold_the_shutdown() -> None:
    async with aiohttp.ClientSession() as session:
        async with Simulator(clock=ManualClock(), rate_limit=None) as simulator:
            simulator.faults.push(Fault("hang", path="messages"), Fault("delay", path="messages", seconds=3600))
            calls = [asyncio.create_task(session.post(simulator.url + MESSAGES)) for _ in range(2)]
            async with session.post(simulator.url + COMPLETE) as answer:
                assert answer.status == 200
        seen = await asyncio.gather(*calls, return_exceptions=True)
        assert all(isinstance(one, aiohttp.ClientError) for one in seen)


async def test_calls_in_flight_are_counted() -> None:
    async def test(site: Site) -> None:
        site.fault(Fault("delay", path="messages", times=2, seconds=1))
        calls = [asyncio.create_task(site.post(MESSAGES)) for _ in range(2)]
        await site.clock.sleeping(2)
        site.clock.advance(1)
        await asyncio.gather(*calls)
        account = site.simulator.account
        assert (account.most_in_flight("combine"), account.most_in_flight("alarm")) == (2, 0)

    await run(test)


async def test_http_errors() -> None:
    async def test(site: Site) -> None:
        site.fault(Fault("status", status=503), Fault("status", status=429, retry_after="2"))
        seen = []
        for _ in range(3):
            async with site.session.post(site.simulator.url + MESSAGES, json={}, headers=site.headers) as answer:
                seen.append((answer.status, answer.headers.get("Retry-After")))
        assert seen == [(503, None), (429, "2"), (200, None)]

    await run(test)


async def test_any_code_of_the_vendor() -> None:
    async def test(site: Site) -> None:
        site.fault(Fault("error", code="VMS000009"), Fault("error", code="XYZ1"))
        assert (await site.post(MESSAGES))["errorCode"] == "VMS000009"
        assert (await site.post(MESSAGES)) == {"message": "Error{XYZ1}", "errorCode": "XYZ1"}
        assert site.queue.handed == []

    await run(test)


@pytest.mark.parametrize("body", GARBAGE)
async def test_garbage(body: Garbage) -> None:
    async def test(site: Site) -> None:
        site.fault(Fault("garbage", body=body))
        assert await site.content(MESSAGES) == GARBAGE[body][0]

    await run(test)


async def test_an_expired_token_and_a_lost_subscription() -> None:
    async def test(site: Site) -> None:
        site.fault(Fault("lost_subscription"), Fault("expired_token"))
        assert (await site.post(MESSAGES))["errorCode"] == "OPEN000016"
        lost = site.simulator.put("combine", *site.simulator.make("combine", 1))
        assert (await site.post(MESSAGES))["errorCode"] == "OPEN000006"
        assert site.queue.lost == lost
        assert site.queue.wanted

    await run(test)


@pytest.mark.parametrize("new_id", [False, True])
@pytest.mark.parametrize("resigned", [False, True])
async def test_the_completed_batch_again(new_id: bool, resigned: bool) -> None:
    async def test(site: Site) -> None:
        site.fault(Fault("redeliver", new_id=new_id, resigned=resigned))
        batch = (await site.post(MESSAGES))["data"]  # nothing was completed yet: the fault waits
        await site.post(COMPLETE, {"batchId": batch["batchId"]})
        site.simulator.put("combine", *site.simulator.make("combine", 3))
        again = (await site.post(MESSAGES))["data"]
        assert (again["batchId"] != batch["batchId"]) is new_id
        assert (again["events"] != batch["events"]) is resigned
        assert [one["eventId"] for one in again["events"]] == [one["eventId"] for one in batch["events"]]
        assert again["remainingNumber"] == 3
        assert (await site.post(COMPLETE, {"batchId": again["batchId"]}))["errorCode"] == "0"
        assert len((await site.post(MESSAGES))["data"]["events"]) == 3
        assert site.queue.completed == site.put
        assert site.queue.handed[:20] == site.put * 2

    await run(test)


async def test_a_redelivered_batch_goes_before_the_one_in_flight() -> None:
    async def test(site: Site) -> None:
        first = (await site.post(MESSAGES))["data"]
        await site.post(COMPLETE, {"batchId": first["batchId"]})
        site.simulator.put("combine", *site.simulator.make("combine", 3))
        second = (await site.post(MESSAGES))["data"]
        site.fault(Fault("redeliver"))
        assert (await site.post(MESSAGES))["data"] == first | {"remainingNumber": 3}
        assert (await site.post(COMPLETE, {"batchId": second["batchId"]}))["errorCode"] == "0"
        assert (await site.post(COMPLETE, {"batchId": first["batchId"]}))["errorCode"] == "0"
        assert len(site.queue.completed) == 13

    await run(test)


async def test_poison_is_audited_in_its_place() -> None:
    async def test(site: Site) -> None:
        site.fault(Fault("poison"))
        assert POISON["wrong types"] in await site.content(MESSAGES)
        poison = next(one for one in site.queue.put if one not in site.put)
        assert site.queue.put == [*site.put[:5], poison, *site.put[5:]]
        assert site.queue.handed == site.queue.put

    await run(test)


@pytest.mark.parametrize("name", POISON)
async def test_every_poison_is_json_that_harms_the_reader_alone(name: PoisonName) -> None:
    async def test(site: Site) -> None:
        site.fault(Fault("poison", poison=name))
        assert len(json.loads(await site.content(MESSAGES))["data"]["events"]) == 11

    await run(test)


async def test_any_second_sees_five_requests_and_the_rest_is_refused() -> None:
    async def test(site: Site) -> None:
        simulator, account = site.simulator, site.simulator.account
        site.clock.advance(10)
        simulator.rate_limit = 5
        for _ in range(5):
            await site.post(MESSAGES)
        assert await site.content(MESSAGES) == b""
        site.clock.advance(0.999)
        assert await site.content(MESSAGES) == b""
        assert account.refusals == {"429": 2}
        site.clock.advance(0.001)
        assert (await site.post(MESSAGES))["errorCode"] == "0"
        assert account.busiest_second() == 7
        assert account.times("messages") == [10.0] * 6 + [10.999, pytest.approx(11.0)]

    await run(test)


def test_which_calls_a_fault_hits() -> None:
    faults = Faults()
    faults.push(Fault("drop", path="complete", skip=1, times=2), Fault("hang"), Fault("redeliver"))
    taken = [faults.take(path) for path in (COMPLETE, COMPLETE, MESSAGES, COMPLETE, COMPLETE, MESSAGES)]
    assert [fault and fault.kind for fault in taken] == ["hang", "drop", "redeliver", "drop", None, None]
    assert faults.waiting == []
    assert faults.done == {"hang": 1, "drop": 2, "redeliver": 1}


# -- another process -------------------------------------------------------------------------------------------------


async def test_filled_harmed_and_audited_from_outside() -> None:
    async def test(site: Site) -> None:
        made = await site.post("/_simulator/make", {"queue": "combine", "n": 5, "kind": "access"})
        assert site.queue.put[10:] == made["identities"]
        shown = await site.post("/_simulator/make", {"queue": "combine", "n": 2, "put": False})
        put = await site.post("/_simulator/put", {"queue": "combine", "records": shown["records"]})
        assert site.queue.put[15:] == put["identities"]
        await site.post("/_simulator/fault", {"kind": "error", "code": "VMS001000", "times": 2})
        assert (await site.post(MESSAGES))["errorCode"] == "VMS001000"
        assert (await site.get("/_simulator/fault"))["done"] == {"error": 1}
        async with site.session.delete(site.simulator.url + "/_simulator/fault") as answer:
            assert orjson.loads(await answer.read())["waiting"] == []
        batch = (await site.post(MESSAGES))["data"]
        await site.post(COMPLETE, {"batchId": batch["batchId"]})
        account = await site.get("/_simulator/account")
        queue = account["queues"]["combine"]
        assert queue["put"] == queue["handed"] == queue["completed"] == site.queue.put
        assert len(queue["completed_at"]) == 17
        assert [call["path"] for call in account["calls"]][-2:] == [MESSAGES, COMPLETE]
        assert (await site.get("/_simulator/account?lists=no"))["queues"]["combine"]["completed"] == 17
        assert account["faults"] == {"error": 1}

    await run(test)


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("make", {"queue": "nowhere", "n": 1}, 400),
        ("make", {"queue": "combine", "n": 1, "kind": "party"}, 400),
        ("put", {"queue": "combine"}, 400),
        ("fault", {"kind": "drop", "pth": "x"}, 400),
        ("fault", {"kind": "drip"}, 400),
        ("nothing", {}, 404),
    ],
)
async def test_mistakes_outside_are_told(path: str, body: Any, status: int) -> None:
    async def test(site: Site) -> None:
        async with site.session.post(f"{site.simulator.url}/_simulator/{path}", json=body) as answer:
            assert answer.status == status
            assert (await answer.json())["error"]
        assert site.simulator.faults.waiting == []

    await run(test)


async def test_traffic_flows_into_the_subscribed_queues() -> None:
    async def test(site: Site) -> None:
        await site.post("/api/hccgw/rawmsg/v1/mq/subscribe", {"subscribeType": 1, "msgType": []})
        traffic = asyncio.create_task(site.simulator.traffic(200), name="traffic")
        await site.clock.run(3)
        site.simulator.lose_subscription("rawmsg")
        await site.clock.run(1)
        traffic.cancel()
        await asyncio.gather(traffic, return_exceptions=True)
        queues = site.simulator.account.queues
        combine, rawmsg = queues["combine"].put[10:], queues["rawmsg"].put
        lost = queues["rawmsg"].lost
        assert [len(combine), len(rawmsg), len(lost)] == pytest.approx([400, 300, 100], abs=5)
        assert queues["alarm"].put == queues["alarm"].lost == []
        assert [number(one) for one in combine] == list(range(11, 11 + len(combine)))

    await run(test)


async def test_simulate_runs_by_itself() -> None:
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(simulate(rate=100, seed=3, on_ready=ready.set_result), name="simulate")
    async with aiohttp.ClientSession() as session:
        body = {"appKey": "ak", "secretKey": "sk"}
        async with session.post(f"{await ready}/api/hccgw/platform/v1/token/get", json=body) as answer:
            assert (await answer.json())["errorCode"] == "0"
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_an_address_that_is_taken_is_told() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(OSError, match="in use"):
            await simulate(port=taken.getsockname()[1])
