"""The connection's thread: results come back by one turn of the loop, and nobody who waits is forgotten."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pump.spool.connection import Connection, writing


@pytest.fixture
async def connection(tmp_path: Path) -> AsyncIterator[Connection]:
    """One of the writer's kind."""
    found = await writing(tmp_path / "spool.db")
    yield found
    await found.close()


def _number(db: sqlite3.Connection) -> int:
    (number,) = db.execute("SELECT 7").fetchone()
    return int(number)


async def test_who_is_answered_goes_on_before_the_one_who_asked(connection: Connection) -> None:
    order: list[str] = []
    answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def wait() -> None:
        order.append(f"answered with {await answer}")

    def answered(number: int) -> str:
        answer.set_result(number)
        return "the one who asked"

    waiting = asyncio.create_task(wait())
    order.append(await connection.run_then(_number, answered))
    assert order == ["answered with 7", "the one who asked"], "an answer took a turn of the loop more"
    await waiting


async def test_the_result_is_used_also_where_nobody_waits_any_more(connection: Connection) -> None:
    used = asyncio.Event()
    asking = asyncio.create_task(connection.run_then(_number, lambda _: used.set()))
    await asyncio.sleep(0)  # it is with the thread now
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await used.wait()


async def test_what_either_part_raises_comes_to_the_one_who_asked(connection: Connection) -> None:
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        await connection.run_then(lambda db: db.execute("SELECT 1 FROM nowhere"), lambda _: None)

    def fail(number: int) -> None:
        raise LookupError(f"nothing to do with {number}")

    with pytest.raises(LookupError, match="with 7"):
        await connection.run_then(_number, fail)
    assert await connection.run_then(_number, lambda number: number) == 7
