"""A session of pytest with planted leaks: each way by which a secret can get out fails its own test, and no other."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.leaks import SHOWS
from tests.secrets import PLANTED, found, planted

_ROOT = Path(__file__).parents[3]
_TESTS = """
import asyncio, logging, subprocess, sys
import click, pytest, structlog
from click.testing import CliRunner
from pump.core.clock import Clock
from pump.ops.http import _json
from tests.secrets import planted

def secret():
    return planted(7)

def test_leaks_on_standard_output():
    print("password", secret())

def test_leaks_in_a_log_line():
    structlog.get_logger().info("A login", password=secret())

def test_leaks_in_the_log_of_the_library():
    logging.getLogger("x").warning("as %s", secret())

def test_leaks_by_a_child():
    subprocess.run([sys.executable, "-c", f"print({secret()!r})"], capture_output=True, check=True)

async def test_leaks_by_a_child_of_the_loop():
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", f"print({secret()!r})", stdout=asyncio.subprocess.PIPE
    )
    await child.communicate()

def test_leaks_by_the_command_line():
    @click.command()
    def shown():
        click.echo(f"with {secret()}")

    CliRunner().invoke(shown)

def test_leaks_into_a_log_file(tmp_path):
    (tmp_path / "daemon.log").write_text(secret())

def test_leaks_in_status():
    _json({"reason": f"refused for {secret()}"}, 200)

def test_leaks_in_an_event_of_the_daemon():
    import pump.ingest.encoding
    from pump.core.event import Event
    data = {"vendor": "pump", "code": "x", "name": "x", "phase": "pulse", "severity": "info", "reason": secret()}
    now = Clock().now()
    pump.ingest.encoding.encode(Event("pump.source.down", "f" * 32, data, now), "/site/pump", now)

@pytest.fixture
def leaking():
    yield
    print(secret())

def test_leaks_while_it_ends(leaking):
    pass

def test_clean_on_both_sides():
    print("a password, but no secret")

@pytest.mark.shows_secrets
@pytest.mark.timeout(300)
def test_clean_because_it_says_so():
    print(secret())
"""


@pytest.mark.shows_secrets
@pytest.mark.timeout(300)
def test_every_way_out_fails_its_own_test_and_no_other(tmp_path: Path) -> None:
    file = tmp_path / "test_planted.py"
    file.write_text(_TESTS)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-n", "0", "-q", "-p", "no:cacheprovider", "-rfE", "--confcutdir", tmp_path,
         "-c", _ROOT / "pyproject.toml", "--rootdir", tmp_path, "-p", "tests.conftest", file],
        cwd=_ROOT, env={**os.environ, "PYTHONPATH": str(_ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    planted_ones = set(re.findall(r"def (test_leaks_\w+)", _TESTS))
    assert set(re.findall(r"^(?:FAILED|ERROR) .*::(\w+)", done.stdout, re.MULTILINE)) == planted_ones, done.stdout
    assert "secrets of the test data are in the output" in done.stdout


def test_a_secret_is_found_with_what_stands_around_it() -> None:
    assert planted(3) in found(f"a login as {planted(3)} was refused")
    assert all(found(f"<{secret}>".encode()) for secret in PLANTED)
    assert found("a login was refused") == ""
    assert SHOWS in {mark.name for mark in test_every_way_out_fails_its_own_test_and_no_other.pytestmark}  # type: ignore[attr-defined]
