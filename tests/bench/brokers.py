"""MQTT QoS 1 against a bare aiomqtt client, JetStream against a bare nats-py publisher, the windows alike."""

from __future__ import annotations

import asyncio
import itertools
import shutil
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, Final

import aiomqtt
import nats
from nats.js.api import StreamConfig

from pump.core.clock import Clock
from pump.core.record import Record
from pump.core.settings import SinkSettings
from pump.sink import Sink
from pump.sinks.mqtt.sink import MqttSettings, MqttSink
from pump.sinks.nats.sink import NatsSettings, NatsSink
from pump.spool import Spool, SpoolSettings
from pump.telemetry.metrics import Metrics
from pump.testing.brokers import Mosquitto, NatsServer
from pump.testing.records import record, rows
from tests.bench.drained import through_the_pump
from tests.bench.measure import Figure, Meter, Row, interleaved, share

_EVENTS: Final = 10_000
_SIZE: Final = 800
"""Bytes of padding: with it an event has 1.2 KB."""
_MQTT_WINDOW: Final = 50
_NATS_WINDOW: Final = 100
_numbers = itertools.count(1)


def table(folder: Path, repetitions: int) -> Iterator[Row]:
    """The rows; those whose server is not at hand are left out."""
    records = [record(number, size=_SIZE) for number in range(1, _EVENTS + 1)]
    asyncio.run(_filled(folder))
    if NatsServer.found() is not None or Mosquitto.found() is not None:
        yield _mqtt(folder, records, repetitions)
    if NatsServer.found() is not None:
        yield _jetstream(folder, records, repetitions)


def _mqtt(folder: Path, records: list[Record], repetitions: int) -> Row:
    mosquitto = Mosquitto.found() is not None

    def run(body: Callable[[int], Awaitable[Figure]]) -> Figure:
        async def main() -> Figure:
            place = folder / f"mqtt-{next(_numbers)}"
            server = Mosquitto(place) if mosquitto else NatsServer(place, mqtt=True)
            async with server:
                return await body(server.port if isinstance(server, Mosquitto) else server.mqtt_port)

        return asyncio.run(main())

    async def bare(port: int) -> Figure:
        async with aiomqtt.Client("127.0.0.1", port, max_inflight_messages=_MQTT_WINDOW) as client:
            client.pending_calls_threshold = _MQTT_WINDOW
            left = iter(records)

            async def worker() -> None:
                for one in left:
                    await client.publish(f"bare/{one.type}", one.body, qos=1)

            return await _rate(asyncio.gather(*(worker() for _ in range(_MQTT_WINDOW))))

    async def pump(port: int) -> Figure:
        settings = {"type": "mqtt", "url": f"mqtt://127.0.0.1:{port}", "version": "3.1.1", "window": _MQTT_WINDOW}
        return await _through_the_pump(folder, MqttSink, MqttSettings.model_validate(settings))

    async def command(port: int) -> Figure:
        lines = b"".join(one.body + b"\n" for one in records)
        line = ["mosquitto_pub", "-l", "-q", "1", "-h", "127.0.0.1", "-p", str(port), "-t", "bare/lines"]
        meter = Meter()
        await asyncio.to_thread(subprocess.run, line, input=lines, check=True)
        return Figure(_EVENTS / meter.seconds)

    found = interleaved(repetitions, bare=lambda: run(bare), pump=lambda: run(pump))
    beside = f"; mosquitto_pub -l {run(command).rate:,.0f}" if shutil.which("mosquitto_pub") else ""
    where = "mosquitto" if mosquitto else "nats-server"
    return share("MQTT QoS 1 / bare aiomqtt", found["pump"], found["bare"], 0.8, f"events/s on {where}{beside}")


def _jetstream(folder: Path, records: list[Record], repetitions: int) -> Row:
    def run(body: Callable[[str, str], Awaitable[Figure]]) -> Figure:
        async def main() -> Figure:
            name = f"bench{next(_numbers)}"
            async with NatsServer(folder / name) as server:
                return await body(server.url, name)

        return asyncio.run(main())

    async def bare(url: str, name: str) -> Figure:
        client = await nats.connect(url)
        try:
            jetstream = client.jetstream(publish_async_max_pending=_NATS_WINDOW)
            await jetstream.add_stream(StreamConfig(name=name, subjects=[f"{name}.>"], duplicate_window=600))

            async def publish() -> None:
                for one in records:
                    headers = {"Nats-Msg-Id": f"{name}-{one.seq}"}
                    await jetstream.publish_async(f"{name}.{one.type}", one.body, headers=headers)
                await jetstream.publish_async_completed()

            rate = await _rate(publish())
            assert (await jetstream.stream_info(name)).state.messages == _EVENTS
            return rate
        finally:
            await client.close()

    async def pump(url: str, name: str) -> Figure:
        settings = {"type": "nats", "servers": [url], "stream": name, "subject": name + ".{type:levels}"}
        made = NatsSettings.model_validate({**settings, "window": _NATS_WINDOW})
        figure = await _through_the_pump(folder, NatsSink, made)
        client = await nats.connect(url)
        try:
            held = (await client.jetstream().stream_info(name)).state.messages
        finally:
            await client.close()
        assert held == _EVENTS, f"the stream holds {held} of {_EVENTS} events"
        return figure

    found = interleaved(repetitions, bare=lambda: run(bare), pump=lambda: run(pump))
    return share("JetStream / bare nats-py", found["pump"], found["bare"], 0.8, "events/s")


async def _rate(work: Awaitable[Any]) -> Figure:
    meter = Meter()
    await work
    return meter.figure(_EVENTS)


async def _spool(folder: Path, metrics: Metrics) -> Spool:
    return await Spool.open(folder / "spool", SpoolSettings(), clock=Clock(), metrics=metrics)


async def _filled(folder: Path) -> None:
    spool = await _spool(folder, Metrics())
    while spool.head < _EVENTS:
        await spool.append(rows(range(spool.head + 1, spool.head + 501), Clock(), size=_SIZE), source="gate")
    await spool.close()


async def _through_the_pump(folder: Path, kind: type[Sink[Any]], settings: SinkSettings) -> Figure:
    metrics = Metrics()
    spool = await _spool(folder, metrics)
    try:
        assert spool.head == spool.floor + _EVENTS, "events were removed before they could be sent"
        return await through_the_pump(spool, kind, settings, metrics)
    finally:
        await spool.close()
