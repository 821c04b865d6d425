"""The table of faults: each begins, lasts, and is mended."""

from __future__ import annotations

import asyncio
import random
import signal
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final

from tests.chaos.harness.daemon import right_now
from tests.chaos.harness.site import Site

QUEUE_FAULTS: Final = ("drop", "lost_answer", "ignore", "status", "garbage", "expired_token", "redeliver", "delay")
JUMPS: Final = (-400 * 86400, -86400, -3600, -120, 90, 3600, 2 * 86400, 300 * 86400)
"""Seconds by which the clock may jump."""


class Fault(ABC):
    """One fault of one schedule, with what it drew."""

    touches: ClassVar[str]
    """Of two faults that touch the same, the second waits until the first is mended."""
    lasts: ClassVar[tuple[float, float]] = (0.5, 4.0)
    """Seconds, the shortest and the longest."""
    needs: ClassVar[str] = ""
    """"library" or "disk": without, the fault is left out, and the report says so."""

    def __init__(self, chance: random.Random) -> None:
        """Draw what is to be drawn: all chance is the schedule's."""
        self.choice: Any = self.drawn(chance)

    def drawn(self, chance: random.Random) -> Any:
        """What the fault leaves to chance."""
        return None

    @abstractmethod
    async def begin(self, site: Site) -> None:
        """Break it."""

    async def end(self, site: Site) -> None:
        """Mend it, where it does not mend itself."""
        return


class Kill(Fault):
    """The daemon ends as in a power cut of its process, at any moment, its start included; and is started again."""

    touches = "process"
    lasts = (0.0, 2.0)

    async def begin(self, site: Site) -> None:
        await site.daemon.end(signal.SIGKILL)

    async def end(self, site: Site) -> None:
        site.daemon.start()


class Stop(Fault):
    """The daemon is asked to end, which drains its sinks, and is started again."""

    touches = "process"
    lasts = (0.0, 1.0)

    async def begin(self, site: Site) -> None:
        status = await site.daemon.end(signal.SIGTERM)
        if status not in (0, -signal.SIGTERM, 1):
            raise AssertionError(f"asked to stop, the daemon ended with {status}")

    async def end(self, site: Site) -> None:
        site.daemon.start()


class Freeze(Fault):
    """The daemon stands still (SIGSTOP): connections stay, nobody answers."""

    touches = "process"
    lasts = (1.0, 6.0)

    async def begin(self, site: Site) -> None:
        assert site.daemon.process is not None
        site.daemon.process.send_signal(signal.SIGSTOP)

    async def end(self, site: Site) -> None:
        assert site.daemon.process is not None
        site.daemon.process.send_signal(signal.SIGCONT)


class Flip(Fault):
    """The daemon is killed, up to eight bytes of a file of its spool flip, it is started again.

    It runs before: what witnesses a loss (`spool.high`) may be damaged too, but not before a start has looked at it.
    """

    touches = "process"
    lasts = (0.0, 0.5)

    def drawn(self, chance: random.Random) -> Any:
        return chance.randrange(1 << 32)

    async def begin(self, site: Site) -> None:
        await site.until(lambda status: status["phase"] == "it runs", "a daemon that runs")
        self._since = right_now()
        await site.daemon.end(signal.SIGKILL)
        site.notes.append(f"flipped {site.daemon.flip(random.Random(self.choice))}")

    async def end(self, site: Site) -> None:
        site.daemon.start()
        site.damaged_since(self._since - 2.0)


