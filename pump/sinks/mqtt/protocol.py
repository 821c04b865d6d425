"""What the MQTT sink wants of a client library: one connection, by a protocol that names no library.

`pump.sinks.mqtt.link` fulfils it with aiomqtt 2.5 and paho; it alone knows their names.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple, Protocol

from pump.core.errors import Misconfigured, Unavailable

Version = Literal["5", "3.1.1"]
"""MQTT's versions (OASIS standards)."""
CONTENT_TYPE: Final = "application/cloudevents+json; charset=utf-8"
"""Of each event, where the version has a place for it (CloudEvents' MQTT binding 1.0.2, section 3.2)."""


class Message(NamedTuple):
    """One message to be published."""

    topic: str
    payload: bytes
    qos: int
    """The highest that is wanted; a broker's own limit may lower it."""
    retain: bool = False
    """Left out on a broker that retains nothing."""
    described: tuple[tuple[str, str], ...] = ()
    """User properties, for MQTT 5 alone; an event's message has some, all others have none."""
    correlation: bytes | None = None
    """Of an answer: the correlation data of what it answers, for MQTT 5 alone."""


class Heard(NamedTuple):
    """A message to a subscription. What MQTT 5 alone has is empty on 3.1.1."""

    topic: str
    payload: bytes
    retained: bool
    response: str = ""
    """The topic that an answer is wanted on."""
    correlation: bytes | None = None
    expires: int | None = None
    """Seconds that are left of its message expiry interval."""
    content_type: str = ""


@dataclass(slots=True)
class Limits:
    """What the broker said when it accepted the connection (MQTT 5, 3.2.2.3); defaults are MQTT 3.1.1's."""

    receive_maximum: int = 65535
    packet_size: int = 268_435_455
    qos: int = 2
    retain: bool = True


@dataclass(frozen=True, slots=True)
class LinkOptions:
    """How a connection is to be made. Times in seconds."""

    host: str
    port: int
    client_id: str
    version: Version
    keepalive: int
    timeout: float
    """The sink's own: no step of the link takes longer."""
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: ssl.SSLContext | None = None
    will: Message | None = None
    packet_size: int | None = None
    """Bytes of the largest packet that the broker may send, by MQTT 5; None: any."""


@dataclass(frozen=True, slots=True)
class Listener:
    """Who is called with what a connection brings; all from the event loop."""

    acknowledged: Callable[[int, str | None], None]
    """Of one message that was posted: (the caller's place, None or why it is refused)."""
    heard: Callable[[Heard], None]
    """A message to a subscription."""
    lost: Callable[[Exception], None]
    """Called once, at the connection's end: `Unavailable` or `Misconfigured`."""


class BrokerLost(Unavailable):
    """The connection ended while it was in use."""


class VersionRefused(Misconfigured):
    """The broker does not speak the version that was asked for."""


class WillRefused(Misconfigured):
    """The broker retains nothing, or not with the will's quality of service (MQTT 5: 0x9A, 0x9B at CONNECT)."""


class MqttLink(Protocol):
    """One life of a connection: `open`, then any of the others, `close` or `drop`; never used again."""

    @property
    def limits(self) -> Limits:
        """The broker's, once it is open."""

    @property
    def lost(self) -> Exception | None:
        """Why the connection ended; None while it is there."""

    async def open(self) -> None:
        """Connect. Raises Misconfigured (`VersionRefused`, `WillRefused` among them), Unavailable."""

    def post(self, place: int, message: Message) -> None:
        """Send one message, and have `acknowledged` called with `place`. Raises nothing: `lost` is called at an end."""

    async def say(self, messages: Sequence[Message]) -> list[str | None]:
        """Publish messages and wait for the broker; for each None or why it is refused. Raises Unavailable."""

    def listen(self, topics: Sequence[str]) -> None:
        """Subscribe, by quality of service 0; `heard` is called with them. A refusal is not reported."""

    async def attend(self, topics: Sequence[str]) -> list[str | None]:
        """Subscribe by quality of service 0, and wait for the broker; for each None or why it is refused.

        By MQTT 5 a message that was published to be retained says so, also while it is new. Raises Unavailable.
        """

    def ignore(self, topics: Sequence[str]) -> None:
        """Unsubscribe."""

    def hasten(self) -> None:
        """The caller begins to wait for acknowledgements: have them come soon."""

    async def until_lost(self) -> None:
        """Wait until the connection ends; `lost` says why."""

    async def close(self) -> None:
        """Disconnect in an orderly way, so that no will is published, if that is quick; else drop."""

    async def drop(self) -> None:
        """Close the connection now, whatever is on its way. May be called again."""


Connect = Callable[[LinkOptions, Listener], MqttLink]
"""Makes a link, not yet open."""
