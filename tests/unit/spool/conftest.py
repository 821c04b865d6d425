"""Spools for the tests: real ones, on the disk that pytest's tmp_path lies on."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

import pytest

from pump.core.clock import Clock
from pump.spool import Row, Spool, SpoolSettings
from pump.telemetry.metrics import Metrics

HAPPENED = 1_795_000_000_000
"""The vendor's time of row 0, milliseconds since 1970: of its key, and the same when it comes again on any day."""


def rows(first: int, count: int, *, size: int = 200, source: str = "teams", recorded: int | None = None) -> list[Row]:
    """Rows told apart by their number, which their body begins with.

    `recorded` is their arrival: now by the real clock, which `opened()` gives the spool too. A spool on another clock
    wants that one's time here, for it keeps nothing that arrived longer ago than its `retention`.
    """
    if recorded is None:
        recorded = Clock().now_ms()
    return [
        Row(source, "vehicle.passed", 0, recorded, HAPPENED + n, f"id-{n}", str(n).encode().ljust(size, b"."))
        for n in range(first, first + count)
    ]


def number(body: bytes) -> int:
    """The number of the row that the body belongs to."""
    return int(body.rstrip(b"."))


class Opener(Protocol):
    """How a test opens its spool."""

    def __call__(self, clock: Clock | None = None, **settings: Any) -> Any: ...


@pytest.fixture
def metrics() -> Metrics:
    """The counters of the spool under test."""
    return Metrics()


@pytest.fixture
def opened(tmp_path: Path, metrics: Metrics) -> Opener:
    """`async with opened() as spool`, as often as a test likes, always the same folder."""

    @asynccontextmanager
    async def open_(clock: Clock | None = None, **settings: Any) -> AsyncIterator[Spool]:
        spool = await Spool.open(
            tmp_path / "spool", SpoolSettings.model_validate(settings), clock=clock or Clock(), metrics=metrics
        )
        try:
            yield spool
        finally:
            await spool.close()

    return open_
