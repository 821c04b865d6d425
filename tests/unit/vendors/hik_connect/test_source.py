"""The source against the real simulator over a real socket, with a real spool; the clock is moved by hand."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import orjson
import pytest
from pydantic import ValidationError

from pump.core.clock import Clock
from pump.core.errors import Misconfigured, Unavailable
from pump.core.event import Event, Unparsed
from pump.ingest.intake import Intake
from pump.spool import Receipt, Spool, SpoolSettings
from pump.telemetry.health import Health
from pump.telemetry.metrics import Metrics
from pump.testing import ManualClock
from pump.vendors.hik_connect import SOURCE
from pump.vendors.hik_connect.simulator.messages import identity
from pump.vendors.hik_connect.simulator.server import Fault, Quirks, Simulator
from pump.vendors.hik_connect.source import HikConnect

Settings = HikConnect.Settings
APP_KEY, SECRET_KEY = "ak-north", "sk-north"
LOGIN, SUBSCRIBE, MESSAGES, COMPLETE = "token/get", "subscribe", "messages", "complete"
QUEUES: tuple[Literal["combine", "alarm", "rawmsg"], ...] = ("combine", "alarm", "rawmsg")


class Watched(Intake):
    """The real intake; tells when a put of events begins and ends, and refuses when it is told to."""

    refusing = False
    hanging = False
    """Puts of events never return."""

    def watch(self) -> None:
        self.begun, self.ended = asyncio.Event(), asyncio.Event()
        self.sizes: list[int] = []

    async def put(
        self, *items: Event | Unparsed, state: Mapping[str, Any] | None = None, stranger: bool = False
    ) -> Receipt:
        if self.refusing and items:
            raise Unavailable("the spool is full", retry_after=1.0)
        # What the inventory finds about the devices is put by another task, at a moment of its own.
        ours = any(not (isinstance(item, Event) and item.type.startswith("device.")) for item in items)
        if ours:
            self.sizes.append(len(items))
            self.begun.set()
            if self.hanging:
                await asyncio.Event().wait()
        receipt = await super().put(*items, state=state, stranger=stranger)
        if ours:
            self.ended.set()
            await asyncio.sleep(0)  # a cancellation made now arrives between the put and what follows it
        return receipt


class Site:
    """One pump with one source, before one vendor."""

    pace = 0.05
    """Seconds of the clock that pass between two looks, a millisecond of the world's time or more."""

    def __init__(
        self, vendor: Simulator, spool: Spool, clock: Clock, metrics: Metrics, settings: Mapping[str, Any]
    ) -> None:
        self.vendor, self.spool, self.clock, self.metrics = vendor, spool, clock, metrics
        self.intake = Watched("teams", spool=spool, site="north", clock=clock, metrics=metrics, health=Health(clock))
        self.intake.watch()
        more = {"type": "hik-connect", "server": vendor.url, "app_key": APP_KEY, "secret_key": SECRET_KEY, **settings}
        self.source = SOURCE("teams", Settings.model_validate(more), clock)
        self.before = {queue: self._polls(queue) for queue in self.source.settings.queues}
        self.task = asyncio.create_task(self.source.run(self.intake), name="source teams")

    async def until(self, condition: Callable[[], object]) -> None:
        """Lets time pass, much faster than the world's, until it is so."""
        async with asyncio.timeout(60.0):
            while not condition():
                if self.task.done():
                    await self.task
                if isinstance(self.clock, ManualClock):
                    self.clock.advance(self.pace)
                await asyncio.sleep(0.001)

    async def completed(self, *queues: str) -> None:
        """Until the vendor has nothing left."""
        await self.until(lambda: all(self.drained(queue) for queue in queues or self.source.settings.queues))

    def drained(self, queue: Any) -> bool:
        """Nothing waits, and this pump has asked: so it knows of the subscription, which the vendor has before it."""
        held = self.vendor.account.queues[queue]
        asked = self._polls(queue) > self.before[queue]
        return asked and held.subscribed and not held.waiting and not held.out

    def _polls(self, queue: str) -> int:
        return len(self.vendor.account.times(f"{queue}/v1/mq/{MESSAGES}"))

    async def polls(self, n: int = 3) -> None:
        """Until there were `n` more polls."""
        before = len(self.vendor.account.times(MESSAGES))
        await self.until(lambda: len(self.vendor.account.times(MESSAGES)) >= before + n)

    async def stop(self) -> None:
        self.task.cancel()
        await asyncio.wait({self.task})  # how it ended was seen by `until`

    async def events(self, type_: str | None = None) -> list[dict[str, Any]]:
        """What is stored, without the source's ups and downs."""
        records, after = list[Any](), 0
        while batch := await self.spool.read(after):
            records += batch
            after = batch[-1].seq
        events = [orjson.loads(record.body) for record in records]
        wanted = [event for event in events if not event["type"].startswith("pump.source.")]
        return [event for event in wanted if type_ in (None, event["type"])]

    async def identities(self) -> list[str]:
        return [identity(event["data"]["raw"]) for event in await self.events() if event["data"]["vendor"] != "pump"]

    def counted(self, what: str) -> int:
        value = self.metrics.registry.get_sample_value("pump_source_incidents_total", {"source": "teams", "what": what})
        return int(value or 0)

    @property
    def state(self) -> str:
        return self.intake.component.state

    @property
    def reason(self) -> str:
        return self.intake.component.reason


