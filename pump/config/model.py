"""The tables of pump.toml that belong to no vendor and no sink, and the whole."""

from __future__ import annotations

import ipaddress
import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    SecretStr,
    WithJsonSchema,
    model_validator,
)

from pump.config.passwords import is_hash
from pump.config.problems import Problem
from pump.core.event import AHEAD
from pump.core.settings import UNOPENED, Duration, Secret, Settings, SinkSettings, Size, SourceSettings, Zone
from pump.ingest.fetch.hosts import HostRule
from pump.spool.types import SpoolSettings

NAME = r"[a-z0-9][a-z0-9_-]*"
"""The names that sources, sinks and the site may have: the names stand in ids, metrics and URLs."""
RESERVED = "pump"
"""The daemon's own events carry it where a source's name stands."""
_ADDRESS_SCHEMA = {"type": "string", "pattern": r"^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):[0-9]{1,5}$"}
_ADDRESS = re.compile(r"(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<host>[A-Za-z0-9._-]+)):(?P<port>\d{1,5})")

_CALLER = r"^(socket|(mqtt|nats)(:\S.*)?|(token|user):[a-z0-9*][a-z0-9_*-]*)$"

UTC = ZoneInfo("UTC")


class Address(str):
    """ "127.0.0.1:9090", "[::1]:9090" or "localhost:9090"; port 0 lets the system choose."""

    __slots__ = ()

    @property
    def host(self) -> str:
        """Without the brackets of IPv6."""
        return self.rpartition(":")[0].strip("[]")

    @property
    def port(self) -> int:
        return int(self.rpartition(":")[2])


def parse_address(text: object) -> Address:
    """An address and port to listen on."""
    found = _ADDRESS.fullmatch(text) if isinstance(text, str) else None
    if found is None or int(found["port"]) > 65535:
        raise ValueError('an address and port such as "127.0.0.1:9090" or "[::1]:9090" is wanted')
    return Address(found[0])


def parse_network(text: object) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    """A range of addresses in CIDR form; a single address is a range of one."""
    try:
        if isinstance(text, str):
            return ipaddress.ip_network(text)
    except ValueError:
        pass
    raise ValueError('a network such as "10.0.0.0/8" (no bits set behind the prefix) is wanted')


def _picture_host(text: object) -> HostRule:
    if not isinstance(text, str):
        raise ValueError("a host is wanted, as a text")
    return HostRule.parse(text)


Listen = Annotated[Address, BeforeValidator(parse_address), WithJsonSchema(_ADDRESS_SCHEMA)]
Network = Annotated[
    ipaddress.IPv4Network | ipaddress.IPv6Network, PlainValidator(parse_network), WithJsonSchema({"type": "string"})
]
PictureHost = Annotated[HostRule, PlainValidator(_picture_host), WithJsonSchema({"type": "string"})]


class PumpSettings(Settings):
    """[pump]: the daemon itself."""

    site: str = Field(default="site", pattern=f"^{NAME}$", description="stands in every event's source: /<site>/<name>")
    state_dir: Path = Field(
        default=Path("pump-state"),
        description="the spool and all else that must survive; default: $STATE_DIRECTORY, else ./pump-state",
    )
    time_zone: Zone = Field(default=UTC, description="for vendors that send local times; a source may override it")
    clock_ahead: Duration = Field(
        default=AHEAD.total_seconds(),
        ge=0,
        description="a device's time counts up to so far after its arrival; beyond it the arrival does",
    )
    control_group: str | None = Field(
        default=None, min_length=1, description="a group of this machine that may give commands, in $RUNTIME_DIRECTORY"
    )


class ServerSettings(Settings):
    """[server]: where vendors push to."""

    listen: Listen = Field(default=Address("0.0.0.0:8080"), description="address and port")
    tls_cert: Path | None = Field(default=None, description="PEM file with the certificate and its chain")
    tls_key: Path | None = Field(default=None, description="PEM file with the certificate's key")
    max_body: Size = Field(default=16 << 20, ge=1024, description="a larger request is refused with 413")
    allow: tuple[Network, ...] = Field(default=(), description="networks that may push; empty: all")
    trusted_proxies: tuple[Network, ...] = Field(
        default=(), description="networks of proxies whose X-Forwarded-For is believed"
    )
    header_timeout: Duration = Field(default=10.0, gt=0, description="for a request's head to come whole")
    body_timeout: Duration = Field(default=60.0, gt=0, description="for a request's body to come whole")
    max_connections: int = Field(default=4096, ge=1, description="open connections of devices, all together")
    max_connections_per_address: int = Field(default=512, ge=1, description="open connections of one address")
    device_rate: float = Field(
        default=50.0,
        ge=0,
        description="requests a second that one device may make, a minute's worth at once, then 429; 0: no limit",
    )

    @model_validator(mode="after")
    def _both_or_none(self) -> Self:
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("tls_cert and tls_key go together: one is missing")
        return self


