"""The types that settings are made of: durations, sizes, secrets, and the bases of a source's and a sink's settings.

Pydantic serves settings only; no model object is ever made for an event.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from pump.core.errors import Absent
from pump.core.files import given
from pump.core.naming import Named, NameTable, devices_of
from pump.core.text import words_of

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)(B|KiB|MiB|GiB|TiB)")
_BYTES = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
_ENVIRONMENT = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


UNOPENED = "a secret that was not opened"


def parse_duration(text: object) -> float:
    """Seconds of "500ms", "30s", "5m", "12h" or "7d"; seconds given as a number are refused, for they need a unit."""
    found = _DURATION.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        raise ValueError('a duration such as "500ms", "30s", "5m", "12h" or "7d" is wanted')
    return float(found[1]) * _SECONDS[found[2]]


def parse_size(text: object) -> int:
    """Bytes of "512B", "256KiB", "64MiB" or "4GiB"."""
    found = _SIZE.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        raise ValueError('a size such as "256KiB", "64MiB" or "4GiB" is wanted')
    return int(float(found[1]) * _BYTES[found[2]])


def duration_text(seconds: float) -> str:
    """The duration in its largest whole unit: 90.0 is "90s", 7200.0 is "2h", 0.5 is "500ms"."""
    for unit, length in reversed(_SECONDS.items()):
        if seconds and seconds % length == 0:
            return f"{seconds / length:.0f}{unit}"
    return f"{seconds:g}s"


def size_text(size: int) -> str:
    """The size in its largest whole unit: 16777216 is "16MiB"."""
    unit, length = next((pair for pair in reversed(_BYTES.items()) if size and size % pair[1] == 0), ("B", 1))
    return f"{size // length}{unit}"


def parse_zone(name: object) -> ZoneInfo:
    """A time zone of the IANA database, by name."""
    if isinstance(name, ZoneInfo):
        return name
    try:
        return ZoneInfo(name)  # type: ignore[arg-type]  # a wrong type is one of the errors told below
    except (ValueError, TypeError, OSError) as error:  # ZoneInfoNotFoundError is a KeyError with a path in it
        raise ValueError('a time zone such as "Europe/Paris" is wanted') from error
    except KeyError:
        raise ValueError('a time zone such as "Europe/Paris" is wanted') from None


def resolve_secret(value: object, info: ValidationInfo) -> object:
    """The secret that "${NAME}", { file = "…" } or { credential = "…" } names; any other text is the secret itself.

    The validation's context may carry `environ`; without it the process's own environment is read. Errors name
    the place that was looked at, never what was found there. With `unopened` in the context no place is looked at,
    and UNOPENED stands for what it holds; with a list `absent_credentials` it does so for credentials where systemd
    gave no folder, and their names are added to the list.
    """
    unopened = bool((info.context or {}).get("unopened"))
    environ: Mapping[str, str] = (info.context or {}).get("environ", os.environ)
    if isinstance(value, SecretStr):
        return value
    if isinstance(value, str):
        found = _ENVIRONMENT.fullmatch(value)
        if found is None:
            if value.startswith("${"):
                raise ValueError('a variable of the environment such as "${NAME}" and nothing beside it is wanted')
            if not value.strip():
                raise ValueError("it is empty: leave it out, or say it")
            return value
        if unopened:
            return UNOPENED
        if not environ.get(found[1]):
            raise ValueError(f"the environment has no {found[1]}")
        return environ[found[1]]
    if isinstance(value, dict) and len(value) == 1:
        ((place, name),) = value.items()
        if unopened and place in ("file", "credential") and isinstance(name, str):
            return UNOPENED
        if place == "file" and isinstance(name, str):
            return _read_secret(Path(name), f"the file {name}")
        if place == "credential" and isinstance(name, str):
            folder = environ.get("CREDENTIALS_DIRECTORY")
            if not folder and (absent := (info.context or {}).get("absent_credentials")) is not None:
                absent.append(name)
                return UNOPENED
            if not folder:
                raise ValueError(f"the credential {name} needs systemd's $CREDENTIALS_DIRECTORY, which is not set")
            return _read_secret(Path(folder) / name, f"the credential {name}")
    raise ValueError('a text, "${NAME}", { file = "…" } or { credential = "…" } is wanted')


_LONGEST_SECRET = 64 << 10


def _read_secret(path: Path, what: str) -> str:
    try:
        content = given.read(path, _LONGEST_SECRET)
        text = content.decode().strip()
    except OSError as error:
        raise Absent(f"{what} cannot be read: {words_of(error)}") from None
    except ValueError as error:
        raise ValueError(f"{what} cannot be read: {words_of(error)}") from None
    if len(content) > _LONGEST_SECRET:
        raise ValueError(f"{what} is too long for a secret: a device, or another file?")
    if not text:
        raise ValueError(f"{what} is empty")
    return text


def note_secret(secret: SecretStr, info: ValidationInfo) -> SecretStr:
    """Add the secret to the list `secrets` of the validation's context, so that logs can be kept clean of it."""
    noted: list[str] | None = (info.context or {}).get("secrets")
    if noted is not None:
        noted.append(secret.get_secret_value())
    return secret


_SECRET_SCHEMA: dict[str, Any] = {
    "anyOf": [
        {"type": "string"},
        {
            "type": "object",
            "properties": {"file": {"type": "string"}},
            "required": ["file"],
            "additionalProperties": False,
        },
        {
            "type": "object",
            "properties": {"credential": {"type": "string"}},
            "required": ["credential"],
            "additionalProperties": False,
        },
    ]
}

