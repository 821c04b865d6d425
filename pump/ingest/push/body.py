"""JSON as devices send it, read without believing that it is JSON.

What parses strictly costs one call. Else the text is mended where the meaning is beyond doubt: a byte order mark,
GBK where UTF-8 was promised, control characters inside strings, padding behind the end, trailing commas, curly
quotes where a quote must stand. Nothing else is guessed.
"""

from __future__ import annotations

import codecs
import json
import math
import re
from dataclasses import dataclass
from typing import Any, Final

import orjson

from pump.core.errors import MessageError

DEEPEST: Final = 32
"""Levels of arrays and objects; the vendors' own messages have five."""
MENDABLE: Final = 4 << 20
"""Bytes of a body that may be mended; a larger one must be right."""

MOST_VALUES: Final = 50_000
"""Commas of a large body, and a fourth of its quotes: a few KiB, packed, stand for millions of values, which cost
seconds and gigabytes."""

_LONG: Final = 16 << 10
_MANY: Final = 64 << 10
_BOMS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_PADDING: Final = " \t\r\n\0\x1a\ufeff"
_CURLY: Final = "“”„‟"
# A string with straight quotes is taken whole, so that what looks like syntax inside it stays; one that begins with a
# curly quote ends at the next quote of either kind. One that never ends is taken to the text's end, in one go: tried
# anew from each quote in it, a body of 300 KB would hold the process for minutes.
_TOKENS: Final = re.compile(
    r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?+'
    rf'|[{_CURLY}](?P<curly>[^"{_CURLY}\\]*+(?:\\.[^"{_CURLY}\\]*+)*+)(?P<end>["{_CURLY}])?+'
    r"|,(?P<last>\s*[}\]])",
    re.DOTALL,
)
_CONTROLS: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f]|[\r\n\t]")
_SURROGATES: Final = re.compile(r"\\u[dD][89a-fA-F]")
_INTEGER: Final = 1 << 63


@dataclass(slots=True, frozen=True)
class Decoded:
    """A body's value, and what had to be mended.

    The words are "bom", "gbk", "characters", "controls", "commas", "quotes", "padding" and "values".
    """

    value: Any
    mended: tuple[str, ...] = ()


def decode(body: bytes, *, deepest: int = DEEPEST) -> Decoded:
    """The JSON value of a body. Of a key that comes twice the last counts, as everywhere.

    Raises MessageError, also for more than `MOST_VALUES`. Costs time in proportion to the body; one of several hundred
    KiB that must be mended is better given to a thread.
    """
    if len(body) > _MANY and (_more(body, b",", MOST_VALUES) or _more(body, b'"', 4 * MOST_VALUES)):
        raise MessageError(f"the body has more than {MOST_VALUES} values")
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        return _mend(body, deepest)
    # counting is cheaper than looking for what is short, and a picture's base64 is long
    if len(body) > _LONG or body.count(b"{") + body.count(b"[") > deepest:
        _look_down(value, deepest)
    return Decoded(value)


def _more(body: bytes, mark: bytes, most: int) -> bool:
    """True where the mark comes more often: looking for the few in a picture takes a tenth of counting its bytes."""
    at = -1
    for _ in range(most + 1):
        at = body.find(mark, at + 1)
        if at < 0:
            return False
    return True


def _mend(body: bytes, deepest: int) -> Decoded:
    if not body.strip():
        raise MessageError("the body is empty")
    if len(body) > MENDABLE:
        raise MessageError("the body is not JSON, and too large to be mended")
    mended: list[str] = []
    text = _text(body, mended)
    stripped = text.strip(_PADDING)
    if not stripped:
        raise MessageError("the body is empty")
    if len(stripped) != len(text.strip()):
        mended.append("padding")
    if stripped[0] not in "{[":
        raise MessageError("the body is neither an object nor an array")
    text = _with_syntax(stripped, mended)
    value = _load(text, mended, deepest)
    if _SURROGATES.search(text):
        value = _whole_characters(value)
    return Decoded(value, tuple(mended))


def _text(body: bytes, mended: list[str]) -> str:
    for mark, encoding in _BOMS:
        if body.startswith(mark):
            mended.append("bom")
            try:
                return body[len(mark) :].decode(encoding)
            except UnicodeDecodeError:
                body = body[len(mark) :]
                break
    for name, encoding in (("", "utf-8"), ("gbk", "gb18030")):
        try:
            text = body.decode(encoding)
        except UnicodeDecodeError:
            continue
        if name:
            mended.append(name)
        return text
    mended.append("characters")
    return body.decode("utf-8", "replace")


