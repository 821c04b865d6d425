"""Bad disks under a running daemon: full, and flipped. The vendor is told no lie, and nobody has to help."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import orjson
import pytest

from pump.spool.connection import PAGE_SIZE
from tests.chaos.site import Site, patient, site


def _events(here: Site, type_: str) -> list[dict[str, Any]]:
    lines = here.output.read_bytes().split(b"\n")[:-1]
    return [event for event in map(orjson.loads, lines) if event["type"] == type_]


def _state(here: Site) -> Path:
    return here.folder / "state"


def _inside(here: Site, *command: str) -> None:
    """Run a command where the daemon sees the disk: in its name spaces."""
    assert here.daemon is not None
    subprocess.run(
        ["nsenter", "--preserve-credentials", "-U", "-m", "-t", str(here.daemon.pid), *command], check=True, cwd="/"
    )


def test_on_a_full_disk_nothing_is_completed_and_with_space_it_goes_on_by_itself(tmp_path: Path) -> None:
    with site(tmp_path) as here:
        _state(here).mkdir(mode=0o700)
        # The state directory lies on a small disk of its own, seen by the daemon alone; the output does not.
        mount = f'mount -t tmpfs -o size=40m,mode=700 tmpfs "{_state(here)}" && exec "$@"'
        here.start("unshare", "-U", "-r", "-m", "sh", "-c", mount, "sh")
        patient(lambda: here.vendor.queue()["subscribed"], "the subscription")
        made = here.vendor.make(300)
        patient(lambda: here.vendor.queue()["completed"] == 300, "the first batches")

        ballast = str(_state(here) / "ballast")
        _inside(here, "sh", "-c", f'dd if=/dev/zero of="{ballast}" bs=64k 2>/dev/null; true')  # until it is full
        # What the WAL still has room for is stored and completed; then it is over.
        made += here.vendor.make(3000)
        patient(lambda: "The spool refuses new events" in here.log(), "the refusal")
        stuck = _steady(here)
        assert stuck < len(made)

        _inside(here, "rm", ballast)
        patient(lambda: here.vendor.queue()["completed"] == len(made), "the rest", 120)
        patient(lambda: len(here.numbers()) >= len(made), "the last line")
        assert here.end(signal.SIGTERM) == 0
        assert here.numbers() == made  # nothing lost, nothing twice


def _steady(here: Site) -> int:
    """How many are completed, once that has stopped to grow over several polls."""
    last, since = -1, time.monotonic()
    while time.monotonic() - since < 3:
        now = here.vendor.queue()["completed"]
        if now != last:
            last, since = now, time.monotonic()
        time.sleep(0.2)
    return last


@pytest.mark.parametrize("victim", ["spool.db", "spool.db-wal"])
def test_with_flipped_bytes_the_daemon_starts_salvages_and_tells_the_loss(tmp_path: Path, victim: str) -> None:
    with site(tmp_path) as here:
        here.start()
        patient(lambda: here.vendor.queue()["subscribed"], "the subscription")
        made = here.vendor.make(400)
        patient(lambda: here.vendor.queue()["completed"] == 400, "the first batches")
        if victim == "spool.db":
            assert here.end(signal.SIGTERM) == 0  # the WAL is copied into the file
        else:
            here.end(signal.SIGKILL)
        path = _state(here) / victim
        size = path.stat().st_size
        assert size > 200_000
        with path.open("r+b") as file:
            for place in range(size // 3 // PAGE_SIZE * PAGE_SIZE, size // 2, PAGE_SIZE):
                file.seek(place)  # where a page of the file, or about one of the WAL, begins
                file.write(os.urandom(64))
        here.start()
        patient(lambda: bool(_events(here, "pump.spool.repaired")) or bool(_events(here, "pump.gap")), "the news")
        made += here.vendor.make(200)
        patient(lambda: here.vendor.queue()["completed"] == 600, "the batches after it")
        assert here.end(signal.SIGTERM) == 0
        # All had reached the file before the damage: it keeps them, each once, and what came after it is there.
        assert here.numbers() == made
        if victim == "spool.db":
            (repaired,) = _events(here, "pump.spool.repaired")
            assert repaired["data"]["aside"].startswith("spool.damaged-")
            assert repaired["data"]["lost"] + repaired["data"]["carried"] > 0
        gaps = _events(here, "pump.gap")
        assert gaps
        assert all({"from", "to", "reason"} <= gap["data"].keys() for gap in gaps)
