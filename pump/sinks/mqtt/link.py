"""One connection to an MQTT broker by aiomqtt 2.5: its reasons, which that leaves out, and an end at any moment.

The one file that knows aiomqtt and paho, private names too: aiomqtt 3 drops paho and MQTT 3.1.1. See `MqttLink`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Iterable, Sequence
from typing import Any, Final

import aiomqtt
from paho.mqtt.client import Client as Paho
from paho.mqtt.client import ConnectFlags, DisconnectFlags, MQTTMessage, MQTTMessageInfo
from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from pump.core.errors import Misconfigured, Unavailable, anew
from pump.core.net.mqtt import MqttClient
from pump.sinks.common.tls import refusal
from pump.sinks.mqtt.protocol import (
    CONTENT_TYPE,
    BrokerLost,
    Heard,
    Limits,
    LinkOptions,
    Listener,
    Message,
    Version,
    VersionRefused,
    WillRefused,
)

ANSWER: Final = 10.0
"""Seconds for an answer to CONNECT, or to a single publish of the link's own; or the sink's `timeout`."""
FAREWELL: Final = 2.0
"""Seconds for the last word; the will says the same when they are over."""
_VERSIONS: Final[dict[Version, aiomqtt.ProtocolVersion]] = {
    "5": aiomqtt.ProtocolVersion.V5,
    "3.1.1": aiomqtt.ProtocolVersion.V311,
}
_TAKEN_OVER: Final = 0x8E
_UNSUPPORTED_VERSION: Final = 0x84
_NO_SUCH_TOPIC: Final = 0x90
"""The topic name is not accepted: of one message, whatever the others'."""
_WILLS: Final = frozenset({0x9A, 0x9B})
"""Of a CONNECT: there the will alone asks for anything to be retained, or for a quality of service."""
_REFUSED: Final = 0x80
"""Reasons from here on are refusals (MQTT 5, 2.4)."""

_SILENT: Final = logging.getLogger("pump.sinks.mqtt.sink")
"""paho tells on standard error what is told in our own words anyway."""
_SILENT.addHandler(logging.NullHandler())
_SILENT.propagate = False

_MEND: Final[dict[int, str]] = {
    _UNSUPPORTED_VERSION: "the broker does not speak this version of MQTT: set version",
    0x85: "the broker refuses the client_id",
    0x86: "the broker refuses the user name or password",
    0x87: "the broker does not authorise this client",
    0x8A: "the broker has banned this client",
    0x8C: "the broker wants another authentication method",
    _TAKEN_OVER: "another client has connected with the same client_id: set client_id",
    0x9A: "the broker keeps no retained messages",
    0x9B: "the broker does not support this qos",
    0x9C: "the broker says that another server is to be used",
    0x9D: "the broker has moved to another server",
}
"""MQTT 5, section 2.4: reasons that only a person can mend. MQTT 3.1.1's few (3.2.2.3) arrive as the same numbers."""
_LATER: Final = frozenset({0x83, 0x88, 0x89, 0x91, 0x93, 0x97, 0x9F})
"""Reasons of a PUBACK that may be gone by the next attempt."""

_DESCRIPTIONS: Final = 4096
"""Sets of properties that are kept ready; there are hardly more than types of events times sources."""
_QUICKACK: Final[int | None] = getattr(socket, "TCP_QUICKACK", None)
"""Linux has it."""