def _with_syntax(text: str, mended: list[str]) -> str:
    """The text without trailing commas and curly quotes, those inside strings left alone."""
    found: set[str] = set()

    def right(match: re.Match[str]) -> str:
        if (inner := match["curly"]) is not None and match["end"] is not None:
            found.add("quotes")
            return f'"{inner}"'
        if (rest := match["last"]) is not None:
            found.add("commas")
            return rest
        return match[0]

    # two commas before one bracket are a mistake of another kind, and stay one
    text = _TOKENS.sub(right, text)
    mended.extend(sorted(found))
    return text


def _load(text: str, mended: list[str], deepest: int) -> Any:
    try:
        value = orjson.loads(text)
    except (orjson.JSONDecodeError, UnicodeEncodeError):
        if _brackets(text) > 4 * deepest:
            _too_deep(text, deepest)
        try:
            value = _LENIENT.decode(text)
        except RecursionError:
            raise MessageError(_deep(deepest)) from None
        except ValueError as error:
            raise MessageError(f"the body is not JSON: {_reason(error)}") from None
        mended.append("controls" if _CONTROLS.search(text) else "values")
    _look_down(value, deepest)
    return value


def _brackets(text: str) -> int:
    return text.count("{") + text.count("[")


def _too_deep(text: str, deepest: int) -> None:
    """Raises MessageError where brackets nest too deeply: the lenient parser would recurse for each."""
    depth = 0
    for match in re.finditer(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?+|[\[{]|[\]}]', text, re.DOTALL):
        mark = match[0]
        if mark in "[{":
            depth += 1
            if depth > deepest:
                raise MessageError(_deep(deepest))
        elif mark in "]}":
            depth -= 1


def _deep(deepest: int) -> str:
    return f"the body nests more than {deepest} levels"


def _look_down(value: Any, deepest: int) -> None:
    """Raises MessageError where arrays and objects nest more than `deepest` levels."""
    level = [value]
    depth = 0
    while level:
        depth += 1
        if depth > deepest and isinstance(level[0], dict | list):
            raise MessageError(_deep(deepest))
        level = [
            inner
            for each in level
            if isinstance(each, dict | list)
            for inner in (each.values() if isinstance(each, dict) else each)
            if isinstance(inner, dict | list)
        ]


def _integer(text: str) -> int | float:
    if len(text) > 400:
        raise ValueError("a number is too long")
    value = int(text)
    return value if -_INTEGER <= value < 2 * _INTEGER else float(value)


def _constant(text: str) -> Any:
    raise ValueError(f"{text} is no JSON")


_LENIENT: Final = json.JSONDecoder(strict=False, parse_int=_integer, parse_constant=_constant)
"""Allows control characters inside strings."""


def _reason(error: ValueError) -> str:
    """Without anything of the body."""
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} at character {error.pos}"
    return "a number is out of range"


def _whole_characters(value: Any) -> Any:
    """The value with halves of characters (lone surrogates) replaced: nothing can store them."""
    if isinstance(value, str):
        return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    if isinstance(value, list):
        return [_whole_characters(inner) for inner in value]
    if isinstance(value, dict):
        return {_whole_characters(key): _whole_characters(inner) for key, inner in value.items()}
    return value


# --- values ---------------------------------------------------------------------------------------------------------


def text(value: Any) -> str | None:
    """A text, or a number as its text; None for anything else, and for what is empty."""
    if type(value) is str:
        return value.strip() or None
    if type(value) is int or type(value) is float:
        return str(value)
    return None


def number(value: Any) -> float | int | None:
    """A finite number, also one that came as a text; None for anything else."""
    if type(value) is int:
        return value
    if type(value) is float:
        return value if math.isfinite(value) else None
    if type(value) is str and len(value) <= 40:
        try:
            found = float(value)
        except ValueError:
            return None
        if not math.isfinite(found):
            return None
        return int(found) if found.is_integer() and abs(found) < _INTEGER and "." not in value else found
    return None


def whole(value: Any) -> int | None:
    """An integer, also 1.0 and "1"; None for anything else."""
    found = number(value)
    return int(found) if found is not None and float(found).is_integer() else None
