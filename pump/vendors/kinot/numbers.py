"""JSON whose numbers remember how they were written, for Kinot signs the text."""

from __future__ import annotations

import json
import math
import re
from typing import Any, Final

from pump.vendors.common.json_repair import Bounds, JsonReader

BOUNDS: Final = Bounds(deepest=64)
"""Lists of devices have three levels."""
_WHOLE: Final = range(-(1 << 63), 1 << 63)
_LONGEST: Final = 64
_UNLOCKING: Final = re.compile(r'(bt_?match_?code\W{0,8}[:=]\s*)(?:"[^"]*"?|[^\s,}&]*)', re.IGNORECASE)

_SHORTEST: Final = len("btmatchcode:")
"""Characters that a text with a code has at the least: nearly all values are shorter."""


class Number(str):
    """A number's own text: "3.650" is not "3.65" where it is signed."""

    __slots__ = ()

    @property
    def value(self) -> int | float | str:
        """The number; its text where JSON's readers would not get it back."""
        try:
            if len(self) > _LONGEST:
                return str(self)
            if not any(mark in self for mark in ".eE"):
                whole = int(self)
                return whole if whole in _WHOLE else str(self)
            real = float(self)
        except ValueError:  # NaN and Infinity get here as well, and are no JSON
            return str(self)
        return real if math.isfinite(real) else str(self)


JSON: Final = JsonReader("commas", "quotes", bounds=BOUNDS, gbk=True, number=Number)
"""Reads a JSON value, each number a `Number`; trailing commas and a word processor's quotes are mended."""
decode: Final = JSON.load
"""The same of a text. Raises MessageError, also for what is nested too deeply."""


def plain(value: Any) -> Any:
    """The value as other JSON libraries write it: each `Number` becomes the number."""
    if isinstance(value, Number):
        return value.value
    if isinstance(value, dict):
        return {name: plain(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [plain(inner) for inner in value]
    return value


def text_of(value: Any) -> str:
    """A value as it is signed: text as it is, numbers as sent, everything else as its JSON."""
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def without_codes(text: str) -> str:
    """A text that could not be decoded, with the values of unlocking codes blotted out."""
    return text if len(text) < _SHORTEST else _UNLOCKING.sub(r'\1"…"', text)