@asynccontextmanager
async def simulator(clock: Clock, quirks: Quirks | None = None) -> AsyncIterator[Simulator]:
    """The vendor; at the end no second saw more than 5 requests, and none was refused for its rate."""
    async with Simulator(clock=clock, quirks=quirks, app_key=APP_KEY, secret_key=SECRET_KEY) as vendor:
        yield vendor
    assert vendor.account.busiest_second() <= 5
    assert vendor.account.refusals["429"] == 0


@asynccontextmanager
async def site(vendor: Simulator, folder: Path, clock: Clock, **settings: Any) -> AsyncIterator[Site]:
    metrics = Metrics()
    spool = await Spool.open(folder, SpoolSettings(), clock=clock, metrics=metrics)
    spool.set_holders({"out": True})
    running = Site(vendor, spool, clock, metrics, settings)
    try:
        yield running
    finally:
        await running.stop()
        await spool.close()


# -- settings ------------------------------------------------------------------------------------------------------


def settings(**more: Any) -> Any:
    return Settings.model_validate(
        {
            "type": "hik-connect",
            "server": "https://ieu.hikcentralconnect.com",
            "app_key": APP_KEY,
            "secret_key": SECRET_KEY,
            **more,
        },
        context={"environ": {"HIK": "from-the-environment"}},
    )


def test_settings_as_the_design_shows_them() -> None:
    made = settings(
        app_key="${HIK}",
        queues=["combine", "alarm", "rawmsg"],
        event_types={"alarm": [10002, "10001"], "combine": ["80001"], "rawmsg": ["330001", "Msg110003"]},
        poll_interval="500ms",
        batch_size=500,
    )
    assert made.types("alarm") == ["10001", "10002"]
    assert made.types("combine") == ["80001"]
    assert made.types("rawmsg") == ["Msg110003", "Msg330001"]
    assert made.identity() == "from-the-environment"
    assert len(made.warnings()) == 1
    assert "sk-north" not in repr(made)
    assert "from-the-environment" not in repr(made)
    plain = settings()
    assert (plain.queues, plain.poll_interval, plain.types("combine"), plain.warnings()) == (("combine",), 0.5, [], [])


@pytest.mark.parametrize(
    "wrong",
    [
        {"server": "http://ieu.hikcentralconnect.com"},
        {"server": "https://ieu.hikcentralconnect.com/api"},
        {"queues": []},
        {"queues": ["combine", "combine"]},
        {"queues": ["events"]},
        {"event_types": {"alarm": [10002]}},
        {"event_types": {"combine": []}},
        {"queues": ["alarm"], "event_types": {"alarm": ["Msg1"]}},
        {"batch_size": 250},
        {"poll_interval": 0.5},
        {"timeout": "0s"},
        {"app_key": "${NOT_THERE}"},
        {"surprise": 1},
    ],
)
def test_wrong_settings_are_told(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        settings(**wrong)


# -- the plain way ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("quirks", [
    Quirks(),
    Quirks(empty_batch_id="", empty_list="[]", remaining="text", error_code="number"),
    Quirks(empty_batch_id="absent", empty_list="absent", remaining="absent", links_signed="at every answer"),
    Quirks(empty_batch_id="null", rawmsg_batch=120, remaining="absent"),
])  # fmt: skip
async def test_each_event_of_each_queue_is_stored_once_and_completed(tmp_path: Path, quirks: Quirks) -> None:
    clock = ManualClock()
    async with (
        simulator(clock, quirks) as vendor,
        site(vendor, tmp_path, clock, queues=QUEUES, batch_size=100) as pump,
    ):
        await pump.until(lambda: all(vendor.account.queues[queue].subscribed for queue in QUEUES))
        for queue in QUEUES:
            vendor.put(queue, *vendor.make(queue, 350))
        await pump.completed()
        stored = await pump.identities()
        for queue in QUEUES:
            put = vendor.account.queues[queue].put
            assert [one for one in stored if one in set(put)] == put, "in the queue's order"
        assert len(stored) == 3 * 350
        assert pump.state == "up"
        assert vendor.account.logins == 1
        assert set(vendor.account.refusals) <= {"429"}, "nothing was asked that is not as documented"
        assert await pump.events("pump.gap") == []
        if quirks.remaining != "absent":  # the last answer may still be on its way to the source
            await pump.until(lambda: pump.intake.component.details["combine"]["backlog"] == 0)


