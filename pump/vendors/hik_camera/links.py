"""Pictures and clips that a message names by an address: no part of the stream follows for these."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from pump.core.groups import Medium, group
from pump.vendors.common.fields import child, children
from pump.vendors.common.images import kind_of, mime_of_address
from pump.vendors.hik_camera.document import Leaf, Tree, leaves
from pump.vendors.hik_camera.fields import whole

MOST: Final = 32
"""The most pictures that a message is believed to bring."""

_ADDRESS: Final = re.compile(r"(?:https?|ftps?)://[^\s/?#]", re.IGNORECASE)
_NAMES: Final = ("url", "uri", "link")
"""The ends of the names of fields with addresses."""
_PICTURES: Final = ("pic", "image", "img", "photo")
"""Words in the names of fields that hold a picture, its address as well."""
_NO_MEDIA: Final = (
    "request", "callback", "notify", "stream", "rtsp", "server", "host", "web", "help", "upgrade", "firmware", "model",
    "certificat", "home",
)  # fmt: skip
"""Words in the names of addresses of something else."""
_KINDS: Final = (("video", "video"), ("clip", "video"), ("record", "video"), ("audio", "audio"), ("voice", "audio"))
"""Words in a field's name, and the kind of medium that it leads to; a picture where none is there."""
_COUNTS: Final = ("detectionPicturesNumber", "picturesNumber", "picNum", "pictureNumber", "imageNum")


def links(named: Sequence[Leaf], base: str | None) -> list[Medium]:
    """The media behind the addresses among these leaves, in their order, without ids; each address once.

    `base`: the device's own address, which completes "/picture/..."; without it such a path is no medium.
    """
    found: dict[str, Medium] = {}
    for _, name, value in named:
        if type(value) is not str or "/" not in value:
            continue
        lower = name.lower
        by_name = lower.endswith(_NAMES)
        if not (by_name or any(word in lower for word in _PICTURES)) or any(word in lower for word in _NO_MEDIA):
            continue
        address = _address(value, base if by_name else None)
        if address is None or address in found or len(found) >= MOST:
            continue
        kind = next((kind for word, kind in _KINDS if word in lower), "picture")
        mime = mime_of_address(address)
        if mime is not None and not mime.startswith("image/"):
            kind = kind_of(mime) or kind
        medium = group(Medium(id="", kind=kind, mime=mime, url=address, state="remote"))
        found[address] = medium or Medium()
    return list(found.values())


def pictures_to_come(
    tree: Tree, anpr: Tree | None, access: Tree | None, named: Sequence[Leaf], by_address: bool
) -> int | None:
    """The number of pictures that follow the message as parts of their own, None where it does not say.

    `named` are its leaves, `anpr` and `access` the objects of it that may say so too. `by_address`: it has addresses of
    pictures.
    """
    way = _way(named)
    if way == "url":
        return 0
    listed = child(anpr, "pictureInfoList") or child(tree, "pictureInfoList")
    infos = None if listed is None else children(listed, "pictureInfo")
    if by_address and way is None:
        return min(MOST, sum(1 for info in infos or () if not links(leaves(info), "")))
    count = whole(tree, *_COUNTS)
    if count is None:
        count = whole(anpr, *_COUNTS)
    if count is None:
        count = whole(access, *_COUNTS)
    if count is None and infos is not None:
        count = sum(1 for info in infos if not links(leaves(info), ""))
    return None if count is None else max(0, min(MOST, count))


def _way(named: Sequence[Leaf]) -> str | None:
    """The way in which the pictures are sent, "url" or "binary", where the message says so anywhere."""
    for _, name, value in named:
        if name.way and type(value) is str:
            if "url" in value.lower():
                return "url"
            if value.strip():
                return "binary"
    return None


def _address(value: str, base: str | None) -> str | None:
    stripped = value.strip()
    if _ADDRESS.match(stripped):
        return stripped
    if base is not None and stripped.startswith("/") and not stripped.startswith("//"):
        return base.rstrip("/") + stripped
    return None
