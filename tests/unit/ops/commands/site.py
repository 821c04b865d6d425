"""A site with gates that behave as their names say, on a real spool; the gates keep an account of what they did."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from pump.commands.calls import RawAnswer, RawCall
from pump.commands.contract import DONE, Command, CommandResult, Request, Target, Ticket
from pump.config.model import CommandSettings
from pump.core.clock import Clock
from pump.core.errors import Refusal, Unavailable
from pump.core.event import Event, Unparsed
from pump.core.settings import SourceSettings
from pump.ingest.intake import Intake
from pump.ops.commands.desk import CommandDesk
from pump.source import Source
from pump.spool import Spool
from pump.spool.types import Receipt, SpoolSettings
from pump.telemetry.health import Health
from pump.telemetry.metrics import Metrics

VERBS = ("gate.open", "gate.close", "list.add", "display.show")
EVERYTHING: Mapping[str, Any] = {
    "grants": [{"callers": ["socket", "token:board"], "verbs": ["*"], "targets": ["*"]}],
    "per_minute": 600,
}


class Gates(Source[SourceSettings]):
    """`gate/<what it does>`: obeys, refuses, unreachable, breaks, vanishes, silent, waits, stubborn (ignores
    its cancellation)."""

    def __init__(self, name: str, clock: Clock, gates: Sequence[str] = ()) -> None:
        super().__init__(name, SourceSettings(type="gates"), clock)
        self.calls_devices = name == "gates"  # type: ignore[misc]  # of the class, elsewhere
        self.gates = gates or (
            "obeys",
            "refuses",
            "unreachable",
            "breaks",
            "breaks-late",
            "vanishes",
            "silent",
            "waits",
            "stubborn",
        )
        self.did: list[tuple[str, str, Mapping[str, Any]]] = []
        """Target, verb and arguments of everything that a gate got."""
        self.answers: dict[str, bytes] = {}
        """Of raw calls, by the last segment of their path."""
        self.answer = DONE
        """What a gate that obeys answers."""
        self.go_on = asyncio.Event()
        """A gate that waits, waits for this before it is sent anything."""

    async def run(self, intake: Intake) -> None:
        await asyncio.Event().wait()

    def targets(self) -> Iterable[Target]:
        return [Target(f"gate/{one}", VERBS) for one in self.gates]

    def verbs(self, target: str) -> Collection[str]:
        return super().verbs(target)

    async def command(self, command: Command) -> CommandResult:
        behaviour = command.target.partition("/")[2]
        if behaviour == "unreachable":
            raise Unavailable("the gate at 192.0.2.1 is not reachable")
        if behaviour == "breaks":
            raise RuntimeError("a bug with planted-secret")
        if behaviour == "waits":
            await self.go_on.wait()
        if behaviour == "stubborn":
            with suppress(asyncio.CancelledError):
                await self.go_on.wait()
            await self.go_on.wait()  # a clean-up that takes its time
        command.sending()
        self.did.append((command.target, command.verb, command.arguments))
        match behaviour:
            case "refuses":
                raise Refusal("the gate is locked by hand")
            case "vanishes":
                raise Unavailable("the connection to the gate ended")
            case "breaks-late":
                raise RuntimeError("a bug with planted-secret")
            case "silent":
                await asyncio.Event().wait()
        return self.answer

    async def call(self, command: Command, call: RawCall) -> RawAnswer:
        """`/…/<what becomes of it>`: an HTTP status, silent, vanishes, unreachable, no; or an answer of that name."""
        behaviour = call.bare.rpartition("/")[2]
        if behaviour == "unreachable":
            raise Unavailable("the server is not reachable")
        if behaviour == "waits":
            await self.go_on.wait()
        command.sending()
        self.did.append((call.method, call.path, {"body": call.body, "device": call.device}))
        if behaviour == "vanishes":
            raise Unavailable("the connection ended")
        if behaviour == "silent":
            await asyncio.Event().wait()
        status = int(behaviour) if behaviour.isdecimal() else 200
        return RawAnswer(status, "application/json", self.answers.get(behaviour, b"{}"), "no" * (behaviour == "no"))


class HeldIntake(Intake):
    """The real intake, which can be made to wait before it stores, and to refuse."""

    gate: asyncio.Event | None = None
    waiting = 0
    """Puts that wait for the gate."""
    refusing = ""
    """Why it refuses; empty: it does not."""

    async def put(
        self, *items: Event | Unparsed, state: Mapping[str, Any] | None = None, stranger: bool = False
    ) -> Receipt:
        if self.gate is not None:
            self.waiting += 1
            await self.gate.wait()
            self.waiting -= 1
        if self.refusing:
            raise Unavailable(self.refusing)
        return await super().put(*items, state=state, stranger=stranger)

    async def put_own(self, event: Event, state: Mapping[str, Any] | None = None) -> Receipt:
        if self.gate is not None:
            self.waiting += 1
            await self.gate.wait()
            self.waiting -= 1
        return await super().put_own(event, state)


@dataclass
class Site:
    """A desk with its sources."""

    desk: CommandDesk
    gates: Gates
    spool: Spool
    intake: HeldIntake
    clock: Clock
    metrics: Metrics
    sources: Mapping[str, Gates]
    closed: bool = False
    """The test has closed the spool."""

    async def ask(
        self, target: object = "gate/obeys", verb: object = "gate.open", caller: str = "socket", **more: Any
    ) -> Ticket:
        return await self.desk.ask(Request(target, verb, **more), caller)

    async def result(self, *args: Any, **more: Any) -> CommandResult:
        return await (await self.ask(*args, **more)).result

    async def events(self) -> list[dict[str, Any]]:
        """Those of commands, in order."""
        found = [orjson.loads(record.body) for record in await self.spool.read(0, limit=10_000)]
        return [event for event in found if event["type"].startswith("command.")]

    async def statuses(self) -> list[str]:
        return [event["data"]["command"].get("status", "requested") for event in await self.events()]


async def no_status() -> dict[str, Any]:
    """Of a listener of which nobody asks it."""
    return {}


@asynccontextmanager
async def site(
    folder: Path, clock: Clock, settings: Mapping[str, Any] = EVERYTHING, *, run: bool = True
) -> AsyncIterator[Site]:
    """A desk that runs, unless the test does that itself, and is closed at the end."""
    metrics = Metrics()
    spool = await Spool.open(folder, SpoolSettings(), clock=clock, metrics=metrics)
    health = Health(clock)

    def intake(name: str) -> HeldIntake:
        return HeldIntake(name, spool=spool, site="s", clock=clock, metrics=metrics, health=health)

    gates, twins = Gates("gates", clock), Gates("twins", clock, ["twin"])
    more = Gates("more", clock, ["twin"])
    sources = {source.name: source for source in (gates, twins, more)}
    intakes = {name: intake(name) for name in sources}
    desk = CommandDesk(
        CommandSettings.model_validate_json(orjson.dumps(dict(settings))), sources, intakes, intake("pump"),
        clock=clock, metrics=metrics,
    )  # fmt: skip
    there = Site(desk, gates, spool, intakes["gates"], clock, metrics, sources)
    running = asyncio.create_task(desk.run() if run else asyncio.sleep(0))
    try:
        yield there
    finally:
        running.cancel()
        await asyncio.wait({running})
        await desk.close()
        if not there.closed:
            await spool.close()
