"""The line for people: its columns, and that no vendor's text can break or colour it."""

from __future__ import annotations

import tracemalloc
from typing import Any
from urllib.error import URLError

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pump.core.text import fitted, line, printable, printable_json, words_of

PASSED: dict[str, Any] = {
    "id": "1",
    "source": "/north/teams",
    "type": "vehicle.passed",
    "subject": "camera/10000/1001",
    "time": "2026-11-20T08:00:00Z",
    "data": {"severity": "info", "phase": "pulse", "name": "Vehicle capture", "vehicle": {"plate": "A 12345"}},
}


@pytest.mark.parametrize(
    ("event", "wanted"),
    [
        (PASSED, "08:00:00 info vehicle.passed teams camera/10000/1001 A 12345 · Vehicle capture"),
        (
            {
                **PASSED,
                "data": {"severity": "critical", "phase": "start", "late": True, "device": {"name": "West gate"}},
            },
            "08:00:00 critical vehicle.passed teams West gate start late",
        ),
        (
            {
                "type": "pump.gap",
                "source": "/s/pump",
                "data": {"severity": "warning", "name": "Gap", "reason": "we were away"},
            },
            "--:--:-- warning pump.gap pump we were away · Gap",
        ),
        (
            {
                "type": "pump.gap",
                "source": "/s/pump",
                "data": {"from": "2026-11-19T23:00:00.123Z", "to": "2026-11-20T01:00:00Z", "reason": "we were away"},
            },
            "--:--:-- info pump.gap pump 2026-11-19 23:00:00 to 2026-11-20 01:00:00 we were away",
        ),
        (
            {"type": "pump.gap", "data": {"from": "2026-11-20T00:00:00Z", "to": "2026-11-20T01:00:00Z"}},
            "--:--:-- info pump.gap 2026-11-20 00:00:00 to 01:00:00",
        ),
        (
            {"type": "pump.record.unparsed", "data": {"error": "no JSON", "name": "Unparsed record"}},
            "--:--:-- info pump.record.unparsed no JSON · Unparsed record",
        ),
        (
            {**PASSED, "recordedtime": "2026-11-21T08:00:00Z"},
            "08:00:00 info vehicle.passed teams camera/10000/1001 A 12345 (of 2026-11-20) · Vehicle capture",
        ),
        ({}, "--:--:-- info"),
        ({"type": 7, "time": 12, "data": [], "source": None}, "--:--:-- info 7"),
    ],
)
def test_line_shows_what_is_there(event: dict[str, Any], wanted: str) -> None:
    assert " ".join(line(event, colour=False).split()) == wanted


def test_colour_only_paints() -> None:
    painted = line(PASSED, colour=True)
    assert "\x1b[32m" in painted
    assert "\x1b" not in line(PASSED, colour=False)


JUNK = st.one_of(st.none(), st.text(), st.integers(), st.lists(st.text()), st.dictionaries(st.text(), st.text()))


@given(JUNK, JUNK, JUNK, JUNK)
def test_any_values_make_one_printable_line(name: object, plate: object, device: object, reason: object) -> None:
    data = {
        "name": name,
        "vehicle": {"plate": plate},
        "device": device,
        "reason": reason,
        "severity": name,
        "phase": plate,
    }
    text = line({**PASSED, "subject": reason, "source": name, "data": data}, colour=False)
    assert text.isprintable()


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (FileNotFoundError(2, "No such file or directory", "/x"), "No such file or directory"),
        (TimeoutError(), "no answer in time"),
        (KeyError("gate"), "gate"),
        (ValueError(), "no reason given"),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid"), "it is no UTF-8 text"),
        (ConnectionResetError(), "no reason given"),
        (URLError(ConnectionRefusedError(111, "Connection refused")), "Connection refused"),
    ],
)
def test_an_error_is_told_without_its_class(error: Exception, words: str) -> None:
    assert words_of(error) == words


@given(st.text(), st.text())
def test_json_for_a_terminal_is_printable_and_the_same_value(name: str, plate: str) -> None:
    body = orjson.dumps({name: [plate]}).decode()
    shown = printable_json(body)
    assert shown.isprintable()
    assert orjson.loads(shown) == {name: [plate]}


def test_what_a_terminal_would_not_print_is_an_escape() -> None:
    assert printable("A\x1b[2J\n\x9b\u202e\udcff1") == "A\\x1b[2J\\n\\x9b\\u202e\\udcff1"
    assert printable(7) == "7"


def test_what_is_fitted_keeps_no_more_than_its_own_bytes() -> None:
    """orjson 3.13 gives 4 KiB and more away with the shortest text."""
    value = {"name": "x" * 500}
    assert fitted(orjson.dumps(value)) == orjson.dumps(value)
    tracemalloc.start()
    try:
        kept = [fitted(orjson.dumps(value)) for _ in range(1000)]
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < len(kept) * 700
