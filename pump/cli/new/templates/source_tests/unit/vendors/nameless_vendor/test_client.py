"""The exception that follows each failure of a call."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from email.utils import format_datetime

import pytest

from pump.cli.new.templates.nameless_vendor.client import Client
from pump.cli.new.templates.nameless_vendor.simulator.server import Fault, Simulator
from pump.core.clock import Clock
from pump.core.errors import Misconfigured, Unavailable
from pump.testing import ManualClock
from pump.testing.clock import START


async def ask(*faults: Fault, api_key: str = "key", path: str = "") -> None:
    async with Simulator(clock=Clock()) as vendor:
        vendor.faults.extend(faults)
        async with Client(server=vendor.url + path, api_key=api_key, timeout=60.0, clock=ManualClock()) as client:
            await client.records()


@pytest.mark.parametrize("status", [302, 401, 403])
def test_what_only_a_person_can_mend(status: int) -> None:
    with pytest.raises(Misconfigured, match=f"HTTP {status}: .*: check"):
        asyncio.run(ask(Fault("status", status)))


@pytest.mark.parametrize("status", [404, 409, 418, 429, 500, 503])
def test_what_is_tried_again(status: int) -> None:
    with pytest.raises(Unavailable, match=f"HTTP {status}: "):
        asyncio.run(ask(Fault("status", status)))


@pytest.mark.parametrize(
    ("wish", "seconds"),
    [("7", 7.0), (format_datetime(START + timedelta(seconds=7), usegmt=True), 7.0), ("soon", None), ("", None)],
)
def test_the_vendor_s_wish_is_read_as_seconds_or_as_a_date(wish: str, seconds: float | None) -> None:
    with pytest.raises(Unavailable) as raised:
        asyncio.run(ask(Fault("status", 503, wish)))
    assert raised.value.retry_after == seconds


def test_a_connection_that_drops_is_tried_again() -> None:
    with pytest.raises(Unavailable, match="cannot be reached"):
        asyncio.run(ask(Fault("drop"), Fault("drop")))  # a first one the library tries again by itself


def test_another_key_is_refused_and_not_shown() -> None:
    with pytest.raises(Misconfigured, match="check api_key") as raised:
        asyncio.run(ask(api_key="wrong-key"))
    assert "wrong-key" not in str(raised.value)


def test_another_path_is_not_there() -> None:
    with pytest.raises(Unavailable, match="HTTP 404: "):
        asyncio.run(ask(path="/other"))
