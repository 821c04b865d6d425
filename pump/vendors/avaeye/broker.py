"""The broker at which cameras take orders: one connection that only publishes, and the orders that wait for a result.

Everything goes out with QoS 0 and an expiry: a broker keeps no such message for a camera that is away, and a client
library sends none again, so that a gate cannot open twice, or late. The results come over HTTP (notifyresult) and
name their request. The one file of this vendor that knows aiomqtt 2.5 and paho, private names too.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

import aiomqtt
import orjson
import structlog
from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from pump.commands.contract import Command, CommandResult
from pump.core.backoff import Backoff
from pump.core.clock import Clock
from pump.core.errors import Unavailable
from pump.core.net.mqtt import MqttClient
from pump.core.net.tls import ClosedIfRefused
from pump.core.tasks import first_of
from pump.core.text import words_of
from pump.ingest.stream.client import tls_context
from pump.vendors.avaeye.carried import end
from pump.vendors.avaeye.mqtt import Order
from pump.vendors.avaeye.parse import Message
from pump.vendors.avaeye.settings import BrokerSettings

log = structlog.get_logger()

PORTS: Final = {"mqtt": 1883, "mqtts": 8883}
KEEPALIVE: Final = 15
"""Seconds between signs of life: a broker that is gone must be known before a command is given to it."""
ANSWER: Final = 3.0
"""Seconds for the broker to answer, and for a message to leave."""
_LOOK: Final = 0.01
"""Seconds between two looks at whether it has left."""
UNACKNOWLEDGED: Final = 5_000
"""Milliseconds after which TCP gives bytes up that nobody acknowledged: a gate must not open minutes late."""
_VERSIONS: Final = {"5": aiomqtt.ProtocolVersion.V5, "3.1.1": aiomqtt.ProtocolVersion.V311}
_USER_TIMEOUT: Final[int | None] = getattr(socket, "TCP_USER_TIMEOUT", None)
"""Linux has it."""
_SILENT: Final = logging.getLogger("pump.vendors.avaeye.broker")
"""paho tells on standard error what is reported in our own words anyway."""
_SILENT.addHandler(logging.NullHandler())
_SILENT.propagate = False


@dataclass(slots=True)
class _Waiting:
    """An order that was sent, or is just being sent."""

    key: str
    path: str | None
    end: asyncio.Future[CommandResult]


class Broker:
    """Of one source."""

    def __init__(self, settings: BrokerSettings, name: str, clock: Clock) -> None:
        self._settings = settings
        self._name = name
        self._clock = clock
        parts = urlsplit(settings.url)
        self._host, self._port = parts.hostname or "", parts.port or PORTS[parts.scheme]
        self._tls = parts.scheme == "mqtts"
        self._client: aiomqtt.Client | None = None
        self._broken = asyncio.Event()
        self._waiting: dict[str, _Waiting] = {}
        """By requestId."""
        self.up = asyncio.Event()
        """Set while the connection stands."""

    # --- the connection ---------------------------------------------------------------------------------------------

    async def run(self, count: Callable[[str], object]) -> None:
        """Keep the connection until cancelled; without it commands go another way, or fail.

        `count` gets "broker up" and "broker lost".
        """
        backoff = Backoff(cap=15.0)
        reason = ""
        while True:
            try:
                async with self._open(self._made()):
                    count("broker up")
                    log.info("The cameras' broker is connected", source=self._name, address=self.address)
                    begun, reason = self._clock.monotonic(), ""
                    try:
                        await self._until_lost()
                    finally:
                        if self._clock.monotonic() - begun > KEEPALIVE:
                            backoff.reset()
            except (aiomqtt.MqttError, OSError, ValueError) as error:
                now = words_of(error)
                count("broker lost")
                if now != reason:
                    log.warning(
                        "The cameras' broker is away; commands go another way, or fail",
                        source=self._name, address=self.address, reason=now,
                    )  # fmt: skip
                reason = now
            except Exception:  # logged whole; it must not take the watch over the cameras with it
                log.exception("The cameras' broker met a bug; commands go another way, or fail", source=self._name)
                count("broker lost")
            await self._clock.sleep(backoff.next())

    async def reach(self) -> None:
        """Connect and leave again. Raises Unavailable; nothing is published."""
        try:
            async with self._open(self._made()):
                pass
        except (aiomqtt.MqttError, OSError, ValueError) as error:
            raise Unavailable(f"the broker at {self.address} cannot be used: {words_of(error)}") from None

    @property
    def address(self) -> str:
        """Host and port."""
        return f"{self._host}:{self._port}"

    def _made(self) -> aiomqtt.Client:
        settings = self._settings
        v5 = settings.version == "5"
        client = MqttClient(
            self._host,
            self._port,
            username=settings.username,
            password=None if settings.password is None else settings.password.get_secret_value(),
            identifier=f"pump-{self._name}-{secrets.token_hex(4)}",
            protocol=_VERSIONS[settings.version],
            clean_session=None if v5 else True,
            clean_start=True if v5 else 3,
            timeout=ANSWER,
            keepalive=KEEPALIVE,
            tls_context=self._context(),
            logger=_SILENT,
        )
        client._client.connect_timeout = ANSWER  # 5 s else, and a stop waits for it
        return client

    def _context(self) -> ssl.SSLContext | None:
        if not self._tls:
            return None
        context = tls_context(verify=True, ca=self._settings.ca)
        context.sslsocket_class = ClosedIfRefused
        return context

    @asynccontextmanager
    async def _open(self, client: aiomqtt.Client) -> AsyncIterator[None]:
        # aiomqtt's own way in would leave the socket open where it is cancelled, or where no answer comes.
        connecting = asyncio.get_running_loop().run_in_executor(None, client._client_connect)
        try:
            try:
                await asyncio.shield(connecting)
            except asyncio.CancelledError:
                await asyncio.wait({connecting})  # the thread cannot be cancelled; it ends within ANSWER
                connecting.exception()
                raise
            if _USER_TIMEOUT is not None and isinstance(sock := client._client.socket(), socket.socket):
                sock.setsockopt(socket.IPPROTO_TCP, _USER_TIMEOUT, UNACKNOWLEDGED)
            try:
                async with asyncio.timeout(ANSWER):
                    await client._connected
            except TimeoutError:
                raise aiomqtt.MqttError(f"{self.address} does not answer") from None
        except BaseException:
            await _dropped(client)
            raise
        self._broken.clear()
        self._client = client
        self.up.set()
        try:
            yield
        finally:
            self._client = None
            self.up.clear()
            if not self._broken.is_set():
                await _left(client)
            await _dropped(client)

    async def _until_lost(self) -> None:
        """Raises MqttError once the connection is of no use any more."""
        client = self._client
        assert client is not None  # it was just opened

        async def reading() -> None:
            async for _ in client.messages:  # nothing is subscribed to: it ends with the connection
                pass

        await first_of(reading(), self._broken.wait())
        raise aiomqtt.MqttError("a message could not leave in time")

    # --- orders -----------------------------------------------------------------------------------------------------

    async def order(self, key: str, command: Command, order: Order) -> CommandResult:
        """Give an order to the camera "park/device", and wait for its result. Cancelled when its time is over.

        Raises Unavailable: before `sending` where the broker is not connected, after it where it was just lost.
        """
        number = self._number()
        park, _, device = key.partition("/")
        message = {
            "requestId": number, "version": "1.0", "parkId": park, "deviceId": device, "type": order.type,
            "params": order.params,
        }  # fmt: skip
        one = _Waiting(key, order.path, asyncio.get_running_loop().create_future())
        self._waiting[number] = one
        try:
            await self._publish(command, orjson.dumps(message))
            if order.path is None:
                return CommandResult(
                    "unknown", "it was given to the broker, and cameras report no result of it", {"requestId": number}
                )
            result = await one.end
            return CommandResult(result.status, result.reason, {"requestId": number})
        finally:
            del self._waiting[number]

    @property
    def flying(self) -> int:
        """Orders that wait for their results."""
        return len(self._waiting)

    def settle(self, message: Message) -> None:
        """A result has come; to be called for every message that was stored. One that comes twice changes nothing."""
        one = self._waiting.get(message.request or "")
        if one is None or one.path != message.path or one.key != message.key or one.end.done():
            return
        end(one.end, message)

    async def _publish(self, command: Command, payload: bytes) -> None:
        client = self._client
        if client is None:
            raise Unavailable(f"the broker at {self.address} is not connected")
        properties: Properties | None = None
        if self._settings.version == "5":
            properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]  # paho's class has no types
            properties.MessageExpiryInterval = max(1, int(command.remaining))
        command.sending()
        # By paho itself: aiomqtt waits with asyncio.wait_for, which on Python 3.11 loses a cancellation now and then.
        info = client._client.publish(self._settings.topic, payload, qos=0, properties=properties)
        gone = False
        try:
            left = ANSWER
            while info.rc == MQTTErrorCode.MQTT_ERR_SUCCESS and not (gone := info.is_published()) and left > 0.0:
                await asyncio.sleep(_LOOK)  # it is written by the event loop, and nothing is called when it is
                left -= _LOOK
        finally:
            if not gone:
                self._broken.set()  # what could not leave now must not leave later
        if not gone:
            raise Unavailable(f"the connection to the broker at {self.address} ended while it was sent")

    def _number(self) -> str:
        """A requestId as the document has them, 18 digits, that no order has which waits."""
        while True:
            number = f"{self._clock.now():%Y%m%d%H%M%S}{secrets.randbelow(10_000):04d}"
            if number not in self._waiting:
                return number


async def _left(client: aiomqtt.Client) -> None:
    """Say goodbye."""
    with suppress(aiomqtt.MqttError):
        await client.__aexit__(None, None, None)


async def _dropped(client: aiomqtt.Client) -> None:
    """Leave nothing of it behind: aiomqtt keeps the socket where the broker does not answer."""
    client._client._reset_sockets()
    if (misc := client._misc_task) is not None:
        misc.cancel()
        await asyncio.wait({misc})
    for future in (client._connected, client._disconnected):
        if future.done() and not future.cancelled():
            future.exception()  # looked at: it was raised already, or nobody is there to be told
