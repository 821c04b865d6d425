"""`pump simulate avaeye` and `pump simulate kinot` against a daemon that is killed in the middle, and `pump devices`.

Each is a process of its own, as an operator runs them.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import tomllib
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest

from pump.testing.brokers import free_port

ENVIRON = {name: value for name, value in os.environ.items() if name not in {"STATE_DIRECTORY", "JOURNAL_STREAM"}}
HUSH = ("oss-secret", "mqtt-secret", "register-secret", "oss-key", "61518-59257")
"""What the simulators send that may be kept nowhere."""


def listens(port: int) -> bool:
    with socket.socket() as caller:
        return caller.connect_ex(("127.0.0.1", port)) == 0


class Simulated:
    """`pump simulate KIND`."""

    def __init__(self, kind: str, *arguments: str, **environ: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "pump", "simulate", kind, *arguments],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**ENVIRON, **environ},
        )  # fmt: skip
        assert self.process.stderr is not None
        said = self.process.stderr.readline()
        assert said.startswith(f"{kind} listens at http://127.0.0.1:"), said + self.process.stderr.read()
        self.url = said.split()[-1]

    def account(self) -> dict[str, Any]:
        with urllib.request.urlopen(f"{self.url}/_simulator/account", timeout=30) as answer:
            found: dict[str, Any] = orjson.loads(answer.read())
        return found

    def end(self, number: signal.Signals) -> tuple[int, str, str]:
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=60)
        return self.process.returncode, out, err


@contextmanager
def simulated(kind: str, *arguments: str, **environ: str) -> Iterator[Simulated]:
    running = Simulated(kind, *arguments, **environ)
    try:
        yield running
    finally:
        if running.process.poll() is None:
            running.process.kill()
            running.process.communicate()


def _ended_cleanly(ended: tuple[int, str, str]) -> None:
    """Standard error shows how it is reached, as a table for pump.toml, and nothing else."""
    code, out, err = ended
    assert (code, out) == (0, "")
    assert tomllib.loads(err).keys() <= {"sources"}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
@pytest.mark.parametrize("kind", ["avaeye", "kinot"])
def test_a_simulator_that_nobody_listens_to_ends_cleanly_when_asked(kind: str, number: signal.Signals) -> None:
    with simulated(kind, "--rate", "50", PUMP_URL=f"http://127.0.0.1:{free_port()}") as running:
        _ended_cleanly(running.end(number))


class Site:
    """A folder with a pump.toml, and the daemons that run there."""

    def __init__(self, folder: Path, port: int, kinot: str) -> None:
        self.folder = folder
        self.config = folder / "pump.toml"
        self.output = folder / "events.jsonl"
        self.config.write_text(
            f"""
[pump]
site = "north"
state_dir = "{folder}/state"
[ops]
listen = "127.0.0.1:0"
[server]
listen = "127.0.0.1:{port}"
[sources.gate]
type = "avaeye"
park_ids = ["10000"]
[sources.bays]
type = "kinot"
server = "{kinot}"
app_key = "ak"
app_secret = "sk"
callback_base = "http://127.0.0.1:{port}"
snapshot = "2s"
gateways = [644219880]
[sinks.out]
type = "jsonl"
path = "{self.output}"
"""
        )

    @contextmanager
    def daemon(self) -> Iterator[subprocess.Popen[bytes]]:
        with (self.folder / "daemon.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "pump", "run", "-c", str(self.config)], stderr=log, env=ENVIRON
            )
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()

    def events(self) -> list[dict[str, Any]]:
        lines = self.output.read_bytes().split(b"\n")[:-1] if self.output.exists() else []
        return [orjson.loads(line) for line in lines]

    def passes(self) -> list[str]:
        """The cameras' recordIds."""
        found = (event for event in self.events() if event["type"].startswith("vehicle."))
        return [event["data"]["raw"]["params"]["recordId"] for event in found]

    def changes(self) -> int:
        """Bays' changes that were pushed."""
        return sum(event["type"].startswith("parking.") and not event["data"]["reconciled"] for event in self.events())

    def devices(self, *arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "pump", "devices", "-c", str(self.config), *arguments],
            capture_output=True, text=True, env=ENVIRON, check=False, timeout=60,
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout


def patient(condition: Callable[[], object], what: str, every: float = 0.1) -> None:
    """Wait for other processes to get there. `every`: seconds between two looks, more where a look is a process."""
    end = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < end, f"{what} did not come"
        time.sleep(every)


