"""What must never be kept (keys of the customer's storage, broker, cloud), taken out of messages and of their ruins."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from pump.vendors.avaeye.codes import SECRETS

HIDDEN: Final = "*****"
_BESIDE: Final = ("user", "username", "reqtopic", "endpoint")
"""What stands among the secrets, and is hidden where nothing shows that it does not."""
_NAMES: Final = "|".join(sorted((*SECRETS, *_BESIDE), key=len, reverse=True))
_STARTS: Final = tuple(name.encode() for name in (*SECRETS, *_BESIDE))
# In a body that is no JSON a secret is whatever stands behind its key: a string, even one that never ends, a whole
# object, or a bare word. Curly quotes are three bytes in UTF-8 and two in GBK, so that they are found as what they are
# not: neither letters nor syntax.
_RUIN: Final = re.compile(
    rb"(?i)(?P<key>(?:%s)[^\w{\[:=]{0,8}[:=]\s*)"
    rb'(?:"(?:[^"\\]|\\.)*(?:"|\Z)|\{[^}]*(?:\}|\Z)|[^,}\]&\n]+)' % _NAMES.encode(),
    re.DOTALL,
)


_harmless: set[str] = set()
"""Keys met before whose values are no secrets: messages repeat a few dozen keys for ever."""
_HARMLESS_MOST: Final = 2048
_LONGEST: Final = 64
"""Characters; whoever sends makes up keys as long as a body, and such a one is looked at anew each time."""


def _is_secret(key: str) -> bool:
    if key.lower().replace("_", "").replace("-", "") in SECRETS:
        return True
    if len(key) <= _LONGEST:
        if len(_harmless) >= _HARMLESS_MOST:
            _harmless.clear()
        _harmless.add(key)
    return False


def strip(value: Any) -> Any:
    """The message without secrets; the same object where it holds none."""
    if type(value) is dict:
        changed: dict[str, Any] = {}
        if not _harmless.issuperset(value):  # in one step for all keys of nearly every message
            changed = {key: HIDDEN for key, inner in value.items() if _is_secret(key) and inner not in (None, "", {})}
        for key, inner in value.items():
            if (type(inner) is dict or type(inner) is list) and key not in changed:
                kept = strip(inner)
                if kept is not inner:
                    changed[key] = kept
        return {**value, **changed} if changed else value
    if type(value) is list:
        found = [strip(inner) if type(inner) is dict or type(inner) is list else inner for inner in value]
        return value if all(new is old for new, old in zip(found, value, strict=True)) else found
    return value


def strip_ruin(body: bytes) -> bytes:
    """The same for a body that could not be read."""
    small = body.lower()
    # looking for the names first is a hundred times as quick as trying the expression at each byte
    places = sorted({place for name in _STARTS for place in _found(small, name)})
    parts, end = [], 0
    for place in places:
        if place >= end and (match := _RUIN.match(body, place)) is not None:
            parts += [body[end:place], match["key"], b'"', HIDDEN.encode(), b'"']
            end = match.end()
    return b"".join([*parts, body[end:]]) if parts else body


def _found(text: bytes, name: bytes) -> Iterator[int]:
    place = text.find(name)
    while place >= 0:
        yield place
        place = text.find(name, place + 1)