DURATION_SCHEMA: dict[str, Any] = {"type": "string", "pattern": f"^{_DURATION.pattern}$"}
SIZE_SCHEMA: dict[str, Any] = {"type": "string", "pattern": f"^{_SIZE.pattern}$"}

Duration = Annotated[float, BeforeValidator(parse_duration), WithJsonSchema(DURATION_SCHEMA)]
Size = Annotated[int, BeforeValidator(parse_size), WithJsonSchema(SIZE_SCHEMA)]
Zone = Annotated[ZoneInfo, BeforeValidator(parse_zone), WithJsonSchema({"type": "string"})]
Secret = Annotated[
    SecretStr, BeforeValidator(resolve_secret), AfterValidator(note_secret), WithJsonSchema(_SECRET_SCHEMA)
]
Severity = Literal["info", "notice", "warning", "critical"]
MaskWith = Literal["drop", "hash", "mask"]
_MASKABLE = re.compile(r"subject|data(\.(\*|[A-Za-z0-9_$-]+))+")


class Settings(BaseModel):
    """Base of every table of pump.toml: unknown keys are errors, nothing changes after it was read."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True, hide_input_in_errors=True)

    def identity(self) -> str | None:
        """The thing that two enabled tables of one `type` must not share (an account, an output file); None: nothing.

        It may be made of secrets, and is never shown.
        """
        return None

    def warnings(self) -> list[str]:
        """Settings that are allowed and yet probably not meant; each a sentence for `pump check`, without secrets."""
        return []


class SourceSettings(Settings):
    """The keys that every `[sources.NAME]` table has."""

    fleet: ClassVar[Literal["", "devices", "gateways"]] = ""
    """What one table may name many of by its `devices` (`pump.config.fleet`), each a source of its own."""

    type: str
    enabled: bool = True
    time_zone: Zone | None = Field(default=None, description="for times without an offset; default: [pump] time_zone")
    names: NameTable = Field(
        default_factory=dict, description="names and places of devices, channels, zones and partitions; or a CSV file"
    )

    def named(self) -> Mapping[str, Named]:
        """The rows that name what the vendor does not, by key (`pump.core.naming`)."""
        return self.names

    def named_devices(self) -> frozenset[str]:
        """The devices that the table names, as the device table has them: "park/device", or "device" in any park."""
        return frozenset(devices_of(self.named()))


class SinkSettings(Settings):
    """The keys that every `[sinks.NAME]` table has."""

    type: str
    enabled: bool = True
    types: tuple[str, ...] = Field(default=("*",), description="globs of event types to take; * crosses dots")
    exclude_types: tuple[str, ...] = Field(default=(), description="globs of event types to leave out")
    sources: tuple[str, ...] = Field(default=("*",), description="globs of source names to take")
    exclude_sources: tuple[str, ...] = Field(default=(), description="globs of source names to leave out")
    sites: tuple[str, ...] = Field(default=("*",), description="globs of sites to take: /<site>/… in an event's source")
    min_severity: Severity = "info"
    raw: bool | None = Field(
        default=None, description="whether data.raw, the vendor's own message, goes along; default: only without mask"
    )
    mask: tuple[str, ...] = Field(
        default=(), description='paths of what is personal, such as "data.vehicle.plate"; * is any one name or index'
    )
    mask_with: MaskWith = Field(
        default="mask", description="what becomes of it: left out, a keyed hash (equal stays equal), or asterisks"
    )
    mask_key: Secret | None = Field(default=None, description='the key of mask_with = "hash"')
    hold: bool = Field(default=True, description="whether retention waits for this sink")
    start: Literal["oldest", "now"] = Field(default="oldest", description="where a new sink begins")
    batch_size: int = Field(default=500, ge=1, le=5000)
    wait_media: Duration = Field(
        default=0.0, le=3600.0, description="an event waits for its pictures, so long after it arrived at the most"
    )
    timeout: Duration = Field(default=30.0, description="a send that takes longer is cancelled and the sink restarted")

    @field_validator("mask")
    @classmethod
    def _paths(cls, paths: tuple[str, ...]) -> tuple[str, ...]:
        for path in paths:
            if not _MASKABLE.fullmatch(path):
                raise ValueError(f'"{path}" is no path of something that may be masked: "subject" or "data." and names')
        return paths

    @model_validator(mode="after")
    def _a_hash_has_a_key(self) -> Self:
        if self.mask and self.mask_with == "hash" and self.mask_key is None:
            raise ValueError('mask_with = "hash" needs mask_key: without one, plates are soon guessed')
        return self

    def type_globs(self) -> Mapping[str, tuple[str, ...]]:
        """By key, the settings that are globs of event types."""
        return {"types": self.types, "exclude_types": self.exclude_types}

    @property
    def keeps_raw(self) -> bool:
        """True where data.raw goes along. Said by `raw`; else not where something is masked that it may repeat."""
        return not self.mask if self.raw is None else self.raw

    def command_callers(self, site: str) -> tuple[str, ...]:
        """The beginnings of the callers whose commands may come by this sink's peer, such as
        "mqtt:pump/<site>/command/"; none: it takes no commands."""
        return ()

    def endpoint_digest(self) -> str:
        """The identity of the receiver, for a sink that it may switch off; a digest, for it is stored."""
        return ""

    @property
    def read_limit(self) -> int:
        """The most records that one `send` is given."""
        return self.batch_size

    @property
    def deadline(self) -> float:
        """Seconds that one `send` may take."""
        return self.timeout

    def warnings(self) -> list[str]:
        """Settings that undo one another."""
        told = super().warnings()
        if self.mask and self.raw:
            told.append("raw = true hands on the vendor's own message, which may hold what mask hides")
        return told
