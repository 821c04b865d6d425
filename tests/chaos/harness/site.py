"""One stage for everything: the daemon, the vendors' process, the sinks' peers, and what faults may reach."""

from __future__ import annotations

import asyncio
import hashlib
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final

import orjson

from tests.chaos.harness.account import Due, Key
from tests.chaos.harness.daemon import Daemon, right_now
from tests.chaos.harness.peers import Peers, certificates

PATIENCE: Final = 240.0
"""Seconds for anything that must come about; a machine that is ten times slower than ours needs a tenth of it."""
_LOOK: Final = 0.2
_UVLOOP: Final = "Fatal error on SSL protocol"
"""uvloop's own words (0.23) where it writes to a TLS connection that it has just closed; nothing comes of it."""


class Site:
    """Made by `site`."""

    def __init__(self, folder: Path, daemon: Daemon, peers: Peers, vendors: asyncio.subprocess.Process) -> None:
        self.folder = folder
        self.daemon = daemon
        self.peers = peers
        self.damaged: list[tuple[float, float]] = []
        """See `oracle.Account`."""
        self.notes: list[str] = []
        """What faults drew for themselves, such as the byte that was flipped."""
        self._linking: list[asyncio.Task[None]] = []
        self._vendors = vendors
        self._asking = asyncio.Lock()

    async def ask(self, do: str, **order: Any) -> Any:
        """Have the vendors' process do something."""
        assert self._vendors.stdin is not None
        assert self._vendors.stdout is not None
        async with self._asking:
            self._vendors.stdin.write(orjson.dumps({"do": do, **order}) + b"\n")
            await self._vendors.stdin.drain()
            line = await self._vendors.stdout.readline()
        if not line:
            raise RuntimeError(f"the vendors' process ended: {(self.folder / 'vendors.log').read_text()[-1500:]}")
        return orjson.loads(line)

    async def due(self) -> list[Due]:
        """The vendors' account."""
        return [Due(*one) for one in await self.ask("due")]

    async def until(self, true: Callable[[dict[str, Any]], bool], what: str) -> None:
        """Wait until the daemon's status is so."""
        end = time.monotonic() + PATIENCE
        status = None
        while time.monotonic() < end:
            status = await self.daemon.status()
            if status is not None and true(status):
                return
            await asyncio.sleep(_LOOK)
        raise AssertionError(f"{what} did not come about: {_words(status)}")

    async def connected(self) -> None:
        """Wait until every source has its link."""
        await self.until(_sources_up, "the links of all sources")

    def damaged_since(self, since: float) -> None:
        """Bytes were flipped: until both streams' links have been back, a repair may be all that is reported."""
        self._linking.append(asyncio.create_task(self._link(since), name="links after damage"))

    async def _link(self, since: float) -> None:
        left = {"arc", "door"}
        while left:  # however long: among many faults one link may be down whenever the other is up
            status = await self.daemon.status()
            left -= {name for name, state in _states(status).items() if state == "up"} if status is not None else set()
            await asyncio.sleep(_LOOK)
        self.damaged.append((since, right_now()))

    async def links_back(self) -> None:
        """Wait for what `damaged_since` began."""
        done, late = await asyncio.wait(self._linking, timeout=PATIENCE) if self._linking else (set(), set())
        assert not late, "the links of both streams did not come about"
        for task in done:
            task.result()

    async def quiet(self) -> None:
        """Wait until the vendors have brought all that they had, and every sink has it."""
        end = time.monotonic() + PATIENCE
        still, before = 0, None
        status: dict[str, Any] | None = None
        waiting: dict[str, int] = {}
        while time.monotonic() < end:
            waiting = await self.ask("waiting")
            status = await self.daemon.status()
            now = (
                None if status is None else (status["spool"]["head"], [one["lag"] for one in status["sinks"].values()])
            )
            calm = (
                status is not None
                and _sources_up(status)
                and not any(waiting.values())
                and not any(now[1] if now else ())
            )
            still = still + 1 if calm and now == before else 0
            before = now
            if still >= 5:
                return
            await asyncio.sleep(_LOOK)
        raise AssertionError(f"it did not become quiet: the vendors wait with {waiting}; {_words(status)}")

    async def keep_running(self) -> None:
        """Start the daemon again where it has ended by itself: a failed fsync, damage that was met in use."""
        while True:
            if not self.daemon.down and not self.daemon.runs:
                code = self.daemon.process.returncode if self.daemon.process is not None else None
                self.notes.append(f"it ended by itself with {code}: {self._last_words()}")
                self.daemon.start()
            await asyncio.sleep(_LOOK)

    def _last_words(self) -> str:
        """The newest error of the daemon's log."""
        for line in reversed((self.folder / "daemon.log").read_bytes().splitlines()[-30:]):
            with suppress(ValueError, KeyError, TypeError):
                entry = orjson.loads(line)
                if entry["level"] in ("error", "critical"):
                    return f"{entry['event']} ({entry.get('reason') or entry.get('error') or ''})"
        return "without a word"

    def bugs(self) -> str:
        """The sentences of the daemon's log that speak of bugs of its own."""
        found = {}
        for line in (self.folder / "daemon.log").read_bytes().splitlines():
            with suppress(ValueError, KeyError, TypeError):
                entry = orjson.loads(line)
                if ("exception" in entry or "bug" in entry["event"]) and not entry["event"].startswith(_UVLOOP):
                    found[entry["event"]] = str(entry.get("exception", ""))[-300:]
        return "; ".join(f"{event}: {words}" for event, words in found.items())

    def vehicles(self) -> int:
        """Events of vehicles that passed, each once."""
        lines = map(orjson.loads, (self.folder / "events.jsonl").read_bytes().splitlines())
        return len(
            {event["id"] for event in lines if event["type"] == "vehicle.passed" and event["source"] == "/chaos/gate"}
        )

    def pictures(self) -> list[str]:
        """The stored pictures that events name and that are not as they say, unless some went for want of room."""
        events = [*map(orjson.loads, (self.folder / "events.jsonl").read_bytes().splitlines())]
        if any(event["type"] == "pump.media.evicted" for event in events):
            return []
        found = []
        media = [one for event in events for one in event["data"].get("media") or () if one.get("state") == "stored"]
        for one in media:
            path = self.daemon.files / "media" / one["path"]
            if not path.exists() or hashlib.sha256(path.read_bytes()).hexdigest() != one["sha256"]:
                found.append(one["path"])
        return [f"{len(found)} of {len(media)} pictures are not as their events say: {found[:5]}"] if found else []

    def dead(self) -> dict[str, frozenset[Key]]:
        """The dead letters of each sink."""
        ids: dict[str, list[str]] = {}
        for row in self.daemon.command("dead", "list").splitlines()[1:]:
            number, sink, *_ = row.split()
            ids.setdefault(sink, []).append(number)
        found = {}
        for sink, numbers in ids.items():
            events = map(orjson.loads, self.daemon.command("dead", "show", *numbers).splitlines())
            found[sink] = frozenset((event["source"], event["id"]) for event in events)
        return found


