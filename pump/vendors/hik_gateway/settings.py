"""`[sources.NAME]` of `type = "hik-gateway"`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator
from yarl import URL

from pump.core.settings import Duration, Secret, SourceSettings
from pump.core.vocabulary import misspelled
from pump.vendors.hik_gateway.codes import SUBSCRIBED


def _url(text: str) -> str:
    try:
        url = URL(text)
        wrong = url.scheme not in ("http", "https") or not url.host or url.query_string or url.fragment
    except ValueError:
        wrong = True
    if wrong:
        raise ValueError('an address such as "http://192.0.2.5:80" is wanted')
    if url.user is not None or url.password is not None:
        raise ValueError("user name and password have keys of their own")
    return text.rstrip("/")


class HikGatewaySettings(SourceSettings):
    """Where the gateway is, and what to subscribe to."""

    fleet = "gateways"

    url: Annotated[str, AfterValidator(_url)] = Field(description="the gateway's own address, as its web page has it")
    username: str = Field(min_length=1, pattern="^[^:]+$")
    password: Secret
    verify_tls: bool = Field(default=True, description="false accepts any certificate: gateways often sign their own")
    ca: Path | None = Field(default=None, description="a file with the authority of the gateway's certificate")
    event_mode: Literal["all", "device"] | None = Field(
        default=None, description="device subscribes device by device; default: device where devices is given"
    )
    events: tuple[str, ...] = Field(
        default=(), description="event types to subscribe to, such as CIDAlarm and videoReview; all if left out"
    )
    devices: dict[str, tuple[str, ...]] = Field(
        default_factory=dict, description="event types by devIndex; an empty list means events, or all"
    )
    heartbeat_timeout: Duration = Field(
        default=30.0, gt=0, description="silence for this long means the link is dead; heartbeats come every 10s"
    )
    inventory_interval: Duration = Field(default=900.0, gt=0, description="how often the device list is asked for")
    status_interval: Duration = Field(
        default=60.0, gt=0, description="how often each device's subscription is asked for, in event_mode device"
    )

    @model_validator(mode="after")
    def _devices_of_mode(self) -> HikGatewaySettings:
        if self.devices and self.event_mode == "all":
            raise ValueError('devices needs event_mode = "device"')
        return self

    @property
    def by_device(self) -> bool:
        """Whether the subscription names devices."""
        return self.event_mode == "device" or bool(self.devices)

    def warnings(self) -> list[str]:
        """Event types that nobody knows, and certificates that nobody checks."""
        found = [*misspelled(self.wanted_types(), SUBSCRIBED, "is no event type that is known of the gateway")]
        if not self.verify_tls and self.url.startswith("https:"):
            found.append("verify_tls: false lets anybody between here and the gateway read along; name its ca")
        return found

    def wanted_types(self) -> list[str]:
        """Every event type that is subscribed to by name, of all devices."""
        return list(dict.fromkeys((*self.events, *(word for words in self.devices.values() for word in words))))
