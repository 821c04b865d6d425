"""Commands by the real desk, against the simulated platform: each verb, each way to end, at most one action each."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from pump.commands.contract import CommandResult, NotTaken, Request
from pump.config.model import CommandSettings
from pump.core.clock import Clock
from pump.ingest.intake import Intake
from pump.ops.commands.desk import CommandDesk
from pump.telemetry.health import Health
from pump.testing import ManualClock
from pump.vendors.kinot.pace import Pace
from pump.vendors.kinot.simulator.server import Fault
from tests.unit.vendors.kinot.site import Site, kinot_site, vendor

LOCK, SENSOR = 419631107, 419635202
CODE = "61518-59257-29505-55487-10411-15740"
LOCK_VALUES = {"raise": 2, "lower": 3}


@asynccontextmanager
async def desk(folder: Path, clock: Clock | None = None, **settings: Any) -> AsyncIterator[tuple[Site, CommandDesk]]:
    """A site that has read its devices, with a desk where the socket may do everything."""
    clock = clock or Clock()
    async with (
        vendor(clock, bays=6) as kinot,
        kinot_site(folder, clock=clock, kinot=kinot, **{"lock_values": LOCK_VALUES, **settings}) as site,
    ):
        await site.until(lambda: site.state == "up")
        everything = {"grants": [{"callers": ["socket"], "verbs": ["*"], "targets": ["*"]}], "per_minute": 600}
        own = Intake("pump", spool=site.spool, site="north", clock=clock, metrics=site.metrics, health=Health(clock))
        there = CommandDesk(
            CommandSettings.model_validate_json(json.dumps(everything)), {"bays": site.source}, {"bays": site.intake},
            own, clock=clock, metrics=site.metrics,
        )  # fmt: skip
        running = asyncio.create_task(there.run())
        try:
            yield site, there
        finally:
            running.cancel()
            await asyncio.wait({running})
            await there.close()


async def ends(there: CommandDesk, target: str, verb: str, **more: Any) -> CommandResult:
    return await (await there.ask(Request(target, verb, **more), "socket")).result


VERBS = [
    (f"lock/{LOCK}", "lock.reset-code", "reset code"),
    (f"lock/{LOCK}", "lock.raise", "raise"),
    (f"lock/{LOCK}", "lock.lower", "lower"),
    (f"sensor/{SENSOR}", "sensor.activate", "activate"),
    (f"sensor/{SENSOR}", "sensor.freeze", "freeze"),
]


@pytest.mark.parametrize(("target", "verb", "did"), VERBS)
@pytest.mark.parametrize("callbacks", [True, False])
async def test_each_verb_is_done_once_and_known_by_callback_or_by_asking(
    tmp_path: Path, target: str, verb: str, did: str, *, callbacks: bool
) -> None:
    async with desk(tmp_path, register_callbacks=callbacks) as (site, there):
        site.kinot.orders.lock_values = {2: "raise", 3: "lower"}
        result = await ends(there, target, verb)
        assert (result.status, result.reason) == ("done", "")
        assert [action.did for action in site.kinot.actions] == [did]
        (order,) = site.kinot.orders.orders.values()
        assert result.facts == {"guid": order.guid}
        posted = [call.body for call in site.kinot.asked if (call.method, call.outcome) == ("POST", "0")]
        assert posted[-1]["parameter"]["key"] == "handle"
        if callbacks:
            await site.settled()
            told = [event["data"]["command"] for event in await site.events("command.result")]
            assert [one["status"] for one in told if one["request_id"] == order.guid] == [
                "pending", "arrived", "succeeded",
            ]  # fmt: skip
        assert CODE not in json.dumps(await site.events())


async def test_what_a_device_cannot_do_is_failed_with_its_reason_and_no_code_in_it(tmp_path: Path) -> None:
    async with desk(tmp_path) as (site, there):
        site.kinot.orders.fails = f"bt_match_code: {CODE} is in use"
        result = await ends(there, f"lock/{LOCK}", "lock.reset-code")
        assert result.status == "failed"
        assert not result.reason or "in use" in result.reason  # who asked before the callback came has learnt no reason
        assert CODE not in result.reason
        await site.settled()
        told = await site.events()
        assert "in use" in json.dumps(told)
        assert CODE not in json.dumps(told)
        assert site.kinot.actions == []


@pytest.mark.parametrize(
    ("fault", "status", "actions"),
    [
        (Fault("lost", "commands"), "unknown", 1),
        (Fault("drop", "commands"), "unknown", 0),
        (Fault("garbage", "commands"), "unknown", 0),
        (Fault("status", "commands", status=503), "unknown", 0),
        (Fault("code", "commands", code=10000), "unknown", 0),
        (Fault("code", "commands", code=10012), "refused", 0),
        (Fault("status", "commands", status=403, message="Throttled by USER Flow Control"), "failed", 0),
        (Fault("status", "commands", status=403, message="Unauthorized"), "refused", 0),
    ],
    ids=lambda value: f"{value.kind} {value.code} {value.status}" if isinstance(value, Fault) else str(value),
)
async def test_nothing_is_sent_again_whatever_becomes_of_the_call(
    tmp_path: Path, fault: Fault, status: str, actions: int
) -> None:
    async with desk(tmp_path) as (site, there):
        site.kinot.faults.append(fault)
        assert (await ends(there, f"sensor/{SENSOR}", "sensor.freeze")).status == status
        await site.settled()
        assert len(site.kinot.actions) == actions
        assert sum((call.method, call.target) == ("POST", "/open/lora/v1/commands") for call in site.kinot.asked) == 1


async def test_a_platform_that_cannot_be_reached_was_sent_nothing(tmp_path: Path) -> None:
    async with desk(tmp_path) as (site, there):
        await site.kinot.go_away()
        assert (await ends(there, f"sensor/{SENSOR}", "sensor.freeze")).status == "failed"


async def test_a_device_that_never_says_so_is_a_time_out(tmp_path: Path) -> None:
    clock = ManualClock()
    async with desk(tmp_path, clock) as (site, there):
        site.kinot.orders.silent = True
        ticket = await there.ask(Request(f"sensor/{SENSOR}", "sensor.freeze", expires=5), "socket")
        ended = asyncio.ensure_future(ticket.result)
        await site.until(ended.done)
        assert ended.result().status == "timed-out"
        assert len(site.kinot.actions) == 1
        assert site.source._commands._waiting == set()


async def test_commands_go_before_what_asks_and_wait_for_no_poll_that_hangs(tmp_path: Path) -> None:
    clock = ManualClock()
    pace = Pace(clock, interval=2.0)
    order: list[str] = []

    async def call(name: str, lane: Any) -> None:
        async with pace.turn(lane):
            order.append(name)

    async with pace.turn("poll"):
        poll = asyncio.create_task(call("hangs behind", "poll"))
        ask = asyncio.create_task(call("ask", "ask"))
        await clock.sleeping(1)
        commands = [asyncio.create_task(call(name, "command")) for name in ("first", "second")]
        await clock.sleeping(3)
        await clock.run(4.0)
        await asyncio.gather(*commands)
        assert order == ["first", "second"]
    await clock.run(8.0)
    await asyncio.gather(poll, ask)
    assert sorted(order[2:]) == ["ask", "hangs behind"]


async def test_an_unsigned_callback_ends_nothing_but_has_it_asked(tmp_path: Path) -> None:
    clock = ManualClock()
    async with desk(tmp_path, clock, accept_unsigned=True) as (site, there):
        site.kinot.orders.silent = True
        ticket = await there.ask(Request(f"sensor/{SENSOR}", "sensor.freeze", expires=60), "socket")
        ended = asyncio.ensure_future(ticket.result)
        await site.until(lambda: site.kinot.actions and not site.kinot.platform.open)
        (order,) = site.kinot.orders.orders.values()
        asked = len(site.kinot.asked)
        forged = {"guid": order.guid, "sn": SENSOR, "commnad_status": "succeeded", "device_type": 34}
        assert (await site.post("/command", json.dumps(forged)))[0] == 200
        await site.until(lambda: len(site.kinot.asked) > asked)
        assert not ended.done()
        order.state = "succeeded"
        await site.until(ended.done)
        assert ended.result().status == "done"


async def test_targets_are_what_was_seen_and_what_the_configuration_names(tmp_path: Path) -> None:
    bays = {str(SENSOR): {"space": "B12"}, "77": {"space": "C1"}}
    async with desk(tmp_path, bays=bays, lock_values={}) as (site, there):
        found = {target.subject: (target.name, set(target.verbs)) for _, target in there.targets()}
        assert found[f"sensor/{SENSOR}"] == ("B12", {"sensor.activate", "sensor.freeze"})
        assert found[f"lock/{LOCK}"] == (None, {"lock.reset-code"})
        assert len(found) == 6
        for target, verb in ((f"sensor/{LOCK}", "sensor.freeze"), (f"lock/{LOCK}", "lock.raise"),
                             ("lock/78", "lock.reset-code"), ("gateway/77", "sensor.freeze")):  # fmt: skip
            with pytest.raises(NotTaken):
                await ends(there, target, verb)
        # value 1 activates a sensor and resets a lock's code: what was never seen is looked up before
        result = await ends(there, "sensor/77", "sensor.activate")
        assert (result.status, result.reason) == ("refused", "Kinot has no sensor of this number")
        assert site.kinot.actions == []


async def test_a_stop_leaves_no_command_waiting(tmp_path: Path) -> None:
    async with desk(tmp_path) as (site, there):
        site.kinot.orders.silent = True
        ticket = await there.ask(Request(f"sensor/{SENSOR}", "sensor.freeze"), "socket")
        await site.until(lambda: site.kinot.actions)
        await there.close()
        assert (await ticket.result).status == "unknown"
        assert site.source._commands._waiting == set()
