"""The command `backfill`: the right source, a time that can be asked for, and advice where it cannot."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from pump.core.errors import Refusal, Unavailable
from pump.ops.backfill import Backfill, Report
from pump.testing import ManualClock


class Searched:
    """A source whose vendor keeps a log."""

    refusing = False

    def __init__(self) -> None:
        self.asked: list[tuple[datetime, datetime]] = []

    async def backfill(self, since: datetime, until: datetime, report: Report) -> dict[str, Any]:
        if self.refusing:
            raise Unavailable("the spool is full")
        self.asked.append((since, until))
        await report({"looked": 1, "of": 2, "filled": 3})
        return {"gap": 1, "state": "filled", "filled": 3, "notes": ""}


class Plain:
    class settings:
        type = "avaeye"


async def test_a_source_is_asked_for_a_time_up_to_now() -> None:
    clock, source, progress = ManualClock(), Searched(), list[dict[str, Any]]()

    async def tell(each: dict[str, Any]) -> None:
        progress.append(each)

    sources: Any = {"teams": source, "door": Plain()}
    command = Backfill(sources, clock).commands()["backfill"]
    now, hour = clock.now_ms(), 3_600_000
    result = await command({"source": "teams", "since": now - hour}, tell)
    assert result["filled"] == 3
    assert progress == [{"looked": 1, "of": 2, "filled": 3}]
    await command({"source": "teams", "since": now - 2 * hour, "until": now + hour}, tell)
    assert source.asked[1] == (clock.now() - timedelta(hours=2), clock.now())
    refused: list[tuple[dict[str, Any], str]] = [
        ({"source": "gate", "since": 0}, "there are: teams, door"),
        ({"source": None, "since": 0}, "there are"),
        ({"source": "door", "since": 0}, "avaeye has no log"),
        ({"source": "teams"}, "milliseconds"),
        ({"source": "teams", "since": "1h"}, "milliseconds"),
        ({"source": "teams", "since": now}, "in the future"),
        ({"source": "teams", "since": 10**20}, "in the future"),
        ({"source": "teams", "since": -(10**20)}, "at most 92 days"),
        ({"source": "teams", "since": now - 93 * 24 * hour}, "at most 92 days"),
        ({"source": "teams", "since": now - hour, "until": now - 2 * hour}, "does not lie before"),
        ({"source": "teams", "since": now - hour, "until": -(10**20)}, "does not lie before"),
    ]
    for wrong, words in refused:
        with pytest.raises(Refusal, match=words):
            await command(wrong, tell)
    source.refusing = True
    with pytest.raises(Refusal, match="the spool is full"):
        await command({"source": "teams", "since": now - hour}, tell)
