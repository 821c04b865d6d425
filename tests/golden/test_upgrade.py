"""What landed versions wrote, opened by today's code: spools and configurations; and a newer version's, refused."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from pump.spool import Receipt, Row, schema
from tests.environ import BARE
from tests.golden import landed_spool, old_spool, subjects
from tests.golden.vendors import DATA

_CONFIGURATIONS = sorted(DATA.glob("pump-*.toml"))
"""By the commit that shipped them, with all taken in that they offer."""
_SPECIAL = {
    "HOOK_SECRET": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    "ANNA_HASH": "$scrypt$ln=15,r=8,p=1$yIidUbnJ9yvO/xc6POfjHg$yxOZtLZgjV2/vsJROOwvp6Up5cisLeGJ3xc2OikVOYY",
}
"""What is no mere text."""


def test_the_present_version_has_its_file() -> None:
    """`python -m tests.golden.write landed-spool` makes it, once, when the version lands."""
    assert schema.VERSION in landed_spool.versions()


@pytest.mark.parametrize("version", landed_spool.versions())
async def test_a_spool_of_a_landed_version_is_all_there_and_goes_on(tmp_path: Path, version: int) -> None:
    held = landed_spool.unpack(version, tmp_path)
    spool, _ = await old_spool.opened(tmp_path, datetime.fromisoformat(held.pop("written")))
    try:
        found = await landed_spool.holding(spool)
        assert {key: found[key] for key in held} == held
        assert spool.repaired is None
        now = held["events"][0][4]
        again = Row("teams", "vehicle.passed", 0, now, now - 1000, "id-0", b"{}")
        fresh = Row("teams", "vehicle.passed", 0, now, now, "fresh", b'{"id":"fresh"}')
        assert await spool.append([again, fresh], source="teams") == Receipt(1, 1)
        (record,) = await spool.read(held["head"])
        assert record.seq > held["head"]
        if version >= 4:  # its file has a key without a time
            assert await spool.append([replace(again, dedup_time_ms=0, id="id-5")], source="teams") == Receipt(0, 1)
    finally:
        await spool.close()
    assert [path.name for path in tmp_path.glob("*damaged*")] == []


@pytest.mark.parametrize("version", landed_spool.versions())
async def test_a_salvage_of_a_landed_version_leaves_nothing_out(tmp_path: Path, version: int) -> None:
    """It misses no table that the version did not have."""
    held = landed_spool.unpack(version, tmp_path)
    (tmp_path / "spool.damaged").touch()
    spool, _ = await old_spool.opened(tmp_path, datetime.fromisoformat(held["written"]))
    try:
        assert spool.repaired is not None
        assert "left out" not in spool.repaired.reason
        assert (spool.head, spool.repaired.lost) == (held["head"], 0)
    finally:
        await spool.close()


@pytest.mark.parametrize("file", _CONFIGURATIONS, ids=lambda path: path.stem)
def test_a_configuration_of_then_is_right_today(file: Path) -> None:
    environ = dict.fromkeys(re.findall(r"\$\{(\w+)\}", file.read_text()), "any-secret") | _SPECIAL
    config = subjects.load(file, environ)
    assert not config.warnings
    assert len(config.sources) >= 5
    assert len(config.sinks) >= 6


_NEWER = """
import asyncio, sys
from pathlib import Path
from pump.core.clock import Clock
from pump.spool import Row, Spool, SpoolSettings, schema
from pump.telemetry.metrics import Metrics

known, schema.VERSION = schema.VERSION, schema.VERSION + 1
schema._STEPS[0] = (*schema.TABLES, "CREATE TABLE novelty(id INTEGER PRIMARY KEY)")
schema._version = lambda db: schema.VERSION if "novelty" in {name for _, name, _ in schema._made(db)} else 0

async def main():
    clock = Clock()
    spool = await Spool.open(Path(sys.argv[1]), SpoolSettings(), clock=clock, metrics=Metrics())
    await spool.append([Row("gate", "vehicle.passed", 0, clock.now_ms(), 0, "a", b'{"id":"a"}')], source="gate")
    await spool.close()

asyncio.run(main())
"""


def test_a_newer_pumps_spool_is_refused_in_words_and_untouched(tmp_path: Path) -> None:
    """As an older pump finds it after a way back that nobody meant."""
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    subprocess.run([sys.executable, "-c", _NEWER, str(state)], check=True)
    config = tmp_path / "pump.toml"
    config.write_text(f'[pump]\nstate_dir = "{state}"\n[ops]\nlisten = "127.0.0.1:0"\n[sinks.log]\ntype = "log"\n')

    def digests() -> dict[str, str]:
        return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in state.glob("spool.*")}

    before = digests()
    done = subprocess.run(
        [sys.executable, "-m", "pump", "run", "-c", str(config)], env=BARE, capture_output=True, text=True, check=False
    )
    assert done.returncode == 78, "systemd must not start it again and again"
    (refusal,) = [line for line in map(json.loads, done.stderr.splitlines()) if line["level"] == "error"]
    assert refusal["event"] == "The spool cannot be opened"
    assert refusal["error"] == (
        f"the spool was written by a newer pump (its version is {schema.VERSION + 1}, known is {schema.VERSION}): "
        "nothing was changed; install that pump again, or give this one another [pump] state_dir"
    )
    after = digests()
    assert {name: after[name] for name in before} == before
    assert all((state / name).stat().st_size == 0 for name in set(after) - set(before) if name.endswith("-wal"))
