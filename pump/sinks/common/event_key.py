"""An event's name for peers that drop repeats: a hash of source and id, for an id is unique in its source alone."""

from __future__ import annotations

import hashlib
import re
from typing import Final

import orjson

_HEAD: Final = re.compile(rb'\{"specversion":"1\.0","id":"([^"\\]*)","source":"([^"\\]*)",')
"""The beginning of an encoded event (`pump.core.event`) whose id and source need no escapes; all others are decoded."""


def name_of(body: bytes, fresh: str = "") -> str:
    """32 hexadecimal digits, the same for the same event whenever and by whomever it is sent.

    `fresh`: a replay's own mark, with which the name is another one, and the same over that replay's retries.
    """
    found = _HEAD.match(body)
    if found is not None:
        id_, source = found[1], found[2]
    else:
        event = orjson.loads(body)
        id_, source = str(event["id"]).encode(), str(event["source"]).encode()
    more = b"\0" + fresh.encode() if fresh else b""
    return hashlib.blake2b(source + b"\0" + id_ + more, digest_size=16).hexdigest()
