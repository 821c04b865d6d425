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


_seen: dict[str, bool] = {}
"""Keys met before, and whether their values are secrets: messages repeat a few dozen keys for ever."""
_SEEN_MOST: Final = 2048
_SEEN_LONGEST: Final = 64
"""Characters; whoever sends makes up keys as long as a body, and such a one is looked at anew each time."""


def _is_secret(key: str) -> bool:
    found = key.lower().replace("_", "").replace("-", "") in SECRETS
    if len(key) <= _SEEN_LONGEST:
        if len(_seen) >= _SEEN_MOST:
            _seen.clear()
        _seen[key] = found
    return found


def strip(value: Any) -> Any:
    """The message without secrets; the same object where it holds none."""
    if type(value) is dict:
        changed: dict[str, Any] | None = None
        seen = _seen.get
        for key, inner in value.items():
            if seen(key) or (key not in _seen and _is_secret(key)):
                kept: Any = HIDDEN if inner not in (None, "", {}) else inner
            elif type(inner) is dict or type(inner) is list:
                kept = strip(inner)
            else:
                continue
            if kept is not inner:
                changed = changed if changed is not None else dict(value)
                changed[key] = kept
        return value if changed is None else changed
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