class Reload(Fault):
    """SIGHUP with a changed sink and sources, and with the old file; in between a bad file, which changes nothing."""

    touches = "process"
    lasts = (0.5, 2.0)

    async def begin(self, site: Site) -> None:
        text = site.daemon.config.read_text()
        self._text = text
        changed = text.replace('heartbeat_timeout = "4s"', 'heartbeat_timeout = "5s"').replace(
            "batch_size = 20", "batch_size = 10"
        )
        site.daemon.config.write_text(changed)
        self._hang_up(site)

    async def end(self, site: Site) -> None:
        site.daemon.config.write_text(self._text + "\n[sinks.none]\ntype = 'nothing of the kind'\n")
        self._hang_up(site)
        await asyncio.sleep(0.3)
        site.daemon.config.write_text(self._text)  # where it is just starting, it ends with 78, and starts again
        self._hang_up(site)

    def _hang_up(self, site: Site) -> None:
        """Send SIGHUP, unless it does not listen to signals yet: it would end it, as it ends any program."""
        process = site.daemon.process
        if process is None or not site.daemon.runs:
            return
        for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
            if line.startswith("SigCgt:") and int(line.split()[1], 16) >> (signal.SIGHUP - 1) & 1:
                process.send_signal(signal.SIGHUP)


class FullDisk(Fault):
    """No room is left on the disk of the state folder."""

    touches = "disk"
    needs = "disk"
    lasts = (1.0, 4.0)

    async def begin(self, site: Site) -> None:
        await asyncio.to_thread(site.daemon.fill_disk)

    async def end(self, site: Site) -> None:
        site.daemon.empty_disk()


class SlowFsync(Fault):
    """Each fsync takes up to 400 ms more."""

    touches = "fsync"
    needs = "library"
    lasts = (1.0, 5.0)

    def drawn(self, chance: random.Random) -> Any:
        return chance.choice((20, 100, 400))

    async def begin(self, site: Site) -> None:
        site.daemon.world(fsync_ms=self.choice)

    async def end(self, site: Site) -> None:
        site.daemon.world(fsync_ms=0)


class NoNames(Fault):
    """The resolver finds no name."""

    touches = "names"
    needs = "library"
    lasts = (1.0, 5.0)

    async def begin(self, site: Site) -> None:
        site.daemon.world(no_names=True)

    async def end(self, site: Site) -> None:
        site.daemon.world(no_names=False)


class ClockJump(Fault):
    """The wall clock jumps, forwards or backwards, and is put right again, the daemon running or not."""

    touches = "clock"
    needs = "library"
    lasts = (1.0, 5.0)

    def drawn(self, chance: random.Random) -> Any:
        return chance.choice(JUMPS)

    async def begin(self, site: Site) -> None:
        site.daemon.world(ahead_s=self.choice)

    async def end(self, site: Site) -> None:
        site.daemon.world(ahead_s=0)


class NoDescriptors(Fault):
    """The daemon may open nothing more (EMFILE); one that is just starting is left alone: Python itself could not."""

    touches = "descriptors"
    lasts = (1.0, 4.0)

    async def begin(self, site: Site) -> None:
        await site.until(lambda status: status["phase"] == "it runs", "a daemon that runs")
        site.daemon.files_limit(low=True)

    async def end(self, site: Site) -> None:
        site.daemon.files_limit(low=False)


class GatewayExpires(Fault):
    """The gateway shows a certificate that has expired, and cuts its stream."""

    touches = "arc"
    lasts = (1.0, 4.0)

    async def begin(self, site: Site) -> None:
        await site.ask("certificate", name="expired")
        await site.ask("cut", source="arc")

    async def end(self, site: Site) -> None:
        await site.ask("certificate", name="gateway")


class BrokerExpires(Fault):
    """The MQTT broker comes back with a certificate that has expired."""

    touches = "broker"
    lasts = (1.0, 4.0)

    async def begin(self, site: Site) -> None:
        await self._again(site, "expired")

    async def end(self, site: Site) -> None:
        await self._again(site, "gateway")

    async def _again(self, site: Site, name: str) -> None:
        await site.peers.end_broker()
        site.peers.certificate(name)
        await site.peers.mosquitto.start()


class BrokerAway(Fault):
    """The MQTT broker is restarted."""

    touches = "broker"

    async def begin(self, site: Site) -> None:
        await site.peers.end_broker()

    async def end(self, site: Site) -> None:
        await site.peers.mosquitto.start()


