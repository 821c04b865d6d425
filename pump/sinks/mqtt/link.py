"""One connection to an MQTT broker: aiomqtt's, with the reasons that it leaves out, and an end at any moment."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import aiomqtt
import structlog
from aiomqtt.types import PayloadType
from paho.mqtt.client import Client as Paho
from paho.mqtt.client import ConnectFlags, DisconnectFlags
from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from pump.core.errors import Misconfigured, Unavailable
from pump.sinks.common.tls import refusal

log = structlog.get_logger()

ANSWER: Final = 10.0
"""Seconds for an answer to CONNECT, or to a single publish of the link's own; or the sink's `timeout`."""
FAREWELL: Final = 2.0
"""Seconds for the last word; the will says the same when they are over."""
TAKEN_OVER: Final = 0x8E
UNSUPPORTED_VERSION: Final = 0x84
_REFUSED: Final = 0x80
"""Reasons from here on are refusals (MQTT 5, 2.4)."""

_SILENT: Final = logging.getLogger("pump.sinks.mqtt.sink")
"""paho tells on standard error what is told in our own words anyway."""
_SILENT.addHandler(logging.NullHandler())
_SILENT.propagate = False

_MEND: Final[dict[int, str]] = {
    UNSUPPORTED_VERSION: "the broker does not speak this version of MQTT: set version",
    0x85: "the broker refuses the client_id",
    0x86: "the broker refuses the user name or password",
    0x87: "the broker does not authorise this client",
    0x8A: "the broker has banned this client",
    0x8C: "the broker wants another authentication method",
    TAKEN_OVER: "another client has connected with the same client_id: set client_id",
    0x90: "the broker refuses the topic of the status",
    0x9A: "the broker keeps no retained messages",
    0x9B: "the broker does not support this qos",
    0x9C: "the broker says that another server is to be used",
    0x9D: "the broker has moved to another server",
}
"""MQTT 5, section 2.4: reasons that only a person can mend. MQTT 3.1.1's few (3.2.2.3) arrive as the same numbers."""
_LATER: Final = frozenset({0x83, 0x88, 0x89, 0x91, 0x93, 0x97, 0x9F})
"""Reasons of a PUBACK that may be gone by the next attempt."""

_QUICKACK: Final[int | None] = getattr(socket, "TCP_QUICKACK", None)
"""Linux has it."""

Acknowledged = Callable[[int, str | None], None]
"""Told of one message: (the caller's place, None or why it is refused)."""


@dataclass(slots=True)
class Limits:
    """What the broker said when it accepted the connection (MQTT 5, 3.2.2.3); defaults are MQTT 3.1.1's."""

    receive_maximum: int = 65535
    packet_size: int = 268_435_455
    qos: int = 2
    retain: bool = True


class BrokerLost(Unavailable):
    """The connection ended while it was in use."""


