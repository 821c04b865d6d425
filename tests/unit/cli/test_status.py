"""The rows of `pump status`."""

from __future__ import annotations

from pump.cli.status import _part

PART = {"name": "source teams", "state": "up", "reason": "", "since": "2026-11-20T08:00:00Z", "idle_s": 1.0}


def test_a_part_whose_calls_fail_says_so_with_since_when_and_why() -> None:
    failing = {"since": "2026-11-20T09:00:01Z", "reason": "no route\x1b[2J", "again": "2026-11-20T09:00:02Z"}
    assert _part(PART | {"failing": None}) == ("source teams", "up", "2026-11-20 08:00:00", "1.0s", "")
    name, state, since, _, why = _part(PART | {"failing": failing})
    assert (name, state, since) == ("source teams", "failing", "2026-11-20 09:00:01")
    assert why.startswith("no route")
    assert "\x1b" not in why