class MqttConnection(MqttClient):
    """One life of a connection: `open`, `post` any number, `close` or `drop`; never used again.

    Our own acknowledgements and window stand where aiomqtt's `publish` waits: it forgets the reason of a PUBACK (a
    refusal would look like success), costs a task's worth for each message, and leaves its socket open when it is
    cancelled while connecting.
    """

    def __init__(self, options: LinkOptions, listener: Listener) -> None:
        v5 = options.version == "5"
        will = options.will
        super().__init__(
            options.host,
            options.port,
            username=options.username,
            password=options.password,
            identifier=options.client_id,
            protocol=_VERSIONS[options.version],
            clean_session=None if v5 else True,
            clean_start=True if v5 else 3,
            will=None if will is None else aiomqtt.Will(will.topic, will.payload, will.qos, retain=will.retain),
            keepalive=options.keepalive,
            tls_context=options.tls,
            timeout=min(ANSWER, options.timeout),
            logger=_SILENT,
            properties=_largest(options.packet_size) if v5 and options.packet_size is not None else None,
        )
        self._client.connect_timeout = min(ANSWER / 2, options.timeout)
        self.limits = Limits()
        self.lost: Exception | None = None
        self._address = f"{options.host}:{options.port}"
        self._v5 = v5
        self._listener = listener
        self._flying: dict[int, int] = {}
        self._own: dict[int, asyncio.Future[str | None]] = {}
        self._attended: dict[int, asyncio.Future[list[str | None]]] = {}
        self._ready: dict[tuple[tuple[str, str], ...], Properties] = {}
        self._ended = asyncio.Event()
        # The window is ours; with one of its own paho walks all that is on its way at each acknowledgement.
        self._client.max_inflight_messages_set(0)
        self._client.suppress_exceptions = False
        self._goes_on = self._client._handle_pubrec
        self._client._handle_pubrec = self._on_pubrec  # type: ignore[method-assign]  # paho reads no reason in it

    async def open(self) -> None:
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
            raise refusal(error, self._address) from error
        self._prepare()
        try:
            async with asyncio.timeout(self.timeout):
                await self._connected
        except TimeoutError:
            await self.drop()
            raise Unavailable(f"the broker at {self._address} does not answer") from None
        except aiomqtt.MqttError as error:
            await self.drop()
            raise _translated(error, self._address, connecting=True) from error
        except BaseException:
            await self.drop()
            raise
        self._disconnected.add_done_callback(self._told_lost)

    def _prepare(self) -> None:
        sock = self._client.socket()
        if isinstance(sock, socket.socket):
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def post(self, place: int, message: Message) -> None:
        if self.lost is None:
            info = self._publish(message)
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

    async def say(self, messages: Sequence[Message]) -> list[str | None]:
        if self.lost is not None:
            raise anew(self.lost)
        loop = asyncio.get_running_loop()
        answers: dict[int, asyncio.Future[str | None]] = {}
        try:
            for message in messages:
                mid = self._publish(message).mid
                answers[mid] = self._own[mid] = loop.create_future()
            self.hasten()
            await self._answered(answers.values())
        finally:
            for mid in answers:
                self._own.pop(mid, None)
        return [answer.result() for answer in answers.values()]

    async def _answered(self, answers: Iterable[asyncio.Future[Any]]) -> None:
        """Wait until the broker has answered. Raises Unavailable, or what the connection ended with."""
        try:
            async with asyncio.timeout(self.timeout):
                for answer in answers:
                    ends: set[asyncio.Future[Any]] = {answer, self._disconnected}
                    await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
                    if not answer.done():
                        raise anew(self.lost or BrokerLost(f"the broker at {self._address} closed the connection"))
        except TimeoutError:
            raise Unavailable(f"the broker at {self._address} does not acknowledge") from None

    def listen(self, topics: Sequence[str]) -> None:
        if self.lost is None and topics:
            self._client.subscribe([(topic, 0) for topic in topics])

    async def attend(self, topics: Sequence[str]) -> list[str | None]:
        if self.lost is not None:
            raise anew(self.lost)
        if self._v5:
            options = SubscribeOptions(qos=0, retainAsPublished=True)
            _, mid = self._client.subscribe([(topic, options) for topic in topics])
        else:
            _, mid = self._client.subscribe([(topic, 0) for topic in topics])
        if mid is None:
            raise BrokerLost(f"the connection to {self._address} is closed")
        answer: asyncio.Future[list[str | None]] = asyncio.get_running_loop().create_future()
        self._attended[mid] = answer
        try:
            await self._answered([answer])
        finally:
            self._attended.pop(mid, None)
        return answer.result()

    def ignore(self, topics: Sequence[str]) -> None:
        if self.lost is None and topics:
            self._client.unsubscribe(list(topics))

    async def until_lost(self) -> None:
        await self._ended.wait()

    async def close(self) -> None:
        try:
            if self.lost is None and self._client.disconnect() == MQTTErrorCode.MQTT_ERR_SUCCESS:
                await asyncio.wait({self._disconnected}, timeout=FAREWELL)
        finally:
            await self.drop()

    async def drop(self) -> None:
        self._client._reset_sockets()  # the only way out of a connection that takes nothing any more
        misc = self._misc_task
        if misc is not None:
            misc.cancel()
            await asyncio.wait({misc})
        for future in (self._connected, self._disconnected):
            if future.done() and not future.cancelled():
                future.exception()  # looked at: it was told by `on_lost` or raised already

    def _publish(self, message: Message) -> MQTTMessageInfo:
        retain = message.retain and self.limits.retain
        described = None
        if self._v5 and message.described:
            described = self._described(message.described)
        elif self._v5 and message.correlation is not None:
            described = _correlated(message.correlation)
        return self._client.publish(
            message.topic, message.payload, min(message.qos, self.limits.qos), retain, described
        )

    def _described(self, pairs: tuple[tuple[str, str], ...]) -> Properties:
        found = self._ready.get(pairs)
        if found is None:
            found = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]  # paho's class has no types
            found.ContentType = CONTENT_TYPE
            found.PayloadFormatIndicator = 1
            found.UserProperty = list(pairs)
            if len(self._ready) >= _DESCRIPTIONS:
                self._ready.clear()
            self._ready[pairs] = found
        return found

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

    def _on_message(self, client: Paho, userdata: Any, message: MQTTMessage) -> None:
        said = message.properties
        self._listener.heard(
            Heard(
                message.topic, bytes(message.payload), message.retain, getattr(said, "ResponseTopic", ""),
                getattr(said, "CorrelationData", None), getattr(said, "MessageExpiryInterval", None),
                getattr(said, "ContentType", ""),
            )
        )  # fmt: skip

    def _on_subscribe(self, client: Paho, userdata: Any, mid: int, codes: Any, properties: Any = None) -> None:
        """Of most subscriptions nobody waits for it; aiomqtt would call it unexpected."""
        answer = self._attended.pop(mid, None)
        if answer is not None and not answer.done():
            answer.set_result([str(code) if code.is_failure else None for code in codes])

    def _on_unsubscribe(self, *_: Any) -> None:
        """As for a subscription."""

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
            self._listener.acknowledged(place, None)
        elif reason_code.value in _MEND:
            self._end(Misconfigured(f"{_MEND[reason_code.value]} ({reason}; {self._address})"))
        elif reason_code.value in _LATER:
            self._end(Unavailable(f"the broker at {self._address} takes nothing now: {reason}"))
        else:
            topic = " for its topic" if reason_code.value == _NO_SUCH_TOPIC else ""
            self._listener.acknowledged(place, f"the broker refuses it{topic}: {reason}")

    def _told_lost(self, disconnected: asyncio.Future[None]) -> None:
        error = None if disconnected.cancelled() else disconnected.exception()
        self._end(
            _translated(error, self._address)
            if error is not None
            else BrokerLost(f"the connection to {self._address} is closed")
        )

    def _end(self, error: Exception) -> None:
        if self.lost is None:
            self.lost = error
            self._ended.set()
            self._listener.lost(error)


