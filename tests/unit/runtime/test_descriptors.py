"""A flood of connections under a small limit: the rest is refused, and everything else goes on."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from pump.core.failure import scarcity
from pump.runtime.descriptors import Lack, connections
from pump.testing import ManualClock

SOFT, HARD = 192, 256
CONFIG = """\
[ops]
listen = "127.0.0.1:0"
[server]
listen = "127.0.0.1:0"
[sources.gate]
type = "avaeye"
allow = ["127.0.0.0/8"]
[sinks.out]
type = "jsonl"
path = "out.jsonl"
"""
LIMITED = (
    "import resource, sys; "
    f"resource.setrlimit(resource.RLIMIT_NOFILE, ({SOFT}, {HARD})); "
    "import pump.cli; sys.argv[1:] = ['run']; pump.cli.main()"
)
SHUT = """\
import os, resource, sys
import pump.cli
from pump.runtime.services import Services
plain = Services.open_push
async def without(self, *arguments):
    free = next(number for number in range(4096) if not os.path.exists(f"/proc/self/fd/{number}"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, free))
    await plain(self, *arguments)
Services.open_push = without
sys.argv[1:] = ["run"]
pump.cli.main()
"""
"""No descriptor is left from there on, as where others of the process took them meanwhile."""


def test_a_start_that_runs_out_of_them_says_so_and_ends_in_order(tmp_path: Path) -> None:
    (tmp_path / "pump.toml").write_text(CONFIG)
    done = subprocess.run([sys.executable, "-c", SHUT], cwd=tmp_path, capture_output=True, text=True, check=False)
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert done.returncode == 1, "another start may help"
    (refusal,) = [line for line in lines if line["level"] == "error"]
    assert refusal["event"] == "The push listener cannot listen"
    assert refusal["error"] == scarcity(OSError(errno.EMFILE, ""))
    assert lines[-1]["event"] == "The pump has stopped"


@pytest.mark.parametrize(
    ("wanted", "descriptors", "most"), [(4096, 65536, 4096), (4096, 1024, 896), (10, 1024, 10), (4096, 100, 8)]
)
def test_connections_leave_a_reserve(wanted: int, descriptors: int, most: int) -> None:
    assert connections(wanted, descriptors) == most


def test_a_peer_that_goes_in_the_middle_of_tls_is_no_error_of_the_pump_s(monkeypatch: pytest.MonkeyPatch) -> None:
    uvloop = pytest.importorskip("uvloop", reason="no uvloop: pip install -e '.[fast]'")

    async def closed() -> RuntimeError:
        """What uvloop raises for a transport that is gone."""
        loop = asyncio.get_running_loop()
        here, there = socket.socketpair()
        with there:
            transport, _ = await loop.create_connection(asyncio.Protocol, sock=here)
            transport.abort()
            await asyncio.sleep(0)
            with pytest.raises(RuntimeError) as raised:
                transport.write(b"x")
            return raised.value

    async def main() -> None:
        error, loop = await closed(), asyncio.get_running_loop()
        default: list[dict[str, Any]] = []
        monkeypatch.setattr(loop, "default_exception_handler", default.append)
        with capture_logs() as logs:
            Lack(ManualClock())(loop, {"message": "Fatal error on SSL protocol", "exception": error})
            assert default == []
            others = [
                {"message": "Fatal error on SSL protocol", "exception": RuntimeError("a bug")},
                {"message": "Task exception was never retrieved", "exception": error},
            ]
            for other in others:
                Lack(ManualClock())(loop, other)
        assert [line["log_level"] for line in logs] == ["debug"]
        assert default == others

    uvloop.run(main())


async def test_a_lack_is_one_line_a_minute_and_other_errors_are_as_ever() -> None:
    clock = ManualClock()
    lack, loop = Lack(clock), asyncio.get_running_loop()
    context: dict[str, Any] = {
        "message": "socket.accept() out of system resource",
        "exception": OSError(errno.EMFILE, os.strerror(errno.EMFILE)),
    }
    with capture_logs() as logs:
        for _ in range(100):
            lack(loop, context)
        clock.advance(60.0)
        lack(loop, context)
    assert [(line["times"], line["reason"]) for line in logs] == [
        (1, scarcity(context["exception"])),
        (100, scarcity(context["exception"])),
    ]


def test_under_a_flood_probes_are_answered_and_the_log_stays_short(tmp_path: Path) -> None:
    (tmp_path / "pump.toml").write_text(CONFIG)
    process = subprocess.Popen(
        [sys.executable, "-c", LIMITED], cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    )
    flood: list[socket.socket] = []
    try:
        assert process.stderr is not None
        lines: list[dict[str, Any]] = []
        urls: dict[str, str] = {}
        while len(urls) < 2:
            lines.append(json.loads(process.stderr.readline()))
            urls |= {key: lines[-1][key] for key in ("url", "ops") if key in lines[-1]}
        port = int(urls["url"].rpartition(":")[2])
        for _ in range(2 * HARD):
            flood.append(socket.create_connection(("127.0.0.1", port)))
        for _ in range(3):
            with urllib.request.urlopen(f"{urls['ops']}/healthz") as answer:
                assert answer.status == 200
        shown = {"pump_push_refused_connections_total": "0"}
        while not float(shown["pump_push_refused_connections_total"]):  # the listener takes them as it gets to them
            with urllib.request.urlopen(f"{urls['ops']}/metrics") as answer:
                text = answer.read().decode()
            shown = dict(line.split(" ") for line in text.splitlines() if line.startswith("pump_push_"))
        assert 0 < float(shown["pump_push_connections"]) <= HARD - 128
    finally:
        for each in flood:
            each.close()
        process.terminate()
        rest = process.communicate()[1].splitlines()
    lines += [json.loads(line) for line in rest]
    assert process.returncode == 0
    assert len(lines) < 20
    assert sum(line["event"].startswith("Connections are refused") for line in lines) <= 2
