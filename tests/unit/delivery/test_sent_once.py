"""What a receiver has taken is not sent again, whatever fails around it and however often the pump is restarted."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from pathlib import Path

import pytest
from aiohttp import web

from pump.core.clock import Clock
from pump.delivery.cursor import Surroundings
from pump.delivery.delivery import Delivery
from pump.sinks.webhook.settings import WebhookSettings
from pump.sinks.webhook.sink import WebhookSink
from pump.telemetry.health import Component
from pump.testing.receiver import Received, Receiver
from tests.unit.delivery.test_delivery import Stage, stage

EVENTS = 60
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


class Hasty(Clock):
    """Waits a moment where a minute was wanted; time itself passes as ever."""

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(min(seconds, 0.002))


class Moody:
    """A receiver's answers, drawn by chance; the numbers of each request that it took."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.taken: Counter[int] = Counter()
        self.refused: set[int] = set()
        self.calm = False

    def __call__(self, received: Received) -> web.Response | None:
        drawn = 1.0 if self.calm else self.rng.random()
        if drawn < 0.25:
            return web.Response(status=503, headers={"Retry-After": "0"} if drawn < 0.1 else {})
        if drawn < 0.32:
            return web.Response(status=500)
        if drawn < 0.36:
            return web.Response(status=401)
        if drawn < 0.38:
            return web.Response(status=410)
        if drawn < 0.45:
            self.refused.update(received.numbers)
            return web.Response(status=400)
        self.taken.update(received.numbers)
        return None


def delivery(on: Stage, url: str, batch_size: int) -> Delivery:
    table = {"type": "webhook", "url": url, "secret": SECRET, "allow_private": True, "batch_size": batch_size}
    settings = WebhookSettings.model_validate({**table, "start": "oldest", "max_age": "1d"})
    around = Surroundings(on.spool, on.clock, on.metrics, "testing", on._on_lost)
    return Delivery(around, WebhookSink, "hook", settings, Component("sink hook", on.clock))


async def life(on: Stage, one: Delivery, moody: Moody) -> bool:
    """One run of the sink, ended by a stop at a moment of its own; whether everything is delivered."""
    task = asyncio.create_task(one.run(), name="delivery")
    for _ in range(moody.rng.randrange(400)):
        await asyncio.sleep(0)
        if one.shutoff.reason:
            await one.shutoff.turn_on()
        if one.position == on.spool.head:
            break
    one.stop()
    await asyncio.wait_for(task, 30)
    return one.position == on.spool.head


@pytest.mark.parametrize("seed", [*range(16), *(pytest.param(seed, marks=pytest.mark.long) for seed in range(16, 200))])
async def test_no_event_comes_again_that_the_receiver_said_it_has(tmp_path: Path, seed: int) -> None:
    moody = Moody(random.Random(seed))
    batch_size = moody.rng.choice([1, 2, 7, 20])
    async with Receiver() as receiver:
        receiver.reply = moody
        first, cursor = True, -1
        done = False
        for turn in range(400):
            moody.calm = turn > 40
            async with stage(tmp_path, Hasty()) as on:
                if first:
                    on.spool.set_cursor("hook", 0, None)
                    await on.put(EVENTS)
                    first = False
                done = await life(on, delivery(on, receiver.url, batch_size), moody)
                stored = on.spool.cursor("hook")
                assert stored is not None
                assert stored.seq >= cursor, "a cursor never moves back"
                cursor = stored.seq
                letters = {letter.record.seq for letter in await on.spool.dead_letters.read()}
            if done:
                break
        assert done
        assert {number: count for number, count in moody.taken.items() if count > 1} == {}
        assert moody.taken.keys() | letters == set(range(1, EVENTS + 1))
        assert letters <= moody.refused
