"""`pump command` and `pump commands` against a daemon that runs: exit statuses, texts, completion."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from pump.spool import offline
from pump.vendors.avaeye.simulator.lapi import CameraServer
from tests.environ import ALONE

ENVIRON = {name: value for name, value in os.environ.items() if name not in {"STATE_DIRECTORY", "JOURNAL_STREAM"}}
GATE, SLOW, LOCKED = "camera/10000/1001", "camera/10000/1002", "camera/10000/1003"
_CONFIG = """
[pump]
site = "north"
state_dir = "{folder}/state"
[ops]
listen = "127.0.0.1:0"
[server]
listen = "127.0.0.1:0"
[commands]
per_minute = 600
dry_run = {dry}
[[commands.grants]]
callers = ["socket"]
verbs = ["gate.*", "list.*", "display.show"]
targets = ["{gate}", "{slow}"]
[sources.gate]
type = "avaeye"
username = "admin"
password = "camera-secret"
control = "lapi"
[sources.gate.cameras]
"10000/1001" = {{ url = "{url}", name = "North gate" }}
"10000/1002" = {{ url = "{slow_url}" }}
"10000/1003" = {{ url = "{url}" }}
[sinks.out]
type = "jsonl"
path = "{folder}/events.jsonl"
"""
_SEVERAL = """
import contextlib, io, json, os, sys
from pump.cli import main
from pump.cli.shared import completing
completing.PATIENCE = 60.0  # a busy machine is no failure
found = []
for words, environ in json.load(sys.stdin):
    sys.argv = ["pump", *filter(None, words)]
    os.environ.update(environ)
    out, error = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
    status = 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(error):
        try:
            main()
        except SystemExit as end:
            status = end.code
    found.append((status, *(text.buffer.getvalue().decode() for text in (out, error))))
print(json.dumps(found))
"""


class There:
    """A daemon, two cameras' own interfaces, and the command line beside them."""

    def __init__(self, folder: Path, camera: CameraServer, slow: CameraServer, *, dry: bool) -> None:
        self.folder, self.camera, self.slow = folder, camera, slow
        self.file = folder / "pump.toml"
        urls = {"url": camera.url, "slow_url": slow.url}
        self.file.write_text(_CONFIG.format(folder=folder, gate=GATE, slow=SLOW, dry=str(dry).lower(), **urls))
        self.daemon: Process | None = None

    async def start(self) -> None:
        self.daemon = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "pump", "run", "-c", str(self.file), env=ENVIRON, stderr=PIPE
        )
        assert self.daemon.stderr is not None
        async for line in self.daemon.stderr:
            if b"The pump runs" in line:
                break
        self._reading = asyncio.create_task(self.daemon.stderr.read())

    async def stop(self) -> None:
        if self.daemon is not None:
            if self.daemon.returncode is None:
                self.daemon.send_signal(signal.SIGTERM)
            await self.daemon.wait()
            await self._reading
            self.daemon = None

    async def run(self, *args: str, environ: dict[str, str] | None = None) -> tuple[int, str, str]:
        """Exit status, standard output and error of `pump ARGS`, with this configuration."""
        pump = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "pump", *args, env={**ENVIRON, **ALONE, **(environ or {})}, cwd=self.folder,
            stdout=PIPE, stderr=PIPE,
        )  # fmt: skip
        out, error = await pump.communicate()
        assert pump.returncode is not None
        return pump.returncode, out.decode(), error.decode()

    async def run_all(self, *lines: str, environs: Sequence[dict[str, str]] = ()) -> list[tuple[int, str, str]]:
        """As `run` of each line, in one process: each of its own would cost a second on a busy machine."""
        pump = await asyncio.create_subprocess_exec(
            sys.executable, "-c", _SEVERAL, env={**ENVIRON, **ALONE}, cwd=self.folder,
            stdin=PIPE, stdout=PIPE, stderr=PIPE,
        )  # fmt: skip
        asked = [[line.split(" "), environ] for line, environ in zip(lines, environs or [{}] * len(lines), strict=True)]
        out, error = await pump.communicate(json.dumps(asked).encode())
        assert error == b""
        return [(status, text, wrong) for status, text, wrong in json.loads(out)]

    async def complete(self, *lines: str, shell: str = "zsh") -> list[list[str]]:
        """What the shell would offer for the last word of each line."""
        environs = [
            {"_PUMP_COMPLETE": f"{shell}_complete", "COMP_WORDS": f"pump {line}",
             "COMP_CWORD": line.split(" ")[-1] if shell == "fish" else str(len(line.split(" ")))}
            for line in lines
        ]  # fmt: skip
        found = []
        for status, out, error in await self.run_all(*[""] * len(lines), environs=environs):
            assert (status, error) == (0, "")
            rows = out.splitlines()
            found.append(rows[1::3] if shell == "zsh" else [row.split(",", 1)[1].split("\t")[0] for row in rows])
        return found

    def statuses(self) -> list[str]:
        events = [json.loads(record.body) for record in offline.events(self.folder / "state")]
        return [event["data"]["command"]["status"] for event in events if event["type"] == "command.result"]


