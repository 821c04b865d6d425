"""`[sources.NAME]` of `type = "avaeye"`."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated

from pydantic import Field, PlainValidator, WithJsonSchema

from pump.core.settings import Duration, Settings, SourceSettings, Zone


def _network(value: object) -> IPv4Network | IPv6Network:
    try:
        if isinstance(value, str):
            return ip_network(value)
    except ValueError:
        pass
    raise ValueError('a network such as "10.0.0.0/8" (no bits set behind the prefix) is wanted')


Network = Annotated[IPv4Network | IPv6Network, PlainValidator(_network), WithJsonSchema({"type": "string"})]


class CameraSettings(Settings):
    """One camera in `[sources.NAME.cameras]`, by its device id, or by "park/device" where an id is in two parks."""

    name: str | None = None
    lane: str | int | None = None
    direction: str | None = Field(default=None, description="of the vehicles that it sees: in, out")
    area: str | None = None
    time_zone: Zone | None = Field(default=None, description="of its pictures' times; default: the source's")


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
    echo_ids: bool = Field(default=True, description="repeat parkId and deviceId in the answer to a keep-alive")

    def named_devices(self) -> frozenset[str]:
        """`devices`, `cameras` and `names`; in the configured parks alone where there are such."""
        named = super().named_devices().union(self.devices, self.cameras)
        if not self.park_ids:
            return named
        return frozenset(one if "/" in one else f"{park}/{one}" for one in named for park in self.park_ids)
