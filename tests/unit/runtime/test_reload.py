"""Reading pump.toml again in a daemon that runs: what differs is changed, and nothing else is touched."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import ssl
import sys
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from structlog.testing import capture_logs

from pump.config import load
from pump.core.clock import Clock
from pump.runtime.daemon import Daemon
from pump.testing.standins import SOURCES, HangingSource, HangingSourceSettings, StandIns
from pump.vendors.hik_camera.simulator.server import PULSES, Simulator
from tests.certificates import certificate, needs_openssl
from tests.environ import ALONE, BARE
from tests.unit.runtime.site import GATE, NUMBERS, OUT, Site, until


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


# --- what differs ---------------------------------------------------------------------------------------------------


async def test_the_same_file_changes_nothing(site: Site) -> None:
    site.write(NUMBERS, GATE, OUT)
    async with site.running() as daemon:
        before = {name: site.task(name) for name in daemon.supervisor.names}
        assert await site.reload() == {"ok": True, "reasons": [], "changed": {}, "late": []}
        assert {name: site.task(name) for name in daemon.supervisor.names} == before


async def test_all_sources_that_are_pushed_to_count_their_listening_by_one_timer(site: Site) -> None:
    gates = [GATE.replace("gate", f"gate{number}").replace("10000", str(number)) for number in range(20)]
    site.write(*gates, OUT)
    async with site.running():
        assert [task.get_name() for task in asyncio.all_tasks()].count("sources: listening time") == 1
    assert len(list((site.folder / "state").glob("listened*"))) == 1 + len(gates)


async def test_a_source_whose_settings_change_goes_on_from_its_place(site: Site) -> None:
    site.write(NUMBERS, GATE, OUT)
    async with site.running() as daemon:
        others = {name: site.task(name) for name in daemon.supervisor.names if name != "source numbers"}
        await daemon.spool.wait_above(30)
        former = site.task("source numbers")
        site.write(NUMBERS + "batch = 7\n", GATE, OUT)
        assert (await site.reload())["changed"] == {"sources_changed": ["numbers"]}
        assert former.done()
        assert {name: site.task(name) for name in others} == others
        await daemon.spool.wait_above(daemon.spool.head + 30)
    assert site.numbers() == list(range(len(site.numbers())))


async def test_sources_and_sinks_come_and_go(site: Site) -> None:
    copy = '[sinks.copy]\ntype = "jsonl"\npath = "{folder}/copy.jsonl"\nstart = "now"\n'
    site.write(NUMBERS, OUT)
    async with site.running() as daemon:
        site.write(NUMBERS, '[sources.more]\ntype = "numbers"\n', OUT, copy)
        assert (await site.reload())["changed"] == {"sources_added": ["more"], "sinks_added": ["copy"]}
        await until(lambda: any(one["source"] == "/site/more" for one in site.events("copy.jsonl")))
        site.write(NUMBERS, OUT)
        assert (await site.reload())["changed"] == {"sources_removed": ["more"], "sinks_removed": ["copy"]}
        assert not {"source more", "sink copy"} & {*daemon.supervisor.names, *daemon.health.components}
        assert {*daemon.status.body()["sinks"]} == {"out"}
        assert {*daemon.status.body()["sources"]} == {"numbers"}
        place = daemon.spool.cursor("copy")
        assert place is not None
        copied = len(site.events("copy.jsonl"))
        await daemon.spool.wait_above(daemon.spool.head + 20)
        assert len(site.events("copy.jsonl")) == copied
        site.write(NUMBERS, '[sources.more]\ntype = "numbers"\n', OUT, copy)  # back again, each goes on where it was
        await site.reload()
        await daemon.spool.wait_above(daemon.spool.head + 20)
        await until(lambda: daemon.sinks["copy"].position >= place.seq + 20)
    for of in ("numbers", "more"):
        passes = [one for one in site.events() if one["type"] == "vehicle.passed"]
        numbers = [one["data"]["raw"]["number"] for one in passes if one["source"] == f"/site/{of}"]
        assert numbers == [*range(len(numbers))]
    ids = [one["id"] for one in site.events("copy.jsonl")]
    assert len(ids) == len({*ids})


async def test_gauges_of_what_is_taken_out_are_gone(site: Site) -> None:
    more = '[sources.more]\ntype = "numbers"\n', '[sinks.copy]\ntype = "jsonl"\npath = "{folder}/copy.jsonl"\n'
    site.write(NUMBERS, OUT, *more)
    async with site.running() as daemon:

        async def shown() -> set[str]:
            """The gauges of these two."""
            await daemon.status.refresh()
            return {
                metric.name
                for metric in daemon.metrics.registry.collect()
                for one in metric.samples
                if metric.type == "gauge" and {"more", "copy", "source more", "sink copy"} & {*one.labels.values()}
            }

        while not {"pump_up", "pump_lag_events", "pump_source_last_activity_seconds"} <= await shown():
            await asyncio.sleep(0.01)
        assert "pump_sink_off" in await shown()
        site.write(NUMBERS, OUT)
        await site.reload()
        assert await shown() == set()


async def test_a_disabled_part_is_one_that_is_not_there(site: Site) -> None:
    site.write(NUMBERS, OUT)
    async with site.running() as daemon:
        site.write(NUMBERS + "enabled = false\n", OUT)
        assert (await site.reload())["changed"] == {"sources_removed": ["numbers"]}
        assert "source numbers" not in daemon.supervisor.names


async def test_a_sink_that_changes_loses_and_repeats_nothing(site: Site) -> None:
    site.write(NUMBERS, OUT)
    async with site.running() as daemon:
        for size in (3, 50, 500, 1):
            await daemon.spool.wait_above(daemon.spool.head + 20)
            site.write(NUMBERS, OUT + f"batch_size = {size}\n")
            assert (await site.reload())["changed"] == {"sinks_changed": ["out"]}
    assert site.numbers() == list(range(len(site.numbers())))


async def test_the_connection_of_a_camera_stays_while_others_change(site: Site) -> None:
    async with Simulator(clock=Clock()) as camera:
        door = f'[sources.door]\ntype = "hik-camera"\nurl = "{camera.url}"\npassword = "Camera-1"\n'
        site.write(door, NUMBERS, OUT)
        async with site.running() as daemon:
            await camera.connected(1)
            for batch in (1, 2, 3):
                site.write(door, NUMBERS + f"batch = {batch}\n", OUT + f"batch_size = {batch}\n")
                await site.reload()
            assert (len(camera.account.streams), camera.streams) == (1, 1)
            camera.emit(PULSES[0])
            await until(lambda: daemon.status.body()["sources"]["door"]["events"])
            site.write(door + 'time_zone = "Asia/Tokyo"\n', NUMBERS, OUT)
            await site.reload()
            await camera.connected(2)


async def test_names_in_a_csv_file_are_read_again(site: Site) -> None:
    names = site.folder / "names.csv"
    names.write_text("device,name\n1,Door\n")
    site.write(NUMBERS + 'names = "names.csv"\n', OUT)
    async with site.running():
        assert (await site.reload())["changed"] == {}
        names.write_text("device,name\n1,Gate\n")
        assert (await site.reload())["changed"] == {"sources_changed": ["numbers"]}


# --- credentials and certificates -----------------------------------------------------------------------------------


async def test_another_password_in_its_file_is_enough(site: Site) -> None:
    secret = site.folder / "password"
    secret.write_text("wrong-one\n")
    async with Simulator(clock=Clock()) as camera:
        door = f'[sources.door]\ntype = "hik-camera"\nurl = "{camera.url}"\npassword = {{ file = "{secret}" }}\n'
        site.write(door, OUT)
        async with site.running() as daemon:
            await until(lambda: daemon.health.component("source door").state == "down")
            secret.write_text("Camera-1\n")
            assert (await site.reload())["changed"] == {"sources_changed": ["door"]}
            await until(lambda: daemon.health.component("source door").state == "up")


@needs_openssl
async def test_another_certificate_in_its_file_is_enough(site: Site) -> None:
    cert, key = certificate(site.folder, "one")
    ca = site.folder / "ca.pem"
    ca.write_bytes(cert.read_bytes())
    door = f'[sources.door]\ntype = "hik-camera"\nurl = "https://127.0.0.1:1"\npassword = "x"\nca = "{ca}"\n'
    site.write(GATE, door, OUT, server=f'tls_cert = "{cert}"\ntls_key = "{key}"')
    async with site.running() as daemon:
        assert (await site.reload())["changed"] == {}
        other, its_key = certificate(site.folder, "two")
        trusted = ssl.create_default_context(cafile=other)
        cert.write_bytes(other.read_bytes())
        key.write_bytes(its_key.read_bytes())
        assert (await site.reload())["changed"] == {"tables": ["server"]}
        async with aiohttp.ClientSession() as session, session.get(daemon.push_url, ssl=trusted) as answer:
            assert answer.status == 404
        ca.write_bytes(other.read_bytes())
        assert (await site.reload())["changed"] == {"sources_changed": ["door"]}


@needs_openssl
async def test_another_certificate_of_the_operators_page_is_used_for_new_connections(site: Site) -> None:
    cert, key = certificate(site.folder, "one")
    site.write(NUMBERS, OUT, ops=f'tls_cert = "{cert}"\ntls_key = "{key}"')
    async with site.running() as daemon:
        other, its_key = certificate(site.folder, "two")
        trusted = ssl.create_default_context(cafile=other)
        cert.write_bytes(other.read_bytes())
        assert not (await site.reload())["ok"]  # it does not fit its key
        key.write_bytes(its_key.read_bytes())
        assert (await site.reload())["changed"] == {"tables": ["ops"]}
        async with aiohttp.ClientSession() as session, session.get(daemon.ops_url + "/healthz", ssl=trusted) as answer:
            assert answer.status == 200


async def test_another_time_zone_is_one_of_the_pages_too(site: Site) -> None:
    site.write(NUMBERS, OUT, pump='time_zone = "UTC"')
    async with site.running() as daemon, aiohttp.ClientSession() as session:

        async def shown() -> str:
            async with session.get(daemon.ops_url + "/health") as answer:
                return await answer.text()

        assert "Asia/Tokyo" not in await shown()
        site.write(NUMBERS, OUT, pump='time_zone = "Asia/Tokyo"')
        assert "pump" in (await site.reload())["changed"]["tables"]
        assert "Asia/Tokyo" in await shown()
        async with session.get(daemon.ops_url + "/board") as answer:
            assert answer.status == 200


async def test_another_token_lets_another_in(site: Site) -> None:
    grants = '[commands]\n[[commands.grants]]\ncallers = ["token:{}"]\nverbs = ["*"]\ntargets = ["*"]\n'
    site.write(NUMBERS, OUT, grants.format("board"), ops='tokens = { board = "first-token" }')
    async with site.running() as daemon, aiohttp.ClientSession() as session:

        async def asked(token: str) -> int:
            headers = {"Authorization": f"Bearer {token}"}
            async with session.get(daemon.ops_url + "/commands", headers=headers) as answer:
                return answer.status

        assert await asked("first-token") == 200
        site.write(NUMBERS, OUT, grants.format("board"), ops='tokens = { board = "second-token" }')
        assert (await site.reload())["changed"] == {"tables": ["ops"]}
        assert (await asked("first-token"), await asked("second-token")) == (401, 200)


# --- what cannot be taken up ----------------------------------------------------------------------------------------


async def test_a_bad_file_changes_nothing_and_says_why(site: Site) -> None:
    site.write(NUMBERS, OUT)
    async with site.running() as daemon:
        before = {name: site.task(name) for name in daemon.supervisor.names}
        lacking = '[sinks.more]\ntype = "jsonl"\npath = "{folder}/none/more.jsonl"\n'
        for tables, said in (
            ((NUMBERS + "bathc = 3\n", OUT), "did you mean"),
            ((NUMBERS, OUT, "[sinks.hook]\n"), "sinks.hook.type: found no type"),
            (("[sources.numbers", OUT), "not TOML"),
            ((NUMBERS + "batch = 3\n", OUT, lacking), "is missing: make it"),
        ):
            site.write(*tables)
            with capture_logs() as logs:
                result = await site.reload()
            assert not result["ok"]
            assert said in "\n".join(result["reasons"])
            assert result["changed"] == {}
            assert [line["reasons"] for line in logs if "not taken up" in line["event"]] == [result["reasons"]]
            last = daemon.status.body()["reload"]
            assert (last["ok"], last["reasons"]) == (False, result["reasons"])
        assert {name: site.task(name) for name in daemon.supervisor.names} == before
        site.config.unlink()
        assert "cannot be read" in (await site.reload())["reasons"][0]
        assert daemon.metrics.reloads.labels("refused")._value.get() == 5
        site.write(NUMBERS, OUT)
        assert (await site.reload())["ok"]
        assert daemon.status.body()["reload"]["ok"]


async def test_a_reload_for_which_there_are_no_descriptors_says_so(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def scarce(place: object) -> list[str]:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    site.write(NUMBERS, OUT)
    async with site.running():
        with monkeypatch.context() as patch:
            patch.setattr(os, "listdir", scarce)
            [reason] = (await site.reload())["reasons"]
        assert "file descriptors" in reason
        assert (await site.reload())["ok"]


@pytest.mark.parametrize(
    ("key", "changed"),
    [
        ("pump.site", {"pump": 'site = "other"'}),
        ("server.listen", {"old": 'listen = "127.0.0.1:0"', "new": 'listen = "127.0.0.2:0"'}),
        ("ops.page", {"ops": "page = false"}),
        ("media.fetch", {"table": "[media]\nfetch = false\n"}),
        ("media.dir", {"table": '[media]\ndir = "{folder}/elsewhere"\n'}),
    ],
)
async def test_what_only_a_restart_can_change_is_refused(site: Site, key: str, changed: dict[str, str]) -> None:
    site.write(NUMBERS, OUT)
    async with site.running() as daemon:
        site.write(NUMBERS + "batch = 3\n", OUT, changed.get("table", ""), pump=changed.get("pump", ""),
                   ops=changed.get("ops", ""))  # fmt: skip
        if "old" in changed:
            site.config.write_text(site.config.read_text().replace(changed["old"], changed["new"], 1))
        result = await site.reload()
        assert not result["ok"]
        assert key in result["reasons"][0]
        assert "needs a restart" in result["reasons"][0]
        assert daemon.config.sources["numbers"].batch == 10  # type: ignore[attr-defined]  # of Numbers


# --- parts that misbehave -------------------------------------------------------------------------------------------


class ReluctantSettings(HangingSourceSettings):
    def identity(self) -> str:
        return "the one account"


class Reluctant(HangingSource):
    """Ends once it may, however often it is cancelled; counts who runs at a time."""

    Settings = ReluctantSettings
    may = asyncio.Event()
    running = 0

    async def run(self, intake: Any) -> None:
        assert Reluctant.running == 0, "two of one name"
        Reluctant.running += 1
        intake.up()
        try:
            while not Reluctant.may.is_set():
                try:
                    await Reluctant.may.wait()
                except asyncio.CancelledError:
                    continue
        finally:
            Reluctant.running -= 1


async def test_who_takes_the_place_of_one_that_does_not_end_begins_once_it_has(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pump.runtime.parts.ENDING", 0.05)
    Reluctant.may, Reluctant.running = asyncio.Event(), 0
    kinds = StandIns(own_sources={**SOURCES, "reluctant": Reluctant})
    site.write('[sources.slow]\ntype = "reluctant"\n', NUMBERS, OUT)
    async with site.running(kinds) as daemon:
        site.write('[sources.slow]\ntype = "numbers"\n', NUMBERS, OUT)
        result = await site.reload()
        assert (result["ok"], result["late"]) == (True, ["source slow"])
        assert daemon.health.component("source slow").reason == "it does not stop"
        Reluctant.may.set()
        await until(lambda: daemon.health.component("source slow").state == "up")


@pytest.mark.parametrize("ends", [True, False])
async def test_one_account_is_never_two_sources_though_it_is_renamed(
    site: Site, monkeypatch: pytest.MonkeyPatch, ends: bool
) -> None:
    monkeypatch.setattr("pump.runtime.parts.ENDING", 60.0 if ends else 0.05)
    Reluctant.may, Reluctant.running = asyncio.Event(), 0
    kinds = StandIns(own_sources={**SOURCES, "reluctant": Reluctant})
    site.write('[sources.old]\ntype = "reluctant"\n', OUT)
    async with site.running(kinds) as daemon:
        await until(lambda: Reluctant.running)
        site.write('[sources.new]\ntype = "reluctant"\n', NUMBERS, OUT)
        reloading = asyncio.create_task(site.reload())
        if ends:
            await until(lambda: "new" in daemon.status.body()["sources"])
        else:
            assert (await reloading)["late"] == ["source old"]
            await until(lambda: daemon.health.component("source numbers").state == "up")  # others need not wait
        assert daemon.health.component("source new").state == "starting"
        Reluctant.may.set()
        assert (await reloading)["changed"] == {"sources_added": ["new", "numbers"], "sources_removed": ["old"]}
        await until(lambda: daemon.health.component("source new").state != "starting")


async def test_reloads_that_come_together_are_one_after_another(site: Site) -> None:
    site.write(NUMBERS, OUT)
    async with site.running() as daemon:
        site.write(NUMBERS + "batch = 3\n", OUT)
        results = await asyncio.gather(*(site.reload() for _ in range(5)))
        assert [one["ok"] for one in results] == [True] * 5
        assert {json.dumps(one["changed"]) for one in results} <= {'{"sources_changed": ["numbers"]}', "{}"}
        daemon.reload()
        daemon.reload()
        daemon.stop()  # in the midst of it


async def test_a_reload_asked_for_while_it_starts_is_done_then(site: Site) -> None:
    site.write(NUMBERS, OUT)
    kinds = StandIns()
    daemon = Daemon(load(site.config, kinds=kinds), clock=Clock(), kinds=kinds)
    site.write(NUMBERS + "batch = 3\n", OUT)
    daemon.reload()
    running = asyncio.create_task(daemon.run(signals=False))
    await until(lambda: daemon.status.body()["reload"])
    assert daemon.status.body()["reload"]["changed"] == {"sources_changed": ["numbers"]}
    daemon.stop()
    assert await running == 0


async def test_the_command_says_what_became_of_it_and_ends_with_its_status(site: Site) -> None:
    async def command() -> tuple[int | None, str, str]:
        arguments = ("-m", "pump", "reload", "-c", str(site.config))
        process = await asyncio.create_subprocess_exec(
            sys.executable, *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            env={**BARE, **ALONE},
        )  # fmt: skip
        out, err = await process.communicate()
        return process.returncode, out.decode(), err.decode()

    site.write(NUMBERS, OUT)
    async with site.running():
        assert await command() == (0, "Nothing differs.\n", "")
        site.write(NUMBERS + "batch = 3\n", '[sources.more]\ntype = "numbers"\n', OUT)
        assert await command() == (0, "sources added: more\nsources changed: numbers\n", "")
        site.write(NUMBERS + "batches = 3\n", OUT)
        code, out, err = await command()
        assert (code, out) == (78, "")
        assert err.endswith("Nothing was changed.\n")
        assert 'did you mean "batch"?' in err
    code, out, err = await command()
    assert (code, out) == (1, "")
    assert "no daemon runs" in err
