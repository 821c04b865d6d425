"""The trial of a broker: a connection beside the sink's own, under a client id of its own and without a will."""

from __future__ import annotations

from typing import Final

from pump.commands.trial import Trial
from pump.sink import Sink
from pump.sinks.mqtt.connector import Connector
from pump.sinks.mqtt.link import MqttConnection
from pump.sinks.mqtt.protocol import Listener
from pump.sinks.mqtt.settings import MqttSettings

_CHECK: Final = "-check"
"""The end of its client id."""
_SMALL: Final = 1 << 20
"""Bytes of a broker's largest message that are worth a word."""


async def try_out(sink: Sink[MqttSettings], trial: Trial) -> None:
    """As Sink.try_out. Raises Unavailable, Misconfigured."""
    connector = Connector(sink.name, sink.settings, sink.site, MqttConnection, aside=_CHECK)
    trial.not_tried.append("publishing: whether its topics are permitted shows with the first event")
    link = await connector.open(Listener(lambda *_: None, lambda _: None, lambda _: None))
    await link.close()
    trial.found.append(f"the broker takes the login, by MQTT {connector.version}")
    if link.limits.packet_size < _SMALL:
        trial.found.append(f"it takes messages of up to {link.limits.packet_size} bytes")
    if not link.limits.retain:
        trial.found.append("it retains nothing")
