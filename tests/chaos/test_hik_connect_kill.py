"""The main promise: killed at any moment, what the vendor was told we have is there, exactly once and in order."""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path

import pytest

from tests.chaos.site import Site, patient, site


@pytest.mark.parametrize(
    ("kills", "events"),
    [
        pytest.param(3, 900, id="short"),
        pytest.param(25, 20_000, id="long", marks=[pytest.mark.long, pytest.mark.timeout(1200)]),
    ],
)
def test_killed_at_random_moments_nothing_acknowledged_is_lost_or_doubled(
    tmp_path: Path, kills: int, events: int
) -> None:
    chance = random.Random(events)
    with site(tmp_path) as here:
        here.start()
        patient(lambda: here.vendor.queue()["subscribed"], "the subscription")
        made: list[str] = []
        for _ in range(kills):
            made += here.vendor.make(events // kills)
            before = here.vendor.queue()["completed"]
            patient(lambda before=before: here.vendor.queue()["completed"] > before, "a completed batch")  # type: ignore[misc]
            time.sleep(chance.random())  # the moment of the kill is chance, not synchronisation
            here.end(signal.SIGKILL)
            _audit(here)
            here.start()
        made += here.vendor.make(events - len(made))
        patient(lambda: here.vendor.queue()["completed"] == events, "the last completed batch", 300)
        here.up()  # what was left to do may have been done by the one before
        assert here.end(signal.SIGTERM) == 0, here.log()
        _audit(here)
        assert here.numbers() == made  # all of it, once, in the order of the queue


def _audit(here: Site) -> None:
    """What the vendor was told we have stands in spool and file after the next start; the file so far has no double."""
    found = here.numbers() if here.output.exists() else []
    assert len(found) == len(set(found))
    completed = here.vendor.queue(lists=True)["completed"]
    # The file may lag behind the spool at a kill, but never has a hole.
    assert found[: len(completed)] == completed[: len(found)]
    assert here.vendor.ask("account?lists=no")["busiest_second"] <= 5
