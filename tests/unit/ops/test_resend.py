"""Dead letters tried again and replays, through a real spool and a real delivery."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import nats
import pytest

from pump.core.clock import Clock
from pump.core.errors import Refusal, Rejected, Unavailable
from pump.delivery.delivery import Delivery
from pump.delivery.sender import TRIES
from pump.ops.resend import Resend
from pump.sink import Sink
from pump.sinks.common.event_key import name_of
from pump.sinks.jsonl.sink import JsonlSettings, JsonlSink
from pump.sinks.nats.sink import NatsSettings, NatsSink
from pump.testing.brokers import NatsServer
from pump.testing.sinks import ScriptedSinks
from tests.unit.delivery.test_delivery import Stage, run, running


class Told(list[dict[str, Any]]):
    async def __call__(self, progress: Mapping[str, Any]) -> None:
        self.append(dict(progress))


def resend(on: Stage, *deliveries: Delivery) -> Resend:
    return Resend(on.spool, {delivery.name: delivery for delivery in deliveries}, on.clock, on.metrics)


async def test_a_replay_sends_again_and_leaves_the_cursor_alone(tmp_path: Path) -> None:
    async def test(on: Stage) -> None:
        sinks, told = ScriptedSinks(), Told()
        await on.put(250)
        await on.put(50, type_="parking.occupied")
        delivery = on.delivery(sinks, exclude_types=["*.unknown"])
        async with running(delivery):
            await sinks.arrived(300)
            before = on.spool.cursor("out")
            done = await resend(on, delivery).replay({"sink": "out", "types": ["vehicle.*"], "rate": 1e6}, told)
            assert done == {"looked": 300, "sent": 250, "refused": 0}
            assert sinks.sequence == [*range(1, 301), *range(1, 251)]
            cursor = on.spool.cursor("out")
            assert cursor is not None
            assert before is not None
            assert cursor.seq == before.seq == 300
            assert told[-1] == {"looked": 300, "of": 300, "sent": 250, "refused": 0}
            await on.put(5)
            await sinks.arrived(555)
            assert sinks.sequence[-5:] == list(range(301, 306))
        assert on.value("pump_resent_total", sink="out", what="replay") == 250
        assert on.value("pump_sent_total", sink="out") == 305

    await run(tmp_path, test)


async def test_a_replay_survives_a_peer_that_goes_away_and_one_that_refuses(tmp_path: Path) -> None:
    async def test(on: Stage) -> None:
        sinks = ScriptedSinks([None, Unavailable("away", done=(1, 2, 3), retry_after=0.0), Rejected({7: "HTTP 400"})])
        await on.put(10)
        delivery = on.delivery(sinks)
        async with running(delivery):
            await sinks.arrived(10)
            done = await resend(on, delivery).replay({"sink": "out", "rate": 1e6}, Told())
        assert done == {"looked": 10, "sent": 9, "refused": 1}
        assert sinks.sequence == [*range(1, 11), 1, 2, 3, 4, 5, 6, 8, 9, 10]
        [letter] = await on.spool.dead_letters.read()
        assert (letter.record.seq, letter.reason) == (7, "HTTP 400")

    await run(tmp_path, test)


async def test_what_the_peer_never_takes_is_given_up_and_the_sinks_own_stream_goes_on(tmp_path: Path) -> None:
    async def test(on: Stage) -> None:
        never = [Unavailable("HTTP 500", retry_after=0.0)] * TRIES
        sinks = ScriptedSinks([Rejected({2: "HTTP 400"}), *never])
        await on.put(3)
        delivery = on.delivery(sinks)
        async with running(delivery):
            await sinks.arrived(2)
            while on.spool.dead_letters.counts.get("out") != 1:  # stored after the peer's word
                await asyncio.sleep(0.01)
            asked = asyncio.create_task(resend(on, delivery).retry({"sink": "out"}, Told()))
            await sinks.called(2)
            await on.put(2)
            with pytest.raises(Refusal, match=f"given up after {TRIES} tries: HTTP 500; 0 were delivered before"):
                await asked
            await sinks.arrived(4)
        assert sinks.sequence == [1, 3, 4, 5]
        assert sinks.batches[1 : 1 + TRIES] == [[2]] * TRIES
        [letter] = await on.spool.dead_letters.read()
        assert (letter.record.seq, letter.reason) == (2, "HTTP 400")

    await run(tmp_path, test)


async def test_a_replay_keeps_to_its_time_and_to_its_rate(tmp_path: Path) -> None:
    class Watch(Clock):
        slept = 0.0

        async def sleep(self, seconds: float) -> None:
            self.slept += seconds
            await asyncio.sleep(0)

        def monotonic(self) -> float:
            return self.slept

    async def test(on: Stage) -> None:
        sinks = ScriptedSinks()
        await on.put(300)
        delivery = on.delivery(sinks)
        async with running(delivery):
            await sinks.arrived(300)
            watch = Watch()
            again = replace(resend(on, delivery), clock=watch)
            stored = await on.spool.read(0, limit=300)
            since, until = stored[0].recorded, stored[-1].recorded + 1
            result = await again.replay({"sink": "out", "since": since, "until": until, "rate": 10}, Told())
            assert result["sent"] == 300
            assert watch.slept >= 29
            assert (await again.replay({"sink": "out", "since": until}, Told()))["sent"] == 0
            assert (await again.replay({"sink": "out", "until": since}, Told()))["sent"] == 0

    await run(tmp_path, test)


async def test_a_replay_into_lines_moves_no_cursor_and_tears_nothing(tmp_path: Path) -> None:
    async def test(on: Stage) -> None:
        path = tmp_path / "out.jsonl"
        delivery = on.delivery(JsonlSink)
        delivery.settings = JsonlSettings(type="jsonl", path=str(path), fsync="interval", fsync_interval="1ms")  # type: ignore[arg-type]
        await on.put(20)
        async with running(delivery):
            await delivery.resend_queue.deliver(await on.spool.read(5, limit=3))
            await on.put(5)
        delivery.stop()
        await delivery.run()  # a cancellation would have the grace of a moment to settle what the file has
        cursor = on.spool.cursor("out")
        assert cursor is not None
        assert cursor.seq == 25
        lines = path.read_bytes().splitlines()
        assert len(lines) >= 28
        assert set(lines) == {record.body for record in await on.spool.read(0)}

    await run(tmp_path / "spool", test)


@pytest.mark.skipif(NatsServer.found() is None, reason="nats-server is not installed")
async def test_a_replay_into_a_stream_that_knows_the_ids_says_so_and_with_fresh_ones_is_stored(tmp_path: Path) -> None:
    async def test(on: Stage) -> None:
        async with NatsServer(tmp_path / "server") as server:
            delivery = on.delivery(NatsSink)
            delivery.settings = NatsSettings.model_validate({"type": "nats", "servers": server.url})
            await on.put(20)
            async with running(delivery):
                while on.value("pump_sent_total", sink="out") < 20:
                    await asyncio.sleep(0.01)
                client = await nats.connect(server.url)
                stream = client.jetstream()
                await stream.purge_stream("pump-testing")
                again, told = resend(on, delivery), Told()
                done = await again.replay({"sink": "out", "rate": 1e6}, told)
                assert done == {"looked": 20, "sent": 20, "refused": 0, "duplicates": 20}
                assert told[-1]["duplicates"] == 20
                assert (await stream.stream_info("pump-testing")).state.messages == 0
                assert on.value("pump_sink_duplicates_total", sink="out") == 20
                for times in (1, 2):
                    fresh = await again.replay({"sink": "out", "rate": 1e6, "fresh_ids": True}, Told())
                    assert fresh == {"looked": 20, "sent": 20, "refused": 0}
                    assert (await stream.stream_info("pump-testing")).state.messages == 20 * times
                await on.put(1)  # the sink's own stream goes on under its usual ids
                while on.value("pump_sent_total", sink="out") < 21:
                    await asyncio.sleep(0.01)
                last = await stream.get_last_msg("pump-testing", "pump.testing.>")
                [newest] = await on.spool.read(20)
                assert (last.headers or {})["Nats-Msg-Id"] == name_of(newest.body)
                await client.close()

    await run(tmp_path, test)


async def test_what_an_attempt_of_the_replay_itself_has_sent_is_no_repeat(tmp_path: Path) -> None:
    class Forgetful(ScriptedSinks):
        """The first batch's acknowledgements are lost, so that the second attempt finds all of it there."""

        def __call__(self, *args: Any, **more: Any) -> Sink[Any]:
            sink = super().__call__(*args, **more)
            send = sink.send

            async def sending(batch: Any) -> Any:
                sink.duplicates = len(batch) if self.batches else 0
                return await send(batch)

            sink.send = sending  # type: ignore[method-assign]
            return sink

    async def test(on: Stage) -> None:
        sinks = Forgetful([Unavailable("no answer", retry_after=0.0)])
        await on.put(5)
        delivery = on.delivery(sinks, start="now")
        async with running(delivery):
            while on.spool.cursor("out") is None:
                await asyncio.sleep(0.01)
            outcome = await delivery.resend_queue.deliver(await on.spool.read(0))
        assert (outcome.sent, outcome.duplicates) == (5, 0)
        assert on.value("pump_sink_duplicates_total", sink="out") == 5

    await run(tmp_path, test)