class BrokerHangs(Fault):
    """The MQTT broker stands still."""

    touches = "broker"
    lasts = (1.0, 8.0)

    async def begin(self, site: Site) -> None:
        site.peers.mosquitto.pause()

    async def end(self, site: Site) -> None:
        site.peers.mosquitto.resume()


class StreamKilled(Fault):
    """The JetStream server is killed and started again."""

    touches = "stream"

    async def begin(self, site: Site) -> None:
        await site.peers.stream.kill()

    async def end(self, site: Site) -> None:
        await site.peers.stream.start()


class ReceiverAway(Fault):
    """A webhook's receiver is not there."""

    touches = "hooks"

    def drawn(self, chance: random.Random) -> Any:
        return chance.choice(("hook", "choosy"))

    async def begin(self, site: Site) -> None:
        await site.peers.hooks[self.choice].server.stop()

    async def end(self, site: Site) -> None:
        await site.peers.hooks[self.choice].server.start()


class ReceiverFails(ReceiverAway):
    """A webhook's receiver answers 500."""

    async def begin(self, site: Site) -> None:
        site.peers.hooks[self.choice].failing = True

    async def end(self, site: Site) -> None:
        site.peers.hooks[self.choice].failing = False


class ReceiverHangs(ReceiverAway):
    """A webhook's receiver takes requests and answers none, then all."""

    lasts = (1.0, 6.0)

    async def begin(self, site: Site) -> None:
        site.peers.hooks[self.choice].server.stall()

    async def end(self, site: Site) -> None:
        site.peers.hooks[self.choice].server.resume()


class CloudFails(Fault):
    """Tuya's cloud refuses the next calls and forgets its tokens."""

    touches = "cloud"
    lasts = (0.0, 0.5)

    async def begin(self, site: Site) -> None:
        site.peers.cloud.failures.extend((500, "HTTP 503", "lost"))
        site.peers.cloud.forget_tokens()

    async def end(self, site: Site) -> None:
        pass


class Cut(Fault):
    """A vendor cuts its stream in the middle."""

    lasts = (0.0, 0.5)
    touches = "streams"

    def drawn(self, chance: random.Random) -> Any:
        return chance.choice(("arc", "door"))

    async def begin(self, site: Site) -> None:
        await site.ask("cut", source=self.choice)


class Silence(Cut):
    """A vendor's stream stands and says nothing, not even a heartbeat."""

    lasts = (1.0, 7.0)

    async def begin(self, site: Site) -> None:
        await site.ask("silence", source=self.choice, on=True)

    async def end(self, site: Site) -> None:
        await site.ask("silence", source=self.choice, on=False)


class VendorAway(Fault):
    """A vendor's server is not there."""

    touches = "streams"

    def drawn(self, chance: random.Random) -> Any:
        return chance.choice(("teams", "arc", "door", "bays"))

    async def begin(self, site: Site) -> None:
        await site.ask("away", source=self.choice, on=True)

    async def end(self, site: Site) -> None:
        await site.ask("away", source=self.choice, on=False)


class QueueFails(Fault):
    """The queues' vendor loses an answer, hands a batch out again, forgets a token, answers nonsense, or is late."""

    touches = "teams"
    lasts = (0.0, 0.5)

    def drawn(self, chance: random.Random) -> Any:
        return chance.choice(QUEUE_FAULTS)

    async def begin(self, site: Site) -> None:
        await site.ask("queue_fault", kind=self.choice, seconds=4.0)


class NoPower(Fault):
    """The plate cameras have no power; what they saw they still have afterwards."""

    touches = "gate"

    async def begin(self, site: Site) -> None:
        await site.ask("power", on=False)

    async def end(self, site: Site) -> None:
        await site.ask("power", on=True)