def _largest(size: int) -> Properties:
    found = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho's class has no types
    found.MaximumPacketSize = size
    return found


def _correlated(data: bytes) -> Properties:
    """Of an answer, which is JSON."""
    found = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]  # paho's class has no types
    found.CorrelationData = data
    found.ContentType = "application/json"
    return found


def _translated(error: BaseException, address: str, *, connecting: bool = False) -> Exception:
    """A library's exception as one of ours."""
    code = error.rc if isinstance(error, aiomqtt.MqttCodeError) else None
    value = code.value if isinstance(code, ReasonCode) else None
    if connecting and value in _WILLS:
        return WillRefused(f"{_MEND[value]} ({code}; {address})")
    if connecting and value == _NO_SUCH_TOPIC:
        return Misconfigured(f"the broker at {address} refuses the topic of the status ({code}): set status_topic")
    if value == _UNSUPPORTED_VERSION:
        return VersionRefused(f"{_MEND[value]} ({code}; {address})")
    if value in _MEND:
        return Misconfigured(f"{_MEND[value]} ({code}; {address})", retry_after=60.0 if value == _TAKEN_OVER else None)
    if isinstance(error, OSError):
        return refusal(error, address)
    why = f": {code}" if value not in (None, 0, _REFUSED) else ""  # 0x80 is paho's word for an end without any
    return BrokerLost(f"the connection to {address} ended{why}")
