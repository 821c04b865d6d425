"""`[sources.NAME]` of `type = "kinot"`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, PositiveInt, model_validator

from pump.core.naming import Named, NameTable
from pump.core.settings import Duration, Secret, SourceSettings


def _url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment or "@" in text:
        raise ValueError("an address such as https://pump.example.com is wanted")
    return text.rstrip("/")


def _server(text: str) -> str:
    text = _url(text)
    if urlsplit(text).path:
        raise ValueError("an address without a path, such as http://device.api.parks8.com, is wanted")
    return text


class KinotSettings(SourceSettings):
    """`[sources.NAME]` of `type = "kinot"`."""

    server: Annotated[str, AfterValidator(_server)] = Field(
        default="http://device.api.parks8.com", description="where the REST API answers"
    )
    app_key: Secret = Field(description="the AppKey that Kinot's administrator gave out")
    app_secret: Secret = Field(description="the AppSecret that belongs to it; callbacks are signed with it too")
    callback_base: Annotated[str, AfterValidator(_url)] | None = Field(
        default=None, description="where Kinot reaches [server]: /kinot/<source name>/status and /command are added"
    )
    register_callbacks: bool | Literal["report"] = Field(
        default=True,
        description="true: have Kinot send its callbacks to callback_base, and take them back from another client; "
        '"report": look where they go, and only say so; false: neither',
    )
    accept_unsigned: bool = Field(
        default=False, description="take callbacks that carry no sign; anybody can send those"
    )
    snapshot: Duration = Field(
        default=300.0, le=86400, description='from one reading of all devices to the next; "0s" turns it off'
    )
    gateways: tuple[PositiveInt, ...] = Field(
        default=(), description="serial numbers of gateways to ask after: with each snapshot, without one every 5 min"
    )
    bays: NameTable = Field(
        default_factory=dict,
        description="space, area and lot of each sensor and lock by its serial number; or a CSV file",
    )
    lock_values: dict[Literal["raise", "lower"], Annotated[int, Field(ge=2, le=65535)]] = Field(
        default_factory=dict,
        description="values of the platform's command by which your locks are raised and lowered, as Kinot gives them "
        "to you: the document has none. Without them locks cannot be commanded so; 1 resets a lock's code",
    )
    emit: Literal["changes", "all"] = Field(
        default="changes", description="all: a status that changes nothing is an event too"
    )
    timeout: Duration = Field(default=30.0, gt=0, description="a call that takes longer has failed")

    @model_validator(mode="after")
    def _base_to_register(self) -> KinotSettings:
        if self.register_callbacks is not False and self.callback_base is None:
            raise ValueError("callback_base is missing; it may be left out with register_callbacks = false")
        return self

    def named(self) -> Mapping[str, Named]:
        """Gateways may stand in `names`."""
        return {**self.names, **self.bays}

    def named_devices(self) -> frozenset[str]:
        """`names`, `bays` and `gateways`."""
        return super().named_devices().union(f"gateway/{sn}" for sn in self.gateways)

    def identity(self) -> str | None:
        """Two sources of one app key would take each other's callbacks."""
        return self.app_key.get_secret_value()

    def warnings(self) -> list[str]:
        """What makes it believe anybody."""
        return ["accept_unsigned: whoever reaches [server] can make up events"] if self.accept_unsigned else []
