"""Commands through a reload: ways in follow their sinks, each command has one result, and rights are the new ones."""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
import aiomqtt
import nats
import nats.errors
import pytest
from nats.aio.client import Client

from pump.commands.contract import NotTaken, Request, Ticket
from pump.commands.ways import Reception
from pump.config.passwords import hashed
from pump.core.clock import Clock
from pump.ingest.intake import Intake
from pump.ops.commands.desk import CommandDesk
from pump.ops.commands.journal import Entry, Journal
from pump.runtime.daemon import Daemon
from pump.sinks.jsonl.sink import JsonlSink
from pump.spool import Spool
from pump.spool.types import SpoolSettings
from pump.telemetry.health import Health
from pump.telemetry.metrics import Metrics
from pump.testing.brokers import Mosquitto, NatsServer
from pump.testing.standins import SOURCES, StandIns
from tests.unit.ops.commands.site import Gates
from tests.unit.ops.page.test_commanding import ConfiguredGates
from tests.unit.runtime.site import NUMBERS, OUT, Site, until

GATES = '[sources.gates]\ntype = "gates"\n'
MORE = '[sources.more]\ntype = "gates"\n'
HOME = '[sinks.home]\ntype = "mqtt"\nurl = "{}"\ncommand_topic = "site/command"\n'
STREAM = '[sinks.stream]\ntype = "nats"\nservers = "{}"\ncommand_subject = "site.command"\n'
ORDER = b'{"verb": "gate.open"}'
brokers = pytest.mark.skipif(
    Mosquitto.found() is None or NatsServer.found() is None, reason="mosquitto or nats-server is not installed"
)


def granted(*callers: str, raw: bool = False) -> str:
    return (
        f"[commands]\nper_minute = 600\nraw = {json.dumps(raw)}\n[[commands.grants]]\ncallers = {json.dumps(callers)}\n"
        'verbs = ["*"]\ntargets = ["*"]\n'
    )


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


@asynccontextmanager
async def running(site: Site) -> AsyncIterator[Daemon]:
    async with site.running(StandIns(own_sources={**SOURCES, "gates": ConfiguredGates})) as daemon:
        yield daemon


def desk_of(daemon: Daemon) -> CommandDesk:
    assert daemon.services.desk is not None
    return daemon.services.desk


def gates(daemon: Daemon, name: str = "gates") -> Gates:
    found = desk_of(daemon)._sources[name]
    assert isinstance(found, Gates)
    return found


async def given(site: Site, command: str, **arguments: Any) -> dict[str, Any]:
    """A command of the control socket; its result, or the error."""
    reader, writer = await asyncio.open_unix_connection(site.folder / "state" / "control.sock")
    writer.write(json.dumps({"command": command, "arguments": arguments}).encode() + b"\n")
    while True:
        answer: dict[str, Any] = json.loads(await reader.readline())
        if "result" in answer or "error" in answer:
            writer.close()
            return answer.get("result") or answer


def ends(site: Site) -> dict[str, list[tuple[str, str]]]:
    """By request, (status, reason) of each `command.result` that the sink has had."""
    found: dict[str, list[tuple[str, str]]] = {}
    for event in site.events():
        if event["type"] == "command.result":
            command = event["data"]["command"]
            found.setdefault(command["request_id"], []).append((command["status"], command.get("reason", "")))
    return found


# --- ways in --------------------------------------------------------------------------------------------------------


async def asked(peer: Client, target: str = "gate.obeys") -> dict[str, Any]:
    """The answer."""
    found: dict[str, Any] = json.loads((await peer.request(f"site.command.{target}", ORDER, timeout=60)).data)
    return found


async def unheard(peer: Client) -> None:
    """Until nobody hears any more: what comes before the server has seen a connection's end is lost."""
    while True:
        try:
            await peer.request("site.command.gate.obeys", ORDER, timeout=1)
        except nats.errors.NoRespondersError:
            return
        except nats.errors.TimeoutError:
            continue


