"""JSON as the gateway really writes it (docs/field.md): stray commas, bare hexadecimal, missing values, controls."""

from __future__ import annotations

import json
import re
from typing import Any, Final

import orjson

_LARGEST: Final = 1 << 20
"""Bytes beyond which a body that strict JSON refuses is not mended: the mending is slow, and no message is as long."""
_TOKENS: Final = re.compile(
    # What never ends is taken to the text's end in one go: tried anew from each quote in it, a message of a few hundred
    # KB would hold the process for minutes.
    r'("[^"\\]*+(?:\\.[^"\\]*+)*+"?+|/\*(?!.*?\*/).*)'  # a string, left as it is
    r"|/\*.*?\*/"  # a comment, as the document's samples have them
    r"|(-?0[xX][0-9a-fA-F]+)"
    r"|,(?=\s*[}\]])"
    r"|(:)(?=\s*[,}])",
    re.DOTALL,
)


def loads(body: bytes) -> Any:
    """The JSON value of `body`, mended where the gateway is known to break it. Raises ValueError where it is none."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        if len(body) > _LARGEST:
            raise
    text = body.decode("utf-8", "replace").strip().strip("\0\ufeff")
    try:
        return json.loads(_TOKENS.sub(_mend, text), strict=False, parse_constant=lambda _: None)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _mend(found: re.Match[str]) -> str:
    string, hexadecimal, colon = found.groups()
    if string is not None:
        return str(string)
    if hexadecimal is not None:
        return str(int(hexadecimal, 16))
    return ":null" if colon else ""
