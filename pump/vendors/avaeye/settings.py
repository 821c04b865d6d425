"""`[sources.NAME]` of `type = "avaeye"`."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, PlainValidator, WithJsonSchema, field_validator, model_validator

from pump.core.settings import Duration, Secret, Settings, SourceSettings, Zone


def _network(value: object) -> IPv4Network | IPv6Network:
    try:
        if isinstance(value, str):
            return ip_network(value)
    except ValueError:
        pass
    raise ValueError('a network such as "10.0.0.0/8" (no bits set behind the prefix) is wanted')


Network = Annotated[IPv4Network | IPv6Network, PlainValidator(_network), WithJsonSchema({"type": "string"})]


def _url(value: str) -> str:
    try:
        parts = urlsplit(value)
        fine = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0 and "@" not in parts.netloc
    except ValueError:
        fine = False
    if not fine or parts.query or parts.fragment or parts.path.strip("/"):
        raise ValueError('an address such as "http://192.0.2.10" (no login, no path) is wanted')
    return value.rstrip("/")


Address = Annotated[str, AfterValidator(_url)]
Control = Literal["auto", "lapi", "keepalive", "mqtt"]


class ListModes(Settings):
    """`list_modes`: the numbers by which cameras' firmware adds to a list and takes off it, over MQTT."""

    add: int = Field(ge=0, le=9, description="1 in the document; 0 on older firmware")
    remove: int = Field(ge=0, le=9, description="3 in the document; 1 on older firmware")

    @model_validator(mode="after")
    def _differ(self) -> Self:
        if self.add == self.remove:
            raise ValueError("add and remove are two numbers")
        return self


class BrokerSettings(Settings):
    """`broker`: where the cameras take orders over MQTT."""

    url: str = Field(description='"mqtt://host:1883", or "mqtts://host:8883" for TLS')
    topic: str = Field(min_length=1, max_length=1024, description="the cameras' request topic (reqTopic)")
    username: str | None = None
    password: Secret | None = None
    ca: Path | None = Field(default=None, description="a file with the authority of the broker's certificate")
    version: Literal["5", "3.1.1"] = Field(default="5", description="of MQTT; only 5 has messages expire")

    @field_validator("url")
    @classmethod
    def _names_a_broker(cls, url: str) -> str:
        try:
            parts = urlsplit(url)
            usable = parts.scheme in ("mqtt", "mqtts") and bool(parts.hostname) and parts.port != 0
        except ValueError:
            usable = False
        if not usable or parts.path.strip("/") or parts.query or "@" in parts.netloc:
            raise ValueError('an address such as "mqtt://broker:1883" or "mqtts://broker:8883" (no login) is wanted')
        return url

    @field_validator("topic")
    @classmethod
    def _is_one_topic(cls, topic: str) -> str:
        if any(sign in topic for sign in "+#\0"):
            raise ValueError("a topic without + and # is wanted")
        return topic

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.password is not None and self.username is None:
            raise ValueError("password needs username")
        if self.ca is not None and not self.url.startswith("mqtts:"):
            raise ValueError('ca needs TLS: write the url as "mqtts://…"')
        return self


class CameraSettings(Settings):
    """One camera in `[sources.NAME.cameras]`, by its device id, or by "park/device" where an id is in two parks."""

    name: str | None = None
    lane: str | int | None = None
    direction: str | None = Field(default=None, description="of the vehicles that it sees: in, out")
    area: str | None = None
    time_zone: Zone | None = Field(default=None, description="of its pictures' times; default: the source's")
    url: Address | None = Field(
        default=None,
        description="where commands go, by default to http, port 80, the ipAddress that it reported; and from where "
        "its pictures may be fetched, by default from nowhere",
    )
    username: str | None = Field(default=None, description="for commands; default: the source's")
    password: Secret | None = Field(default=None, description="for commands; default: the source's")
    control: Control | None = Field(default=None, description="for commands; default: the source's")
    list_modes: ListModes | None = Field(default=None, description="of its firmware; default: the source's")


class AvaEyeSettings(SourceSettings):
    """`[sources.NAME]` of `type = "avaeye"`."""

    park_ids: tuple[str, ...] = Field(default=(), description="parks that are this source's; empty: all")
    devices: tuple[str, ...] = Field(default=(), description='device ids, or "park/device", that may push; empty: all')
    allow: tuple[Network, ...] = Field(default=(), description="networks that its cameras are in; empty: all")
    cameras: dict[str, CameraSettings] = Field(default_factory=dict, description="what the cameras do not say")
    keepalive: Duration = Field(
        default=30.0, gt=0, description="between two signs of life of a camera that has not told its interval"
    )
    ask_basicinfo: bool = Field(
        default=False,
        description="refuse three keep-alives of a camera that never introduced itself, so that it does; "
        "some firmware then sends its basicinfo for ever",
    )
    username: str | None = Field(default=None, description="of the cameras' own interface (LAPI), for commands")
    password: Secret | None = Field(default=None, description="with username")
    control: Control = Field(
        default="auto",
        description="how commands go: to the camera's own address (lapi), through the broker (mqtt), in answers to "
        "keep-alives (keepalive), or by the first of these by which the camera can be reached (auto)",
    )
    broker: BrokerSettings | None = Field(default=None, description="where the cameras take orders over MQTT")
    list_modes: ListModes | None = Field(
        default=None,
        description="by which cameras' firmware adds and removes over MQTT; default: no lists, for a wrong one deletes",
    )
    echo_ids: bool = Field(default=True, description="repeat parkId and deviceId in the answer to a keep-alive")

    @model_validator(mode="after")
    def _a_login_is_whole(self) -> Self:
        if (self.username is None) != (self.password is None):
            raise ValueError("username and password go together")
        controls = {self.control, *(row.control for row in self.cameras.values())}
        if "mqtt" in controls and self.broker is None:
            raise ValueError('control = "mqtt" wants a broker')
        return self

    def warnings(self) -> list[str]:
        """What is allowed and yet costs a promise."""
        found = super().warnings()
        if self.broker is not None and self.broker.password is not None and self.broker.url.startswith("mqtt:"):
            found.append("broker: the password travels without TLS")
        return found

    def named_devices(self) -> frozenset[str]:
        """`devices`, `cameras` and `names`; in the configured parks alone where there are such."""
        named = super().named_devices().union(self.devices, self.cameras)
        if not self.park_ids:
            return named
        return frozenset(one if "/" in one else f"{park}/{one}" for one in named for park in self.park_ids)
