"""`pump new-source`: what it writes works at once, keeps the contract of sources, and replaces nothing."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import pump.vendors
from pump import registry
from pump.config import load
from pump.core.clock import Clock
from pump.runtime.daemon import Daemon
from pump.simulation.stage import Stage
from pump.testing.sources import CHECKS
from tests.unit.cli.new.trial import KINDS, Trial, tools

CONFORMANCE = "conformance/test_door_bell_conformance.py"


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trial]:
    with Trial(tmp_path_factory.mktemp("trial")) as made:
        done = made.make("source", "door-bell")
        assert done.exit_code == 0, done.output
        yield made


def test_the_folder_rhymes_with_the_others(trial: Trial) -> None:
    folder = trial.folder / "trial/vendors/door_bell"
    found = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc"}
    assert found == {
        "__init__.py", "source.py", "settings.py", "client.py", "parse.py", "codes.py", "README.md",
        "samples/forced.json",
        *(f"simulator/{name}.py" for name in ("__init__", "server", "messages", "account", "demo")),
    }  # fmt: skip


def test_nothing_of_the_templates_names_is_left(trial: Trial) -> None:
    for path, text in trial.texts().items():
        assert "nameless" not in f"{path} {text}".lower(), path
        assert "templates" not in text, path


def test_the_registry_finds_it(trial: Trial) -> None:
    assert KINDS.source_kinds() == KINDS.simulator_kinds() == KINDS.demo_kinds() == ["door-bell"]
    assert KINDS.source("door-bell").__name__ == "DoorBell"


@pytest.mark.parametrize("check", CHECKS)
def test_it_keeps_the_contract(trial: Trial, check: str, tmp_path: Path) -> None:
    """All checks: its vendor can do whatever any of them needs."""
    harness = trial.load(CONFORMANCE).DoorBellHarness
    asyncio.run(CHECKS[check](tmp_path, harness))  # type: ignore[arg-type]  # a coroutine, as all checks are


def test_its_own_tests_pass(trial: Trial) -> None:
    trial.test()


class Site:
    """A daemon on the demo's stage, and the events that it writes."""

    def __init__(self, folder: Path, stage: Stage) -> None:
        self.path = folder / "events.jsonl"
        source = "\n".join(f"{key} = {json.dumps(value)}" for key, value in stage.source.items())
        config = folder / "pump.toml"
        config.write_text(
            f'[pump]\nsite = "north"\nstate_dir = "{folder}/state"\n[ops]\nlisten = "127.0.0.1:0"\n'
            f'[sources.door-bell]\n{source}\n[sinks.out]\ntype = "jsonl"\npath = "{self.path}"\n'
        )
        self.daemon = Daemon(load(config, kinds=_Kinds()), clock=Clock(), kinds=_Kinds())

    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.path.read_text().splitlines()] if self.path.exists() else []


class _Kinds(registry.Registry):
    """The trial's source, and the real sinks."""

    def __init__(self) -> None:
        super().__init__(KINDS.vendors)


async def play(folder: Path) -> list[tuple[dict[str, Any], float | None]]:
    """Events of a daemon on the demo's stage, each with the moment at which the vendor had it."""
    async with KINDS.demo("door-bell").stage() as stage:
        site = Site(folder, stage)
        running = asyncio.create_task(site.daemon.run(signals=False))
        playing = asyncio.create_task(stage.play(lambda words: None))
        while len([event for event in site.events() if event["type"][:5] != "pump."]) < 3:
            assert not running.done()
            assert not playing.done()
            await asyncio.sleep(0.01)
        playing.cancel()
        site.daemon.stop()
        assert await running == 0
        return [(event, stage.moment(event)) for event in site.events() if event["type"][:5] != "pump."]


def test_a_daemon_gathers_from_it_on_the_demos_stage(trial: Trial, tmp_path: Path) -> None:
    found = asyncio.run(play(tmp_path))
    assert {event["source"] for event, _ in found} == {"/north/door-bell"}
    assert None not in [moment for _, moment in found]


