"""`[sinks.NAME]` with `type = "tuya"`."""

from __future__ import annotations

import hashlib
import ipaddress
import re
from fnmatch import fnmatchcase
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field, SecretStr, field_validator
from yarl import URL

from pump.core.settings import Duration, Secret, SinkSettings
from pump.core.vocabulary import matches_a_type

PASSED: Final = "vehicle.passed"
"""The events that are vehicle passes; a capture that somebody asked for (`vehicle.captured`) is none."""
_PRINTABLE: Final = re.compile(r"[!-~]+")
_DEVICE: Final = re.compile(r"[A-Za-z0-9._~-]{1,128}")


def _host(text: str) -> str:
    """The cloud's address, without a slash at its end."""
    try:
        url = URL(text)
        known = url.scheme in ("http", "https") and bool(url.host) and url.user is None and (url.port or 0) > 0
    except ValueError:
        known = False
    if not known or url.path not in ("", "/") or url.query_string or url.fragment:
        raise ValueError("a data center's address such as https://openapi.tuyaeu.com is wanted, without a path")
    if url.scheme != "https" and not _is_loopback(url.host or ""):
        raise ValueError("https is wanted: the token must not travel in clear")
    return text.rstrip("/")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _device(text: str) -> str:
    if not _DEVICE.fullmatch(text):
        raise ValueError("the id of the lot's device is wanted, as the cloud project lists it")
    return text


class TuyaSettings(SinkSettings):
    """`[sinks.NAME]` with `type = "tuya"`: one lot."""

    host: Annotated[str, AfterValidator(_host)] = Field(
        description="the data center's address, such as https://openapi.tuyaeu.com"
    )
    client_id: Secret = Field(description="the cloud project's access id")
    client_secret: Secret = Field(description="the cloud project's access secret")
    device_id: Annotated[str, AfterValidator(_device)] = Field(description="the lot's device in the cloud project")
    directions: dict[str, Literal["in", "out"]] = Field(
        default={},
        description='the way in which vehicles pass a camera: "park/device", "source/lane" or a source\'s name',
    )
    bills: tuple[str, ...] = Field(
        default=(), description="globs of the event types that are temporary parking bills; none: no bills are counted"
    )
    window: Duration = Field(default=3600.0, ge=10.0, le=86400.0, description="of one count: from 10s to 24h")
    lag: Duration = Field(
        default=300.0, ge=0, le=86400.0, description="after a window's end, or its last change, until it is sent"
    )
    naming: Literal["camel", "snake"] = Field(
        default="camel", description="the spelling of fields: dataType as in the vendor's sample, or data_type"
    )
    timeout: Duration = Field(default=10.0, gt=0, description="of one call")

    @field_validator("client_id")
    @classmethod
    def _is_a_header(cls, value: SecretStr) -> SecretStr:
        if not _PRINTABLE.fullmatch(value.get_secret_value()):
            raise ValueError("the access id is of letters and digits")
        return value

    @property
    def window_ms(self) -> int:
        """`window` in whole milliseconds."""
        return round(self.window * 1000)

    @property
    def lag_ms(self) -> int:
        """`lag` in whole milliseconds."""
        return round(self.lag * 1000)

    def identity(self) -> str | None:
        """The lot: two sinks that count for one would contradict each other."""
        return f"{self.host}\n{self.device_id}"

    def endpoint_digest(self) -> str:
        """A digest of the lot, which is switched off where it does not know the command."""
        return hashlib.blake2b(f"{self.host}\n{self.device_id}".encode(), digest_size=16).hexdigest()

    def warnings(self) -> list[str]:
        """Settings by which something is not counted."""
        told = super().warnings()
        if not self.directions and not self.bills:
            told.append("directions names no camera: only passes whose source says in or out are counted")
        taken = any(fnmatchcase(PASSED, glob) for glob in self.types)
        if not taken or any(fnmatchcase(PASSED, glob) for glob in self.exclude_types):
            told.append(f"its types leave out {PASSED}: no pass is counted")
        for glob in self.bills:
            if not matches_a_type(glob):
                told.append(f'bills: "{glob}" matches no event type: no bill is counted by it')
        return told