@asynccontextmanager
async def there(folder: Path, *, dry: bool = False) -> AsyncIterator[There]:
    async with CameraServer() as camera, CameraServer() as slow:
        slow.quirks.hold = asyncio.Event()
        here = There(folder, camera, slow, dry=dry)
        await here.start()
        try:
            yield here
        finally:
            await here.stop()


ID = "[0-9a-f]{32}"
SAYS: list[tuple[str, int, str, str]] = [
    (f"command {GATE} gate.open --wait", 0, "done", ""),
    (f"command {GATE} gate.open", 0, "under way", ""),
    (f"command {GATE} list.add plate=AB123 list=allow --wait", 0, "done", ""),
    (f"command {GATE} list.add plate=AB123 list=allow --wait", 1, "refused: the camera refuses: StatusCode 3, .*", ""),
    (f"command {LOCKED} gate.open --wait", 1, r"refused: no grant of \[commands\] lets socket do this", ""),
    (f"command {GATE} camera.reboot --wait", 1, r"refused: no grant of \[commands\] lets socket do this", ""),
    (f"command {GATE} gate.opn --wait", 1, r"refused: there is no verb of this name; did you mean .gate\.open.\?", ""),
    (f"command {GATE} list.clear list=allow", 1, r"refused: it cannot do that; it takes: camera\.capture, .*", ""),
    (f"command {GATE} gate.open speed=3", 1, "refused: there is no argument speed; there are: none", ""),
    (f"command {GATE} list.add plate=AB123", 1, "refused: list is wanted", ""),
    (f"command {GATE} list.add plate=AB123 list=vip", 1, "refused: list is one of allow, block", ""),
    (f"command {GATE} gate.open speed", 1, "", '(?s)Usage: .*"speed": key=value is wanted.*'),
    (f"command {GATE} gate.open --expires soon", 1, "", "(?s)Usage: .*a duration such as .* is wanted.*"),
    (f"command {GATE} gate.open --expires 1h", 1, "refused: expires: more than 0 s and 300 s .*", ""),
    (f"command {GATE}", 1, "", "(?s)Usage: .*Missing argument 'VERB'.*"),
    (f"command {GATE} gate.close --wait --json", 0, f'{{"request_id": "{ID}", "status": "done"}}', ""),
    ("commands", 0, rf"(?s)target .*verbs\n{GATE} +gate +North gate +display.show .*{SLOW}.*", ""),
    ("commands --verbs", 0, r"(?s)verb +says +arguments\ngate.open +Let one vehicle pass +-\n.*", ""),
]  # fmt: skip


async def test_what_it_says_and_how_it_exits(tmp_path: Path) -> None:
    async with there(tmp_path) as here:
        ran = await here.run_all(*(line for line, *_ in SAYS))
        for (line, status, out, error), found in zip(SAYS, ran, strict=True):
            assert found[0] == status, (line, found)
            assert re.fullmatch(out, found[1].rstrip("\n")), (line, found)
            assert re.fullmatch(error, found[2]), (line, found)
        assert here.camera.account.names == ["open", "open", "add Allow", "close"]
        await here.stop()
        for status, out, error in await here.run_all(f"command {GATE} gate.open --wait", "commands"):
            assert (status, out) == (1, "")
            assert re.match(r"Error: no daemon runs with the state directory .*this command needs one: start it", error)


