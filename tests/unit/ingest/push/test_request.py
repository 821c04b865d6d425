"""A request as its sources read it: once, and beside the event loop where it is large."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref

import pytest

from pump.core.errors import MessageError
from pump.ingest.push.request import AT_ONCE, IN_THREAD, Push


class _Reader:
    """Counts its calls, and remembers their threads."""

    def __init__(self, error: Exception | None = None) -> None:
        self.threads: list[int] = []
        self._error = error

    def __call__(self, push: Push) -> int:
        self.threads.append(threading.get_ident())
        if self._error is not None:
            raise self._error
        return len(push.body)


@pytest.mark.parametrize(("size", "beside"), [(0, False), (IN_THREAD, False), (IN_THREAD + 1, True)])
async def test_a_request_is_read_once_and_a_large_one_in_a_thread(size: int, beside: bool) -> None:
    push, reader = Push("POST", "/", body=bytes(size)), _Reader()
    assert [await push.read(reader) for _ in range(3)] == [size] * 3
    (thread,) = reader.threads
    assert (thread != threading.get_ident()) == beside


@pytest.mark.parametrize(("size", "tried"), [(IN_THREAD, 0), (IN_THREAD + 1, 1), (AT_ONCE, 1), (AT_ONCE + 1, 0)])
async def test_a_large_request_is_read_at_once_where_that_can_be(size: int, tried: int) -> None:
    push, reader, quick = Push("POST", "/", body=bytes(size)), _Reader(), _Reader()
    assert [await push.read(reader, quick) for _ in range(2)] == [size] * 2
    assert (len(quick.threads), len(reader.threads)) == (tried, 1 - tried)
    other = Push("POST", "/", body=bytes(size))
    assert await other.read(reader, lambda push: None) == size, "what is not that simple is read as ever"
    assert len(reader.threads) == 2 - tried


async def test_each_vendor_of_a_shared_path_has_its_own_reading() -> None:
    push, one, other = Push("POST", "/", body=b"ab"), _Reader(), lambda push: push.body.decode()
    assert [await push.read(one), await push.read(other), await push.read(one)] == [2, "ab", 2]
    assert len(one.threads) == 1


@pytest.mark.parametrize("size", [1, IN_THREAD + 1])
async def test_what_cannot_be_read_is_not_tried_again(size: int) -> None:
    push, reader = Push("POST", "/", body=bytes(size)), _Reader(MessageError("ruin"))
    for _ in range(3):
        with pytest.raises(MessageError, match="ruin"):
            await push.read(reader)
    assert len(reader.threads) == 1


class _Watched(Push):
    """A request that can be seen to go."""


@pytest.mark.parametrize("size", [1, IN_THREAD + 1])
async def test_what_cannot_be_read_is_let_go_though_the_collector_does_not_come_by(size: int) -> None:
    async def refuse() -> weakref.ref[Push]:
        push = _Watched("POST", "/", body=bytes(size))
        for _ in range(2):
            with pytest.raises(MessageError):
                await push.read(_ruin)
        return weakref.ref(push)

    gc.disable()
    try:
        gone = await refuse()
        async with asyncio.timeout(60):
            while gone() is not None:  # its thread ends a moment later
                await asyncio.sleep(0.001)
    finally:
        gc.enable()


def _ruin(push: Push) -> None:
    raise MessageError("ruin")
