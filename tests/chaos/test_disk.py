"""Bad disks under a running daemon: full, and flipped. The vendor is told no lie, and nobody has to help."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import time
from contextlib import closing
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
    with site(tmp_path, batch_size=500) as here:  # two batches a second are pulled
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


_ARCHIVE = """
[sinks.archive]
type = "sqlite"
path = "{folder}/archive.db"
"""


def _archived(here: Site) -> list[str]:
    """The vendor's identities in the archive, in order."""
    with closing(sqlite3.connect(here.folder / "archive.db")) as db:
        found = db.execute(
            "SELECT json ->> '$.data.raw.basicInfo.systemId' FROM events WHERE vendor = 'hik-connect' ORDER BY number"
        )
        return [identity for (identity,) in found]


def test_texts_that_are_none_in_all_rows_of_state_and_cursors_stop_no_daemon_and_no_sink(tmp_path: Path) -> None:
    with site(tmp_path, sinks=_ARCHIVE.format(folder=tmp_path)) as here:
        here.start()
        patient(lambda: here.vendor.queue()["subscribed"], "the subscription")
        made = here.vendor.make(200)
        patient(lambda: here.vendor.queue()["completed"] == 200, "the first batches")
        patient(lambda: len(here.numbers()) == 200, "the lines")
        assert here.end(signal.SIGTERM) == 0
        with closing(sqlite3.connect(_state(here) / "spool.db", isolation_level=None)) as db:
            db.execute("UPDATE state SET value = CAST(CAST(value AS BLOB) || x'ff' AS TEXT)")
            db.execute("UPDATE cursors SET sink = CAST(CAST(sink AS BLOB) || x'ff' AS TEXT)")
        here.start()
        patient(lambda: bool(_events(here, "pump.spool.repaired")), "the news")
        made += here.vendor.make(100)
        patient(lambda: here.vendor.queue()["completed"] == 300, "the batches after it")
        patient(lambda: len(here.numbers()) >= 300, "the last line")
        assert here.end(signal.SIGTERM) == 0
        assert here.numbers() == made, "each once, in the order in which it came"
        assert _archived(here) == made
        (repaired,) = _events(here, "pump.spool.repaired")
        aside = _state(here) / repaired["data"]["aside"]
        assert len(aside.read_bytes().splitlines()) > 2


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", range(4))
def test_the_daemon_starts_whatever_byte_is_flipped(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    with site(tmp_path, sinks=_ARCHIVE.format(folder=tmp_path)) as here:
        made: list[str] = []
        for turn in range(25):
            here.start()
            patient(lambda: here.vendor.queue()["subscribed"], "the subscription")
            made.extend(here.vendor.make(20))
            patient(lambda: here.vendor.queue()["completed"] == len(made), f"the batches of turn {turn}")
            patient(lambda: len(set(here.numbers())) == len(made), f"the lines of turn {turn}")
            assert here.end(chance.choice((signal.SIGTERM, signal.SIGKILL))) in (0, -signal.SIGKILL)
            assert here.numbers() == made, f"seed {seed}, turn {turn}"
            files = [*_state(here).glob("spool.*"), *tmp_path.glob("archive.db*"), _state(here) / "lock"]
            files = [file for file in files if ".damaged-" not in file.name and file.stat().st_size]
            path = chance.choice(files)
            place = chance.randrange(min(path.stat().st_size, 1 << 22))
            with path.open("r+b") as file:
                file.seek(place)
                old = file.read(1)[0]
                file.seek(place)
                file.write(bytes([old ^ chance.randrange(1, 256)]))
            print(f"turn {turn}: {path.name} at {place}")