def _sources_up(status: dict[str, Any]) -> bool:
    states = _states(status)
    return all(states.get(name) == "up" for name in status["sources"])


def _states(status: dict[str, Any]) -> dict[str, str]:
    """Of the sources, by name."""
    return {one["name"].removeprefix("source "): one["state"] for one in status["components"]}


def _words(status: dict[str, Any] | None) -> str:
    if status is None:
        return "the daemon does not answer"
    ill = [f"{one['name']} {one['state']}: {one['reason']}" for one in status["components"] if one["state"] != "up"]
    lags = {name: one["lag"] for name, one in status["sinks"].items() if one["lag"]}
    return f"lags {lags}; not up: {'; '.join(ill) or 'nobody'}"


@asynccontextmanager
async def site(folder: Path, seed: int) -> AsyncIterator[Site]:
    """Everything running, sources connected, no traffic yet; all of it is gone afterwards."""
    await asyncio.to_thread(certificates, folder / "certificates")
    peers, daemon = Peers(folder), Daemon(folder)
    with (folder / "vendors.log").open("ab") as log:
        vendors = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.chaos.harness.vendors", "--seed", str(seed),
            "--certificates", str(folder / "certificates"),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=log, limit=1 << 28,
        )  # fmt: skip
    try:
        async with peers.running():
            daemon.hold_disk()
            here = Site(folder, daemon, peers, vendors)
            daemon.configure(await here.ask("addresses"), peers.sinks())
            daemon.start()
            await here.ask("reach", url=f"http://127.0.0.1:{daemon.push_port}")
            await here.connected()
            yield here
    finally:
        daemon.close()
        if vendors.returncode is None:
            vendors.kill()
            await vendors.wait()
