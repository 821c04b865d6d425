"""The five vendors' simulators, with an account of their own: a process, `python -m tests.chaos.harness.vendors`.

It is told by a line of JSON on standard input what to do, and answers each with a line on standard output.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import ssl
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any, Final, Self

import orjson

from pump.core.clock import Clock
from pump.simulation.server import Server
from pump.vendors.avaeye.simulator.server import Fleet
from pump.vendors.hik_camera.simulator import server as camera
from pump.vendors.hik_connect.simulator import server as teams
from pump.vendors.hik_gateway.simulator import server as gateway
from pump.vendors.kinot.simulator import server as kinot
from pump.vendors.kinot.simulator.fleet import Bay
from tests.chaos.harness.account import Due, bay_identity, short

TICK: Final = 0.05
RATES: Final = {"teams": 8.0, "arc": 8.0, "door": 6.0, "gate": 6.0, "bays": 8.0}
"""Records a second."""
CAMERAS: Final = 4
_PICTURE: Final = 3000
_RETRIES: Final = (0.3, 0.6, 1.0)
_PATIENT: Final = (0.5,) * 10_000
"""Seconds before each further try of a callback: no harness is to end with one that was given up."""
_DOOR: Final = ("anpr", "access", "unknown")


class Vendors:
    """All five, their traffic, their account and what can go wrong with them; an async context manager."""

    def __init__(self, seed: int, certificates: Path) -> None:
        """`certificates`: the folder with gateway.pem and expired.pem, and their keys."""
        clock = Clock()
        self._random = random.Random(f"vendors/{seed}")
        self._certificates = certificates
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.certificate("gateway")
        self.teams = teams.Simulator(clock=clock, seed=seed)
        self.arc = gateway.Simulator(
            clock=clock, seed=seed, quirks=gateway.Quirks(heartbeat_seconds=1.0), tls=self._tls
        )
        self.door = camera.Simulator(clock=clock, seed=seed, quirks=camera.Quirks(heartbeat_interval=1.0))
        self.gate = Fleet(CAMERAS, clock=clock, rate=0.0, seed=seed, keepalive=2.0, picture=_PICTURE, retries=_RETRIES)
        self.bays = kinot.Simulator(clock=clock, seed=seed, bays=24, retries=_PATIENT)
        self.flowing = False
        self._written: dict[str, dict[str, tuple[float, float]]] = {"arc": {}, "door": {}}
        """Of streams' messages that were written whole: when each was made and when it had been written."""
        self._made: dict[str, float] = {}
        self._read = 0
        self._of_bays: dict[int, tuple[int, str]] = {}
        """By a callback's place: its bay and the status that it says."""
        self._told: dict[int, int] = {}
        """A bay's callback that is under way: the next one waits, for a platform keeps the order of one device."""
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        for one in (self.teams, self.arc, self.door, self.gate, self.bays):
            await self._stack.enter_async_context(one)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    def addresses(self) -> dict[str, str]:
        """Of those that are asked, by the names of their sources."""
        named = {"teams": self.teams.url, "arc": self.arc.url, "door": self.door.url, "bays": self.bays.url}
        return {name: url if name == "arc" else url.replace("127.0.0.1", "localhost") for name, url in named.items()}

    async def reach(self, url: str) -> None:
        """Have those that push do so."""
        self.bays.register(f"{url}/kinot/bays")
        await self.gate.reach(url)

    # --- traffic ------------------------------------------------------------------------------------------------------

    async def play(self) -> None:
        """Make records while they flow, and note what was written, until cancelled."""
        mix = self._gateway_mix()
        owed = dict.fromkeys(RATES, 0.0)
        makers: dict[str, Callable[[], object]] = {
            "teams": self._queue, "arc": lambda: self._stream("arc", self.arc.put(next(mix))), "door": self._emit,
            "gate": lambda: self._random.choice(self.gate.cameras).see(), "bays": self._turn,
        }  # fmt: skip
        last = time.monotonic()
        while True:
            now = time.monotonic()
            passed, last = min(now - last, 1.0), now  # a process that was held up makes up for no more than that
            for name, rate in RATES.items() if self.flowing else ():
                owed[name] += rate * passed
                while owed[name] >= 1.0:
                    owed[name] -= 1.0
                    makers[name]()
            self._look()
            await asyncio.sleep(TICK)

    def _queue(self) -> None:
        if self.teams.account.queues["combine"].subscribed:
            self.teams.put("combine", *self.teams.make("combine", 1))

    def _gateway_mix(self) -> Iterator[Any]:
        panels = list(self.arc.devices)
        while True:
            panel, zone = self._random.choice(panels), self._random.randint(1, 8)
            yield self.arc.messages.cid(panel, self._random.choice(("1130", "3130", "1401", "3401", "1602")), zone)

    def _emit(self) -> None:
        sent = self.door.emit(self._random.choice(_DOOR))
        self._stream("door", [str(message.number) for message in sent])

    def _stream(self, source: str, identities: Iterable[str]) -> None:
        now = time.time()
        self._made.update((f"{source}/{short(one) if source == 'arc' else one}", now) for one in identities)

    def _turn(self) -> None:
        platform, now = self.bays.platform, self.bays.clock.now()
        free = [
            bay for bay in self.bays.fleet.bays.values()
            if bay.sn not in self._told or platform.callbacks[self._told[bay.sn]].acknowledged
        ]  # fmt: skip
        if not free:
            return
        bay = self._random.choice(free)
        car = 1 - bay.flags["car_detected"]
        bay.set(now, car_detected=car, **({"locked": 1 - car} if bay.lock else {}))
        self._push(bay)

    def _push(self, bay: Bay) -> None:
        before = len(self.bays.platform.callbacks)
        self.bays.push(bay)
        for place in range(before, len(self.bays.platform.callbacks)):
            self._told[bay.sn] = place
            self._of_bays[place] = bay.sn, bay.updated.isoformat()

    def _look(self) -> None:
        """Note what has been written whole to the streams since the last look."""
        now = time.time()
        whole = self.arc.account.whole
        fresh = [("arc", short(one)) for one in whole[self._read :]]
        self._read = len(whole)
        known = self._written["door"]
        if len(self.door.account.whole) > len(known):
            fresh += [("door", str(one)) for one in self.door.account.whole if str(one) not in known]
        for source, one in fresh:
            self._written[source].setdefault(one, (self._made.get(f"{source}/{one}", now - 1.0), now))

    # --- the account --------------------------------------------------------------------------------------------------

    def due(self) -> list[list[Any]]:
        """All that the pump must have, or must have reported as a gap."""
        found = [Due("teams", one) for one in self.teams.account.queues["combine"].completed]
        found += [Due(source, one, *when) for source, kept in self._written.items() for one, when in kept.items()]
        found += [Due("gate", record) for camera in self.gate.cameras for record in camera.answered]
        for place, (sn, updated) in self._of_bays.items():
            if self.bays.platform.callbacks[place].acknowledged:
                found.append(Due("bays", bay_identity(sn, updated)))
        return [[*one] for one in found]

    def waiting(self) -> dict[str, int]:
        """Records that a vendor still has to bring, by source."""
        queue = self.teams.account.queues["combine"]
        return {
            "teams": queue.remaining + sum(len(batch.entries) for batch in queue.out[:1]) + (not queue.subscribed),
            "arc": 0 if self.arc.subscriptions else 1,
            "door": 0 if self.door.streams else 1,
            "gate": sum(len(camera.waiting) for camera in self.gate.cameras),
            "bays": self.bays.platform.open,
        }

    # --- what goes wrong ----------------------------------------------------------------------------------------------

    def certificate(self, name: str) -> None:
        """Have the gateway show this one to whoever connects from now on."""
        self._tls.load_cert_chain(self._certificates / f"{name}.pem", self._certificates / f"{name}.key")

    def cut(self, source: str) -> None:
        """A stream ends in its middle; the gateway sends its last parts again to the next one."""
        if source == "door":
            self.door.cut()
        else:
            self.arc.faults.replay = 5
            for one in self.arc.subscriptions.values():
                one.cut()

    def silence(self, source: str, *, on: bool) -> None:
        """A stream stands and says nothing."""
        if source == "arc":
            self.arc.faults.stall = on
        elif on:
            self.door.stall()
        else:
            self.door.resume()

    def queue_fault(self, kind: Any, seconds: float) -> None:
        """One of the queues' faults with the next calls."""
        path = {"redeliver": "combine/v1/mq/messages", "lost_answer": "complete", "ignore": "complete"}.get(kind, "")
        self.teams.faults.push(teams.Fault(kind, path=path, times=2, seconds=seconds if kind == "delay" else 0.0))

    def power(self, *, on: bool) -> None:
        """All cameras of the gate lose their power, and have it again, their memory with them."""
        for one in self.gate.cameras:
            one.silent.clear() if on else one.silent.set()

    def lose_answers(self) -> None:
        """Of each camera of the gate the next answer is lost; a sensor's next callback comes twice."""
        for one in self.gate.cameras:
            one.lose_answer = True
        self.bays.platform.tricks.append("duplicate")

    async def away(self, source: str, *, on: bool) -> None:
        """A server is not there."""
        server: Server = {"teams": self.teams, "arc": self.arc, "door": self.door, "bays": self.bays}[source]
        await (server.go_away() if on else server.come_back())

    async def do(self, order: dict[str, Any]) -> Any:
        """What a line asks for."""
        name = order.pop("do")
        if name == "flow":
            self.flowing = order["on"]
            return None
        found = getattr(self, name)(**order)  # its own methods' names, from its own parent
        return await found if asyncio.iscoroutine(found) else found


async def _listen(seed: int, certificates: Path) -> None:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=1 << 20)
    await loop.connect_read_pipe(partial(asyncio.StreamReaderProtocol, reader), sys.stdin)
    async with Vendors(seed, certificates) as vendors:
        playing = asyncio.create_task(vendors.play(), name="traffic")
        while line := await reader.readline():
            if playing.done():
                playing.result()
            answer = await vendors.do(orjson.loads(line))
            sys.stdout.buffer.write(orjson.dumps(answer) + b"\n")
            sys.stdout.buffer.flush()
        playing.cancel()


def main() -> None:
    """Play until standard input ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--certificates", type=Path, required=True)
    given = parser.parse_args()
    asyncio.run(_listen(given.seed, given.certificates))


if __name__ == "__main__":
    main()