async def test_a_sink_that_names_no_events_has_no_fresh_ids(tmp_path: Path) -> None:
    async def test(on: Stage) -> None:
        delivery = on.delivery(JsonlSink)
        with pytest.raises(Refusal, match="the sink out gives its receiver no ids that could be fresh"):
            await resend(on, delivery).replay({"sink": "out", "fresh_ids": True}, Told())

    await run(tmp_path, test)


async def test_dead_letters_are_sent_again_and_removed(tmp_path: Path) -> None:
    async def test(on: Stage) -> None:
        refuse = Rejected({2: "HTTP 400", 4: "HTTP 422"})
        sinks = ScriptedSinks([refuse, Rejected({4: "HTTP 400"})])
        await on.put(5)
        delivery = on.delivery(sinks)
        async with running(delivery):
            await sinks.arrived(3)
            while on.spool.dead_letters.counts.get("out") != 2:  # stored after the peer's word
                await asyncio.sleep(0.01)
            assert {letter.record.seq: letter.reason for letter in await on.spool.dead_letters.read()} == refuse.reasons
            told = Told()
            again = resend(on, delivery)
            assert await again.retry({"sink": "out"}, told) == {"sent": 1, "refused": 1, "left": []}
            assert told == [{"sent": 1, "refused": 1}]
            [letter] = await on.spool.dead_letters.read()
            assert (letter.record.seq, letter.reason, letter.attempts) == (4, "HTTP 400", 2)
            assert sinks.sequence == [1, 3, 5, 2]
            await on.spool.dead_letters.add("gone", [letter.record], "HTTP 400", 1)
            assert await again.retry({"all": True}, told) == {"sent": 1, "refused": 0, "left": ["gone"]}
            assert await again.drop({"sink": "gone"}, told) == {"dropped": 1}
            assert await on.spool.dead_letters.read() == []
            assert on.spool.dead_letters.counts == {"out": 0, "gone": 0}
            cursor = on.spool.cursor("out")
            assert cursor is not None
            assert cursor.seq == 5

    await run(tmp_path, test)


