"""ResponseStatus, Hikvision's word on a call, in JSON or XML (Device Gateway's document, 9.23, 9.24, A.2).

It comes with HTTP 200 as well as with an error's status, so that only its own codes say whether a call has failed.
One reader for every vendor folder whose device answers so.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import unescape
from typing import Any, Final

_NAMES: Final = (
    "requestURL", "statusCode", "statusString", "subStatusCode", "errorCode", "errorMsg",
    "lockStatus", "retryTimes", "resLockTime",
    "statusValue", "retryLoginTime", "unlockTime",  # of userCheck
)  # fmt: skip
_BY_LOWER: Final = {name.lower(): name for name in _NAMES}
_WRAPPERS: Final = frozenset(("responsestatus", "usercheck"))
_OWN: Final = frozenset(("statusCode", "subStatusCode"))
"""Members that nothing but a ResponseStatus has."""
_XML: Final = re.compile(r"<(?:[\w.-]+:)?(\w+)(?:\s[^<>]*)?>([^<]*)</")
_LARGEST: Final = 64 << 10
"""Characters of an XML answer that are looked at; the status is a few hundred."""
_DONE: Final = frozenset((0, 1))
"""statusCode of what was done; all others are refusals (A.2)."""
_DONE_WORDS: Final = frozenset(("ok", "riskpassword"))
"""subStatusCode of class 1 (A.2)."""
_CLASS: Final = re.compile(r"0x([0-9a-f])[0-9a-f]{7,8}", re.IGNORECASE)


def status_fields(value: Any) -> dict[str, Any]:
    """The ResponseStatus of a decoded JSON value, by the document's names; empty where it holds none.

    It stands alone, inside "ResponseStatus", beside other members, or inside the only one.
    """
    if not isinstance(value, dict):
        return {}
    found = _named(value)
    for name, inner in value.items():
        if isinstance(inner, dict):
            said = _named(inner)
            if str(name).lower() in _WRAPPERS or (len(value) == 1 and _OWN & said.keys()):
                found |= said
    return found


def status_of_xml(body: bytes) -> dict[str, Any]:
    """The same of an XML answer, whatever its namespace and prefix; its values are texts."""
    text = body[:_LARGEST].decode("utf-8", "replace")
    if "ResponseStatus" not in text and "userCheck" not in text:
        return {}
    return _named({name: unescape(value).strip() for name, value in _XML.findall(text)})


def refused(fields: Mapping[str, Any]) -> bool:
    """True where a ResponseStatus says that the call has failed: by its statusCode, without one by its other codes."""
    code = status_number(fields.get("statusCode"))
    if code is not None:
        return code not in _DONE
    if sub := str(fields.get("subStatusCode") or "").strip().lower():
        return sub not in _DONE_WORDS
    return (status_class(fields.get("errorCode")) or 0) > 1


def done(fields: Mapping[str, Any]) -> bool:
    """True where a ResponseStatus says that the call was done; where there is none nobody has said so."""
    known = any(fields.get(name) is not None for name in ("statusCode", "subStatusCode"))
    return known and not refused(fields)


def status_number(value: Any) -> int | None:
    """A code as a number, from a number or its text, decimal or hexadecimal; None where it is none."""
    if isinstance(value, bool):
        return None
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    if isinstance(value, str):
        try:
            return int(value.strip(), 0) if len(value) < 16 else None
        except ValueError:
            return int(value) if value.strip().isdecimal() else None
    return value if isinstance(value, int) else None


def status_class(code: Any) -> int | None:
    """An errorCode's class, its first hexadecimal digit, which is the statusCode it belongs to; None where it is none.

    The document prints one of its codes with a digit too many, 0x600000040.
    """
    number = status_number(code)
    found = _CLASS.fullmatch(f"0x{number:08x}") if number is not None and number >= 0 else None
    return int(found[1], 16) if found else None


def _named(fields: Mapping[Any, Any]) -> dict[str, Any]:
    return {
        name: value
        for key, value in fields.items()
        if (name := _BY_LOWER.get(str(key).lower())) is not None and not isinstance(value, dict | list)
    }
