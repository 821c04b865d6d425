"""The status from before the spool is open until the stop: it reads what is there, and waits for nothing."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from prometheus_client import Counter, Metric

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


async def test_sources_are_counted_in_a_thread(tmp_path: Path) -> None:
    """Thousands of them would hold the event loop for as long as their samples take to make."""
    looked: list[threading.Thread] = []

    class Watched(Counter):
        def collect(self) -> Iterable[Metric]:
            looked.append(threading.current_thread())
            return super().collect()

    clock, metrics = ManualClock(), Metrics()
    metrics.events = Watched("watched", "Those of the sources", ["source"], registry=None)
    metrics.events.labels("door").inc(3)
    path = tmp_path / "pump.toml"
    path.write_text(
        '[pump]\nsite = "garage"\n'
        '[sources.door]\ntype = "hik-connect"\nserver = "http://127.0.0.1:9"\napp_key = "k"\nsecret_key = "s"\n',
        encoding="utf-8",
    )
    config = load(path)
    status = Status(config, {}, spool=lambda: None, phase=str, clock=clock, health=Health(clock), metrics=metrics)
    body = await status.whole()
    assert body["sources"] == {"door": {"events": 3, "duplicates": 0, "unparsed": 0, "refused": 0, "gaps": 0}}
    assert body == status.body()
    assert [thread is threading.current_thread() for thread in looked] == [False, True]


async def test_a_part_that_goes_while_its_gauges_are_set_leaves_none_behind(tmp_path: Path) -> None:
    path = tmp_path / "pump.toml"
    path.write_text('[pump]\nsite = "garage"\n', encoding="utf-8")
    health, metrics = Health(clock := ManualClock()), Metrics()
    status = Status(load(path), {}, spool=lambda: None, phase=str, clock=clock, health=health, metrics=metrics)
    names = [f"source {number}" for number in range(1000)]
    for name in names:
        health.component(name).up()
    setting = asyncio.create_task(status.refresh())
    await asyncio.sleep(0)
    assert not setting.done()
    health.remove(names[-1])
    await setting
    shown = [sample.labels["part"] for metric in metrics.up.collect() for sample in metric.samples]
    assert shown == names[:-1]
