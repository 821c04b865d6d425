"""The log: its two forms, the libraries' records, and that no secret comes through in any shape."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import os
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from pump.telemetry import log
from pump.telemetry.redact import HIDDEN, SHORTEST, Redactor

SECRET = 'p"a\ns\\s wörd/%&='


@pytest.fixture(autouse=True)
def _leave_no_trace() -> Iterator[None]:
    """Logging is the process's own: put back what the tests around this one had."""
    root = logging.getLogger()
    kept = root.handlers[:], root.level, sys.excepthook, threading.excepthook
    yield
    logging.captureWarnings(False)
    root.handlers[:], sys.excepthook, threading.excepthook = kept[0], kept[2], kept[3]
    root.setLevel(kept[1])
    structlog.reset_defaults()


def configured(*, as_json: bool | None, secret: str = SECRET) -> io.StringIO:
    stream = io.StringIO()
    redactor = Redactor()
    redactor.redact(secret)
    log.configure(stream, as_json, redactor=redactor)
    return stream


def rows(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(row) for row in stream.getvalue().splitlines()]


def test_json_lines_where_there_is_no_terminal() -> None:
    stream = configured(as_json=None)
    structlog.get_logger().info("A batch was completed", source="teams", count=3)
    structlog.get_logger().debug("Not shown")
    (row,) = rows(stream)
    assert row.pop("timestamp").endswith("Z")
    assert row == {"event": "A batch was completed", "level": "info", "source": "teams", "count": 3}


def test_a_readable_line_cannot_steer_the_terminal() -> None:
    stream = configured(as_json=False)
    structlog.get_logger().warning("Login\x1b[2J failed", reason="\x1b]0;x\x07 y", source="teams")
    text = stream.getvalue()
    assert "[warning" in text
    assert "Login\\x1b[2J failed" in text
    assert "source='teams'" in text
    assert text.count("\n") == 1
    assert "\x1b" not in text


def test_what_json_cannot_hold_is_still_logged() -> None:
    stream = configured(as_json=True)
    structlog.get_logger().error("Odd", big=1 << 70, lone="\ud800", where=b"\xff", what=object, when=float("nan"))
    (row,) = rows(stream)
    assert row["big"] == 1 << 70
    assert row["where"] == "\\xff"


def test_libraries_join_at_warning() -> None:
    stream = configured(as_json=True)
    for name in ("asyncio", "aiohttp.access", "some.library"):
        logging.getLogger(name).info("not shown")
        logging.getLogger(name).warning("%s says %d", name, 7)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("old thing", stacklevel=1)
    told = rows(stream)
    assert [row["event"] for row in told[:3]] == ["asyncio says 7", "aiohttp.access says 7", "some.library says 7"]
    assert [row["logger"] for row in told[:3]] == ["asyncio", "aiohttp.access", "some.library"]
    assert "old thing" in told[3]["event"]


def test_the_loops_own_complaints_are_routed() -> None:
    stream = configured(as_json=True)

    async def complain() -> None:
        asyncio.get_running_loop().call_exception_handler({"message": "odd", "exception": ValueError(SECRET)})

    asyncio.run(complain())  # not by anyio's plug-in, which takes such complaints for the test's failures
    (row,) = rows(stream)
    assert row["logger"] == "asyncio"
    assert "ValueError" in row["exception"]
    assert HIDDEN in row["exception"]


def test_uncaught_exceptions_are_logged() -> None:
    stream = configured(as_json=True)

    def fail() -> None:
        raise RuntimeError(SECRET)

    thread = threading.Thread(target=fail, name="worker")
    thread.start()
    thread.join()
    try:
        fail()
    except RuntimeError as error:
        sys.excepthook(RuntimeError, error, error.__traceback__)
    told = rows(stream)
    assert [row["event"][:8] for row in told] == ["A thread", "The proc"]
    assert all(HIDDEN in row["exception"] and "wörd" not in row["exception"] for row in told)


