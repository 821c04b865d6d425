"""The source itself: what is done beside the event loop, and what goes on while the pictures' disk hangs."""

from __future__ import annotations

import asyncio
import base64
import gzip
import os
import random
import stat
import threading
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

import orjson
import pytest

from pump.ingest.media import THREADS
from pump.ingest.push.request import IN_THREAD
from pump.vendors.avaeye import parse
from pump.vendors.avaeye.parse import loads
from tests.unit.vendors.avaeye.site import avaeye_site, capture

_PARKS: list[dict[str, Any]] = [{"park_ids": ("10000",)}, {"park_ids": ("20000",)}, {}]
_LONG = random.Random(7).randbytes(IN_THREAD).hex()


class _HangingDisk:
    """Named pipes where pictures are to be written: who looks for one there waits for ever."""

    def __init__(self, folder: Path, contents: list[bytes]) -> None:
        digests = [sha256(content).hexdigest() for content in contents]
        self._pipes = [folder / digest[:2] / digest for digest in digests]
        for pipe in self._pipes:
            pipe.parent.mkdir(parents=True, exist_ok=True)
            os.mkfifo(pipe)

    def touch(self, *, write: bool = False) -> int:
        """How many wait; with `write`, their waits end, and they find something else than their picture."""
        found = 0
        for pipe in self._pipes:
            try:
                file = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
            except OSError:
                continue  # nobody has it open
            if stat.S_ISFIFO(os.fstat(file).st_mode):
                found += 1
                if write:
                    with suppress(BrokenPipeError):  # its reader, let go by the end before, has left meanwhile
                        os.write(file, b"x")
            os.close(file)
        return found


async def test_a_hanging_media_disk_stops_neither_other_pushes_nor_name_look_ups(tmp_path: Path) -> None:
    contents = [b"\xff\xd8\xff%d" % number for number in range(5 * THREADS)]

    async with avaeye_site(tmp_path, *_PARKS) as site, asyncio.timeout(120):
        disk = _HangingDisk(site.media.folder, contents)
        hanging = [
            asyncio.create_task(
                site.post("capture", capture(f"p{n}", picInfo={"data": base64.b64encode(content).decode()}))
            )
            for n, content in enumerate(contents)
        ]
        try:
            while disk.touch() < THREADS:  # a pipe's other end tells nobody that it was opened
                await asyncio.sleep(0.001)
            other = orjson.dumps({**capture("other", remark=_LONG), "parkId": "20000"})
            answer = await site.post("capture", gzip.compress(other), Content_Encoding="gzip")
            assert answer.status == 200
            assert len(await site.events()) == 1
            assert await asyncio.get_running_loop().getaddrinfo("localhost", 80)
            assert not any(task.done() for task in hanging)
        finally:
            while not all(task.done() for task in hanging):
                disk.touch(write=True)
                await asyncio.sleep(0.001)
        assert [task.result().status for task in hanging] == [200] * len(contents)
        assert len(await site.events()) == len(contents)


async def test_large_pushes_that_hang_on_the_media_disk_hold_up_no_other_large_one(tmp_path: Path) -> None:
    contents = [b"\xff\xd8\xff%d" % number for number in range(4)]
    padding = "x" * (2 << 20)

    async with avaeye_site(tmp_path, max_body="4MiB") as site, asyncio.timeout(120):
        disk = _HangingDisk(site.media.folder, contents)
        hanging = [
            asyncio.create_task(
                site.post(
                    "capture", capture(f"p{n}", picInfo={"data": base64.b64encode(each).decode()}, remark=padding)
                )
            )
            for n, each in enumerate(contents)
        ]
        try:
            while disk.touch() < len(contents):
                await asyncio.sleep(0.001)
            for number in range(3):
                assert (await site.post("capture", capture(f"other{number}", remark=padding))).status == 200
            assert not any(task.done() for task in hanging)
        finally:
            while not all(task.done() for task in hanging):
                disk.touch(write=True)
                await asyncio.sleep(0.001)
        assert [task.result().status for task in hanging] == [200] * len(contents)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (orjson.dumps({"x": _LONG * 3}), 400),
        (orjson.dumps({**capture(remark=_LONG * 3), "params": {"picTime": "", "remark": _LONG * 3}}), 200),
    ],
    ids=["unreadable", "without a record's number"],
)
async def test_a_large_body_is_hashed_beside_the_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: bytes, status: int
) -> None:
    threads: list[int] = []
    digest_of = parse.digest_of

    def watched(content: bytes) -> str:
        assert content == body
        threads.append(threading.get_ident())
        return digest_of(content)

    monkeypatch.setattr(parse, "digest_of", watched)
    async with avaeye_site(tmp_path) as site:
        for _ in range(2):
            assert (await site.post("capture", body)).status == status
        assert threads
        assert threading.get_ident() not in threads
        assert len(await site.events()) == 1  # the second is the same


@pytest.mark.parametrize("large", [False, True], ids=["small", "large"])
@pytest.mark.parametrize("whole", [True, False], ids=["whole", "cut"])
async def test_a_body_on_a_shared_path_is_decoded_once_and_a_large_one_beside_the_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: bool, large: bool
) -> None:
    threads: list[int] = []

    def watched(body: bytes) -> Any:
        threads.append(threading.get_ident())
        return loads(body)

    monkeypatch.setattr(parse, "loads", watched)

    async with avaeye_site(tmp_path, *_PARKS) as site:
        body = orjson.dumps({**capture(remark=_LONG if large else ""), "parkId": "20000"})
        answer = await site.post("capture", body if whole else body[:-1])
        assert answer.status == (200 if whole else 400)
        (thread,) = threads
        assert (thread != threading.get_ident()) == large
