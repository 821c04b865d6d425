"""The status from before the spool is open until the stop: it reads what is there, and waits for nothing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pump.config import load
from pump.runtime.status import Status
from pump.spool import Spool, SpoolSettings
from pump.spool.errors import Verdict
from pump.telemetry.health import Health
from pump.telemetry.metrics import Metrics
from pump.testing import ManualClock
from tests.unit.spool.conftest import rows


@dataclass
class _Daemon:
    """The two things that change while a daemon runs."""

    spool: Spool | None = None
    phase: str = "it is starting"


async def test_each_phase_of_a_daemon_shows(tmp_path: Path) -> None:
    clock, metrics, daemon = ManualClock(), Metrics(), _Daemon()
    health = Health(clock)
    path = tmp_path / "pump.toml"
    path.write_text(f'[pump]\nsite = "garage"\nstate_dir = "{tmp_path / "state"}"\n', encoding="utf-8")
    config = load(path)
    status = Status(
        config,
        {},
        spool=lambda: daemon.spool,
        phase=lambda: daemon.phase,
        clock=clock,
        health=health,
        metrics=metrics,
    )

    assert (status.unready(), status.sick()) == (["it is starting"], [])
    assert status.body()["spool"]["head"] == 0
    await status.look()
    daemon.spool = spool = await Spool.open(tmp_path / "state", SpoolSettings(), clock=clock, metrics=metrics)
    begun = clock.now()
    await spool.append(rows(0, 3, recorded=clock.now_ms()), source="teams")
    daemon.phase = ""
    await status.look()
    clock.advance(60)
    body = status.body()
    assert (body["site"], body["phase"], body["uptime_s"]) == ("garage", "it runs", 60.0)
    assert (body["spool"]["head"], body["spool"]["oldest"]) == (3, begun)
    assert status.unready() == []
    spool._writer.fail(Verdict.FATAL, OSError("fsync"))
    assert status.sick() == ["the spool has failed: an fsync failed: fsync"]
    await spool.close()
