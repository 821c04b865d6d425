"""`pump demo --mqtt --nats`: the demo's events reach real servers of its own."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from pump.testing.brokers import NatsServer


def test_the_demo_with_brokers() -> None:
    if NatsServer.found() is None:
        pytest.skip("nats-server is not installed")
    line = [sys.executable, "-m", "pump", "demo", "--mqtt", "--nats", "--json", "--duration", "1s"]
    done = subprocess.run(line, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    assert "-- mqtt: mqtt://127.0.0.1:" in done.stderr
    assert "-- nats: nats://127.0.0.1:" in done.stderr
    assert all(json.loads(line)["specversion"] == "1.0" for line in done.stdout.splitlines())