class AnswersLost(Fault):
    """Cameras do not get the pump's answer, a sensor's callback comes twice."""

    touches = "gate"
    lasts = (0.0, 0.5)

    async def begin(self, site: Site) -> None:
        await site.ask("lose_answers")


FAULTS: Final[Mapping[str, tuple[type[Fault], float]]] = {
    "kill": (Kill, 4.0),
    "stop": (Stop, 1.0),
    "freeze": (Freeze, 2.0),
    "flip": (Flip, 1.0),
    "reload": (Reload, 2.0),
    "full disk": (FullDisk, 2.0),
    "slow fsync": (SlowFsync, 2.0),
    "no names": (NoNames, 1.5),
    "clock jump": (ClockJump, 2.0),
    "no descriptors": (NoDescriptors, 1.5),
    "gateway's certificate expires": (GatewayExpires, 1.0),
    "broker's certificate expires": (BrokerExpires, 1.0),
    "broker away": (BrokerAway, 1.0),
    "broker hangs": (BrokerHangs, 1.0),
    "JetStream killed": (StreamKilled, 1.0),
    "receiver away": (ReceiverAway, 1.0),
    "receiver fails": (ReceiverFails, 1.0),
    "receiver hangs": (ReceiverHangs, 1.0),
    "cloud fails": (CloudFails, 0.5),
    "stream cut": (Cut, 1.5),
    "stream silent": (Silence, 1.0),
    "vendor away": (VendorAway, 1.0),
    "queue fails": (QueueFails, 1.5),
    "cameras without power": (NoPower, 1.0),
    "answers lost": (AnswersLost, 1.0),
}
"""Each with its weight."""


@dataclass(frozen=True, slots=True)
class Item:
    """A fault in a schedule."""

    at: float
    """Seconds after the traffic's beginning."""
    name: str
    lasts: float
    fault: Fault

    def __str__(self) -> str:
        choice = "" if self.fault.choice is None else f" ({self.fault.choice})"
        return f"{self.at:6.1f} s, for {self.lasts:3.1f} s: {self.name}{choice}"


EVERY: Final = 1.0
"""Seconds from one fault's beginning to the next one's, on the average."""


def schedule(seed: int, seconds: float) -> list[Item]:
    """The seed's faults, in the order of their beginnings; the same seed with more seconds has the same beginning."""
    chance = random.Random(f"faults/{seed}")
    names = list(FAULTS)
    weights = [weight for _, weight in FAULTS.values()]
    found: list[Item] = []
    free: dict[str, float] = {}
    at = chance.uniform(0.2, 1.0)
    while at < seconds:
        [name] = chance.choices(names, weights)
        fault = FAULTS[name][0](chance)
        lasts = chance.uniform(*fault.lasts)
        if free.get(fault.touches, 0.0) <= at:
            found.append(Item(at, name, lasts, fault))
            free[fault.touches] = at + lasts + 0.2
        at += chance.uniform(0.2, 2 * EVERY - 0.2)
    return found


async def perform(
    site: Site, items: list[Item], say: Callable[[str], object], able: Callable[[Fault], bool]
) -> list[str]:
    """Play a schedule; the names of the faults that were done. All of them are mended at the end."""
    loop = asyncio.get_running_loop()
    begun = loop.time()
    held: dict[str, asyncio.Lock] = {}
    done: list[str] = []

    async def one(item: Item) -> None:
        await asyncio.sleep(max(0.0, item.at - (loop.time() - begun)))
        async with held.setdefault(item.fault.touches, asyncio.Lock()):
            say(f"{loop.time() - begun:6.1f} s: {item.name} begins")
            await item.fault.begin(site)
            done.append(item.name)
            await asyncio.sleep(item.lasts)
            await item.fault.end(site)
            say(f"{loop.time() - begun:6.1f} s: {item.name} is mended")

    try:
        async with asyncio.TaskGroup() as group:
            for item in items:
                if able(item.fault):
                    group.create_task(one(item), name=item.name)
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from None
    await site.links_back()
    return done
