from __future__ import annotations

import asyncio
import json
import os
import socket
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from pump.core.errors import Refusal
from pump.ops.control import NAME, Control, NoDaemon, Tell, ask


async def asked(folder: Path, command: str, **arguments: Any) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    told: list[dict[str, Any]] = []
    return await asyncio.to_thread(ask, folder, command, arguments, told.append), told


async def count(arguments: Mapping[str, Any], tell: Tell) -> dict[str, Any]:
    for number in range(arguments["to"]):
        await tell({"at": number})
    return {"counted": arguments["to"]}


async def refuse(arguments: Mapping[str, Any], tell: Tell) -> dict[str, Any]:
    raise Refusal("no such thing")


async def fail(arguments: Mapping[str, Any], tell: Tell) -> dict[str, Any]:
    raise RuntimeError("with a s3cret in it")


async def test_a_command_tells_progress_and_its_result(tmp_path: Path) -> None:
    control = Control(tmp_path)
    control.commands |= {"count": count, "refuse": refuse, "fail": fail}
    await control.open()
    assert stat.S_IMODE((tmp_path / NAME).stat().st_mode) == 0o600
    assert await asked(tmp_path, "count", to=3) == ({"counted": 3}, [{"at": 0}, {"at": 1}, {"at": 2}])
    with pytest.raises(Refusal, match="no such thing"):
        await asked(tmp_path, "refuse")
    with pytest.raises(Refusal, match="it failed unexpectedly; the daemon's log") as failed:
        await asked(tmp_path, "fail")
    assert "s3cret" not in str(failed.value)
    with pytest.raises(Refusal, match="there are: count, fail, refuse"):
        await asked(tmp_path, "unknown")
    await control.close()
    assert not (tmp_path / NAME).exists()
    with pytest.raises(NoDaemon):
        await asked(tmp_path, "count", to=1)


async def test_a_socket_left_by_a_killed_daemon_is_replaced(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(tmp_path / NAME))
    with pytest.raises(NoDaemon):
        ask(tmp_path, "count", {}, print)

    control = Control(tmp_path)
    control.commands["count"] = count
    await control.open()
    assert (await asked(tmp_path, "count", to=0))[0] == {"counted": 0}
    await control.close()


async def test_a_folder_with_a_long_name_will_do(tmp_path: Path) -> None:
    folder = tmp_path / ("n" * 120)
    folder.mkdir()

    control = Control(folder)
    control.commands["count"] = count
    await control.open()
    before = len(os.listdir("/proc/self/fd"))
    assert (await asked(folder, "count", to=0))[0] == {"counted": 0}
    assert len(os.listdir("/proc/self/fd")) <= before + 1
    await control.close()


async def test_a_client_that_leaves_cancels_its_command_and_a_close_ends_all(tmp_path: Path) -> None:
    begun, ended = asyncio.Semaphore(0), asyncio.Semaphore(0)

    async def forever(arguments: Mapping[str, Any], tell: Tell) -> dict[str, Any]:
        begun.release()
        try:
            await asyncio.Event().wait()
        finally:
            ended.release()
        return {}

    control = Control(tmp_path)
    control.commands["forever"] = forever
    await control.open()
    request = json.dumps({"command": "forever"}).encode() + b"\n"
    _, first = await asyncio.open_unix_connection(tmp_path / NAME)
    first.write(request)
    await begun.acquire()
    first.close()
    await ended.acquire()
    reader, second = await asyncio.open_unix_connection(tmp_path / NAME)
    second.write(request)
    await begun.acquire()
    await control.close()
    await ended.acquire()
    assert await reader.read() == b""
    second.close()


@pytest.mark.parametrize(
    "request_",
    [
        b"nonsense\n",
        b"[1]\n",
        b'{"command": "forever", "arguments": [1]}\n',
        b'{"command": 7}\n',
        b"\n",
        b"x" * (2 << 20),
    ],
)
async def test_what_is_no_request_is_told(tmp_path: Path, request_: bytes) -> None:
    control = Control(tmp_path)
    await control.open()
    reader, writer = await asyncio.open_unix_connection(tmp_path / NAME)
    writer.write(request_)
    assert "error" in json.loads(await reader.readline())
    writer.close()
    await control.close()