def _password_hash(secret: SecretStr) -> SecretStr:
    """What `pump passwd` prints; a password itself must not stand in a file."""
    if secret.get_secret_value() != UNOPENED and not is_hash(secret.get_secret_value()):
        raise ValueError("the line that `pump passwd` prints is wanted, not the password itself")
    return secret


class User(Settings):
    """[ops.users.NAME]: somebody who may sign in on the operators' page."""

    password: Annotated[Secret, AfterValidator(_password_hash)] = Field(
        description="the hash that `pump passwd` prints for it"
    )
    role: Literal["look", "act"] = Field(default="look", description="look, or also act: retry, restart, command")


class OpsSettings(Settings):
    """[ops]: the operators' page, /healthz, /readyz, /metrics, /status, /media and /commands."""

    listen: Listen = Field(default=Address("127.0.0.1:9090"), description="address and port")
    page: bool = Field(default=True, description="show the operators' page at /")
    hosts: tuple[Annotated[str, Field(pattern=r"^[A-Za-z0-9.-]+$")], ...] = Field(
        default=(), description="names by which browsers call the page; addresses and this machine's name always serve"
    )
    tls_cert: Path | None = Field(default=None, description="PEM file with the certificate and its chain")
    tls_key: Path | None = Field(default=None, description="PEM file with the certificate's key")
    trusted_proxies: tuple[Network, ...] = Field(
        default=(), description="networks of proxies whose X-Forwarded-For is believed"
    )
    users: dict[Annotated[str, Field(pattern=f"^{NAME}$")], User] = Field(
        default={}, description="who may sign in on the page, by name"
    )
    tokens: dict[Annotated[str, Field(pattern=f"^{NAME}$")], Secret] = Field(
        default={}, description="secrets by name, for Authorization: Bearer: pictures from elsewhere, commands"
    )

    @model_validator(mode="after")
    def _both_or_none(self) -> Self:
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("tls_cert and tls_key go together: one is missing")
        return self


class Grant(Settings):
    """[[commands.grants]]: these callers may do this to that."""

    callers: tuple[Annotated[str, Field(pattern=_CALLER)], ...] = Field(
        min_length=1,
        description='"socket", "token:NAME" of [ops.tokens], "user:NAME" of [ops.users], "mqtt", "mqtt:TOPIC", "nats", '
        '"nats:SUBJECT"; globs',
    )
    verbs: tuple[str, ...] = Field(
        min_length=1, description='verbs, such as "gate.open" or "gate.*"; "call" for pump call'
    )
    targets: tuple[Annotated[str, Field(min_length=1)], ...] = Field(
        min_length=1, description='subjects of devices, such as "camera/10000/*"; for pump call "call/NAME/GET/*"'
    )


class CommandSettings(Settings):
    """[commands]: who may have devices do something. Without a grant nobody may do anything."""

    dry_run: bool = Field(default=False, description="check, write down and answer commands, and send nothing")
    raw: bool = Field(default=False, description="pump call may make any call of a vendor's document, where granted")
    per_minute: float = Field(default=12.0, gt=0, le=600, description="commands a minute that one target takes")
    grants: tuple[Grant, ...] = Field(default=(), description="who may do what")


class MediaSettings(Settings):
    """[media]: where pictures are kept, and where they may be fetched from."""

    dir: Path = Field(default=Path("pump-state/media"), description="default: media in state_dir")
    max_bytes: Size = Field(default=4 << 30, ge=1 << 20, description="the most pictures take; the oldest go first")
    retention: Duration = Field(default=7 * 86400.0, gt=0, description="pictures are kept this long")
    fetch: bool = Field(default=True, description="fetch what events only link to, before the links die")
    hosts: tuple[PictureHost, ...] = Field(
        default=(),
        description='hosts that links may be fetched from beside the vendors\' own: "*.example.com", "10.0.0.5:8080"',
    )
    per_host: int = Field(default=4, ge=1, le=256, description="links of one host that are fetched at a time")
    at_once: int = Field(default=16, ge=1, le=1024, description="and of all hosts together")
    max_file: Size = Field(default=64 << 20, ge=1024, description="a larger picture or clip is not fetched")
    timeout: Duration = Field(default=30.0, gt=0, description="silence after which an answer is given up")


class Places(BaseModel):
    """The part that commands beside a running daemon need: the folder of its state and the address where it answers."""

    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True)

    site: str
    state_dir: Path
    state_named: bool = False
    """Whether the file or $STATE_DIRECTORY names it."""
    ops: OpsSettings


class Config(Places):
    """A whole pump.toml, checked. Every source has its time zone."""

    file: Path
    time_zone: ZoneInfo
    control_group: str | None = None
    clock_ahead: timedelta = AHEAD
    server: ServerSettings
    spool: SpoolSettings
    media: MediaSettings
    commands: CommandSettings
    sources: dict[str, SourceSettings]
    sinks: dict[str, SinkSettings]
    warnings: tuple[Problem, ...]