async def test_one_behind_a_device_without_an_answer_expires_and_one_whose_daemon_ends_is_unknown(
    tmp_path: Path,
) -> None:
    async with there(tmp_path) as here:
        held = asyncio.create_task(here.run("command", SLOW, "gate.open", "--wait", "--expires", "60s"))
        while not here.slow.account.actions:
            await asyncio.sleep(0.01)
        status, out, _ = await here.run("command", SLOW, "gate.close", "--wait", "--expires", "500ms")
        assert (status, out) == (1, "expired: its time was over before it could be sent\n")
        assert here.daemon is not None
        here.daemon.kill()
        status, out, _ = await held
        assert (status, out) == (75, "unknown: the daemon ended before it answered; it has the end as an event\n")
        await here.stop()
        await here.start()
        while here.statuses() != ["expired", "unknown"]:
            await asyncio.sleep(0.01)
        assert here.slow.account.names == ["open"]


async def test_a_dry_run_says_so(tmp_path: Path) -> None:
    async with there(tmp_path, dry=True) as here:
        status, out, _ = await here.run("command", GATE, "gate.open", "--wait")
        assert (status, out) == (0, "done: nothing was sent, for [commands] dry_run is on\n")
        assert here.camera.account.names == []


COMPLETE: list[tuple[str, list[str]]] = [
    ("command camera/10000/", [GATE, SLOW]),
    ("command door/", []),
    (f"command {GATE} list.", ["list.add", "list.remove"]),
    (f"command {LOCKED} call.", ["call.answer", "call.reject", "call.hang-up"]),
    (f"command {GATE} list.add li", ["list=allow", "list=block"]),
    (f"command {GATE} display.show te", ["text="]),
    (f"command {GATE} gate.open --source g", ["gate"]),
    ("restart ", ["gate", "out"]),
    ("enable o", ["out"]),
    ("replay --sink o", ["out"]),
    ("backfill ga", ["gate"]),
    ("comma", ["command", "commands"]),
    ("command -c elsewhere.toml camera/", []),
]


async def test_a_shell_completes_what_the_running_pump_has_and_nothing_without_one(tmp_path: Path) -> None:
    async with there(tmp_path) as here:
        found = await here.complete(*(line for line, _ in COMPLETE))
        assert dict(zip((line for line, _ in COMPLETE), found, strict=True)) == dict(COMPLETE)
        for shell in ("bash", "fish"):
            assert await here.complete("command camera/10000/1", shell=shell) == [[GATE, SLOW]]
        await here.stop()
        assert await here.complete("command camera/", "restart ") == [[], []]
        (tmp_path / "pump.toml").write_text("[pump\n")
        assert await here.complete("command camera/") == [[]]


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
async def test_bash_itself_completes(tmp_path: Path) -> None:
    code = "import sys; sys.argv[0] = 'pump'; from pump.cli import main; main()"
    (tmp_path / "pump").write_text(f'#!/bin/sh\nexec "{sys.executable}" -c "{code}" "$@"\n')
    (tmp_path / "pump").chmod(0o755)
    script = """
    eval "$(_PUMP_COMPLETE=bash_source pump)" && COMP_WORDS=(pump command x gate.) && COMP_CWORD=3
    _pump_completion pump && echo "${COMPREPLY[@]}"
    """
    bash = await asyncio.create_subprocess_exec(
        "bash", "-c", script, env={**ENVIRON, "PATH": f"{tmp_path}:{os.environ['PATH']}"}, cwd=tmp_path,
        stdout=PIPE, stderr=PIPE,
    )  # fmt: skip
    out, error = await bash.communicate()
    assert (out, error) == (b"gate.open gate.hold-open gate.release gate.close\n", b"")