async def reached() -> str:
    url: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    simulating = asyncio.create_task(KINDS.simulator("door-bell").simulate(rate=10, seed=7, on_ready=url.set_result))
    try:
        return await url
    finally:
        simulating.cancel()
        await asyncio.wait({simulating})


def test_its_simulator_runs_on_its_own(trial: Trial) -> None:
    assert asyncio.run(reached()).startswith("http://127.0.0.1:")


@tools()
@pytest.mark.parametrize("name", ["a", "door-bell", "a-name-of-thirty-two-letters-abc"])
def test_its_style_is_the_houses(tmp_path: Path, name: str) -> None:
    made = Trial(tmp_path)
    assert made.make("source", name).exit_code == 0
    made.style()


# --- what is refused ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["", "Door", "7up", "door bell", "../door", "door--bell", "-door", "d" * 33, "döner"])
def test_a_bad_name_is_refused(tmp_path: Path, name: str) -> None:
    made = Trial(tmp_path)
    before = made.texts()
    done = made.make("source", name)
    assert (done.exit_code, made.texts()) == (1, before)
    assert "is no name: small letters, digits and dashes are wanted" in done.output


@pytest.mark.parametrize("name", ["class", "match", "common", "simulator"])
def test_a_name_that_means_something_else_is_refused(tmp_path: Path, name: str) -> None:
    done = Trial(tmp_path).make("source", name)
    assert done.exit_code == 1
    assert f'"{name}" means something else here: take another name' in done.output


def test_what_is_there_is_left_as_it_is(tmp_path: Path) -> None:
    made = Trial(tmp_path)
    assert made.make("source", "door-bell").exit_code == 0
    before = made.texts()
    done = made.make("source", "door_bell")
    assert (done.exit_code, made.texts()) == (1, before)
    assert "door_bell is there already: take another name, or remove it" in done.output


def test_compiled_files_of_another_branch_are_nothing(tmp_path: Path) -> None:
    made = Trial(tmp_path)
    left = tmp_path / "trial/vendors/door_bell/__pycache__"
    left.mkdir(parents=True)
    (left / "source.cpython-311.pyc").touch()
    assert made.make("source", "door-bell").exit_code == 0


def test_a_test_that_is_there_is_left_as_it_is(tmp_path: Path) -> None:
    made = Trial(tmp_path)
    (tmp_path / "tests/conformance").mkdir()
    (tmp_path / "tests" / CONFORMANCE).write_text("mine")
    before = made.texts()
    done = made.make("source", "door-bell")
    assert (done.exit_code, made.texts()) == (1, before)
    assert f"{CONFORMANCE} is there already" in done.output


def test_a_folder_that_is_no_package_is_refused(tmp_path: Path) -> None:
    made = Trial(tmp_path)
    (tmp_path / "trial/vendors/__init__.py").unlink()
    done = made.make("source", "door-bell")
    assert done.exit_code == 1
    assert "it has no __init__.py" in done.output


def test_outside_a_checkout_no_tests_are_made(tmp_path: Path) -> None:
    made = Trial(tmp_path)
    (tmp_path / "pyproject.toml").unlink()
    assert made.make("source", "door-bell").exit_code == 0
    assert not list((tmp_path / "tests").iterdir())


def test_the_table_of_pump_toml_is_printed(tmp_path: Path) -> None:
    done = Trial(tmp_path).make("source", "door-bell")
    assert '\n#[sources.doors]\n#type = "door-bell"\n' in done.output
    assert '\n#api_key = "${DOOR_BELL_KEY}"\n#poll_interval = "1s"  # from one poll' in done.output
    assert "docs/architecture.md" in done.output


def test_without_a_folder_it_joins_those_that_ship() -> None:
    from pump.cli.new.source import _SOURCE

    assert [_SOURCE.home] == [Path(path) for path in pump.vendors.__path__]