def test_a_fleet_and_a_garage_outlive_a_killed_pump_and_are_listed(tmp_path: Path) -> None:
    port = free_port()
    with ExitStack() as stack:
        garage = stack.enter_context(simulated("kinot", "--rate", "20"))
        site = Site(tmp_path, port, garage.url)
        with site.daemon() as daemon:
            patient(lambda: listens(port), "the daemon")
            # cameras that nobody hears introduce themselves only every 30 s
            fleet = stack.enter_context(simulated("avaeye", "--rate", "20", PUMP_URL=f"http://127.0.0.1:{port}"))
            patient(lambda: len(site.passes()) >= 20 and site.changes() >= 5, "the devices' traffic")
            daemon.kill()
        before, tries = set(fleet.account()["answered"]), fleet.account()["retries"]
        patient(lambda: fleet.account()["retries"] > tries, "another try")
        with site.daemon() as daemon:
            patient(lambda: len(set(fleet.account()["answered"]) - before) >= 20, "answers after the kill")
            told, changed = len(site.passes()), site.changes()
            patient(lambda: len(site.passes()) > told and site.changes() > changed, "traffic after the kill")
            patient(lambda: "gateway/644219880" in site.devices(), "the gateway", every=1.0)
            _listed(site)
            assert fleet.end(signal.SIGTERM)[0] == 0
            _ended_cleanly(garage.end(signal.SIGINT))
            daemon.send_signal(signal.SIGTERM)
            assert daemon.wait(60) == 0, (tmp_path / "daemon.log").read_text()
        lines = Counter(site.passes())
        assert before <= lines.keys(), "what was answered is in the file"
        assert set(lines.values()) == {1}
        occupied: dict[str, bool] = {}
        for event in site.events():
            if event["type"].startswith("parking.space."):
                now = event["type"] == "parking.space.occupied"
                assert occupied.get(event["subject"]) != now, "no change is told twice"
                occupied[event["subject"]] = now
        assert len(occupied) == 60
        _listed(site)  # without a daemon too
        written = site.output.read_text() + (tmp_path / "daemon.log").read_text()
        assert not [word for word in HUSH if word in written]


def _listed(site: Site) -> None:
    rows = [orjson.loads(line) for line in site.devices("--json").splitlines()]
    cameras = [row for row in rows if row["source"] == "gate"]
    assert sorted(row["device"] for row in cameras) == [f"10000/{1001 + number}" for number in range(8)]
    for row in cameras:
        assert row["online"]
        assert row["interval"] == 30.0
        assert row["seen"].startswith("20")
        assert row["facts"]["version"] == "PARK_1201-B0003"
        assert row["facts"]["address"].startswith("192.168.1.")
        assert row["facts"]["serial"] == f"21023500000{row['device'][6:]}"
    bays = [row for row in rows if row["source"] == "bays"]
    kinds = Counter(row["facts"]["kind"] for row in bays)
    assert kinds == {"lock": 20, "sensor": 40, "gateway": 1}
    gateway = next(row for row in bays if row["facts"]["kind"] == "gateway")
    assert (gateway["device"], gateway["online"]) == ("gateway/644219880", True)
    assert (gateway["facts"]["address"], gateway["facts"]["version"]) == ("192.0.2.18:44062", "17")
    head, *lines = site.devices().splitlines()
    assert head.split() == [
        "source", "device", "state", "last", "seen", "address", "version", "name", "clock", "voltage", "signal",
        "frequency", "active", "stranger",
    ]  # fmt: skip
    assert len(lines) == 8 + 61
    assert {line.split()[0] for line in lines if line.split()[-1] == "yes"} == {"gate"}, "nobody made up a bay"
    (line,) = (line for line in lines if "10000/1003" in line)
    assert line.split()[0:3] == ["gate", "10000/1003", "online"]
    assert line.split()[5:8] == ["192.168.1.3", "PARK_1201-B0003", "HC121@1003"]
    assert len(site.devices("--source", "gate").splitlines()) == 1 + 8
    told = "".join(map(str, rows))
    assert not [word for word in HUSH if word in told]


def test_a_device_that_is_gone_is_listed_as_such(tmp_path: Path) -> None:
    port = free_port()
    with simulated("kinot", "--rate", "0") as garage:
        site = Site(tmp_path, port, garage.url)
        with site.daemon() as daemon:
            body = orjson.dumps(
                {"parkId": "10000", "deviceId": "7", "params": {"keepalive": 0.3, "deviceName": "\x1b[2J"}}
            )
            url = f"http://127.0.0.1:{port}/api/upark/basicinfo"

            def introduced() -> bool:
                try:
                    with urllib.request.urlopen(url, data=body, timeout=30) as answer:
                        return bool(answer.status == 200)
                except OSError:
                    return False  # it does not listen yet

            patient(introduced, "an answer")
            patient(lambda: "offline" in site.devices("--source", "gate"), "the camera's going", every=1.0)
            (line,) = site.devices("--offline").splitlines()[1:]
            assert line.split()[:3] == ["gate", "10000/7", "offline"]
            assert "\x1b" not in line
            daemon.send_signal(signal.SIGTERM)
            assert daemon.wait(60) == 0
        offline = [event for event in site.events() if event["type"] == "device.offline"]
        assert [event["subject"] for event in offline] == ["camera/10000/7"]
