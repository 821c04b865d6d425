"""Connections to one broker, each made by what those before it have learnt: its version, whether it takes a will."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

import structlog

from pump.sinks.common.tls import client_context
from pump.sinks.mqtt.messages import OFFLINE, spelled
from pump.sinks.mqtt.protocol import (
    Connect,
    LinkOptions,
    Listener,
    Message,
    MqttLink,
    Version,
    VersionRefused,
    WillRefused,
)
from pump.sinks.mqtt.settings import PORTS, MqttSettings

log = structlog.get_logger()

_FIRST: Final[Version] = "5"
_FALLBACK: Final[Version] = "3.1.1"


class Connector:
    """Makes and opens the links of one sink."""

    def __init__(
        self, name: str, settings: MqttSettings, site: str, connect: Connect, *, aside: str = "",
        packet_size: int | None = None,
    ) -> None:  # fmt: skip
        """`aside`: they are others than the sink's own, which its client id ends with; those have no will."""
        self.version: Version = _FIRST if settings.version == "auto" else settings.version
        """What is spoken, as far as the broker is known."""
        self._name = name
        self._settings = settings
        self._site = site
        self._connect = connect
        self._aside = aside
        self._packet_size = packet_size
        self._wills = not aside

    @property
    def spaces(self) -> bool:
        """Whether topics may hold spaces: nats-server, which speaks 3.1.1 alone, closes the connection at one."""
        return self.version != "3.1.1"

    async def open(self, listener: Listener) -> MqttLink:
        """A link that the broker has accepted. Raises Unavailable, Misconfigured."""
        while True:
            link = self._connect(await self._options(), listener)
            try:
                await link.open()
            except VersionRefused:
                if self._settings.version != "auto" or self.version == _FALLBACK:
                    raise
                self.version = _FALLBACK
            except WillRefused as error:
                if not self._wills:
                    raise
                self._wills = False
                log.warning(
                    'The broker takes no will: nobody hears when the pump dies. Set status_topic = "", or have the '
                    "broker retain messages",
                    sink=self._name,
                    setting="status_topic",
                    reason=error.reason,
                )
            else:
                return link

    async def _options(self) -> LinkOptions:
        settings, parts = self._settings, urlsplit(self._settings.url)
        context = None
        status = spelled(settings.status_topic.replace("{site}", self._site), spaces=self.spaces)
        if parts.scheme == "mqtts":
            password = settings.key_password.get_secret_value() if settings.key_password is not None else None
            context = await client_context(settings.ca_file, settings.cert_file, settings.key_file, password)
        return LinkOptions(
            parts.hostname or "",
            parts.port or PORTS[parts.scheme],
            client_id=(settings.client_id or f"pump-{self._site}-{self._name}") + self._aside,
            version=self.version,
            keepalive=round(settings.keepalive),
            timeout=settings.timeout,
            username=settings.username,
            password=settings.password.get_secret_value() if settings.password is not None else None,
            tls=context,
            will=Message(status, OFFLINE, 1, retain=True) if status and self._wills else None,
            packet_size=self._packet_size,
        )
