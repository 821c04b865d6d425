"""The exception that follows each answer, and the number that the receiver is asked for at the opening."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from datetime import timedelta
from email.utils import format_datetime

import pytest
import structlog
from aiohttp import web

from pump.cli.new.templates.nameless_receiver.settings import NamelessReceiverSettings
from pump.cli.new.templates.nameless_receiver.sink import NamelessReceiverSink
from pump.core.errors import Misconfigured, Rejected, Unavailable
from pump.core.record import State
from pump.testing import ManualClock
from pump.testing.clock import START
from pump.testing.records import record


async def send(answers: Sequence[int], state: State | None = None, *, wish: str = "7") -> State | None:
    """One opening, and a batch of as many events as there are answers after the opening's."""
    coming: Iterator[int] = iter(answers)

    async def handle(request: web.BaseRequest) -> web.Response:
        return web.json_response({"stored": 3}, status=next(coming), headers={"Retry-After": wish})

    clock, runner = ManualClock(), web.ServerRunner(web.Server(handle, access_log=None))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
    table = {"type": "nameless-receiver", "url": url, "api_key": "key"}
    settings = NamelessReceiverSettings.model_validate(table)
    try:
        async with NamelessReceiverSink("hall", settings, state=state, clock=clock, site="north") as sink:
            return await sink.send([record(seq) for seq in range(1, len(answers))])
    finally:
        await runner.cleanup()


def test_the_receivers_number_is_the_state() -> None:
    assert asyncio.run(send([200, 201])) == {"stored": 3}


@pytest.mark.parametrize(
    ("status", "wanted"),
    [(302, Misconfigured), (401, Misconfigured), (404, Misconfigured), (429, Unavailable), (503, Unavailable)],
)
def test_a_failed_send_names_what_is_done_and_refused(status: int, wanted: type[Unavailable | Misconfigured]) -> None:
    with pytest.raises((Unavailable, Misconfigured)) as raised:
        asyncio.run(send([200, 200, 422, status]))
    error = raised.value
    assert isinstance(error, wanted)
    assert error.done == {1}
    assert error.refused.keys() == {2}
    assert error.state == {"stored": 3}
    assert error.retry_after == (7.0 if wanted is Unavailable else None)


@pytest.mark.parametrize(
    ("wish", "seconds"), [(format_datetime(START + timedelta(seconds=9), usegmt=True), 9.0), ("soon", None)]
)
def test_the_receiver_s_wish_may_be_a_date(wish: str, seconds: float | None) -> None:
    with pytest.raises(Unavailable) as raised:
        asyncio.run(send([200, 503], wish=wish))
    assert raised.value.retry_after == seconds


def test_what_is_refused_is_named_after_the_others_are_delivered() -> None:
    with pytest.raises(Rejected) as raised:
        asyncio.run(send([200, 413, 200]))
    assert raised.value.reasons == {1: "the receiver answers 413"}


@pytest.mark.parametrize(("before", "warnings"), [(None, 0), (3, 0), (4, 1)])
def test_a_receiver_that_was_set_back_is_named(before: int | None, warnings: int) -> None:
    with structlog.testing.capture_logs() as logs:
        asyncio.run(send([200, 200], None if before is None else {"stored": before}))
    assert [entry["log_level"] for entry in logs] == ["warning"] * warnings
