"""The line for people: its columns, and that no vendor's text can break or colour it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pump.core.text import line

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
