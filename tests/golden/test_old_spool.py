"""A spool that the code before the first move wrote is opened by today's: everything is there, and it goes on."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tests.golden import old_spool, subjects, vendors
from tests.golden.old_spool import intake, opened

Held = dict[str, Any]
Look = Callable[[subjects.Spool, subjects.ManualClock], Awaitable[None]]


@pytest.fixture
def held(tmp_path: Path) -> Held:
    return old_spool.unpack(tmp_path)


def look(folder: Path, held: Held, what: Look) -> None:
    """Open the copy at the moment when it was written, whatever day it is."""

    async def main() -> None:
        spool, clock = await opened(folder, old_spool.written_at(held))
        try:
            await what(spool, clock)
        finally:
            await spool.close()

    asyncio.run(main())


def test_events_cursors_state_and_dead_letters_are_all_there(tmp_path: Path, held: Held) -> None:
    async def what(spool: subjects.Spool, clock: subjects.ManualClock) -> None:
        found = json.loads(json.dumps(await old_spool.holding(spool, [*held["state"]], [*held["cursors"]])))
        wanted = {key: held[key] for key in found}
        found["state"]["pump"].pop("time")  # today's count of the time that passes, which begins with this opening
        assert len(found["events"]) == len(wanted["events"])
        differing = list(vendors.differing("", wanted, found))
        assert not differing, "\n".join(differing[:40])
        assert spool.repaired is not None
        assert [spool.repaired.reason, spool.repaired.lost, spool.repaired.since] == held["repaired"]

    look(tmp_path, held, what)


def test_what_comes_again_is_known_and_what_is_new_goes_on_above_the_head(tmp_path: Path, held: Held) -> None:
    async def what(spool: subjects.Spool, clock: subjects.ManualClock) -> None:
        pictures = tmp_path / "pictures"
        pictures.mkdir()
        texts = subjects.samples("hik_connect")
        puts = await subjects.read("hik_connect", texts.values(), pictures, apart=True)
        events = {event.id: event for put in puts for event in put.events if isinstance(event, subjects.Event)}
        stored = {json.loads(record.body)["id"] for record in await spool.read(0, limit=100_000, max_bytes=1 << 30)}
        known = [event for id_, event in events.items() if id_ in stored]
        assert known, "no sample of today has the id that it had: ids are for ever"
        teams = intake(spool, "hik-connect", clock)
        receipt = await teams.put(*known)
        assert (receipt.stored, receipt.duplicates) == (0, len(known))
        number = spool.head
        assert number == held["head"]
        data = {"vendor": "testing", "code": "capture", "name": "Capture", "phase": "pulse", "severity": "info"}
        fresh = subjects.Event("vehicle.passed", "f" * 32, data, clock.now())
        assert (await teams.put(fresh)).stored == 1
        (record,) = await spool.read(number)
        assert record.seq > number

    look(tmp_path, held, what)


def test_a_restart_reads_what_the_new_code_has_added(tmp_path: Path, held: Held) -> None:
    async def add(spool: subjects.Spool, clock: subjects.ManualClock) -> None:
        spool.set_cursor("plain", held["head"], {"more": 1})
        await intake(spool, "gate", clock).gap(clock.now(), clock.now(), "a test")

    async def again(spool: subjects.Spool, clock: subjects.ManualClock) -> None:
        cursor = spool.cursor("plain")
        assert cursor is not None
        assert (cursor.seq, cursor.state) == (held["head"], {"more": 1})
        assert [record.type for record in await spool.read(held["head"])] == ["pump.gap"]

    look(tmp_path, held, add)
    look(tmp_path, held, again)


def test_the_device_tables_are_restored(tmp_path: Path, held: Held) -> None:
    async def what(spool: subjects.Spool, clock: subjects.ManualClock) -> None:
        for source in ("avaeye", "gate"):
            wanted = {
                key.removeprefix("device/"): row
                for key, row in held["state"][source].items()
                if key.startswith("device/")
            }
            assert wanted
            assert subjects.device_rows(intake(spool, source, clock), clock) == wanted

    look(tmp_path, held, what)


def test_open_matters_of_a_camera_are_loaded(held: Held) -> None:
    state = held["state"]["hik-camera"]
    wanted = {key: row for key, row in state.items() if key.startswith("matter/")}
    assert len(wanted) >= 3
    found = subjects.open_matters(state)
    assert found.keys() == wanted.keys()
    # what a later version remembers beside it has a default
    assert {key: {name: found[key][name] for name in row} for key, row in wanted.items()} == wanted
    assert subjects.ended_matters(state) == sum(key.startswith("ended/") for key in state)
    assert subjects.camera_facts(state["device"])["names"] == state["device"]["names"]


def test_open_incidents_and_devices_of_a_gateway_are_loaded(held: Held) -> None:
    state = held["state"]["hik-gateway"]
    inventory = held["state"]["arc"]["inventory"]
    assert subjects.gateway_devices(inventory) == inventory
    # An end without a known start names another incident than the one that begins here.
    part = json.loads(subjects.samples("hik_gateway")["cid-alarm-document"])["part"]
    incident = subjects.gateway_incident({**state}, part)
    assert incident in {value for key, value in state.items() if key.startswith(subjects.INCIDENT)}
    assert incident == subjects.gateway_incident({**state}, part.replace('"1103"', '"3103"'))


def test_subscriptions_of_queues_are_remembered(held: Held) -> None:
    queues = {key: row for key, row in held["state"]["hik-connect"].items() if key.startswith("queue/")}
    assert queues
    for row in queues.values():
        assert subjects.queue_memory(row) == row


def test_a_sink_that_is_shut_off_and_a_locked_account_stay_so(tmp_path: Path, held: Held) -> None:
    async def what(spool: subjects.Spool, clock: subjects.ManualClock) -> None:
        assert held["state"]["pump"]["off/hook"]["reason"] in subjects.shut_off_reason(spool, "hook", clock)
        assert subjects.lockout_left(spool.state("arc"), clock) == pytest.approx(1800.0)

    look(tmp_path, held, what)


async def test_the_daemon_starts_on_it_and_goes_on(tmp_path: Path, held: Held) -> None:
    """With its own clock, and a retention that keeps what is old by now."""
    site = tmp_path / "site"
    site.mkdir()
    state = site / "state"
    state.mkdir()
    old_spool.unpack(state)
    config = site / "pump.toml"
    config.write_text(
        f'[pump]\nsite = "north"\nstate_dir = "{state}"\n[ops]\nlisten = "127.0.0.1:0"\n[spool]\nretention = "36500d"\n'
        f'[server]\nlisten = "127.0.0.1:0"\n[sources.gate]\ntype = "avaeye"\n[sinks.plain]\ntype = "jsonl"\n'
        f'path = "{site}/events.jsonl"\n'
    )

    daemon = subjects.Daemon(subjects.load(config))
    running = asyncio.create_task(daemon.run(signals=False))
    ready = asyncio.create_task(daemon.ready.wait())
    await asyncio.wait({running, ready}, return_when=asyncio.FIRST_COMPLETED)
    assert not running.done(), "the daemon did not start"
    daemon.stop()
    assert await running == 0
    lines = [json.loads(line) for line in (site / "events.jsonl").read_text().splitlines()]
    stored = [event for event in held["events"] if event[0] > held["cursors"]["plain"][0]]
    assert [line["type"] for line in lines[: len(stored)]] == [event[2] for event in stored]
    (started,) = [line["data"] for line in lines[len(stored) :] if line["type"] == "pump.started"]
    assert (started["previous"], started["instance"]) == ("clean", held["state"]["pump"]["instance"])
    assert "pump.spool.repaired" in {line["type"] for line in lines[len(stored) :]}


def test_commands_that_read_find_the_same_in_it(tmp_path: Path, held: Held) -> None:
    """From outside, as a person does while no daemon runs."""
    config = tmp_path / "pump.toml"
    config.write_text(f'[pump]\nsite = "north"\nstate_dir = "{tmp_path}"\n[sinks.log]\ntype = "log"\n')

    def lines(*command: str) -> list[str]:
        result = CliRunner().invoke(subjects.group, [*command, "-c", str(config)])
        assert result.exit_code == 0, result.output
        return result.output.splitlines()

    events = [json.loads(line) for line in lines("events", "--json")]
    assert [event["type"] for event in events] == [event[2] for event in held["events"]]
    letters = "\n".join(lines("dead", "list"))
    assert all(letter[4] in letters for letter in held["letters"])
