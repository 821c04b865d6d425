"""Commands by the real desk against the simulated account: each verb, each way to end, at most one action each."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pump.commands.contract import CommandResult, NotTaken, Request
from pump.config.model import CommandSettings
from pump.core.clock import Clock
from pump.core.event import Event
from pump.ingest.intake import Intake
from pump.ops.commands.desk import CommandDesk
from pump.telemetry.health import Health
from pump.testing import ManualClock
from pump.vendors.hik_connect.commands.sender import MOST, Commands
from pump.vendors.hik_connect.limiter import COMMAND, Limiter
from pump.vendors.hik_connect.simulator.server import Fault, Simulator
from tests.unit.vendors.hik_connect.test_source import APP_KEY, SECRET_KEY, Site, site

NAMES = {"door/d1": {"name": "Front"}, "output/o1": {"name": "Lamp"}, "door/stuck": {"name": "Back"}}


def heard(subject: str, **data: Any) -> Event:
    return Event("any", subject, data, None, subject)


CALLING = heard("door/d1", phase="start", intercom={"call_id": "c1", "user": "u1"})
CAMERA = heard("camera/k1", phase="pulse", device={"serial": "F1"}, place={"channel": "Yard"})


@asynccontextmanager
async def desk(folder: Path) -> AsyncIterator[tuple[Simulator, Site, CommandDesk]]:
    """A source that runs, with a desk where the socket may do everything."""
    clock = Clock()
    async with (
        Simulator(clock=clock, app_key=APP_KEY, secret_key=SECRET_KEY, rate_limit=None) as vendor,
        site(vendor, folder, clock, names=NAMES, queues=["rawmsg"], timeout="5s") as there,
    ):
        vendor.doings.stuck["stuck"] = "VMS000003"
        await there.until(lambda: there.state == "up")
        there.source._commands.seen([CALLING, CAMERA])
        everything = {"grants": [{"callers": ["socket"], "verbs": ["*"], "targets": ["*"]}], "per_minute": 600}
        own = Intake("pump", spool=there.spool, site="n", clock=clock, metrics=there.metrics, health=Health(clock))
        desk = CommandDesk(
            CommandSettings.model_validate_json(json.dumps(everything)), {"teams": there.source},
            {"teams": there.intake}, own, clock=clock, metrics=there.metrics,
        )  # fmt: skip
        running = asyncio.create_task(desk.run())
        try:
            yield vendor, there, desk
        finally:
            running.cancel()
            await asyncio.wait({running})
            await desk.close()


async def ends(desk: CommandDesk, target: str, verb: str, **more: Any) -> CommandResult:
    return await (await desk.ask(Request(target, verb, **more), "socket")).result


VERBS = [
    ("door/d1", "door.open", {}, ("door", "d1", 1)),
    ("door/d1", "door.release", {}, ("door", "d1", 2)),
    ("door/d1", "door.hold-open", {}, ("door", "d1", 3)),
    ("door/d1", "door.hold-closed", {}, ("door", "d1", 4)),
    ("output/o1", "output.on", {}, ("output", "o1", -1)),
    ("output/o1", "output.off", {}, ("output", "o1", 0)),
    ("door/d1", "call.answer", {}, ("call", "c1", 1)),
    ("door/d1", "call.reject", {"call_id": "c1"}, ("call", "c1", 2)),
    ("door/d1", "call.hang-up", {}, ("call", "c1", 3)),
    ("camera/k1", "camera.capture", {"channel": 2}, ("capture", "F1", 2)),
]


async def test_each_verb_is_done_once(tmp_path: Path) -> None:
    async with desk(tmp_path) as (vendor, _, there):
        for target, verb, arguments, did in VERBS:
            result = await ends(there, target, verb, arguments=arguments)
            assert result.status == "done", (verb, result.reason)
            assert vendor.doings.actions[-1][1:] == did
            assert ("id" in result.facts) is (verb == "camera.capture")
        assert len(vendor.doings.actions) == len(VERBS)
        assert {target.subject: target.name for _, target in there.targets()} == {"door/d1": None, "camera/k1": "Yard"}


@pytest.mark.parametrize(
    ("fault", "status", "actions"),
    [
        (Fault("lost_answer"), "unknown", 1), (Fault("drop"), "unknown", 0), (Fault("garbage"), "unknown", 0),
        (Fault("status", status=503), "unknown", 0), (Fault("status", status=429), "failed", 0),
        (Fault("error", code="OPEN000000"), "unknown", 0), (Fault("error", code="VMS000003"), "refused", 0),
        (Fault("error", code="VMS004005"), "refused", 0), (Fault("error", code="OPEN000007"), "done", 1),
        (Fault("error", code="OPEN000006", times=2), "refused", 0),
    ],
)  # fmt: skip
async def test_only_a_refused_token_lets_a_command_be_sent_again(
    tmp_path: Path, fault: Fault, status: str, actions: int
) -> None:
    async with desk(tmp_path) as (vendor, _, there):
        vendor.faults.push(replace(fault, path="remote/control"))
        assert (await ends(there, "door/d1", "door.open")).status == status
        assert len(vendor.doings.actions) == actions


async def test_what_cannot_be_done_is_refused(tmp_path: Path) -> None:
    async with desk(tmp_path) as (vendor, site, there):
        for target, verb, arguments in (
            ("door/stuck", "door.open", {}), ("output/o1", "output.on", {"seconds": 5}),
            ("door/d1", "call.answer", {"call_id": "c2"}), ("camera/k1", "camera.capture", {}),
        ):  # fmt: skip
            result = await ends(there, target, verb, arguments=arguments)
            assert result.status == "refused", (verb, result)
        site.source._commands.seen([heard("door/d1", phase="end", intercom={"call_id": "c1"})])
        for target, verb in (("door/d1", "call.answer"), ("door/other", "door.open"), ("output/o1", "door.open"),
                             ("door/", "door.open")):  # fmt: skip
            with pytest.raises(NotTaken):
                await ends(there, target, verb)
        assert vendor.doings.actions == []


async def test_commands_go_before_queues_and_none_waits_for_the_answer_of_another() -> None:
    clock = ManualClock()
    limiter = Limiter(clock)
    order: list[str] = []
    hold = asyncio.Event()

    async def call(queue: str) -> None:
        async with limiter.place(queue):
            order.append(queue)
            await hold.wait()

    async with limiter.place("alarm"):
        names = ["combine", "rawmsg", f"{COMMAND}a", f"{COMMAND}b"]
        tasks = [asyncio.create_task(call(name)) for name in names]
        await clock.sleeping(4)
        await clock.run(0.6)
        assert order == [f"{COMMAND}a", f"{COMMAND}b"]
    hold.set()
    await clock.run(4.0)
    await asyncio.gather(*tasks)


async def test_what_events_have_named_can_be_commanded_after_a_restart_before_any_poll(tmp_path: Path) -> None:
    clock = Clock()
    async with Simulator(clock=clock, app_key=APP_KEY, secret_key=SECRET_KEY, rate_limit=None) as vendor:
        async with site(vendor, tmp_path, clock, queues=["alarm"], timeout="5s") as first:
            await first.until(lambda: vendor.account.queues["alarm"].subscribed)
            vendor.put("alarm", *vendor.make("alarm", 12, "camera"))
            await first.until(lambda: list(first.source.targets()))
            await first.until(lambda: [key for key in first.intake.state() if key.startswith("thing/")])
            before = {one.subject: one.name for one in first.source.targets()}
            assert any(one.startswith("camera/") for one in before)
            rows = {key for key in first.intake.state() if key.startswith("thing/")}
            assert len(rows) == len(before)
            kept = {subject: first.source.verbs(subject) for subject in before}
        vendor.faults.push(Fault("hang", times=1000, path="messages"))
        async with site(vendor, tmp_path, clock, queues=["alarm"], timeout="5s") as second:
            await second.until(lambda: list(second.source.targets()))
            assert {one.subject: one.name for one in second.source.targets()} == before
            assert {subject: second.source.verbs(subject) for subject in before} == kept


def test_what_is_forgotten_leaves_the_disk_too_and_what_was_not_stored_is_stored_later() -> None:
    commands = Commands({})
    commands.load({"thing/a/door/old": {"name": "Old"}, "thing/a/door/bad": "x"}, "thing/a/")
    assert [(one.subject, one.name) for one in commands.targets()] == [("door/old", "Old")]
    commands.seen([CAMERA])
    first = commands.state()
    assert first == {"thing/a/camera/k1": {"name": "Yard", "serial": "F1"}}
    commands.seen([heard("door/d1", access={"door": "Front"})])
    assert set(commands.state()) == {"thing/a/camera/k1", "thing/a/door/d1"}, "the first put may have failed"
    commands.kept(first)
    assert set(commands.state()) == {"thing/a/door/d1"}
    commands.kept(commands.state())
    commands.seen([CAMERA])
    assert commands.state() == {}
    commands.seen([heard(f"door/{number}") for number in range(MOST)])
    rows = commands.state()
    assert (rows["thing/a/door/old"], rows["thing/a/camera/k1"], len(rows)) == (None, None, MOST + 3)
