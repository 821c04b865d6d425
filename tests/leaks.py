"""A plug-in of pytest: a test fails whose output holds a secret of the test data (`tests/secrets.py`).

Looked through are: what is captured of the test, its own and its children's inherited; what other children wrote into
pipes that it read whole; results of the command line; `*.log` in its temporary folder; /status and /metrics as they are
answered; and the daemon's own events as they are stored. Not looked through: pipes that a test reads line by line.
"""

from __future__ import annotations

import asyncio.subprocess
import subprocess
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any, Final

import click.testing
import pytest

import pump.ops.http
from tests.secrets import found

SHOWS: Final = "shows_secrets"
"""The mark of a test whose output holds them on purpose: a simulator's own, which it prints so that one can log in."""
LARGEST: Final = 8 << 20
"""Bytes of a log file that are looked through."""

_leaks: list[str] = []
"""Of the phase that runs."""


def look(where: str, text: object) -> None:
    """Note a secret in a text, or in bytes; anything else is none."""
    if isinstance(text, str | bytes) and (leak := found(text)):
        _leaks.append(f"{where}: {leak}")


def _watched(owner: Any, name: str, look_at: Callable[[Any, tuple[Any, ...]], None]) -> Callable[[], None]:
    """Have results of a function looked at; what is returned puts it back."""
    real = getattr(owner, name)

    def watching(*arguments: Any, **options: Any) -> Any:
        result = real(*arguments, **options)
        look_at(result, arguments)
        return result

    setattr(owner, name, watching)
    return lambda: setattr(owner, name, real)


def _pipes(result: Any, arguments: tuple[Any, ...]) -> None:
    process = arguments[0]
    words = process.args if isinstance(process.args, list | tuple) else [process.args]
    if "simulate" not in words:  # which prints the simulator's password, made for it
        for stream, text in zip(("standard output", "standard error"), result, strict=True):
            look(f"{stream} of {' '.join(map(str, words))[:80]}", text)


def _result(result: Any, arguments: tuple[Any, ...]) -> None:
    if "simulate" not in (arguments[2] if len(arguments) > 2 else ()):
        look("the command line", result.output)


_real_communicate = asyncio.subprocess.Process.communicate


async def _communicate(process: asyncio.subprocess.Process, *arguments: Any, **options: Any) -> tuple[bytes, bytes]:
    result = await _real_communicate(process, *arguments, **options)
    for text in result:
        look("a child's output", text)
    return result


_putting_back: list[Callable[[], None]] = []


def pytest_configure(config: pytest.Config) -> None:
    """Watch what answers and what is read of children."""
    config.addinivalue_line("markers", f"{SHOWS}: secrets of the test data are in the output on purpose")
    ops = pump.ops.http
    _putting_back.extend([
        _watched(subprocess.Popen, "communicate", _pipes),
        _watched(click.testing.CliRunner, "invoke", _result),
        _watched(ops, "_json", lambda answer, _: look("/status", answer.body)),
        _watched(ops, "_text", lambda answer, _: look("/metrics", answer.body)),
    ])  # fmt: skip
    asyncio.subprocess.Process.communicate = _communicate  # type: ignore[method-assign, assignment]


def pytest_unconfigure() -> None:
    """Watch no longer."""
    asyncio.subprocess.Process.communicate = _real_communicate  # type: ignore[method-assign]
    for put_back in reversed(_putting_back):
        put_back()
    _putting_back.clear()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: Any) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail what passed with a secret in its output."""
    report = yield
    for title, text in report.sections:
        if report.when == "call" or title.endswith("teardown"):
            look(title, text)
    if report.when == "call" and isinstance(item, pytest.Function):
        folder: object = item.funcargs.get("tmp_path")
        for path in [*folder.glob("*.log"), *folder.glob("*/*.log")] if isinstance(folder, Path) else ():
            assert isinstance(folder, Path)
            if path.is_file() and path.stat().st_size <= LARGEST:
                look(str(path.relative_to(folder)), path.read_bytes())
    leaks = list(dict.fromkeys(_leaks))
    _leaks.clear()
    if leaks and report.passed and item.get_closest_marker(SHOWS) is None:
        report.outcome = "failed"
        report.longrepr = "secrets of the test data are in the output:\n" + "\n".join(leaks)
    return report
