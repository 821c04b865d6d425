"""Commands over all vendors while the daemon is killed, answers are lost, devices are slow, and callers ask again.

The devices' own account decides: each action at most once, none of what is said not to have happened, none after its
expiry; and each command that was written down has one end, in time.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import aiohttp
import orjson
import pytest

from pump.commands.contract import NOTHING_HAPPENED
from pump.spool import offline
from pump.testing.brokers import free_port
from tests.chaos.command_vendors import DOORS, PANELS, STUCK

_TOKEN: Final = "a-token-of-the-chaos"
_CONFIG: Final = """
[pump]
site = "chaos"
state_dir = "{folder}/state"
[ops]
listen = "127.0.0.1:0"
[ops.tokens]
board = "{token}"
[server]
listen = "127.0.0.1:{port}"
[commands]
per_minute = 600
[[commands.grants]]
callers = ["token:board"]
verbs = ["*"]
targets = ["*"]
"""
_READY: Final = (f"device/{PANELS[1]}", f"output/{DOORS}", "lock/")
"""Targets, or how one begins, that are known only once their vendor was asked."""
_AGAIN: Final = frozenset({404, 503})
"""HTTP statuses of a pump that has only just started."""


@dataclass
class Asked:
    """One command as its caller knows it."""

    target: str
    verb: str
    expires: float
    key: str | None
    answers: list[dict[str, Any]] = field(default_factory=list)
    """Of each time that it was taken."""
    tries: int = 0


class Site:
    """The vendors' process, a folder, and the daemons that run there one after the other."""

    def __init__(self, folder: Path, seed: int) -> None:
        port = free_port()
        self.folder = folder
        self.vendors = subprocess.Popen(
            [sys.executable, "-m", "tests.chaos.command_vendors", str(seed), str(port)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        assert self.vendors.stdout is not None
        said = orjson.loads(self.vendors.stdout.readline())
        self.vendors_url, self.pairs = said["url"], said["pairs"]
        config = _CONFIG.format(folder=folder, token=_TOKEN, port=port) + said["tables"]
        (folder / "pump.toml").write_text(config)
        self.daemon: subprocess.Popen[bytes] | None = None
        self.url = ""
        self.runs: list[tuple[float, float]] = []
        """Wall times at which each daemon was started, and was up."""
        self.ready = asyncio.Event()

    async def start(self, *prefix: str) -> None:
        """Start a daemon and wait until it takes commands."""
        log = self.folder / "daemon.log"
        read, begun = log.stat().st_size if log.exists() else 0, time.time()
        with log.open("ab") as file:
            self.daemon = subprocess.Popen(
                [*prefix, sys.executable, "-m", "pump", "run", "-c", str(self.folder / "pump.toml")], stderr=file
            )
        while b"The pump runs" not in (said := log.read_bytes()[read:]):
            assert self.daemon.poll() is None, said
            await asyncio.sleep(0.02)
        line = next(line for line in said.splitlines() if b"The pump runs" in line)
        address = line.split(b"127.0.0.1:")[1].split(b'"')[0].split()[0].decode()
        self.url = f"http://127.0.0.1:{address}/commands"
        self.runs.append((begun, time.time()))
        self.ready.set()

    async def kill(self) -> None:
        """kill -9, and start anew."""
        assert self.daemon is not None
        self.ready.clear()
        self.daemon.send_signal(signal.SIGKILL)
        self.daemon.wait()
        await self.start()

    def events(self) -> list[dict[str, Any]]:
        """Those of commands, by the spool; Kinot's own callbacks about commands are not among them."""
        found = [orjson.loads(record.body) for record in offline.events(self.folder / "state")]
        return [event for event in found if event["type"].startswith("command.") and event["data"]["vendor"] == "pump"]

    def close(self) -> None:
        """End whatever still runs."""
        if self.daemon is not None and self.daemon.poll() is None:
            self.daemon.kill()
            self.daemon.wait()
        assert self.vendors.stdin is not None
        assert self.vendors.stdout is not None
        self.vendors.stdin.close()
        self.vendors.stdout.close()
        self.vendors.wait()


def _planned(site: Site, dice: random.Random, count: int, expires: float) -> list[Asked]:
    """So many commands, as many of each vendor as of the others; some to the camera that is stuck."""
    share = count // len(site.pairs)
    plan: list[Asked] = []
    for pairs in site.pairs.values():
        for target, verb in dice.sample(pairs, share):
            key = f"k-{len(plan)}" if dice.random() < 0.9 else None
            plan.append(Asked(target, verb, 1.0 if target == STUCK else expires, key))
    dice.shuffle(plan)
    return plan


async def _ask(site: Site, session: aiohttp.ClientSession, one: Asked, *, wait: bool) -> None:
    """As a caller does: again under the same key where no answer came; without a key not at all."""
    arguments = {
        "list.add": {"plate": "AB123", "list": "allow"}, "display.show": {"text": "Welcome"},
    }.get(one.verb, {})  # fmt: skip
    body: dict[str, Any] = {"target": one.target, "verb": one.verb, "expires": one.expires, "arguments": arguments}
    body |= {} if one.key is None else {"key": one.key}
    while True:
        await site.ready.wait()
        one.tries += 1
        try:
            async with session.post(f"{site.url}{'?wait=60s' if wait else ''}", json=body) as answer:
                said = await answer.json()
        except (aiohttp.ClientError, OSError):
            if one.key is None:
                return
            await asyncio.sleep(0.05)
            continue
        if answer.status in _AGAIN:
            await asyncio.sleep(0.2)
            continue
        assert answer.status in (200, 202), said
        one.answers.append(said)
        return


async def _listed(site: Site, session: aiohttp.ClientSession) -> None:
    """Wait until every vendor's devices are known."""
    while True:
        async with session.get(site.url) as answer:
            known = [row["target"] for row in (await answer.json())["targets"]]
        if all(any(one.startswith(wanted) for one in known) for wanted in _READY):
            return
        await asyncio.sleep(0.1)


async def _play(site: Site, seed: int, count: int, kills: int, expires: float, at_once: int) -> list[Asked]:
    dice = random.Random(seed)
    plan = _planned(site, dice, count, expires)
    places = asyncio.Semaphore(at_once)
    begun = 0
    due = sorted(dice.sample(range(count // 10, count), kills))
    async with aiohttp.ClientSession(
        headers={"Authorization": f"Bearer {_TOKEN}"}, connector=aiohttp.TCPConnector(limit=0, force_close=True),
        timeout=aiohttp.ClientTimeout(total=None),
    ) as session:  # fmt: skip
        await site.start()
        await _listed(site, session)
        async with session.post(f"{site.vendors_url}/trouble"):
            pass

        async def killing() -> None:
            for number in due:
                while begun < number:
                    await asyncio.sleep(0.01)
                await asyncio.sleep(dice.random() * 0.3)  # a random point is meant: nothing waits for it
                await site.kill()

        async def asking(one: Asked) -> None:
            nonlocal begun
            async with places:
                begun += 1
                copies = 2 if one.key is not None and dice.random() < 0.15 else 1
                wait = dice.random() < 0.5
                await asyncio.gather(*(_ask(site, session, one, wait=wait) for _ in range(copies)))

        murder = asyncio.create_task(killing())
        await asyncio.gather(*map(asking, plan))
        await murder
        async with session.post(f"{site.vendors_url}/calm"):
            pass
        while _open(events := site.events()):
            assert site.daemon is not None
            assert site.daemon.poll() is None
            late = time.time() - max([site.runs[-1][1], *(_moment(one["expires"]) for one in _open(events))])
            assert late < 60.0, f"without an end: {_open(events)}"
            await asyncio.sleep(0.2)
        for one in plan:  # whatever became of it, its key is remembered
            if one.answers and one.key is not None and dice.random() < 0.2:
                await _ask(site, session, one, wait=True)
    return plan


def _open(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    ended = {event["data"]["command"]["request_id"] for event in events if event["type"] == "command.result"}
    commands = [event["data"]["command"] for event in events if event["type"] == "command.requested"]
    return [one for one in commands if one["request_id"] not in ended]


def _moment(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


async def _account(site: Site) -> list[tuple[str, str, float]]:
    async with aiohttp.ClientSession() as session, session.get(f"{site.vendors_url}/account") as answer:
        return [(target, verb, at) for target, verb, at in await answer.json()]


def _judge(site: Site, plan: list[Asked], account: list[tuple[str, str, float]], slack: float) -> str:
    """All that must hold; the figures in words."""
    events = site.events()
    requested = {
        event["data"]["command"]["request_id"]: event for event in events if event["type"] == "command.requested"
    }
    results = [event for event in events if event["type"] == "command.result"]
    ends = Counter(event["data"]["command"]["request_id"] for event in results)
    assert max(ends.values()) == 1
    assert requested.keys() <= ends.keys()
    status = {event["data"]["command"]["request_id"]: event["data"]["command"]["status"] for event in results}
    assert all(status[one] == "refused" for one in ends.keys() - requested.keys())

    # what callers heard is what stands in the spool, and a key has been one command
    for one in plan:
        assert len({answer["request_id"] for answer in one.answers}) <= 1, one
        for answer in one.answers:
            assert answer["request_id"] in requested
            assert answer["status"] in ("under way", status[answer["request_id"]])

    # the devices' account
    acted = Counter((target, verb) for target, verb, _ in account)
    assert [pair for pair, count in acted.items() if count > 1] == []
    named: dict[tuple[str, str], list[str]] = {}
    for request_id, event in requested.items():
        named.setdefault((event["subject"], event["data"]["command"]["verb"]), []).append(request_id)
    for pair, ids in named.items():
        said = [status[one] for one in ids]
        assert said.count("done") <= acted[pair], (pair, said)
        assert acted[pair] <= sum(one not in NOTHING_HAPPENED for one in said), (pair, said)
    assert acted.keys() <= named.keys()

    # in time: by the wall clock of one machine
    offset = time.time() - time.monotonic()
    for target, verb, at in account:
        over = max(_moment(requested[one]["data"]["command"]["expires"]) for one in named[target, verb])
        assert at + offset <= over + slack, (target, verb)
    latest = 0.0
    for event in results:
        if (begin := requested.get(event["data"]["command"]["request_id"])) is None:
            continue
        ended = _moment(event["time"])
        up = max(up for begun, up in site.runs if begun <= ended)
        latest = max(latest, ended - max(_moment(begin["data"]["command"]["expires"]), up))
    assert latest <= 5.0 + slack
    again = sum(max(0, one.tries - 1) for one in plan)
    figures = ", ".join(f"{count} {name}" for name, count in sorted(Counter(status.values()).items()))
    return f"{len(requested)} commands taken: {figures}; {len(account)} actions, {again} asked again, {latest:+.1f} s"


@pytest.mark.parametrize(
    ("count", "kills", "expires", "at_once", "slack"),
    [
        pytest.param(40, 2, 4.0, 10, 30.0, id="short"),
        pytest.param(500, 12, 30.0, 30, 2.0, id="long", marks=[pytest.mark.long, pytest.mark.timeout(900)]),
    ],
)
def test_each_action_once_and_each_command_with_one_end(
    tmp_path: Path, count: int, kills: int, expires: float, at_once: int, slack: float
) -> None:
    seed = int(os.environ.get("PUMP_CHAOS_SEED", "16"))
    begun = time.monotonic()
    site = Site(tmp_path, seed)
    try:
        plan = asyncio.run(_play(site, seed, count, kills, expires, at_once))
        account = asyncio.run(_account(site))
        assert site.daemon is not None
        site.daemon.send_signal(signal.SIGTERM)
        assert site.daemon.wait() == 0
        words = _judge(site, plan, account, slack)
    except BaseException:
        with contextlib.suppress(OSError):
            sys.stderr.write((tmp_path / "daemon.log").read_text()[-8000:])
        raise
    finally:
        site.close()
    assert _TOKEN not in (tmp_path / "daemon.log").read_text()
    print(f"seed {seed}: {words}; {kills} kills; {time.monotonic() - begun:.0f} s")


async def _full(site: Site) -> None:
    """On a full disk nothing is sent, and what was under way has its end all the same."""
    state = site.folder / "state"
    state.mkdir(mode=0o700)
    # The state directory lies on a small disk of its own, seen by the daemon alone.
    mount = f'mount -t tmpfs -o size=40m,mode=700 tmpfs "{state}" && exec "$@"'
    await site.start("unshare", "-U", "-r", "-m", "sh", "-c", mount, "sh")
    assert site.daemon is not None
    inside = ["nsenter", "--preserve-credentials", "-U", "-m", "-t", str(site.daemon.pid)]
    ballast = f"{state}/ballast"
    gate = "camera/10000/1001"
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {_TOKEN}"}) as session:

        async def post(target: str, verb: str, **more: object) -> tuple[int, dict[str, Any]]:
            async with session.post(f"{site.url}?wait=300s", json={"target": target, "verb": verb, **more}) as answer:
                return answer.status, await answer.json()

        held = asyncio.create_task(post(STUCK, "gate.open", expires="300s"))
        while not await _account(site):
            await asyncio.sleep(0.02)
        fill = ["sh", "-c", f'dd if=/dev/zero of="{ballast}" bs=64k 2>/dev/null; true']
        await asyncio.to_thread(subprocess.run, [*inside, *fill], check=True, cwd="/")
        done = 1
        while (said := await post(gate, "display.show", arguments={"text": "Welcome"}))[0] == 200:
            done += 1  # what the WAL still has room for
        assert (said[0], said[1]["status"]) == (503, "refused")
        assert (await post(gate, "gate.close"))[0] == 503
        assert len(await _account(site)) == done
        async with session.post(f"{site.vendors_url}/release"):
            assert (await held)[1]["status"] == "done"
        copy = site.folder / "copy"
        copy.mkdir()
        take = ["sh", "-c", f'cat "$1"/spool.db > "{copy}"/spool.db; cat "$1"/spool.db-wal > "{copy}"/spool.db-wal']
        await asyncio.to_thread(subprocess.run, [*inside, *take, "sh", str(state)], check=True, cwd="/")
        found = [orjson.loads(record.body) for record in offline.events(copy)]
        ends = [one["data"]["command"] for one in found if one["type"] == "command.result"]
        assert [one["status"] for one in ends if one["target"] == STUCK] == ["done"], "from the reserve"
        await asyncio.to_thread(subprocess.run, [*inside, "rm", ballast], check=True, cwd="/")
        while (await post(gate, "gate.close"))[0] == 503:
            await asyncio.sleep(0.2)
        assert len(await _account(site)) == done + 1


def test_on_a_full_disk_nothing_is_sent_and_what_was_sent_has_its_end(tmp_path: Path) -> None:
    site = Site(tmp_path, 1)
    try:
        asyncio.run(_full(site))
    finally:
        site.close()