class MqttConnection(aiomqtt.Client):
    """One life of a connection: `open`, `post` any number, `close` or `drop`; never used again.

    Our own acknowledgements and window stand where aiomqtt's `publish` waits: it forgets the reason of a PUBACK (a
    refusal would look like success), costs a task's worth for each message, and leaves its socket open when it is
    cancelled while connecting.
    """

    def __init__(
        self,
        *args: Any,
        timeout: float,
        on_acknowledged: Acknowledged,
        on_lost: Callable[[Exception], None],
        **more: Any,
    ) -> None:
        """`timeout` is the sink's; the others are aiomqtt's, but for ours."""
        super().__init__(*args, timeout=min(ANSWER, timeout), logger=_SILENT, **more)
        self._client.connect_timeout = min(ANSWER / 2, timeout)
        self.limits = Limits()
        self._thread = threading.get_ident()
        self._acknowledged = on_acknowledged
        self._on_lost = on_lost
        self._flying: dict[int, int] = {}
        self._own: dict[int, asyncio.Future[str | None]] = {}
        # The window is ours; with one of its own paho walks all that is on its way at each acknowledgement.
        self._client.max_inflight_messages_set(0)
        self._client.suppress_exceptions = False
        self._goes_on = self._client._handle_pubrec
        self._client._handle_pubrec = self._on_pubrec  # type: ignore[method-assign]  # paho reads no reason in it
        self.lost: Exception | None = None

    async def open(self) -> None:
        """Connect. Raises Misconfigured, Unavailable."""
        connecting = asyncio.get_running_loop().run_in_executor(None, self._client_connect)
        try:
            await asyncio.shield(connecting)
        except asyncio.CancelledError:
            # The thread cannot be cancelled: the socket that it is about to open must not be forgotten.
            await asyncio.wait({connecting})
            connecting.exception()
            await self.drop()
            raise
        except OSError as error:
            await self.drop()
            raise refusal(error) from error
        self._prepare()
        try:
            async with asyncio.timeout(self.timeout):
                await self._connected
        except TimeoutError:
            await self.drop()
            raise Unavailable("the broker does not answer") from None
        except aiomqtt.MqttError as error:
            await self.drop()
            raise _translated(error) from error
        except BaseException:
            await self.drop()
            raise
        self._disconnected.add_done_callback(self._told_lost)

    def _prepare(self) -> None:
        sock = self._client.socket()
        if isinstance(sock, socket.socket):
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def post(
        self, place: int, topic: str, payload: PayloadType, qos: int, retain: bool, properties: Properties | None
    ) -> None:
        """Send one message, and have `on_acknowledged` told `place`. Raises nothing: `on_lost` tells of an end."""
        if self.lost is None:
            info = self._client.publish(topic, payload, qos, retain, properties)
            if info.rc == MQTTErrorCode.MQTT_ERR_SUCCESS:
                self._flying[info.mid] = place

    def hasten(self) -> None:
        """Acknowledge at once, as TCP, what has come: a sender waits now, and has nothing to say that would carry it.

        A broker with Nagle's algorithm holds its next acknowledgements back until then: 40 ms at each batch's end.
        """
        sock = self._client.socket()
        if isinstance(sock, socket.socket) and _QUICKACK is not None:
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.IPPROTO_TCP, _QUICKACK, 1)

    async def say(self, topic: str, payload: str, qos: int, retain: bool) -> None:
        """Publish one message of the link's own and wait for the broker. Raises Misconfigured, Unavailable."""
        if self.lost is not None:
            raise self.lost
        info = self._client.publish(topic, payload, qos, retain)
        answer = self._own[info.mid] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(self.timeout):
                await asyncio.wait({answer, self._disconnected}, return_when=asyncio.FIRST_COMPLETED)
        except TimeoutError:
            raise Unavailable("the broker does not acknowledge") from None
        finally:
            self._own.pop(info.mid, None)
        if not answer.done():
            raise self.lost or BrokerLost("the broker closed the connection")
        if reason := answer.result():
            raise Misconfigured(f"the broker refuses a message to {topic}: {reason}")

    async def close(self) -> None:
        """Disconnect in an orderly way, so that no will is published, if that is quick; else drop."""
        try:
            if self.lost is None and self._client.disconnect() == MQTTErrorCode.MQTT_ERR_SUCCESS:
                await asyncio.wait({self._disconnected}, timeout=FAREWELL)
        finally:
            await self.drop()

    async def drop(self) -> None:
        """Close the socket now, whatever is on its way. May be called again."""
        self._client._reset_sockets()  # the only way out of a connection that takes nothing any more
        misc = self._misc_task
        if misc is not None:
            misc.cancel()
            await asyncio.wait({misc})
        for future in (self._connected, self._disconnected):
            if future.done() and not future.cancelled():
                future.exception()  # looked at: it was told by `on_lost` or raised already

    # --- what paho calls --------------------------------------------------------------------------------------------

    def _on_connect(
        self, client: Paho, userdata: Any, flags: ConnectFlags, reason_code: ReasonCode, properties: Any = None
    ) -> None:
        found = self.limits
        found.receive_maximum = getattr(properties, "ReceiveMaximum", found.receive_maximum)
        found.packet_size = getattr(properties, "MaximumPacketSize", found.packet_size)
        found.qos = getattr(properties, "MaximumQoS", found.qos)
        found.retain = bool(getattr(properties, "RetainAvailable", found.retain))
        super()._on_connect(client, userdata, flags, reason_code, properties)

    def _on_disconnect(
        self, client: Paho, userdata: Any, flags: DisconnectFlags, reason_code: ReasonCode, properties: Any = None
    ) -> None:
        if not self._connected.done():  # aiomqtt would wait for its time-out
            self._connected.set_exception(aiomqtt.MqttCodeError(reason_code, "Disconnected while connecting"))
        super()._on_disconnect(client, userdata, flags, reason_code, properties)

    def _on_socket_register_write(self, client: Paho, userdata: Any, sock: Any) -> None:
        # aiomqtt defers this to the loop's next turn, when the socket may be closed and its number another's.
        if threading.get_ident() == self._thread:
            self._loop.add_writer(sock.fileno(), self._write, client)
        else:
            self._loop.call_soon_threadsafe(self._loop.add_writer, sock.fileno(), self._write, client)

    def _write(self, client: Paho) -> None:
        try:
            client.loop_write()
        except Exception as error:  # noqa: BLE001  # aiomqtt's own rule: whatever fails here ends the connection
            if not self._disconnected.done():
                self._disconnected.set_exception(error)

    def _on_pubrec(self) -> MQTTErrorCode:
        """With a reason of 0x80 and above QoS 2's exchange has ended, without PUBREL (MQTT 5, 4.3.3)."""
        packet = self._client._in_packet["packet"]  # identifier; by MQTT 5 the reason, where it is not 0
        if len(packet) < 3 or packet[2] < _REFUSED:
            return self._goes_on()
        mid = int.from_bytes(packet[:2], "big")
        with self._client._out_message_mutex:
            self._client._out_messages.pop(mid, None)
        self._on_publish(self._client, None, mid, ReasonCode(PacketTypes.PUBREC, identifier=packet[2]), None)
        return MQTTErrorCode.MQTT_ERR_SUCCESS

    def _on_publish(self, client: Paho, userdata: Any, mid: int, reason_code: ReasonCode, properties: Any) -> None:
        reason = str(reason_code) if reason_code.is_failure else None
        answer = self._own.pop(mid, None)
        if answer is not None:
            if not answer.done():
                answer.set_result(reason)
            return
        place = self._flying.pop(mid, None)
        if place is None:
            return
        if reason is None:
            self._acknowledged(place, None)
        elif reason_code.value in _MEND:
            self._end(Misconfigured(f"{_MEND[reason_code.value]} ({reason})"))
        elif reason_code.value in _LATER:
            self._end(Unavailable(f"the broker takes nothing now: {reason}"))
        else:
            self._acknowledged(place, f"the broker refuses it: {reason}")

    def _told_lost(self, disconnected: asyncio.Future[None]) -> None:
        error = None if disconnected.cancelled() else disconnected.exception()
        self._end(_translated(error) if error is not None else BrokerLost("the connection is closed"))

    def _end(self, error: Exception) -> None:
        if self.lost is None:
            self.lost = error
            self._on_lost(error)


def _translated(error: BaseException) -> Exception:
    """A library's exception as one of ours."""
    code = error.rc if isinstance(error, aiomqtt.MqttCodeError) else None
    value = code.value if isinstance(code, ReasonCode) else None
    if value in _MEND:
        return Misconfigured(f"{_MEND[value]} ({code})", retry_after=60.0 if value == TAKEN_OVER else None)
    if isinstance(error, OSError):
        return refusal(error)
    return BrokerLost(f"the connection ended: {code}" if code is not None else "the connection ended")


@contextlib.contextmanager
def silenced() -> Iterator[None]:
    """A place for what is tried at the end and may fail."""
    try:
        yield
    except Exception as error:  # noqa: BLE001  # the will stands in for the last word
        log.debug("The last word could not be said", error=type(error).__name__)
