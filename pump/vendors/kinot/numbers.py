"""JSON whose numbers remember how they were written, for Kinot signs the text.

Decoding forgives what its samples do: commas before a closing bracket, quotes that a word processor made.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, Final

# A string that never ends is taken to the end at once, or each quote in it would be tried for a beginning.
_STRING: Final = r'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)'
_TRAILING: Final = re.compile(rf"({_STRING})|,(?=\s*+[}}\]])", re.DOTALL)
_BRACKETS: Final = re.compile(rf"{_STRING}|([\[{{])|([\]}}])", re.DOTALL)
_DEEPEST: Final = 64
"""Levels of nesting; lists of devices have three."""
_SMART: Final = str.maketrans({"“": '"', "”": '"', "„": '"', "″": '"'})
_WHOLE: Final = range(-(1 << 63), 1 << 63)
_LONGEST: Final = 64
_UNLOCKING: Final = re.compile(r'(bt_?match_?code\W{0,8}[:=]\s*)(?:"[^"]*"?|[^\s,}&]*)', re.IGNORECASE)


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


def decode(text: str) -> Any:
    """The value of a JSON text, each number a `Number`. Raises ValueError, also for what is nested too deeply."""
    try:
        return _load(text)
    except ValueError:
        mended = mend(text)
        if mended == text:
            raise
    return _load(mended)


def _load(text: str) -> Any:
    if text.count("{") + text.count("[") > _DEEPEST and _depth(text) > _DEEPEST:
        raise ValueError("it is nested too deeply")
    return json.loads(text, strict=False, parse_int=Number, parse_float=Number, parse_constant=Number)


def _depth(text: str) -> int:
    depth = deepest = 0
    for found in _BRACKETS.finditer(text):
        depth += (found[1] is not None) - (found[2] is not None)
        deepest = max(deepest, depth)
    return deepest


def mend(text: str) -> str:
    """The text with trailing commas taken out, and typographic quotes made plain where no plain ones stand."""
    if '"' not in text:
        text = text.translate(_SMART)
    return _TRAILING.sub(lambda found: found[1] or "", text)


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
    return _UNLOCKING.sub(r'\1"…"', text)
