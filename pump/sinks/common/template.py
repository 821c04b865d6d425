"""Topics and subjects made of an event's fields: what a value holds can never change their form."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final
from urllib.parse import unquote

from pump.core.record import Record
from pump.core.routing import site_of
from pump.core.taxonomy import SEVERITIES

_PLACE: Final = re.compile(r"\{([^{}:]*)(?::([^{}]*))?\}")
_FIELD: Final = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*")
_PLAIN: Final = ("site", "source", "type", "severity", "subject", "id", "time", "recordedtime")
_NAMES: Final = {rank: name for name, rank in SEVERITIES.items()}
_NOTHING: Final = "_"
"""The stand-in for a field that an event has not: an empty level would vanish or be refused."""
_LEVEL: Final = 128
"""Bytes of one level; a longer value keeps its beginning and gets a digest."""
_LEVELS: Final = 12
"""Levels of one value; what is left stands in the last."""
_REMEMBERED: Final = 1024
"""Characters of a value whose written form is remembered."""
_DIGEST: Final = 12
"""Hexadecimal digits of a digest."""


@dataclass(frozen=True)
class Dialect:
    """The way in which one protocol writes levels."""

    separator: str
    special: frozenset[str]
    """Characters with a meaning, escaped beside controls and "%"; the separator is one of them."""
    spaces: bool
    """True where a level may hold spaces."""
    most: int
    """Bytes of the whole."""


MQTT: Final = Dialect("/", frozenset("/+#"), spaces=True, most=4096)
"""MQTT 5, section 4.7: levels, wildcards; 1.5.4: what UTF-8 strings may not hold."""
NATS: Final = Dialect(".", frozenset(".*>"), spaces=False, most=1024)
"""Subjects go into a control line, which servers limit to 4096 bytes."""


class Template:
    """Text with fields in braces: `pump/{site}/{type}/{subject:levels}`.

    A field is `site`, `source` (the source's name), `type`, `severity`, `subject`, `id`, `time`, `recordedtime`, or a
    path into the event: `data.place.lot`. Its value becomes one level: what would part, match or break is percent
    encoded. With `:levels` the value's own "/" (and a type's dots) part levels. A missing field is `_`.
    """

    def __init__(self, text: str, dialect: Dialect, site: str = "site") -> None:
        """Raises ValueError for what could never be published."""
        self.dialect = dialect
        self._parts: list[tuple[str, tuple[str, ...], bool]] = []
        end = 0
        for found in _PLACE.finditer(text):
            self._check(text[end : found.start()])
            self._parts.append((text[end : found.start()], *self._place(found[1], found[2])))
            end = found.end()
        self._check(text[end:])
        self._tail = text[end:]
        self._site = site
        self.decodes = any(path[0] not in {"site", "source", "type", "severity"} for _, path, _ in self._parts)
        """True where the event itself is needed, beside its record."""
        shown = _PLACE.sub("x", text)
        if any(not level for level in shown.split(dialect.separator)):
            raise ValueError(f'"{text}" has an empty level')
        if shown.startswith("$"):
            raise ValueError('what begins with "$" belongs to the server')

    def fill(self, record: Record, event: Mapping[str, Any]) -> str:
        """The topic of an event; `event` may be empty where `decodes` is false."""
        filled = []
        for before, path, levels in self._parts:
            filled.append(before)
            value = self._value(path, record, event)
            written = _written if len(value) <= _REMEMBERED else _written.__wrapped__
            filled.append(written(value, levels, path[0] == "type", self.dialect))
        filled.append(self._tail)
        text = "".join(filled)
        if text[0] == "$":
            text = "%24" + text[1:]
        return text if len(text) * 4 <= self.dialect.most else _cut(text, self.dialect.most)

    def _value(self, path: tuple[str, ...], record: Record, event: Mapping[str, Any]) -> str:
        match path[0]:
            case "site":
                return site_of(record.body) or self._site
            case "source":
                return record.source
            case "type":
                return record.type
            case "severity":
                return _NAMES[record.severity]
        value: Any = event
        for name in path:
            value = value.get(name) if isinstance(value, dict) else None
        if isinstance(value, bool):
            return "true" if value else "false"
        return str(value) if isinstance(value, (str, int, float)) else ""

    def _check(self, text: str) -> None:
        if "{" in text or "}" in text:
            raise ValueError("a field is written {type} or {data.place.lot}")
        wrong = [sign for sign in text if sign != self.dialect.separator and _unsafe(sign, self.dialect)]
        if wrong:
            raise ValueError(f"{wrong[0]!a} cannot stand here")

    @staticmethod
    def _place(field: str, form: str | None) -> tuple[tuple[str, ...], bool]:
        path = tuple(field.split("."))
        if not _FIELD.fullmatch(field) or not (field in _PLAIN or (path[0] == "data" and len(path) > 1)):
            raise ValueError(f"no event has {{{field}}}: {', '.join(_PLAIN)} or data.… are there")
        if form not in (None, "levels"):
            raise ValueError(f'":{form}" is unknown; ":levels" keeps the value\'s own levels')
        return path, form == "levels"


def written(value: str, dialect: Dialect) -> str:
    """A value with its own levels, as a field with `:levels` has it."""
    return _written(value, True, False, dialect)


def read_back(text: str, dialect: Dialect) -> str | None:
    """The value that `written` writes so; None where it writes none so: each value has one form alone."""
    try:
        value = "/".join(unquote(level, errors="strict") for level in text.split(dialect.separator))
    except UnicodeDecodeError:
        return None
    return value if len(text) <= _REMEMBERED and _written.__wrapped__(value, True, False, dialect) == text else None


def _unsafe(sign: str, dialect: Dialect) -> bool:
    """True where the protocol forbids it, or gives it a meaning; escapes begin with "%"."""
    code = ord(sign)
    return (
        code < 0x20
        or 0x7F <= code < 0xA0
        or 0xD800 <= code < 0xE000
        or 0xFDD0 <= code < 0xFDF0
        or code & 0xFFFE == 0xFFFE
        or sign == "%"
        or sign in dialect.special
        or (sign.isspace() and not (sign == " " and dialect.spaces))
    )


@lru_cache(maxsize=4096)
def _written(value: str, levels: bool, dotted: bool, dialect: Dialect) -> str:
    if not levels:
        return _level(value, dialect)
    parts = (value.replace(".", "/") if dotted else value).split("/", _LEVELS - 1)
    return dialect.separator.join(_level(part, dialect) for part in parts)


def _level(value: str, dialect: Dialect) -> str:
    if not value:
        return _NOTHING
    text = "".join(_escape(sign) if _unsafe(sign, dialect) else sign for sign in value)
    return _cut(text, _LEVEL)


def _escape(sign: str) -> str:
    return "".join(f"%{byte:02X}" for byte in sign.encode("utf-8", "surrogatepass"))


def _cut(text: str, most: int) -> str:
    """At most `most` bytes of UTF-8: two long values that begin alike stay apart by their digests."""
    whole = text.encode()
    if len(whole) <= most:
        return text
    begin = re.sub(r"%.?$", "", whole[: most - _DIGEST - 1].decode(errors="ignore"))
    return f"{begin}~{hashlib.blake2b(whole, digest_size=_DIGEST // 2).hexdigest()}"
