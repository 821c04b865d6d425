"""The characters of a value as they are written: plain, or as an escape of JSON, XML or an address.

A stand-in is written in the same form and with as many bytes, so that lengths and borders of a message stay what they
were.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote_to_bytes

Unit = tuple[str, str]
"""A character, and how it is written."""

_SIMPLE: Final = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}
_NAMED: Final = {"&amp;": "&", "&lt;": "<", "&gt;": ">", "&quot;": '"', "&apos;": "'"}
_JSON: Final = re.compile(r"\\u[0-9a-fA-F]{4}|\\.|[^\\]|\\", re.DOTALL)
_XML: Final = re.compile(r"&#[0-9]+;|&#x[0-9a-fA-F]+;|&\w+;|.", re.DOTALL)
_ADDRESS: Final = re.compile(r"(?:%[0-9a-fA-F]{2})+|[^%]|%", re.DOTALL)


def _json_units(text: str) -> list[Unit]:
    found = []
    for raw in _JSON.findall(text):
        if raw[:2] == "\\u" and len(raw) == 6:
            found.append((chr(int(raw[2:], 16)), raw))
        else:
            found.append((_SIMPLE.get(raw[-1], raw[-1]) if len(raw) == 2 else raw, raw))
    return found


def _json_written(new: str, raw: str) -> str:
    return new if raw[:2] != "\\u" or len(raw) != 6 else f"\\u{ord(new):04x}" if new <= "\uffff" else ""


def _xml_units(text: str) -> list[Unit]:
    found = []
    for raw in _XML.findall(text):
        char = raw
        if raw[:2] == "&#":
            number = int(raw[3:-1], 16) if raw[2] == "x" else int(raw[2:-1])
            char = chr(number) if 0 < number < 0x110000 else " "
        elif len(raw) > 1:
            char = _NAMED.get(raw, " ")
        found.append((char, raw))
    return found


def _xml_written(new: str, raw: str) -> str:
    if raw[:2] == "&#" and len(raw) > 3:
        return f"&#x{ord(new):0{len(raw) - 4}x};" if raw[2] == "x" else f"&#{ord(new):0{len(raw) - 3}d};"
    return new


def _address_units(text: str) -> list[Unit]:
    found = []
    for raw in _ADDRESS.findall(text):
        if len(raw) < 3:
            found.append((raw, raw))
            continue
        content = unquote_to_bytes(raw)
        try:
            chars = [(each, 3 * len(each.encode())) for each in content.decode()]
        except UnicodeDecodeError:
            chars = [(chr(each), 3) for each in content]
        place = 0
        for each, length in chars:
            found.append((each, raw[place : place + length]))
            place += length
    return found


def _address_written(new: str, raw: str) -> str:
    if raw[:1] != "%" or len(raw) == 1:
        return new
    return "".join(f"%{each:02X}" for each in new.encode("utf-8", "replace"))


@dataclass(frozen=True)
class Form:
    """A way to write characters."""

    split: Callable[[str], list[Unit]]
    written: Callable[[str, str], str]
    """How a character is written in the place of what was written there before."""
    filler: Callable[[int], str]
    """An x, or several, of so many bytes."""


PLAIN: Final = Form(lambda text: [(each, each) for each in text], lambda new, raw: new, lambda size: "x" * size)
JSON: Final = Form(_json_units, _json_written, lambda size: "\\u0078" if size == 6 else "x" * size)
XML: Final = Form(_xml_units, _xml_written, lambda size: "x" * size)
ADDRESS: Final = Form(
    _address_units, _address_written, lambda size: "%78" * (size // 3) if size % 3 == 0 else "x" * size
)


def rewritten(units: list[Unit], new: str, form: Form, codec: str) -> str:
    """The new characters, each in the place of an old one and as many bytes long."""
    parts = []
    for (old, raw), each in zip(units, new, strict=True):
        if old == each:
            parts.append(raw)
            continue
        made, size = form.written(each, raw), _size(raw, codec)
        parts.append(made if _size(made, codec) == size else form.filler(size))
    return "".join(parts)


def _size(text: str, codec: str) -> int:
    return len(text.encode(codec, "replace"))
