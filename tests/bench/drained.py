"""A sink that catches up with a spool through the pump's own delivery; a run that did not do all its work is void."""

from __future__ import annotations

import itertools
from typing import Any, Final

from pump.core.clock import Clock
from pump.core.settings import SinkSettings
from pump.delivery.cursor import Surroundings
from pump.delivery.delivery import Delivery
from pump.sink import Sink
from pump.spool import Spool
from pump.telemetry.health import Component
from pump.telemetry.metrics import Metrics
from tests.bench.measure import Figure, Meter

_numbers: Final = itertools.count(1)


async def through_the_pump(spool: Spool, kind: type[Sink[Any]], settings: SinkSettings, metrics: Metrics) -> Figure:
    """Events a second of a new sink that is given all that the spool has.

    Raises AssertionError where an event was lost, left out, refused or sent twice: the delivery itself goes on then,
    as it must, and would look fast.
    """
    lost: list[str] = []
    name = f"sink-{next(_numbers)}"

    async def on_lost(sink: str, first: int, last: int, count: int) -> None:
        lost.append(f"{sink} lost {count} events, {first} to {last}")

    around = Surroundings(spool, Clock(), metrics, "bench", on_lost)
    delivery = Delivery(around, kind, name, settings, Component(f"sink {name}", Clock()))
    events = spool.head
    meter = Meter()
    delivery.stop()  # at what is there now
    await delivery.run()
    figure = meter.figure(events)
    assert not lost, "; ".join(lost)
    assert delivery.position == spool.head == events, f"{name} came to {delivery.position} of {events}"
    sent = metrics.registry.get_sample_value("pump_sent_total", {"sink": name}) or 0
    assert sent == events, f"{name} sent {sent:.0f} events of {events}"
    return figure
