"""`[sources.NAME]` of `type = "hik-camera"`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field
from yarl import URL

from pump.core.settings import Duration, Secret, Size, SourceSettings
from pump.core.vocabulary import misspelled
from pump.vendors.hik_camera.codes import CONTINUES, EVENTS


def _device(url: str) -> str:
    parsed = URL(url)
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise ValueError('an address such as "http://192.0.2.10" is wanted')
    if parsed.user or parsed.password:
        raise ValueError("the address must not hold the user or the password; they have settings of their own")
    return str(parsed.origin())


class HikCameraSettings(SourceSettings):
    """`[sources.NAME]` of `type = "hik-camera"`."""

    fleet = "devices"

    url: Annotated[str, AfterValidator(_device)] = Field(description="the device, such as http://192.0.2.10")
    username: str = Field(default="admin", min_length=1, pattern="^[^:]+$")
    password: Secret
    heartbeat_timeout: Duration = Field(
        default=30.0,
        gt=0,
        description="silence after which the link is made anew; longer for devices without heartbeats",
    )
    event_timeout: Duration = Field(
        default=10.0, gt=0, description="silence after which what lasts (motion, intrusion) has ended"
    )
    events: tuple[str, ...] = Field(
        default=(), description="the device's event types to keep, such as linedetection; all where empty"
    )
    max_picture: Size = Field(default=16 << 20, description="a larger picture is skipped and told")
    verify_tls: bool = Field(default=True, description="false takes any certificate of an https device")
    ca: Path | None = Field(default=None, description="a file with the authority of the device's certificate")

    def identity(self) -> str | None:
        """Two sources at one device would tell everything twice."""
        return self.url

    def warnings(self) -> list[str]:
        """Event types that nobody knows, and an unverified peer, which may be anybody."""
        found = [*misspelled(self.events, (*EVENTS, *CONTINUES), "of events is no event type that is known of devices")]
        if self.url.startswith("https:") and not self.verify_tls:
            found.append(
                "verify_tls = false: whoever answers at this address is believed to be the device; name its ca"
            )
        return found
