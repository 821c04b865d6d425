"""`pump new-sink`: what it writes works at once and keeps the contract of sinks."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

import pump.sinks
from pump.testing.sink_conformance import CHECKS
from tests.unit.cli.new.trial import KINDS, Trial, tools


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trial]:
    with Trial(tmp_path_factory.mktemp("trial")) as made:
        done = made.make("sink", "hall-board")
        assert done.exit_code == 0, done.output
        yield made


def test_the_registry_finds_it(trial: Trial) -> None:
    assert KINDS.sink_kinds() == ["hall-board"]
    assert KINDS.sink("hall-board").__name__ == "HallBoardSink"


def test_nothing_of_the_templates_names_is_left(trial: Trial) -> None:
    for path, text in trial.texts().items():
        assert "nameless" not in f"{path} {text}".lower(), path
        assert "templates" not in text, path


@pytest.mark.parametrize("check", CHECKS)
def test_it_keeps_the_contract(trial: Trial, check: str, tmp_path: Path) -> None:
    """All checks: its peer can do whatever any of them needs."""
    conformance = trial.load("conformance/test_hall_board_conformance.py")
    asyncio.run(conformance.run(check, conformance.HallBoardPeer(tmp_path)))


def test_its_own_tests_pass(trial: Trial) -> None:
    trial.test()


@tools()
@pytest.mark.parametrize("name", ["a", "hall-board", "a-name-of-thirty-two-letters-abc"])
def test_its_style_is_the_houses(tmp_path: Path, name: str) -> None:
    made = Trial(tmp_path)
    assert made.make("sink", name).exit_code == 0
    made.style()


@pytest.mark.parametrize("there", ["hall_board.py", "hall_board/__init__.py"])
def test_what_is_there_is_left_as_it_is(tmp_path: Path, there: str) -> None:
    made = Trial(tmp_path)
    path = tmp_path / "trial/sinks" / there
    path.parent.mkdir(exist_ok=True)
    path.write_text("mine")
    before = made.texts()
    done = made.make("sink", "hall-board")
    assert (done.exit_code, made.texts()) == (1, before)
    assert "is there already: take another name, or remove it" in done.output


def test_without_a_folder_it_joins_those_that_ship() -> None:
    from pump.cli.new.sink import _SINK

    assert [_SINK.home] == [Path(path) for path in pump.sinks.__path__]
