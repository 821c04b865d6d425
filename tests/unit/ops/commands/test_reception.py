"""Messages that ask for commands: judged by their age and form, counted, answered, ended."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest

from pump.commands.ways import LONGEST, Asking, Order
from pump.core.clock import Clock
from pump.core.errors import Misconfigured, Unavailable
from pump.ops.commands.reception import AT_ONCE, MessageReception
from pump.testing import ManualClock
from tests.unit.ops.commands.site import Site, site
from tests.unit.ops.commands.ways import granted

OPEN = b'{"verb": "gate.open"}'


class Messages:
    """A transport's side: what it hands over, and the answers that it got."""

    def __init__(self, there: Site) -> None:
        self.site = there
        self.reception = MessageReception("out", there.desk, clock=there.clock, metrics=there.metrics)
        self.answers: list[dict[str, Any]] = []
        self.news = asyncio.Event()

    async def answer(self, payload: bytes) -> None:
        self.answers.append(orjson.loads(payload))
        self.news.set()

    def take(self, payload: bytes = OPEN, target: str = "gate/obeys", **more: Any) -> None:
        asking = {"caller": f"mqtt:c/{target}", "target": target, "answer": self.answer, **more}
        self.reception.take(Asking(payload=payload, **asking))

    async def said(self, number: int = 1) -> list[dict[str, Any]]:
        """The first answers."""
        while len(self.answers) < number:
            self.news.clear()
            await asyncio.wait_for(self.news.wait(), 60)
        return self.answers

    def counted(self, name: str, **labels: str) -> float:
        return self.site.metrics.registry.get_sample_value(name, {"sink": "out", **labels}) or 0.0


@asynccontextmanager
async def messages(folder: Path, clock: Clock | None = None, **more: Any) -> AsyncIterator[Messages]:
    async with site(folder, clock or Clock(), granted("mqtt", **more)) as there:
        found = Messages(there)
        try:
            yield found
        finally:
            await found.reception.close(0.0)


async def test_who_asks_hears_that_it_was_taken_and_what_became_of_it(tmp_path: Path) -> None:
    async with messages(tmp_path) as there:
        there.take(progress=True)
        taken, done = await there.said(2)
        assert taken == {"request_id": done["request_id"], "status": "under way"}
        assert done["status"] == "done"
        assert there.counted("pump_command_messages_total", outcome="taken") == 1
        (asked, _) = await there.site.events()
        assert asked["data"]["command"]["caller"] == "mqtt:c/gate/obeys"


async def test_an_order_of_the_transports_words_is_a_command_too(tmp_path: Path) -> None:
    async with messages(tmp_path) as there:
        there.take(b"SHOW", order=Order("display.show", {"text": "Welcome"}))
        assert (await there.said())[0]["status"] == "done"
        assert there.site.gates.did == [("gate/obeys", "display.show", {"text": "Welcome"})]


@pytest.mark.parametrize(
    "payload",
    [
        b"", b"{", b"[]", b"null", b"{}", b'{"verb": 3}', b'{"verb": "gate.open", "caller": "socket"}',
        b'{"verb": "gate.open", "expires": "soon"}', b'{"verb": "gate.open", "expires": 0}',
        b'{"verb": "gate.open", "expires": 1e999}', b'{"verb": "gate.open", "time": "yesterday"}',
        b'{"verb": "gate.open", "time": "2030-01-31T08:00:00"}', b'{"verb": "gate.open", "time": 1795161600}',
        b'{"verb": "gate.open", "id": 7}', b'{"verb": "gate.open", "id": "a", "key": "b"}',
        b'{"verb": "gate.open", "target": "gate/refuses"}', b'{"verb": "gate.open", "arguments": [1]}',
        b'{"verb": "gate.open", "source": []}', b"\xff\xfe", b"[" * 10_000, b" " * LONGEST + OPEN,
    ],
)  # fmt: skip
async def test_what_is_no_command_is_refused_and_counted(tmp_path: Path, payload: bytes) -> None:
    async with messages(tmp_path) as there:
        there.take(payload)
        (refused,) = await there.said()
        assert refused["status"] == "refused"
        assert there.counted("pump_command_messages_total", outcome="malformed") == 1
        assert await there.site.events() == []
        assert there.site.gates.did == []


@pytest.mark.parametrize(
    ("age", "expires", "status"),
    [(0, None, "done"), (9, None, "done"), (11, None, "refused"), (11, 20, "done"), (-4, 1, "done"), (-6, 1, "refused"),
     (86_400, 300, "refused"), (-86_400, 300, "refused")],
)  # fmt: skip
async def test_a_message_counts_its_expiry_from_its_own_time(
    tmp_path: Path, age: float, expires: float | None, status: str
) -> None:
    async with messages(tmp_path, ManualClock()) as there:
        sent = (there.site.clock.now() - timedelta(seconds=age)).isoformat()
        there.take(orjson.dumps({"verb": "gate.open", "expires": expires, "time": sent}))
        there.take(orjson.dumps({"verb": "gate.open", "expires": expires}), sent=sent)
        assert [one["status"] for one in await there.said(2)] == [status, status]
        assert len(there.site.gates.did) == (2 if status == "done" else 0)
        if status == "refused":
            assert await there.site.statuses() == ["refused", "refused"]
            assert there.counted("pump_command_messages_total", outcome="stale") == 2


