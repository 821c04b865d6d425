"""Settings of the MQTT sink."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, WithJsonSchema, field_validator, model_validator

from pump.core.settings import Duration, Secret, SinkSettings
from pump.sinks.common.template import MQTT, Template

PORTS: Final = {"mqtt": 1883, "mqtts": 8883}
_TOPICS_SCHEMA: Final = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}


def _several(value: object) -> object:
    return (value,) if isinstance(value, str) else tuple(value) if isinstance(value, list) else value


class MqttSettings(SinkSettings):
    """`[sinks.NAME]` with `type = "mqtt"`."""

    url: str = Field(description='"mqtt://host:1883", or "mqtts://host:8883" for TLS')
    username: str | None = None
    password: Secret | None = None
    ca_file: str | None = Field(default=None, description="PEM file of who vouches for the broker; default: the system")
    cert_file: str | None = Field(default=None, description="PEM file of the client's certificate")
    key_file: str | None = Field(default=None, description="PEM file of its key; default: in cert_file")
    key_password: Secret | None = None
    version: Literal["auto", "5", "3.1.1"] = Field(default="auto", description="auto: 5, and 3.1.1 where 5 is refused")
    client_id: str | None = Field(default=None, min_length=1, description="default: pump-<site>-<name>")
    qos: Literal[0, 1, 2] = 1
    window: int = Field(default=50, ge=1, le=1000, description="events on their way and not yet acknowledged")
    keepalive: Duration = Field(default=30.0, ge=5.0, le=65535.0)
    topic: str = "pump/{site}/{type}/{subject:levels}"
    status_topic: str = Field(default="pump/{site}/status", description='"online" and "offline", retained; "": none')
    states: tuple[str, ...] = Field(default=(), description="globs of types whose last state is retained")
    state_topic: str = Field(default="pump/{site}/state/{subject:levels}", description="the aspect is added")
    picture_url: str | None = Field(
        default=None, description="where the files of [media] dir can be read by HTTP, for the last vehicle's picture"
    )
    home_assistant: str | None = Field(default=None, min_length=1, description='discovery prefix: "homeassistant"')
    command_topic: Annotated[tuple[str, ...], BeforeValidator(_several), WithJsonSchema(_TOPICS_SCHEMA)] = Field(
        default=(), description="where commands are taken, the target is added; or a list; default: nowhere"
    )

    @field_validator("url")
    @classmethod
    def _names_a_broker(cls, url: str) -> str:
        try:
            parts = urlsplit(url)
            usable = parts.scheme in PORTS and bool(parts.hostname) and parts.port != 0
        except ValueError:
            usable = False
        if not usable or parts.path.strip("/") or parts.query:
            raise ValueError('an address such as "mqtt://broker:1883" or "mqtts://broker:8883" is wanted')
        if parts.username is not None or parts.password is not None:
            raise ValueError("the user name and password belong into username and password")
        return url

    @field_validator("picture_url")
    @classmethod
    def _is_a_web_address(cls, url: str | None) -> str | None:
        parts = urlsplit(url or "http://unset")
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise ValueError('an address such as "http://192.0.2.7/pump-media" is wanted')
        return url

    @field_validator("topic", "status_topic", "state_topic")
    @classmethod
    def _can_be_filled(cls, text: str) -> str:
        if text:
            Template(text, MQTT)
        return text

    @field_validator("command_topic")
    @classmethod
    def _are_prefixes(cls, topics: tuple[str, ...]) -> tuple[str, ...]:
        for topic in topics:
            if "{" in topic.replace("{site}", ""):
                raise ValueError("command_topic knows {site} alone: the target is added")
            Template(topic, MQTT)
            if any(one is not topic and f"{one}/".startswith(f"{topic}/") for one in topics):
                raise ValueError(f'"{topic}" holds another of them')
        return topics

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if not self.topic or not self.state_topic:
            raise ValueError("only status_topic may be empty")
        if "{" in self.status_topic.replace("{site}", ""):
            raise ValueError("status_topic knows {site} alone")
        if self.home_assistant is not None:
            Template(self.home_assistant, MQTT)
        for key in ("topic", "state_topic", "status_topic", "home_assistant"):
            said = getattr(self, key) or ""
            if any(f"{said}/".startswith(f"{one}/") for one in self.command_topic):
                raise ValueError(f"{key} lies under command_topic: what the pump says would come back as commands")
        if self.key_file is not None and self.cert_file is None:
            raise ValueError("key_file needs cert_file")
        if urlsplit(self.url).scheme == "mqtt" and (self.ca_file or self.cert_file):
            raise ValueError('certificates need TLS: write the url as "mqtts://…"')
        if self.password is not None and self.username is None:
            raise ValueError("password needs username")
        return self

    def command_prefixes(self, site: str) -> tuple[str, ...]:
        """The topics of `command_topic`, filled."""
        return tuple(one.replace("{site}", site) for one in self.command_topic)

    def command_callers(self, site: str) -> tuple[str, ...]:
        """Callers are topics."""
        return tuple(f"mqtt:{prefix}/" for prefix in self.command_prefixes(site))

    def identity(self) -> str | None:
        """A client_id: a broker lets in one client of it, and the two would throw each other out for ever."""
        return None if self.client_id is None else f"{self.url} {self.client_id}"

    def type_globs(self) -> Mapping[str, tuple[str, ...]]:
        """`states` too."""
        return {**super().type_globs(), "states": self.states}

    def warnings(self) -> list[str]:
        """What is allowed and yet costs a promise."""
        found = []
        if self.qos == 0:
            found.append("qos 0 is not acknowledged: what is on its way when the broker goes is lost")
        if self.qos == 2:
            found.append("qos 2 delivers no better than 1 here, and on nats-server it loses events (docs/sinks.md)")
        if self.password is not None and urlsplit(self.url).scheme == "mqtt":
            found.append("the password travels without TLS")
        if self.command_topic and self.username is None and self.cert_file is None:
            found.append("command_topic without a login: whoever reaches the broker may command what mqtt is granted")
        return found