async def test_masked_events_are_buried_whole_and_masked_once_when_tried_again(tmp_path: Path) -> None:
    async def test(on: Stage) -> None:
        sinks = ScriptedSinks([Rejected([1], "HTTP 400")])
        await on.put(1)
        delivery = on.delivery(sinks, mask=["data.vehicle.plate"])
        async with running(delivery):
            while not on.spool.dead_letters.counts.get("out"):
                await asyncio.sleep(0.01)
            [letter] = await on.spool.dead_letters.read()
            assert b"P000001" in letter.record.body
            await resend(on, delivery).retry({"all": True}, Told())
        [seen] = sinks.received
        assert b"P000001" not in seen.body
        assert b'"***"' in seen.body

    await run(tmp_path, test)


async def test_a_sink_that_stops_gives_errands_back(tmp_path: Path) -> None:
    async def test(on: Stage) -> None:
        sinks = ScriptedSinks([None, Unavailable("away", done=(1,))])
        await on.put(3)
        delivery = on.delivery(sinks)
        async with running(delivery):
            await sinks.arrived(3)
            asking = asyncio.create_task(resend(on, delivery).replay({"sink": "out"}, Told()))
            await sinks.called(2)
            delivery.stop()
            with pytest.raises(Refusal):
                await asking
            with pytest.raises(Unavailable):
                await delivery.resend_queue.deliver(await on.spool.read(0))
        assert sinks.sequence == [1, 2, 3, 1]

    await run(tmp_path, test)


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        ("replay", {}),
        ("replay", {"sink": "nobody"}),
        ("replay", {"sink": "out", "since": "yesterday"}),
        ("replay", {"sink": "out", "types": "vehicle.*"}),
        ("replay", {"sink": "out", "rate": 0}),
        ("retry", {}),
        ("drop", {"ids": ["1"]}),
        ("drop", {"all": 1}),
    ],
)
async def test_what_cannot_be_meant_is_refused(tmp_path: Path, command: str, arguments: dict[str, Any]) -> None:
    async def test(on: Stage) -> None:
        with pytest.raises(Refusal):
            await getattr(resend(on, on.delivery(ScriptedSinks())), command)(arguments, Told())

    await run(tmp_path, test)
