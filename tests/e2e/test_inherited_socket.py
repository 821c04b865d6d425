"""The push listener at a socket that the service manager keeps open: a restart refuses no connection."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import orjson
import pytest

from pump.ingest.push.listener import BACKLOG
from tests.bench.push_load import capture
from tests.environ import BARE

_AS_SYSTEMD = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1", "LISTEN_FDNAMES": sys.argv[2]}
os.execv(sys.executable, [sys.executable, "-m", "pump", "run", "-c", sys.argv[3]])
"""


@pytest.fixture
def listening() -> socket.socket:
    """A socket as pump.socket has it."""
    one = socket.socket()
    one.bind(("127.0.0.1", 0))
    one.listen(BACKLOG)
    return one


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "pump.toml"
    path.write_text(
        f'[pump]\nstate_dir = "{tmp_path}/state"\n[server]\nlisten = "192.0.2.1:1"\n[ops]\nlisten = "127.0.0.1:0"\n'
        f'[sources.gate]\ntype = "avaeye"\nallow = ["127.0.0.0/8"]\n'
        f'[sinks.out]\ntype = "jsonl"\npath = "{tmp_path}/out.jsonl"\n'
    )
    return path


@asynccontextmanager
async def daemon(
    config: Path, listening: socket.socket, name: str = "push"
) -> AsyncIterator[asyncio.subprocess.Process]:
    """`pump run` that inherits the socket."""
    handed = os.dup(listening.fileno())
    arguments = ("-c", _AS_SYSTEMD, str(handed), name, str(config))
    with config.with_name("log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, *arguments, stderr=log, env=BARE, pass_fds=(handed,)
        )
    os.close(handed)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def push(port: int, number: int) -> bool:
    """A capture over a connection of its own, which is never refused; whether it was answered 200.

    One that the daemon took in the moment of its end may be closed without an answer.
    """
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    body = capture(0, number)
    try:
        writer.write(b"POST /api/upark/capture HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        return (await reader.readline()).startswith(b"HTTP/1.1 200")
    except ConnectionResetError:
        return False
    finally:
        writer.close()


async def test_a_restart_refuses_no_connection(config: Path, listening: socket.socket) -> None:
    port, sent, answered, over = listening.getsockname()[1], 0, set[int](), asyncio.Event()

    async def device() -> None:
        nonlocal sent
        while not over.is_set():
            sent += 1
            number = sent
            while not await push(port, number):  # as a camera does
                pass
            answered.add(number)

    async with asyncio.timeout(100), asyncio.TaskGroup() as group:
        for _ in range(4):
            group.create_task(device())
        for last in (False, False, True):
            async with daemon(config, listening) as process:
                before = len(answered)
                while len(answered) < before + 30:
                    assert process.returncode is None, config.with_name("log").read_text()
                    await asyncio.sleep(0.01)
                if last:
                    over.set()
                    while len(answered) < sent:
                        await asyncio.sleep(0.01)
                process.send_signal(signal.SIGTERM)
                assert await process.wait() == 0
    listening.close()
    lines = [orjson.loads(line) for line in config.with_name("out.jsonl").read_bytes().splitlines()]
    stored = [line["data"]["raw"]["params"]["recordId"] for line in lines if line["type"] == "vehicle.passed"]
    assert sorted(stored) == sorted(f"0-0-{number}" for number in answered)


async def test_a_socket_of_another_name_is_left_alone_and_named(config: Path, listening: socket.socket) -> None:
    text = config.read_text().replace("192.0.2.1:1", "127.0.0.1:0")
    config.write_text(text)
    async with daemon(config, listening, "others") as process:
        while "The pump runs" not in (log := config.with_name("log").read_text()):
            assert process.returncode is None, log
            await asyncio.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0
    listening.close()
    assert '"name":"others"' in log