@brokers
async def test_each_way_follows_its_sink_and_the_others_keep_their_connection(site: Site, tmp_path: Path) -> None:
    async with Mosquitto(tmp_path / "mosquitto") as mosquitto, NatsServer(tmp_path / "nats") as server:
        home, stream, grants = HOME.format(mosquitto.url), STREAM.format(server.url), granted("mqtt", "nats")
        site.write(GATES, OUT, home, stream, grants)
        async with running(site) as daemon, aiomqtt.Client("127.0.0.1", mosquitto.port) as client:
            peer = await nats.connect(server.url)
            ways = "commands home", "commands stream"
            await until(lambda: all(daemon.health.component(way).state == "up" for way in ways))
            before = {way: site.task(way) for way in ways}

            site.write(GATES, OUT, home, stream + "batch_size = 7\n", grants)
            assert (await site.reload())["changed"] == {"sinks_changed": ["stream"]}
            assert (site.task(ways[0]) is before[ways[0]], before[ways[1]].done()) == (True, True)
            await until(lambda: daemon.health.component(ways[1]).state == "up")
            assert (await asked(peer))["status"] == "done"
            assert daemon.metrics.restarts.labels(part=ways[0])._value.get() == 0  # its one connection serves
            await client.publish("site/command/gate/obeys", ORDER, qos=1)
            await until(lambda: len(gates(daemon).did) == 2)

            site.write(GATES, OUT, home, grants)
            await site.reload()
            await unheard(peer)
            assert ways[1] not in daemon.supervisor.names
            assert ways[1] not in [one["name"] for one in daemon.status.body()["components"]]
            await daemon.status.refresh()
            assert daemon.metrics.registry.get_sample_value("pump_up", {"part": ways[1]}) is None
            assert "no source and no sink" in json.dumps(await given(site, "restart", part=ways[1]))

            site.write(GATES, OUT, home.replace('command_topic = "site/command"', ""), stream, grants)
            await site.reload()
            assert (ways[0] in daemon.supervisor.names, "sink home" in daemon.supervisor.names) == (False, True)
            assert ways[0] not in daemon.health.components
            await until(lambda: daemon.health.component(ways[1]).state == "up")
            assert (await asked(peer))["status"] == "done"
            assert (await given(site, "restart", part=ways[1]))["part"] == ways[1]
            await peer.close()