async def test_types_are_subscribed_as_each_queue_wants_them(tmp_path: Path) -> None:
    clock = ManualClock()
    types = {"combine": ["80001", 10002], "alarm": [10002], "rawmsg": ["330001"]}
    async with simulator(clock) as vendor, site(vendor, tmp_path, clock, queues=QUEUES, event_types=types) as pump:
        await pump.until(lambda: all(vendor.account.queues[queue].subscribed for queue in QUEUES))
        subscribed = {str(queue): sorted(vendor.account.queues[queue].types or ()) for queue in QUEUES}
        assert subscribed == {"combine": ["10002", "80001"], "alarm": ["10002"], "rawmsg": ["Msg330001"]}


class Noting(Clock):
    """Notes for how long each task wanted to sleep: however slow the machine is, no more was asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: dict[str, list[float]] = {}

    async def sleep(self, seconds: float) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.asked.setdefault(task.get_name(), []).append(seconds)
        await super().sleep(seconds)


async def test_the_intervals_while_idle_are_as_promised(tmp_path: Path) -> None:
    """In the world's own time: one queue every 500 ms, two likewise, three every 750 ms, each within a fifth."""

    async def idle(n: int) -> tuple[float, float]:
        clock = Noting()
        async with simulator(clock) as vendor, site(vendor, tmp_path / str(n), clock, queues=QUEUES[:n]) as pump:
            path = f"{QUEUES[n - 1]}/v1/mq/messages"
            await pump.until(lambda: len(vendor.account.times(path)) >= 1)
            clock.asked.clear()
            await pump.until(lambda: len(vendor.account.times(path)) >= 7)
            intervals = sorted(later - earlier for earlier, later in pairwise(vendor.account.times(path)[1:]))
            return intervals[len(intervals) // 2], sum(clock.asked[f"source teams queue {QUEUES[n - 1]}"]) / 6

    for (interval, asked), promised in zip(
        await asyncio.gather(idle(1), idle(2), idle(3)), (0.5, 0.5, 0.75), strict=True
    ):
        assert interval >= 0.8 * promised
        assert asked <= 1.2 * promised


class NotingManual(Noting, ManualClock):
    """The same of a clock that is turned by hand."""


async def test_a_backlog_flows_at_two_batches_a_second(tmp_path: Path) -> None:
    clock = NotingManual()
    async with simulator(clock) as vendor, site(vendor, tmp_path, clock, batch_size=100) as pump:
        await pump.until(lambda: vendor.account.queues["combine"].subscribed)
        vendor.put("combine", *vendor.make("combine", 2000))
        pump.pace = 0.005
        await pump.until(lambda: vendor.account.times(COMPLETE))
        clock.asked.clear()
        await pump.completed()
        times = vendor.account.times(COMPLETE)
        assert len(times) == 20
        assert (times[-1] - times[0]) / 19 >= 0.8 * 0.5
        # that calls and the disk take time in the world, which the clock's follows, is not the pump's
        assert sum(clock.asked["source teams queue combine"]) / 19 <= 1.2 * 0.5


async def test_a_queue_whose_loop_hangs_is_named_though_the_other_one_goes_on(tmp_path: Path) -> None:
    clock = ManualClock()
    async with simulator(clock) as vendor, site(vendor, tmp_path, clock, queues=QUEUES[:2]) as pump:
        await pump.until(lambda: pump.state == "up")
        await pump.polls()
        pump.intake.begun.clear()
        pump.intake.hanging = True
        vendor.put("alarm", *vendor.make("alarm", 5))
        await pump.until(pump.intake.begun.is_set)
        pump.pace = 1.0
        await pump.until(pump.intake.component.stall)
        assert pump.reason == "no sign of life of alarm for 120 s"
        await pump.polls(3)
        assert pump.state == "stalled"


@pytest.mark.parametrize("path", [MESSAGES, COMPLETE])
async def test_who_waits_as_long_as_the_vendor_wants_is_down_and_no_stall(tmp_path: Path, path: str) -> None:
    clock = ManualClock()
    async with simulator(clock) as vendor, site(vendor, tmp_path, clock, poll_interval="10m") as pump:
        pump.pace = 10.0
        await pump.until(lambda: pump.state == "up")
        assert (pump.intake.component.expects or 0.0) >= 600.0 + 30.0, "a poll's interval is granted"
        vendor.faults.push(Fault("status", path, status=503, retry_after="3600"))
        vendor.put("combine", *vendor.make("combine", 5))
        await pump.until(lambda: pump.state == "down")
        begin = clock.monotonic()
        while clock.monotonic() < begin + 3000.0:
            clock.advance(10.0)
            await asyncio.sleep(0)
            assert not pump.intake.component.stall(), pump.reason
        assert pump.state == "down"
        await pump.completed()
        await pump.until(lambda: pump.state == "up")


# -- token and key -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["expired", "unknown"])
async def test_a_lost_token_costs_one_login(tmp_path: Path, kind: str) -> None:
    clock = ManualClock()
    async with simulator(clock) as vendor, site(vendor, tmp_path, clock, queues=QUEUES) as pump:
        await pump.until(lambda: all(vendor.account.queues[queue].subscribed for queue in QUEUES))
        await pump.polls()
        vendor.expire_tokens() if kind == "expired" else vendor.forget_tokens()
        vendor.put("combine", *vendor.make("combine", 50))
        await pump.completed()
        await pump.polls()
        assert vendor.account.logins == 2
        assert pump.counted("login") == 2
        assert len(await pump.identities()) == 50


async def test_a_restart_needs_neither_login_nor_subscription(tmp_path: Path) -> None:
    clock = ManualClock()
    async with simulator(clock) as vendor:
        async with site(vendor, tmp_path, clock) as pump:
            await pump.polls()
            kept = pump.intake.state("token/")
        assert vendor.account.queues["combine"].subscribed, "stopping does not unsubscribe"
        vendor.put("combine", *vendor.make("combine", 20))
        async with site(vendor, tmp_path, clock) as pump:
            await pump.completed()
            assert len(await pump.identities()) == 20
            assert pump.intake.state("token/") == kept
        assert vendor.account.logins == 1
        assert vendor.account.queues["combine"].subscriptions == 1
        assert APP_KEY not in str(kept)


async def test_another_account_is_another_matter(tmp_path: Path) -> None:
    clock = ManualClock()
    async with simulator(clock) as vendor:
        async with site(vendor, tmp_path, clock, queues=QUEUES) as pump:
            await pump.until(lambda: all(vendor.account.queues[queue].subscribed for queue in QUEUES))
            await pump.polls(6)
        async with Simulator(clock=clock, app_key="other", secret_key="sk-north") as second:
            async with site(second, tmp_path, clock, app_key="other") as pump:
                await pump.polls()
                assert await pump.events("pump.gap") == []
                assert len(pump.intake.state("token/")) == 1, "the first account's token is forgotten"
                assert set(pump.intake.state("queue/")) == {"queue/combine"}
            assert second.account.logins == 1


@pytest.mark.parametrize("wrong", [{"app_key": "none"}, {"secret_key": "none"}])
@pytest.mark.parametrize("code", ["OPEN000002", "OPEN300002"])
async def test_a_wrong_key_ends_the_run_with_advice_and_a_long_wait(
    tmp_path: Path, wrong: dict[str, str], code: Any
) -> None:
    clock = ManualClock()
    async with (
        simulator(clock, Quirks(wrong_secret=code)) as vendor,
        site(vendor, tmp_path, clock, queues=QUEUES, **wrong) as pump,
    ):
        with pytest.raises(Misconfigured) as caught:
            await pump.until(lambda: False)
        assert caught.value.retry_after == 600.0
        assert next(iter(wrong)) in caught.value.reason
        assert "none" not in caught.value.reason
        assert len(vendor.account.times(LOGIN)) == 1, "three queues, one attempt"


async def test_a_queue_without_permission_stops_no_other(tmp_path: Path) -> None:
    clock = ManualClock()
    async with simulator(clock) as vendor, site(vendor, tmp_path, clock, queues=["combine", "alarm"]) as pump:
        vendor.faults.push(Fault("error", "alarm/v1/mq/messages", code="OPEN000021"))
        await pump.until(lambda: pump.state == "down")
        assert "permission" in pump.reason
        assert pump.reason.startswith("alarm")
        vendor.put("combine", *vendor.make("combine", 20))
        await pump.completed("combine")
        assert len(await pump.identities()) == 20
        asked = len(vendor.account.times("alarm/v1/mq/messages"))
        await pump.polls(10)
        assert len(vendor.account.times("alarm/v1/mq/messages")) == asked
        clock.advance(600.0)
        await pump.until(lambda: pump.state == "up")


# -- subscriptions ----------------------------------------------------------------------


def span(gap: dict[str, Any]) -> tuple[datetime, datetime]:
    return datetime.fromisoformat(gap["data"]["from"]), datetime.fromisoformat(gap["data"]["to"])


@pytest.mark.parametrize("fate", ["keeps", "empties"])
async def test_a_lost_subscription_is_made_anew_and_told_as_a_gap(tmp_path: Path, fate: Any) -> None:
    clock = ManualClock()
    quirks = Quirks(lost_subscription=fate)
    async with (
        simulator(clock, quirks) as vendor,
        site(vendor, tmp_path, clock, queues=["combine", "alarm"]) as pump,
    ):
        await pump.polls(4)
        assert await pump.events("pump.gap") == []
        lost = clock.now()
        vendor.lose_subscription("combine")
        await pump.until(lambda: vendor.account.queues["combine"].subscribed)
        vendor.put("combine", *vendor.make("combine", 5))
        await pump.completed()
        (gap,) = await pump.events("pump.gap")
        begin, end = span(gap)
        assert begin <= lost <= end <= clock.now()
        assert (lost - begin).total_seconds() < 2.0
        assert "combine" in gap["data"]["reason"]
        assert vendor.account.queues["combine"].subscriptions == 2
        assert vendor.account.queues["alarm"].subscriptions == 1
        assert len(await pump.identities()) == 5
        assert pump.state == "up"


async def test_a_subscription_that_died_while_we_were_away_is_a_gap_from_the_last_success(tmp_path: Path) -> None:
    clock = ManualClock()
    async with simulator(clock) as vendor:
        async with site(vendor, tmp_path, clock) as pump:
            await pump.polls(30)
        stopped = clock.now()
        clock.advance(3 * 86400.0)
        vendor.put("combine", *vendor.make("combine", 5))
        async with site(vendor, tmp_path, clock, event_types={"combine": ["80001"]}) as pump:
            await pump.until(lambda: vendor.account.queues["combine"].subscribed)
            await pump.polls()
            (gap,) = await pump.events("pump.gap")
            begin, end = span(gap)
            assert 0 <= (stopped - begin).total_seconds() < 15.0
            assert (end - stopped).total_seconds() == pytest.approx(3 * 86400.0, abs=10.0)
        async with site(vendor, tmp_path, clock, event_types={"combine": ["80001"]}) as pump:
            await pump.polls()
            assert len(await pump.events("pump.gap")) == 1, "told once"


async def test_a_gap_is_told_though_the_pump_was_stopped_before_it_could(tmp_path: Path) -> None:
    clock = ManualClock()
    async with simulator(clock) as vendor:
        async with site(vendor, tmp_path, clock) as pump:
            await pump.polls(4)
            pump.intake.refusing = True
            vendor.lose_subscription()
            await pump.until(lambda: vendor.account.queues["combine"].subscriptions == 2)
            await pump.until(lambda: pump.counted("refused") > 0)
            assert await pump.events("pump.gap") == []
        async with site(vendor, tmp_path, clock) as pump:
            await pump.polls()
            assert len(await pump.events("pump.gap")) == 1
            assert vendor.account.queues["combine"].subscriptions == 2


async def test_a_gap_is_told_though_the_pump_died_while_it_subscribed_again(tmp_path: Path) -> None:
    """The vendor's refusals end with the subscription: what they told must be on disk by then."""

    clock = ManualClock()
    async with simulator(clock) as vendor:
        async with site(vendor, tmp_path, clock) as pump:
            await pump.polls(4)
            vendor.faults.push(Fault("lost_answer", SUBSCRIBE))
            vendor.lose_subscription()
            await pump.until(lambda: vendor.account.queues["combine"].subscriptions == 2)
        async with site(vendor, tmp_path, clock) as pump:
            await pump.polls()
            assert len(await pump.events("pump.gap")) == 1


async def test_other_types_are_subscribed_after_the_first_poll(tmp_path: Path) -> None:
    clock = ManualClock()
    async with simulator(clock) as vendor:
        async with site(vendor, tmp_path, clock) as pump:
            await pump.polls()
        vendor.put("combine", *vendor.make("combine", 5))
        async with site(vendor, tmp_path, clock, event_types={"combine": ["80001"]}) as pump:
            await pump.polls()
            assert vendor.account.queues["combine"].types == frozenset({"80001"})
            assert len(await pump.identities()) == 5
            assert await pump.events("pump.gap") == []


async def test_a_subscription_that_does_not_hold_is_asked_for_with_backoff(tmp_path: Path) -> None:
    clock = ManualClock()
    async with simulator(clock) as vendor, site(vendor, tmp_path, clock) as pump:
        await pump.polls()
        vendor.faults.push(Fault("error", MESSAGES, times=8, code="OPEN000016"))
        begin = clock.monotonic()
        await pump.until(lambda: not vendor.faults.waiting)
        await pump.until(lambda: pump.state == "up")
        assert vendor.account.queues["combine"].subscriptions <= 10
        assert clock.monotonic() - begin > 8 * 0.5


# -- what goes wrong --------------------------------------------------------------------

TROUBLES: dict[str, Iterable[Fault]] = {
    "messages 500": [Fault("status", MESSAGES, times=3, skip=1, status=500)],
    "messages 429": [Fault("status", MESSAGES, times=2, skip=1, status=429, retry_after="2")],
    "messages lost": [Fault("lost_answer", MESSAGES, times=2, skip=1)],
    "messages cut": [Fault("cut_answer", MESSAGES, times=2, skip=1)],
    "messages dropped": [Fault("drop", MESSAGES, times=2, skip=1)],
    "html": [Fault("garbage", MESSAGES, times=2, skip=1, body="html")],
    "half JSON": [Fault("garbage", MESSAGES, times=1, skip=1, body="truncated")],
    "null": [Fault("garbage", MESSAGES, times=2, skip=1, body="null")],
    "unlisted": [Fault("error", MESSAGES, times=2, skip=1, code="OPEN777777")],
    "busy": [Fault("error", MESSAGES, times=2, skip=1, code="VMS000009")],
    "hang": [Fault("hang", MESSAGES, times=1, skip=1)],
    "complete 503": [Fault("status", COMPLETE, times=2, status=503)],
    "complete 503 too often": [Fault("status", COMPLETE, times=6, status=503)],
    "complete lost": [Fault("lost_answer", COMPLETE, times=1)],
    "complete cut": [Fault("cut_answer", COMPLETE, times=1)],
    "complete dropped": [Fault("drop", COMPLETE, times=1)],
    "complete without effect": [Fault("ignore", COMPLETE, times=2)],
    "complete hangs": [Fault("hang", COMPLETE, times=1)],
    "complete unlisted": [Fault("error", COMPLETE, times=5, code="OPEN777777")],
    "redelivered": [Fault("redeliver", MESSAGES, skip=2)],
    "redelivered anew": [Fault("redeliver", MESSAGES, skip=2, new_id=True, resigned=True)],
    "token": [Fault("expired_token", MESSAGES, skip=1), Fault("expired_token", COMPLETE, skip=1)],
    "login fails": [Fault("expired_token", MESSAGES, skip=1), Fault("status", LOGIN, times=3, status=502)],
    "login hangs": [Fault("expired_token", MESSAGES, skip=1), Fault("hang", LOGIN)],
    "subscription": [Fault("lost_subscription", MESSAGES, skip=2)],
    "subscription at complete": [Fault("lost_subscription", COMPLETE)],
    "subscribe fails": [Fault("lost_subscription", MESSAGES, skip=2), Fault("status", SUBSCRIBE, times=2, status=500)],
}


@pytest.mark.parametrize("trouble", TROUBLES)
async def test_whatever_goes_wrong_each_event_is_stored_once_and_completed(tmp_path: Path, trouble: str) -> None:
    clock = ManualClock()
    faults = list(TROUBLES[trouble])
    patience = "500ms" if any(fault.kind == "hang" for fault in faults) else "30s"
    async with (
        Simulator(clock=clock, app_key=APP_KEY, secret_key=SECRET_KEY) as vendor,
        site(vendor, tmp_path, clock, batch_size=100, timeout=patience) as pump,
    ):
        await pump.until(lambda: vendor.account.queues["combine"].subscribed)
        await pump.polls(1)
        vendor.faults.push(*faults)
        for _ in range(5):
            vendor.put("combine", *vendor.make("combine", 60))
            await pump.completed()
        await pump.until(lambda: not vendor.faults.waiting)
        await pump.until(lambda: pump.state == "up")
        await pump.completed()
        put = vendor.account.queues["combine"].put
        assert await pump.identities() == put
        assert len(put) == 300
        assert vendor.account.busiest_second() <= 5
        assert vendor.account.logins <= 4
        assert (await pump.events("pump.gap") != []) == ("subscri" in trouble)


async def test_a_complete_whose_answer_was_lost_is_no_lost_batch(tmp_path: Path) -> None:
    clock = ManualClock()
    async with simulator(clock) as vendor, site(vendor, tmp_path, clock) as pump:
        await pump.polls(1)
        vendor.faults.push(Fault("lost_answer", COMPLETE))
        vendor.put("combine", *vendor.make("combine", 5))
        await pump.completed()
        await pump.polls()
        assert vendor.account.refusals["OPEN000012"] == 1
        assert pump.counted("lost batch") == 0
        assert pump.counted("retry") == 1


async def test_an_unknown_batch_is_polled_again_and_when_it_repeats_the_other_client_is_named(tmp_path: Path) -> None:
    clock = ManualClock()
    async with simulator(clock) as vendor, site(vendor, tmp_path, clock) as pump:
        await pump.polls(1)
        vendor.faults.push(Fault("error", COMPLETE, times=1, code="OPEN000012"))
        vendor.put("combine", *vendor.make("combine", 5))
        await pump.completed()
        assert pump.counted("lost batch") == 1
        assert pump.state == "up"
        vendor.faults.push(Fault("error", COMPLETE, times=3, code="OPEN000012"))
        vendor.put("combine", *vendor.make("combine", 5))
        await pump.until(lambda: pump.state == "down")
        assert "another client" in pump.reason
        await pump.until(lambda: pump.state == "up")
        await pump.completed()
        assert len(await pump.identities()) == 10


async def test_what_lasts_is_told_with_advice_and_a_short_failure_is_not(tmp_path: Path) -> None:
    clock = ManualClock()
    async with simulator(clock) as vendor, site(vendor, tmp_path, clock) as pump:
        await pump.polls(1)
        vendor.faults.push(Fault("status", MESSAGES, times=1, status=500))
        await pump.polls(3)
        assert pump.state == "up"
        vendor.faults.push(Fault("garbage", MESSAGES, times=6, body="html"))
        await pump.until(lambda: pump.state == "down")
        assert "login page" in pump.reason
        await pump.until(lambda: pump.state == "up")
        assert pump.counted("retry") == 7


async def test_the_first_failed_call_is_seen_at_once_and_several_are_an_outage(tmp_path: Path) -> None:
    clock = ManualClock()
    async with simulator(clock) as vendor, site(vendor, tmp_path, clock, queues=QUEUES[:2]) as pump:
        part = pump.intake.component
        await pump.until(
            lambda: pump.state == "up" and all(vendor.account.queues[one].subscribed for one in QUEUES[:2])
        )
        vendor.faults.push(Fault("status", "combine/v1/mq/messages", status=503, retry_after="2"))
        await pump.until(lambda: part.failing)
        assert part.failing is not None
        assert (part.state, part.failing.reason[:18]) == ("up", "combine: HTTP 503:")
        assert part.failing.since <= clock.now() < part.failing.again
        await pump.until(lambda: not part.failing)
        assert part.state == "up"
        await vendor.go_away()
        await pump.until(lambda: part.failing)
        await pump.until(lambda: pump.state == "down")
        assert part.failing is None
        assert "cannot be reached" in pump.reason
        await vendor.come_back()
        await pump.until(lambda: pump.state == "up")
        ups = [event async for event in _ups_and_downs(pump)]
        assert ups == ["pump.source.up", "pump.source.down", "pump.source.up"]


async def _ups_and_downs(pump: Site) -> AsyncIterator[str]:
    await pump.intake.flush()
    after = 0
    while batch := await pump.spool.read(after):
        for record in batch:
            if (type_ := orjson.loads(record.body)["type"]).startswith("pump.source."):
                yield type_
        after = batch[-1].seq


@pytest.mark.parametrize("retry_after", ["20", "Fri, 20 Nov 2026 08:01:00 GMT"])
async def test_retry_after_is_honoured(tmp_path: Path, retry_after: str) -> None:
    clock = ManualClock(datetime(2026, 11, 20, 8, 0, tzinfo=UTC))
    async with simulator(clock) as vendor, site(vendor, tmp_path, clock) as pump:
        await pump.polls(1)
        vendor.faults.push(Fault("status", MESSAGES, status=503, retry_after=retry_after))
        begin = clock.monotonic()
        await pump.until(lambda: not vendor.faults.waiting)
        hit = clock.monotonic()
        await pump.polls(1)
        wished = 20.0 if retry_after == "20" else 60.0 - begin
        assert clock.monotonic() - hit >= wished - 2.0


async def test_a_spool_that_refuses_completes_nothing_and_goes_on_by_itself(tmp_path: Path) -> None:
    clock = ManualClock()
    async with simulator(clock) as vendor, site(vendor, tmp_path, clock) as pump:
        await pump.polls(1)
        pump.intake.refusing = True
        vendor.put("combine", *vendor.make("combine", 30))
        await pump.polls(4)
        assert vendor.account.queues["combine"].completed == []
        assert vendor.account.times(COMPLETE) == []
        assert pump.state == "up", "the vendor is well"
        pump.intake.refusing = False
        await pump.completed()
        assert await pump.identities() == vendor.account.queues["combine"].put


@pytest.mark.parametrize("poison", ["wrong types", "not an object", "null", "surrogate", "huge number", "deep"])
async def test_a_poison_record_is_kept_and_the_others_flow(tmp_path: Path, poison: Any) -> None:
    clock = ManualClock()
    async with simulator(clock) as vendor, site(vendor, tmp_path, clock) as pump:
        await pump.polls(1)
        vendor.faults.push(Fault("poison", MESSAGES, poison=poison))
        vendor.put("combine", *vendor.make("combine", 40))
        await pump.completed()
        stored = await pump.events()
        assert len(stored) == 41
        count = Counter(event["data"]["vendor"] for event in stored)
        assert count["hik-connect"] >= 40
        vendor.faults.push(Fault("redeliver", MESSAGES, new_id=True))
        await pump.until(lambda: not vendor.faults.waiting)
        await pump.completed()
        assert len(await pump.events()) == 41, "redelivered, it is a duplicate"


async def test_a_batch_that_is_no_json_is_set_aside_whole_when_it_comes_again(tmp_path: Path) -> None:
    clock = ManualClock()
    async with simulator(clock) as vendor, site(vendor, tmp_path, clock) as pump:
        await pump.polls(1)
        vendor.put("combine", *vendor.make("combine", 3), b'{"eventId": oops}', *vendor.make("combine", 3))
        await pump.completed()
        (kept,) = await pump.events()
        assert kept["type"] == "pump.record.unparsed"
        assert '{"eventId": oops}' in kept["data"]["raw"]
        assert kept["data"]["raw"].count('"eventId"') == 7
        vendor.put("combine", *vendor.make("combine", 3))
        await pump.completed()
        assert len(await pump.events()) == 4


async def test_half_a_batch_is_never_completed(tmp_path: Path) -> None:
    clock = ManualClock()
    async with simulator(clock) as vendor, site(vendor, tmp_path, clock) as pump:
        await pump.polls(1)
        vendor.faults.push(Fault("garbage", MESSAGES, times=5, body="truncated"))
        await pump.until(lambda: not vendor.faults.waiting)
        await pump.polls(1)
        assert vendor.account.times(COMPLETE) == []
        assert await pump.events() == []


# -- stopped at awkward points ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "point", ["in put", "after put", "in complete", "complete took effect", "in messages", "in login"]
)
async def test_stopped_anywhere_nothing_is_lost_and_nothing_comes_twice(tmp_path: Path, point: str) -> None:
    clock = ManualClock()
    async with Simulator(clock=clock, app_key=APP_KEY, secret_key=SECRET_KEY) as vendor:
        async with site(vendor, tmp_path, clock) as pump:
            await pump.polls(1)
            queue = vendor.account.queues["combine"]
            calls = len(vendor.account.calls)
            faults = {
                "in complete": [Fault("hang", COMPLETE)],
                "complete took effect": [Fault("lost_answer", COMPLETE)],
                "in messages": [Fault("hang", MESSAGES)],
                "in login": [Fault("expired_token", MESSAGES), Fault("hang", LOGIN)],
            }.get(point, [])
            vendor.faults.push(*faults)
            vendor.put("combine", *vendor.make("combine", 30))
            reached: dict[str, Callable[[], object]] = {
                "in put": pump.intake.begun.is_set,
                "after put": pump.intake.ended.is_set,
                "complete took effect": lambda: queue.completed,
            }
            await pump.until(
                reached.get(point, lambda: len(vendor.account.calls) > calls and not vendor.faults.waiting)
            )
            await pump.stop()
            stored = await pump.identities()
            # What the vendor was told is on disk; the rest it still holds.
            assert set(queue.completed) <= set(stored)
            assert stored in ([], queue.put)
            if point in ("after put", "in complete", "complete took effect"):
                assert stored == queue.put
            if not queue.completed:  # after the put it may be under way already
                assert [entry.identity for batch in queue.out for entry in batch.entries] == queue.put or queue.waiting
            assert queue.subscribed
        vendor.faults.clear()
        async with site(vendor, tmp_path, clock) as pump:
            await pump.polls(1)
            await pump.completed()
            assert await pump.identities() == queue.put
        assert queue.subscriptions == 1
        assert vendor.account.logins == (2 if point == "in login" else 1)
        assert vendor.account.busiest_second() <= 5


async def test_a_new_run_of_the_same_source_goes_on_where_the_old_one_stood(tmp_path: Path) -> None:
    clock = ManualClock()
    async with simulator(clock) as vendor, site(vendor, tmp_path, clock) as pump:
        await pump.polls(2)
        for _ in range(3):
            await pump.stop()
            vendor.put("combine", *vendor.make("combine", 5))
            pump.task = asyncio.create_task(pump.source.run(pump.intake))
            await pump.completed()
        assert vendor.account.logins == vendor.account.queues["combine"].subscriptions == 1
