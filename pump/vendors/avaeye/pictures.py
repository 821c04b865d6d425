"""Pictures inside messages (picInfo): taken out, decoded, and told by their first bytes. No I/O."""

from __future__ import annotations

import base64
import binascii
import secrets
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import pybase64

from pump.vendors.avaeye import codes
from pump.vendors.common import values
from pump.vendors.common.images import MAGIC, mime_of

MOST: Final = 16
"""Pictures of one record; the vendor's cameras send two."""

_LISTS: Final = frozenset(
    ("picinfo", "picinfos", "picinfolist", "pictureinfo", "pictureinfos", "imageinfo", "pictures")
)
"""picInfo as it is spelled (`_plain`); the document's one, and what stands for it elsewhere."""
_DATA: Final = ("data", "picdata", "imagedata", "picturedata", "base64", "content", "image", "picture")
_URL: Final = ("url", "picurl", "imageurl", "pictureurl", "uri")
_SHORTEST: Final = 64
"""Characters of a bare text that may be a picture's base64."""
_LONGEST: Final = 24
"""Characters of a key that may be one of ours."""
_LARGE: Final = 4 << 10
"""Characters of a text from which a body is read around it."""
_TEXTS: Final = 1_000
"""Quotes of such a body: there are two of each key and text."""
_LEFT: Final = 16 << 10
"""Bytes of it beside those texts."""
_MARK: Final = secrets.token_hex(_SHORTEST // 2)
"""What stands in a text's place: as long as a picture's must be, and nobody can know it."""
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
    content: bytes | None = None
    """Of `data`, where that was decoded as the message was read."""


def cut(body: bytes) -> tuple[bytes, dict[str, bytes]] | None:
    """The body with a mark in the place of each large text that is base64 and nothing else, and the marks' contents.

    None where there is no such text, or too much beside them. JSON made of 267 KB of base64 costs ten times what it
    takes to step over it and decode it where it stands. Whoever reads on must find each mark as a whole value: a text
    that only seems to begin at a quote is none.
    """
    contents: dict[str, bytes] = {}
    parts, kept, begin = [], 0, 0
    whole = memoryview(body)
    for _ in range(_TEXTS):
        end = body.find(b'"', begin)
        if end < 0:
            break
        if end - begin >= _LARGE:
            if len(contents) == MOST:
                return None
            mark = f"{_MARK}{len(contents)}"
            try:
                contents[mark] = pybase64.b64decode(whole[begin:end], validate=True)
            except (binascii.Error, ValueError):
                return None
            parts += [body[kept:begin], mark.encode()]
            kept = end
        begin = end + 1
    else:
        return None
    if not contents or len(body) - kept > _LEFT:
        return None
    rest = b"".join([*parts, body[kept:]])
    return (rest, contents) if len(rest) <= _LEFT else None


def take(message: dict[str, Any], inner: dict[str, Any], event: str) -> list[Picture]:
    """Take the pictures out of a message, which it changes: `{"$media": id}` stands where data stood.

    They stand in `inner`, its params or data, and by some firmware beside that; a list of them or a single one.
    """
    found: list[Picture] = []
    for place in (inner,) if inner is message else (inner, message):
        if _others.issuperset(place):  # in one step for all keys of nearly every message
            continue
        for key in [name for name in place if _is_list(name)]:
            listed = place[key]
            if type(listed) is list:
                listed[:MOST] = [_taken(entry, event, found) for entry in listed[:MOST]]
            else:
                place[key] = _taken(listed, event, found)
    return found


def _taken(entry: Any, event: str, found: list[Picture]) -> Any:
    """What stands for the entry in the message; its picture is added to `found`."""
    if len(found) >= MOST:
        return entry
    id_ = f"{event}/{len(found)}"
    if type(entry) is str:
        data, url = _apart(entry, None)
        if url is None and len(entry) < _SHORTEST:
            return entry  # a word, and no picture
        found.append(Picture(id_, "picture", data, url))
        return {"$media": id_} if data else entry
    if type(entry) is not dict:
        return entry
    keys = {_plain(name): name for name in entry}
    data_key, url_key = (next((keys[name] for name in names if name in keys), "") for names in (_DATA, _URL))
    data, url = _apart(entry.get(data_key), entry.get(url_key))
    if not data and url is None:
        return entry
    found.append(Picture(id_, _kind(entry.get(keys.get("type", "")) or entry.get(keys.get("pictype", ""))), data, url))
    for key in (data_key, url_key):
        if data and key and _apart(entry[key], None)[0]:
            entry[key] = {"$media": id_}
            break
    return entry


def _apart(data: Any, link: Any) -> tuple[str, str | None]:
    """The base64 and the address of an entry, whichever of its two fields each of them stands in."""
    if type(link) is str and link.lstrip()[:5].lower() == "data:":
        found, url = link.strip(), None
    else:
        found, url = "", values.link(link)
    if type(data) is str and data:
        if data[:8].lower().startswith(("http://", "https://", "ftp://")):
            url = url or values.link(data)
        else:
            found = data
    return found, url


_others: set[str] = set()
"""Keys met before under which no pictures stand: messages repeat a few dozen keys for ever."""
_OTHERS_MOST: Final = 2048


def _is_list(key: str) -> bool:
    if _plain(key) in _LISTS:
        return True
    if len(key) <= _LONGEST:
        if len(_others) >= _OTHERS_MOST:
            _others.clear()
        _others.add(key)
    return False


@lru_cache(2048)
def _spelled(key: str) -> str:
    return key.lower().replace("_", "").replace("-", "")


def _plain(key: str) -> str:
    """A key without its spelling: picInfo, PicInfo, pic_info. Long ones are none of ours, and are not remembered."""
    return _spelled(key) if len(key) <= _LONGEST else key


def _kind(type_: Any) -> str:
    code = values.whole(type_)
    return "picture" if code is None else codes.PHOTOS.get(code, "picture")


def decoded(picture: Picture) -> bytes | None:
    """The bytes of its base64: wrapped, unpadded, of either alphabet, with a data: prefix, or encoded twice.

    None for what is no base64.
    """
    content = _decode(picture.data) if picture.content is None else picture.content
    if content is not None and mime_of(content) is None and content[:4] in _ENCODED:
        again = _decode(content.decode("ascii", "replace"))
        if again is not None and mime_of(again) is not None:
            return again
    return content


_ENCODED: Final = frozenset(base64.b64encode(magic + b"\0\0\0")[:4] for magic, _ in MAGIC)
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
