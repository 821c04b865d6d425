"""`pump backfill` and `pump gaps` as a shell has them: a daemon as its own process before a simulated vendor."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import orjson

from pump.core.clock import Clock
from pump.vendors.hik_connect.simulator.messages import identity
from pump.vendors.hik_connect.simulator.server import Simulator
from tests.e2e.test_subscribe_command import pump, start, until

CONFIG = """
[pump]
site = "north"
state_dir = "state"
[ops]
listen = "127.0.0.1:0"
[sources.teams]
type = "hik-connect"
server = "{url}"
app_key = "ak"
secret_key = "sk"
[sinks.out]
type = "jsonl"
path = "events.jsonl"
"""


async def test_an_operator_asks_for_what_is_missing(tmp_path: Path) -> None:
    async with Simulator(clock=Clock()) as vendor:
        for record in vendor.make("combine", 7, "camera"):
            vendor.logs.add("combine", identity(record), orjson.dumps(record))
        (tmp_path / "pump.toml").write_text(CONFIG.format(url=vendor.url), encoding="utf-8")
        daemon = await start(tmp_path, "run", quiet=True)
        try:
            await until(lambda: vendor.account.queues["combine"].subscribed)
            done = await pump(tmp_path, "backfill", "teams", "--since", "1h")
            assert done.code == 0, done.err
            assert done.out.startswith("7 events were missing and are stored")
        finally:
            daemon.send_signal(signal.SIGTERM)
            await daemon.wait()
    listed = await pump(tmp_path, "gaps", "--json", "--source", "teams")
    [gap] = [json.loads(line) for line in listed.out.splitlines()]
    assert (gap["state"], gap["filled"], gap["reason"]) == ("filled", 7, "asked for by hand")
    events = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text(encoding="utf-8").splitlines()]
    assert sum(event["data"].get("reconciled", False) for event in events) == 7