@pytest.mark.parametrize("within", [0.0, -1.0])
async def test_a_message_whose_time_was_over_when_it_came_is_refused(tmp_path: Path, within: float) -> None:
    async with messages(tmp_path) as there:
        there.take(within=within)
        assert (await there.said())[0]["status"] == "refused"
        assert await there.site.statuses() == ["refused"]


async def test_what_the_transport_grants_is_the_commands_expiry_where_that_is_sooner(tmp_path: Path) -> None:
    clock = ManualClock()
    async with messages(tmp_path, clock) as there:
        there.take(b'{"verb": "gate.open", "expires": 60}', "gate/waits", within=2.0, progress=True)
        await there.said()
        await clock.sleeping(1)
        await clock.run(5.5)
        there.site.gates.go_on.set()
        assert (await there.said(2))[1]["status"] == "expired"
        assert there.site.gates.did == []


async def test_what_the_transport_knows_to_be_stale_is_refused_with_an_event(tmp_path: Path) -> None:
    async with messages(tmp_path) as there:
        there.take(stale="it is a retained message")
        assert (await there.said())[0]["reason"] == "it is a retained message"
        (event,) = await there.site.events()
        assert event["data"]["command"]["reason"] == "it is a retained message"
        assert there.site.gates.did == []


async def test_one_name_is_one_command(tmp_path: Path) -> None:
    async with messages(tmp_path) as there:
        for _ in range(3):
            there.take(key="packet-7")
        there.take(b'{"verb": "gate.open", "id": "mine"}', key="packet-8")
        there.take(b'{"verb": "gate.open", "key": "mine"}', key="packet-9")
        answers = await there.said(5)
        assert len({one["request_id"] for one in answers}) == 2
        assert len(there.site.gates.did) == 2


async def test_a_flood_is_refused_and_no_topic_makes_a_flood_of_events(tmp_path: Path) -> None:
    async with messages(tmp_path, ManualClock()) as there:
        for number in range(1000):
            there.take(target=f"gate/{number}", caller=f"mqtt:x/{number}")
            if number % 100 == 99:
                await there.said(number + 1)
        assert len(await there.site.events()) == 60  # a minute's worth, of all topics together
        assert there.counted("pump_command_messages_total", outcome="too many") == 700
        assert there.counted("pump_command_messages_total", outcome="no target") == 300


async def test_what_comes_beyond_all_bounds_is_counted_alone(tmp_path: Path) -> None:
    async with messages(tmp_path) as there:
        for _ in range(2 * AT_ONCE + 5):  # without a pass of the event loop none of them ends
            there.take()
        assert there.counted("pump_command_answers_lost_total") == 5
        assert there.counted("pump_command_messages_total", outcome="too many") == 5


@pytest.mark.parametrize("error", [Unavailable("away"), Misconfigured("not permitted"), RuntimeError("a bug")])
async def test_an_answer_that_cannot_be_delivered_is_counted_and_the_command_goes_on(
    tmp_path: Path, error: Exception
) -> None:
    async def answer(payload: bytes) -> None:
        raise error

    async with messages(tmp_path) as there:
        there.take(answer=answer, progress=True)
        while (await there.site.statuses())[-1:] != ["done"]:
            await asyncio.sleep(0.01)  # the condition is what another task writes
        while there.counted("pump_command_answers_lost_total") != 2:
            await asyncio.sleep(0)
        assert len(there.site.gates.did) == 1


async def test_an_answer_that_hangs_is_given_up(tmp_path: Path) -> None:
    answering = asyncio.Event()

    async def answer(payload: bytes) -> None:
        answering.set()
        await asyncio.Event().wait()

    clock = ManualClock()
    async with messages(tmp_path, clock) as there:
        there.take(answer=answer)
        await answering.wait()
        await clock.sleeping(1)
        await clock.run(16.0)
        while there.counted("pump_command_answers_lost_total") != 1:
            await asyncio.sleep(0)


async def test_a_close_waits_for_answers_and_ends_what_hangs(tmp_path: Path) -> None:
    async with messages(tmp_path) as there:
        there.take()
        there.take(target="gate/silent")
        await there.said()
        await there.site.desk.close()
        await there.reception.close(60.0)
        assert sorted(one["status"] for one in there.answers) == ["done", "unknown"]