def test_a_closed_stream_stops_nothing() -> None:
    stream = configured(as_json=True)
    stream.close()
    structlog.get_logger().info("Nobody reads this")


def test_lines_for_the_journal_carry_their_priority(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as stream, os.fdopen(reading) as reader:
        status = os.fstat(writing)
        monkeypatch.setenv("JOURNAL_STREAM", f"{status.st_dev}:{status.st_ino}")
        log.configure(stream, redactor=Redactor())
        structlog.get_logger().error("Bad")
        line = reader.readline()
    assert line[:3] == "<3>"
    assert json.loads(line[3:])["event"] == "Bad"


class Odd:
    def __str__(self) -> str:
        raise ValueError("no")


PLACES: dict[str, Callable[[Any, str], None]] = {
    "sentence": lambda logger, secret: logger.info(f"with {secret}"),
    "value": lambda logger, secret: logger.info("x", value=secret),
    "bytes": lambda logger, secret: logger.info("x", value=f"a {secret}".encode()),
    "nested": lambda logger, secret: logger.info("x", value={"a": [{"b": (1, secret)}], secret: {secret}}),
    "repr": lambda logger, secret: logger.info("x", value=repr([secret])),
    "json": lambda logger, secret: logger.info("x", value=json.dumps({"k": secret})),
    "url": lambda logger, secret: logger.info("x", value=f"http://h/?key={quote(secret)}"),
    "exception object": lambda logger, secret: logger.info("x", error=KeyError(secret)),
    "odd object": lambda logger, secret: logger.info("x", error=Odd(), value=secret),
    "library": lambda logger, secret: logging.getLogger("lib").error("key %s", secret),
    "library, broken format": lambda logger, secret: logging.getLogger("lib").error("key %d", secret),
}


def raised(logger: Any, secret: str) -> None:
    try:
        try:
            raise KeyError(secret)
        except KeyError as inner:
            raise RuntimeError(f"cannot log in with {secret}") from inner
    except RuntimeError:
        logger.exception("Failed")


@pytest.mark.parametrize("as_json", [True, False])
@pytest.mark.parametrize("place", [*PLACES, "traceback"])
@pytest.mark.parametrize("secret", [SECRET, "hunter22", "Grüße-€-日本", "a'b\"c", "1234567890"])
def test_no_secret_comes_through(as_json: bool, place: str, secret: str) -> None:
    stream = configured(as_json=as_json, secret=secret)
    {**PLACES, "traceback": raised}[place](structlog.get_logger(), secret)
    text = stream.getvalue()
    assert text
    assert secret not in text
    assert json.dumps(secret)[1:-1] not in text
    assert HIDDEN in text


@given(st.text(min_size=SHORTEST), st.text(), st.text())
def test_cleaned_text_never_holds_the_secret(secret: str, before: str, after: str) -> None:
    redactor = Redactor()
    redactor.redact(secret)
    for form in (secret, repr(secret), json.dumps(secret)):
        assert secret not in redactor.clean(f"{before}{form}{after}").replace(HIDDEN, "\0") or "\0" in secret


def test_short_texts_are_no_secrets() -> None:
    redactor = Redactor()
    redactor.redact("", "abc")
    assert redactor.clean("abcabc") == "abcabc"


def test_what_is_said_beside_the_log_waits_for_its_reader_and_keeps_nobody_waiting() -> None:
    said = "[log.say(f'{n:04} ' + 'x' * 94 + chr(10)) for n in range(2000)]"
    command = [sys.executable, "-c", f"from pump.telemetry import log; {said}; print('on', flush=True); input()"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "on\n"  # 200 KB, of which nobody has read any
        _, lines = process.communicate("\n", timeout=100)
    assert process.returncode == 0
    assert [line[:4] for line in lines.splitlines()] == [f"{number:04}" for number in range(2000)]
