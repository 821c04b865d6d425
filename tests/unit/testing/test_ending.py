"""Sessions of pytest with planted failures: each ends in its time-out, is reported, and so does the session."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[3]
_HEAD = """
import asyncio, os, signal, threading
import pytest
from pump.spool import Spool, SpoolSettings
from pump.core.clock import Clock
from pump.telemetry.metrics import Metrics
from pump.testing.sinks import Deaf, ScriptedSinks
from tests import ending
from tests.unit.delivery.test_delivery import run, running

ending.LEAVING = 2.0  # the same ends, sooner; what passes needs none of it
"""
_PLANTED = """
@pytest.mark.timeout(4)  # nothing else ends it
def test_an_assertion_inside_a_deliverys_callback(tmp_path):
    async def test(on):
        async def wrong():
            assert False, "planted in a callback"

        sinks = ScriptedSinks(opening=[wrong] * 1000)
        async with running(on.delivery(sinks)):
            await sinks.arrived(1)

    asyncio.run(run(tmp_path, test))

def test_after_it_another_passes(tmp_path):
    asyncio.run(asyncio.sleep(0))

def test_a_sink_that_never_closes(tmp_path):
    async def test(on):
        sinks = ScriptedSinks(closing=[Deaf()])
        async with running(on.delivery(sinks)):
            await sinks.until(lambda: sinks.states)
        assert False, "planted behind a sink that never closes"

    asyncio.run(run(tmp_path, test))

def test_after_that_another_passes(tmp_path):
    asyncio.run(asyncio.sleep(0))

def test_a_spool_left_open(tmp_path):
    async def main():
        kept.append(await Spool.open(tmp_path, SpoolSettings(), clock=Clock(), metrics=Metrics()))

    kept = []
    asyncio.run(main())

def test_after_all_of_them_another_passes(tmp_path):
    asyncio.run(asyncio.sleep(0))
"""
_FAILING = {
    "test_an_assertion_inside_a_deliverys_callback",
    "test_a_sink_that_never_closes",
    "test_a_spool_left_open",
}
_PASSING = {
    "test_after_it_another_passes",
    "test_after_that_another_passes",
    "test_after_all_of_them_another_passes",
}


def session(folder: Path, body: str, *options: str, timeout: int = 60) -> tuple[int, dict[str, str], str]:
    """Run the tests of `body` in a pytest of their own: its exit status, each test's outcome, all it wrote.

    Nothing ends it but itself and this test's own time-out, in seconds for each of its tests that names no other.
    """
    (folder / "pytest.ini").write_text(f"[pytest]\ntimeout = {timeout}\nfilterwarnings = error\n")
    (folder / "test_planted.py").write_text(_HEAD + textwrap.dedent(body))
    command = [sys.executable, "-m", "pytest", "-c", str(folder / "pytest.ini"), "-p", "tests.ending"]
    command += ["-p", "no:randomly", "-rA", f"--basetemp={folder / 'made'}", *options]
    done = subprocess.run(
        [*command, str(folder / "test_planted.py")],
        cwd=_ROOT,
        env={name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "PUMP_"))},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    found = re.findall(r"^(PASSED|FAILED|ERROR) \S*?::(\w+)", done.stdout, re.MULTILINE)
    return done.returncode, {name: outcome for outcome, name in found}, done.stdout


@pytest.mark.parametrize("options", [("-p", "no:xdist"), ("-n", "2")], ids=["one process", "two workers"])
def test_planted_failures_end_and_the_session_goes_on(tmp_path: Path, options: tuple[str, ...]) -> None:
    status, outcomes, said = session(tmp_path, _PLANTED, *options)
    assert outcomes == dict.fromkeys(_FAILING, "FAILED") | dict.fromkeys(_PASSING, "PASSED"), said
    assert status == 1, said
    assert "3 failed, 3 passed" in said
    assert "AssertionError: planted behind a sink that never closes" in said
    assert "left running: spool reader, spool writer" in said


def test_tasks_that_do_not_end_fail_the_test_that_began_them(tmp_path: Path) -> None:
    body = """
    def test_it_returns_and_leaves_a_task():
        async def main():
            task = asyncio.create_task(Deaf()(), name="deaf one")
            await asyncio.sleep(0)

        asyncio.run(main())

    def test_its_thread_hangs():
        async def main():
            asyncio.get_running_loop().run_in_executor(None, threading.Event().wait)

        asyncio.run(main())

    @pytest.mark.timeout(3)
    def test_a_callback_swallows_the_first_time_out():
        async def busy():
            signal.raise_signal(signal.SIGALRM)

        async def main():
            task = asyncio.create_task(busy())
            await asyncio.wait({task})
            assert task.exception() is not None
            await asyncio.Event().wait()

        asyncio.run(main())

    def test_another():
        pass
    """
    status, outcomes, said = session(tmp_path, body, "-p", "no:xdist")
    assert list(outcomes.values()).count("FAILED") == 3, said
    assert outcomes["test_another"] == "PASSED"
    assert status == 1
    assert "LeftRunning: tasks do not end though they were cancelled: deaf one" in said
    assert "Timeout (>3 s)" in said


def test_a_test_that_no_time_out_reaches_costs_its_process_alone(tmp_path: Path) -> None:
    body = """
    @pytest.mark.timeout(2)
    def test_no_signal_gets_through():
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})
        threading.Event().wait()

    @pytest.mark.parametrize("number", range(4))
    def test_another(number):
        pass
    """
    status, outcomes, said = session(tmp_path, body, "-n", "2")
    assert outcomes.pop("test_no_signal_gets_through") == "FAILED", said
    assert "4 passed" in said, said
    assert status == 1
    assert "threading.py" in said, "no stack was written"


def test_an_interrupted_session_ends(tmp_path: Path) -> None:
    body = """
    def test_interrupted(tmp_path):
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job has it ignored

        async def test(on):
            sinks = ScriptedSinks(closing=[Deaf()])
            async with running(on.delivery(sinks)):
                await sinks.until(lambda: sinks.states)
                os.kill(os.getpid(), signal.SIGINT)
                await asyncio.Event().wait()

        asyncio.run(run(tmp_path, test))
    """
    status, _, said = session(tmp_path, body, "-p", "no:xdist")
    assert status == 2, said
    assert "KeyboardInterrupt" in said
