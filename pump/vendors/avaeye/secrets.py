"""What must never be kept (keys of the customer's storage, broker, cloud), taken out of messages and of their ruins."""

from __future__ import annotations

import re
from typing import Any, Final

from pump.vendors.avaeye.codes import SECRETS

HIDDEN: Final = "*****"
_NAMES: Final = "|".join(sorted((name for name in SECRETS), key=len, reverse=True))
# In a body that is no JSON a secret is whatever stands behind its key: a string, even one that never ends, a whole
# object, or a bare word. Curly quotes are three bytes in UTF-8 and two in GBK, so that they are found as what they are
# not: neither letters nor syntax.
_RUIN: Final = re.compile(
    rb"(?i)(?P<key>(?:%s|user|username|reqtopic|endpoint)[^\w{\[:=]{0,8}[:=]\s*)"
    rb'(?:"(?:[^"\\]|\\.)*(?:"|\Z)|\{[^}]*(?:\}|\Z)|[^,}\]&\n]+)' % _NAMES.encode(),
    re.DOTALL,
)


_seen: dict[str, bool] = {}
"""Keys met before, and whether their values are secrets: messages repeat a few dozen keys for ever."""
_SEEN_MOST: Final = 2048


def _is_secret(key: str) -> bool:
    if len(_seen) >= _SEEN_MOST:
        _seen.clear()
    found = _seen[key] = key.lower().replace("_", "").replace("-", "") in SECRETS
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
    return _RUIN.sub(lambda match: match["key"] + b'"' + HIDDEN.encode() + b'"', body)
