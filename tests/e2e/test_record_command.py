"""`pump record` and `pump simulate --from` as a shell has them: ended, killed, on a full disk, with other files."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import signal
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import aiohttp
import yarl
from click.testing import CliRunner

from pump.cli import group
from pump.ingest.recording.lines import read
from pump.testing.brokers import free_port
from tests.e2e.test_record_and_play import CONFIG, running, stored, until
from tests.environ import ALONE

ENVIRON = {name: value for name, value in os.environ.items() if name not in {"STATE_DIRECTORY", "JOURNAL_STREAM"}}
TABLE = 'type = "avaeye"'
_LIMIT = 4000
"""Bytes of the full disk."""


async def start(folder: Path, *arguments: str, ready: Callable[[], None] | None = None) -> asyncio.subprocess.Process:
    # On a full disk Python would leave half of a module compiled, which no process could import after that.
    environ = ENVIRON if ready is None else {**ENVIRON, "PYTHONDONTWRITEBYTECODE": "1"}
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "pump", *arguments, cwd=folder, env=environ, preexec_fn=ready,
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip


async def record(
    folder: Path, name: str, ready: Callable[[], None] | None = None
) -> tuple[asyncio.subprocess.Process, Path]:
    """`pump record` that has begun."""
    process = await start(folder, "record", "one", "--for", "1h", "-o", name, ready=ready)
    file = folder / name
    await until(lambda: process.returncode is not None or (file.exists() and b"\n" in file.read_bytes()))
    assert process.returncode is None
    return process, file


async def capture(url: str, number: int) -> None:
    """A camera pushes, and is answered after the commit."""
    params = {"recordId": f"{number:032x}", "picTime": "2026-11-20T08:00:00", "plateNo": f"A{number}", "x": "y" * 500}
    body = {"version": "1.0", "parkId": "10000", "deviceId": "1001", "params": params}
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{url}/api/upark/capture", data=json.dumps(body)) as answer,
    ):
        assert json.loads(await answer.read())["code"] == 200


async def oddly(url: str) -> None:
    """A request with bytes that are no text in its path, query and headers; it is answered as ever."""
    target = yarl.URL(f"{url}/api/upark/%ff%fe?a=1&a=2&b=%ff", encoded=True)
    headers = {"Content-Type": "text/plain; x=\udcff", "Accept": "\xff"}
    async with aiohttp.ClientSession() as session, session.post(target, data=b"{}", headers=headers) as answer:
        assert answer.status == 200


async def ended(process: asyncio.subprocess.Process) -> tuple[int, str]:
    _, error = await process.communicate()
    return process.returncode or 0, error.decode()


async def test_ctrl_c_ends_it_in_order_and_the_file_is_played(tmp_path: Path) -> None:
    async with running(tmp_path / "one", TABLE) as daemon:
        process, file = await record(tmp_path / "one", "r.jsonl")
        for number in range(12345, 12350):
            await capture(daemon.push_url, number)
        await oddly(daemon.push_url)
        process.send_signal(signal.SIGINT)
        code, said = await ended(process)
        assert (code, "it was asked to end" in said) == (0, True), said
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    recording = read(file.read_bytes())
    assert ([frame.kind for frame in recording.frames], recording.end) == (["push"] * 6, "it was asked to end")
    async with running(tmp_path / "two", TABLE) as daemon:
        playing = await start(tmp_path, "simulate", "--from", str(file), "--to", daemon.push_url, "--at-once")
        code, said = await ended(playing)
        assert (code, "6 requests were answered" in said) == (0, True), said
        assert sum(event["type"] == "vehicle.passed" for event in stored(tmp_path / "two")) <= 5
    assert sum(event["type"] == "vehicle.passed" for event in stored(tmp_path / "two")) == 5


async def test_a_full_disk_and_a_kill_end_the_recording_and_nothing_else(tmp_path: Path) -> None:
    def full() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (_LIMIT, _LIMIT))

    async with running(tmp_path, TABLE) as daemon:
        process, file = await record(tmp_path, "full.jsonl", ready=full)
        for number in range(12345, 12360):
            await capture(daemon.push_url, number)
        code, said = await ended(process)
        assert (code, "cannot be written" in said) == (1, True), said
        assert file.read_bytes().endswith(b"\n")
        found = read(file.read_bytes())
        assert 0 < len(found.frames) < 15
        assert found.end == ""
        process, file = await record(tmp_path, "killed.jsonl")  # the first has ended, else it would be refused
        await capture(daemon.push_url, 12400)
        await until(lambda: file.read_bytes().count(b"\n") >= 2)
        process.kill()
        await process.wait()
        assert len(read(file.read_bytes()).frames) == 1
        await capture(daemon.push_url, 12401)
        await until(lambda: sum(event["type"] == "vehicle.passed" for event in stored(tmp_path)) == 17)


async def test_a_daemon_that_is_killed_leaves_a_file_that_is_good(tmp_path: Path) -> None:
    port = free_port()
    (tmp_path / "pump.toml").write_text(CONFIG.format(folder=tmp_path, table=TABLE, push=port), encoding="utf-8")
    daemon = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "pump", "run", cwd=tmp_path, env=ENVIRON, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        await until(lambda: (tmp_path / "state" / "control.sock").exists())
        process, file = await record(tmp_path, "r.jsonl")
        await capture(f"http://127.0.0.1:{port}", 12345)
        await until(lambda: file.read_bytes().count(b"\n") >= 2)
    finally:
        daemon.kill()
        await daemon.wait()
    code, said = await ended(process)
    assert (code, "the daemon ended the connection" in said) == (1, True), said
    assert len(read(file.read_bytes()).frames) == 1


def test_files_that_are_no_recordings_are_refused(tmp_path: Path) -> None:
    header = {"format": "pump recording", "version": 1, "pump": "0", "type": "avaeye", "begun": "2026-11-29T08:00:00Z"}
    push = {"kind": "push", "at": 0, "method": "GET", "path": "/", "headers": {}, "status": 200, "text": ""}
    for lines, more, said in (
        ([{**header, "version": 9}], [], "version 9"),
        ([{**header, "type": "toaster"}], [], "toaster"),
        (["rubbish"], [], "no recording"),
        ([header, push, {}], [], "line 3"),
        ([header, push], [], "--to says which pump"),
        ([header, push], ["--to", "nowhere"], "an address is wanted"),
        ([header, push], ["kinot", "--to", "http://127.0.0.1:9"], "recorded of avaeye"),
        ([{**header, "type": "kinot"}, push], ["--to", "http://127.0.0.1:9"], "/kinot/NAME"),
    ):
        file = tmp_path / "r.jsonl"
        file.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
        result = CliRunner().invoke(group, ["simulate", *more, "--from", str(file)])
        assert result.exit_code != 0
        assert said in result.output
    file.write_bytes(b'{"format": "pump rec')
    assert "no line that is whole" in CliRunner().invoke(group, ["simulate", "--from", str(file)]).output
    assert "cannot be read" in CliRunner().invoke(group, ["simulate", "--from", str(tmp_path / "none")]).output
    (tmp_path / "pump.toml").write_text(CONFIG.format(folder=tmp_path, table=TABLE, push=0), encoding="utf-8")
    record = ["record", "one", "-c", str(tmp_path / "pump.toml"), "-o"]
    there = CliRunner(env=ALONE).invoke(group, [*record, str(file)])
    assert "is there already" in there.output
    alone = CliRunner(env=ALONE).invoke(
        group, ["record", "one", "-c", str(tmp_path / "pump.toml"), "-o", str(tmp_path / "new")]
    )
    assert "no daemon runs" in alone.output
    assert not (tmp_path / "new").exists()
    assert "go with --from" in CliRunner().invoke(group, ["simulate", "avaeye", "--at-once"]).output
