"""Pictures inside messages (picInfo): taken out, decoded, and told by their first bytes. No I/O."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import Any, Final

import pybase64

from pump.ingest.push import body as values
from pump.vendors.avaeye import codes

MOST: Final = 16
"""Pictures of one record; the vendor's cameras send two."""

_MAGIC: Final = (
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"BM", "image/bmp"),
    (b"GIF8", "image/gif"),
)
_BLANKS: Final = str.maketrans("", "", " \t\r\n")
_WEB: Final = str.maketrans("-_", "+/")


@dataclass(slots=True)
class Picture:
    """One picture, as it came."""

    id: str
    """Of the media entry: the event's id and a number."""
    kind: str | int
    data: str
    """Base64; empty where there is only a link."""
    url: str | None


def take(params: dict[str, Any], event: str) -> list[Picture]:
    """Take the pictures out of a message's params, which it changes: `{"$media": id}` stands where data stood."""
    info = params.get("picInfo")
    if type(info) is dict:
        info = [info]
    if type(info) is not list:
        return []
    found: list[Picture] = []
    for entry in info[:MOST]:
        if type(entry) is not dict:
            continue
        data, url = entry.get("data"), values.text(entry.get("url"))
        if (type(data) is not str or not data) and url is None:
            continue
        picture = Picture(f"{event}/{len(found)}", _kind(entry), data if type(data) is str else "", url)
        if picture.data:
            entry["data"] = {"$media": picture.id}
        found.append(picture)
    return found


def _kind(entry: dict[str, Any]) -> str | int:
    code = values.whole(entry.get("type"))
    return "picture" if code is None else codes.PHOTOS.get(code, "picture")


def decoded(data: str) -> bytes | None:
    """The bytes of a picture's base64: wrapped, unpadded, of either alphabet, with a data: prefix, or encoded twice.

    None for what is no base64.
    """
    content = _decode(data)
    if content is not None and mime(content) is None and content[:4] in _ENCODED:
        again = _decode(content.decode("ascii", "replace"))
        if again is not None and mime(again) is not None:
            return again
    return content


_ENCODED: Final = frozenset(base64.b64encode(magic + b"\0\0\0")[:4] for magic, _ in _MAGIC)
"""How base64 of a picture begins."""


def _decode(data: str) -> bytes | None:
    try:
        return pybase64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        pass
    if data.startswith("data:"):
        data = data.partition(",")[2]
    data = data.translate(_BLANKS).translate(_WEB).rstrip("=")
    try:
        return pybase64.b64decode(data + "=" * (-len(data) % 4), validate=True) or None
    except (binascii.Error, ValueError):
        return None


def mime(content: bytes) -> str | None:
    """The kind of picture by its first bytes; None for what is none of those that cameras send."""
    for magic, name in _MAGIC:
        if content.startswith(magic):
            return name
    return None