@brokers
async def test_a_way_that_begins_anew_answers_first_what_it_has_in_hand(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pump.runtime.ways.ENDING", 300.0)
    async with NatsServer(tmp_path / "nats") as server:
        stream = STREAM.format(server.url)
        site.write(GATES, OUT, stream, granted("nats"))
        async with running(site) as daemon:
            peer = await nats.connect(server.url)
            await until(lambda: daemon.health.component("commands stream").state == "up")
            waiting = asyncio.create_task(asked(peer, "gate.waits"))
            await until(lambda: desk_of(daemon)._under_way)
            site.write(GATES, OUT, stream + "batch_size = 7\n", granted("nats"))
            reloading = asyncio.create_task(site.reload())
            while "begins anew" not in (await asked(peer)).get("reason", ""):
                pass
            gates(daemon).go_on.set()
            assert (await waiting)["status"] == "done"
            assert (await reloading)["ok"]
            await until(lambda: daemon.health.component("commands stream").state == "up")
            assert (await asked(peer))["status"] == "done"
            await peer.close()


@brokers
async def test_an_answer_that_a_way_cannot_wait_for_is_counted_and_the_command_goes_on(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pump.runtime.ways.ENDING", 0.05)
    async with NatsServer(tmp_path / "nats") as server:
        site.write(GATES, OUT, STREAM.format(server.url), granted("nats"))
        async with running(site) as daemon:
            peer = await nats.connect(server.url)
            await until(lambda: daemon.health.component("commands stream").state == "up")
            inbox = await peer.subscribe("me")
            order = b'{"verb": "gate.open", "expires": 300}'
            await peer.publish("site.command.gate.waits", order, reply="me")
            # on disk: else the way's end is that of who asked, and it is not sent
            await until(lambda: any(one.written.done() for one in desk_of(daemon)._under_way.values()))
            site.write(GATES, OUT, granted("nats"))
            await site.reload()
            assert daemon.metrics.command_answers_lost.labels("stream")._value.get() == 1
            gates(daemon).go_on.set()
            await until(lambda: ends(site))
            assert [*ends(site).values()] == [[("done", "")]]
            assert inbox.pending_msgs == 0
            await peer.close()


# --- each command has one result ------------------------------------------------------------------------------------


async def test_a_command_of_a_source_that_is_taken_out_has_one_result(site: Site) -> None:
    site.write(GATES, NUMBERS, OUT, granted("socket"))
    async with running(site) as daemon:
        there, desk = gates(daemon), desk_of(daemon)

        async def ask(target: str) -> Ticket:
            return await desk.ask(Request(target, "gate.open", expires="300s"), "socket")

        tickets = [await ask("gate/waits"), await ask("gate/waits")]  # the second waits for the first
        site.write(NUMBERS, OUT, granted("socket"))
        assert (await site.reload())["changed"] == {"sources_removed": ["gates"]}
        assert [*desk.targets()] == []
        with pytest.raises(NotTaken, match="no source has a device"):
            await ask("gate/waits")
        there.go_on.set()
        results = [(await ticket.result).status for ticket in tickets]
        assert results == ["done", "failed"]
        assert [target for target, *_ in there.did] == ["gate/waits"]
        await until(lambda: len(ends(site)) >= 3)
        assert [len(each) for each in ends(site).values()] == [1, 1, 1]  # the refusal is one
        assert "taken out" in ends(site)[tickets[1].request_id][0][1]
        assert "source gates" not in daemon.health.components
        site.write(GATES, NUMBERS, OUT, granted("socket"))  # and back again
        await site.reload()
        ticket = await ask("gate/obeys")
        assert (await ticket.result).status == "done"
        assert daemon.spool.state("gates", "command/") == {}


async def test_what_a_run_before_left_open_ends_also_where_the_source_comes_later(site: Site) -> None:
    site.write(GATES, OUT, granted("socket"))
    clock, metrics = Clock(), Metrics()
    state = site.folder / "state"
    state.mkdir(mode=0o700)
    spool = await Spool.open(state, SpoolSettings(), clock=clock, metrics=metrics)
    stamp = clock.now().isoformat()
    for name in ("pump", "gates", "more"):
        intake = Intake(name, spool=spool, site="s", clock=clock, metrics=metrics, health=Health(clock))
        await Journal(intake).begin(Entry(f"of-{name}", "gate.open", f"gate/{name}", "socket", stamp, stamp))
    await spool.close()
    async with running(site) as daemon:
        await until(lambda: len(ends(site)) == 2)
        assert {*ends(site)} == {"of-pump", "of-gates"}
        site.write(GATES, MORE, OUT, granted("socket"))
        await site.reload()
        await until(lambda: len(ends(site)) == 3)
        assert Counter(status for each in ends(site).values() for status, _ in each) == {"unknown": 3}
        assert gates(daemon, "more").did == gates(daemon).did == []


async def test_a_command_keeps_the_dry_run_that_was_written_down(site: Site) -> None:
    site.write(GATES, OUT, granted("socket"))
    async with running(site) as daemon:
        desk = desk_of(daemon)
        tickets = [await desk.ask(Request("gate/waits", "gate.open", expires="300s"), "socket") for _ in range(2)]
        site.write(GATES, OUT, granted("socket").replace("[commands]", "[commands]\ndry_run = true"))
        assert (await site.reload())["changed"] == {"tables": ["commands"]}
        gates(daemon).go_on.set()
        assert [(await ticket.result).status for ticket in tickets] == ["done", "done"]
        assert len(gates(daemon).did) == 2
        dry = await desk.ask(Request("gate/obeys", "gate.open"), "socket")
        assert "nothing was sent" in (await dry.result).reason
        assert len(gates(daemon).did) == 2


# --- whoever commands sees what runs --------------------------------------------------------------------------------


async def test_raw_calls_restarts_and_grants_know_what_was_taken_in(site: Site) -> None:
    site.write(GATES, OUT)
    async with running(site) as daemon:
        call = {"name": "more", "method": "GET", "path": "/api/things"}
        assert (await given(site, "command.call", **call))["status"] == "refused"
        site.write(GATES, MORE, OUT, granted("socket", raw=True))
        await site.reload()
        assert (await given(site, "command.call", **call))["status"] == "done"
        assert gates(daemon, "more").did[-1][:2] == ("GET", "/api/things")
        assert await given(site, "restart", part="more") == {"part": "source more", "waited": False}
        targets = (await given(site, "command.list"))["targets"]
        assert {one["source"] for one in targets} == {"gates", "more"}
        site.write(GATES, OUT, granted("socket", raw=True))
        await site.reload()
        assert "no source or sink" in (await given(site, "command.call", **call))["reason"]
        site.write(GATES, OUT, granted("socket"))
        await site.reload()
        assert "raw = true" in (await given(site, "command.call", **call | {"name": "gates"}))["reason"]


async def test_the_page_knows_its_users_and_shows_what_runs(site: Site) -> None:
    def users(**passwords: str) -> str:
        return "\n".join(
            f'[ops.users.{name}]\npassword = "{hashed(one)}"\nrole = "act"' for name, one in passwords.items()
        )

    archive = '[sinks.archive]\ntype = "sqlite"\npath = "{folder}/archive.db"\n'
    elsewhere = {"X-Forwarded-For": "192.0.2.9"}
    site.write(GATES, OUT, users(anna="first"))
    async with running(site) as daemon:
        jar = aiohttp.CookieJar(unsafe=True)
        async with aiohttp.ClientSession(cookie_jar=jar) as session:

            async def sign_in(name: str, password: str) -> int:
                form = {"name": name, "password": password}
                async with session.post(daemon.ops_url + "/sign-in", data=form, allow_redirects=False) as answer:
                    return answer.status

            async def page(path: str) -> tuple[int, str]:
                async with session.get(daemon.ops_url + path, headers=elsewhere, allow_redirects=False) as answer:
                    return answer.status, await answer.text()

            assert (await sign_in("anna", "first"), await sign_in("leo", "second")) == (303, 403)
            assert (await page("/"))[0] == 200
            assert "archive" not in (await page("/search"))[1]
            assert "archive.db" not in (await page("/health"))[1]
            grants = granted("user:*")
            site.write(GATES, MORE, OUT, archive, users(anna="first", leo="second"), grants)
            await site.reload()
            assert (await page("/"))[0] == 401  # her password's hash is another one, though it is the same password
            assert await sign_in("leo", "second") == 303
            assert "archive" in (await page("/search"))[1]
            assert "archive.db" in (await page("/health"))[1]
            shown = (await page("/"))[1]
            assert re.search(r"<option[^>]*>more", shown)
            assert 'value="gates"' in (await page("/doing"))[1]
            assert 'value="more"' in (await page("/doing"))[1]
            site.write(GATES, OUT, users(anna="first"))
            await site.reload()
            assert (await page("/"))[0] == 401
            assert await sign_in("leo", "second") == 403


# --- a way that does not end ----------------------------------------------------------------------------------------


OWN = '[sinks.own]\ntype = "own"\npath = "{folder}/own.jsonl"\n'


class DeafWay:
    """Swallows every cancellation until it may end."""

    def __init__(self, may: asyncio.Event) -> None:
        self._may = may

    async def run(self, reception: Reception, up: Callable[[], object]) -> None:
        up()
        if self._may.is_set():
            await asyncio.Event().wait()  # the one that takes its place
        while not self._may.is_set():
            with suppress(asyncio.CancelledError):
                await self._may.wait()


def deaf(may: asyncio.Event) -> StandIns:
    """Kinds with a sink `own`, whose way in is one."""

    class Sink(JsonlSink):
        @classmethod
        def way_in(cls, name: str, settings: Any, *, clock: Clock, site: str) -> DeafWay:
            return DeafWay(may)

    return StandIns(own_sources={"gates": ConfiguredGates}, own_sinks={"own": Sink})


async def test_a_grant_that_is_taken_back_is_so_while_parts_are_slow_to_end(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pump.runtime.ways.ENDING", 300.0)
    may = asyncio.Event()
    site.write(GATES, OUT, OWN, granted("socket"))
    async with site.running(deaf(may)) as daemon:
        await until(lambda: daemon.health.component("commands own").state == "up")
        assert desk_of(daemon).allows("socket", "gate.open", "gate/obeys")
        site.write(GATES, OUT, granted("mqtt"))
        reloading = asyncio.create_task(site.reload())
        await until(lambda: not desk_of(daemon).allows("socket", "gate.open", "gate/obeys"))
        assert not reloading.done()
        may.set()
        assert (await reloading)["ok"]


async def test_a_way_that_does_not_end_is_named_and_the_next_begins_once_it_has(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pump.runtime.ways.ENDING", 0.05)
    may = asyncio.Event()
    site.write(GATES, OUT, OWN)
    async with site.running(deaf(may)) as daemon:
        await until(lambda: daemon.health.component("commands own").state == "up")
        site.write(GATES, OUT, OWN + "batch_size = 7\n")
        result = await site.reload()
        assert (result["ok"], result["late"]) == (True, ["commands own"])
        assert daemon.supervisor.stuck(0.0) == ["commands own"]  # which the watchdog looks at
        assert daemon.health.component("sink own").state != "down"
        assert daemon.health.component("commands own").state == "down"
        may.set()
        await until(lambda: daemon.supervisor.stuck(0.0) == [])
        await until(lambda: daemon.health.component("commands own").state == "up")
