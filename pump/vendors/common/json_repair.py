"""JSON as devices send it, read without believing that it is JSON. Pure.

What parses strictly costs one call. Else the text is mended where the meaning is beyond doubt: a byte order mark,
bytes that are no UTF-8, padding behind the end, control characters inside strings, halves of surrogate pairs, and those
faults of syntax that a vendor is known for (`Fault`). Nothing else is guessed.
"""

from __future__ import annotations

import codecs
import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Literal

import orjson

from pump.core.errors import MessageError

Fault = Literal["commas", "quotes", "comments", "hexadecimal", "missing values"]
"""A comma before a closing bracket; curly quotes where a quote must stand; comments; numbers such as 0x40000003; a
colon with nothing behind it, which is null."""


@dataclass(slots=True, frozen=True)
class Bounds:
    """The limits that a reader sets to what it reads; None sets none."""

    deepest: int | None = None
    """Levels of arrays and objects."""
    largest: int | None = None
    """Bytes of a body that may be mended, for mending is slow; a larger one must be right."""
    values: int | None = None
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
_CURLY: Final = "“”„‟″"
# A string with straight quotes is taken whole, so that what looks like syntax inside it stays; one that begins with a
# curly quote ends at the next quote of either kind. What never ends is taken to the text's end, in one go: tried anew
# from each quote in it, a body of 300 KB would hold the process for minutes.
_STRING: Final = r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?+'
_TOKENS: Final[dict[Fault, str]] = {
    "quotes": rf'[{_CURLY}](?P<curly>[^"{_CURLY}\\]*+(?:\\.[^"{_CURLY}\\]*+)*+)(?P<end>["{_CURLY}])?+',
    "comments": r"/\*(?!.*?\*/).*|(?P<comment>/\*.*?\*/)",
    "hexadecimal": r"(?<![\w.])(?P<hex>-?0[xX][0-9a-fA-F]{1,16})(?![\w.])",
    # two commas before one bracket are a mistake of another kind, and stay one
    "commas": r"(?P<comma>,)(?=\s*+[}\]])",
    "missing values": r"(?P<colon>:)(?=\s*+[,}])",
}
_MENDED: Final[dict[str | None, Callable[[re.Match[str]], str]]] = {
    "end": lambda found: f'"{found["curly"]}"',
    "comment": lambda found: "",
    "hex": lambda found: str(int(found["hex"], 16)),
    "comma": lambda found: "",
    "colon": lambda found: ":null",
}
"""By the last group that matched; strings, and what never ends, stay as they are."""
_BRACKETS: Final = re.compile(rf"{_STRING}|[\[{{]|[\]}}]", re.DOTALL)
_SURROGATES: Final = re.compile(r"\\u[dD][89a-fA-F]")
_INTEGER: Final = 1 << 63
_MOST_DIGITS: Final = 400


def bounded(text: str) -> int | float:
    """An integer as strict readers give it: a real number where it has more than 64 bits. Raises ValueError."""
    if len(text) > _MOST_DIGITS:
        raise ValueError("a number is too long")
    value = int(text)
    return value if -_INTEGER <= value < 2 * _INTEGER else _finite(text, refused)


def refused(text: str) -> Any:
    """NaN and Infinity are no JSON. Raises ValueError."""
    raise ValueError(f"{text} is no JSON")


def _finite(text: str, constant: Callable[[str], Any]) -> Any:
    """A number; what `constant` makes of one that is larger than any, which Python reads as infinity."""
    value = float(text)
    return value if math.isfinite(value) else constant(text)


class JsonReader:
    """A vendor's JSON: its faults, its bounds, and what becomes of its numbers.

    `gbk`: bytes that are no UTF-8 are what Chinese machines write; else they are replaced, character by character.
    `integer` makes the value of an integer, `constant` that of NaN, Infinity and 1e999. `number`, where it is given,
    makes that of every number from its own text, also where all is right; then `pairs` makes the value of an object.
    """

    def __init__(
        self,
        *faults: Fault,
        bounds: Bounds = Bounds(),  # frozen
        gbk: bool = False,
        integer: Callable[[str], Any] = bounded,
        constant: Callable[[str], Any] = refused,
        number: Callable[[str], Any] | None = None,
        pairs: Callable[[list[tuple[str, Any]]], Any] | None = None,
    ) -> None:
        self._tokens = re.compile("|".join([_STRING, *(_TOKENS[fault] for fault in faults)]), re.DOTALL)
        self._bounds = bounds
        self._gbk = gbk
        self._exact = number is not None
        self._lenient = json.JSONDecoder(
            strict=False,
            parse_int=number or integer,
            parse_float=number or partial(_finite, constant=constant),
            parse_constant=number or constant,
            object_pairs_hook=pairs,
        )

    def loads(self, body: bytes) -> Any:
        """The value of a body. Of a key that comes twice the last counts, as everywhere. Raises MessageError.

        Costs time in proportion to the body; one of several hundred KiB that must be mended is better given to a
        thread.
        """
        if self._bounds.values is not None and len(body) > _MANY:
            self._count(body, self._bounds.values)
        if not self._exact:
            try:
                return self.strict(body)
            except orjson.JSONDecodeError:
                pass
        if not body.strip():
            raise MessageError("the body is empty")
        if self._bounds.largest is not None and len(body) > self._bounds.largest:
            raise MessageError("the body is not JSON, and too large to be mended")
        return self.load(self._text(body))

    def strict(self, body: bytes) -> Any:
        """The value of a body that is JSON as it is. Raises orjson.JSONDecodeError for another, MessageError for one
        that nests too deeply."""
        value = orjson.loads(body)
        self._look_down(body, value)
        return value

    def load(self, text: str) -> Any:
        """The value of a text. Raises MessageError."""
        text = text.strip(_PADDING)
        if not text:
            raise MessageError("the body is empty")
        if self._bounds.deepest is not None:
            _measure(text, self._bounds.deepest)
        value = self._right(text) if self._exact else None
        if value is None:
            value = self._decode(self.mended(text))
        return _whole_characters(value) if _SURROGATES.search(text) else value

    def mended(self, text: str) -> str:
        """The text without the faults of syntax; what looks like one inside a string stays."""
        try:
            return self._tokens.sub(_mend, text)
        except ValueError:
            raise MessageError("the body is not JSON: a number is out of range") from None

    def _right(self, text: str) -> Any:
        try:
            return self._lenient.decode(text)
        except (ValueError, RecursionError):
            return None

    def _decode(self, text: str) -> Any:
        try:
            return self._lenient.decode(text)
        except RecursionError:
            raise MessageError("the body nests too deeply") from None
        except ValueError as error:
            raise MessageError(f"the body is not JSON: {_reason(error)}") from None

    def _text(self, body: bytes) -> str:
        for mark, encoding in _BOMS:
            if body.startswith(mark):
                try:
                    return body[len(mark) :].decode(encoding)
                except UnicodeDecodeError:
                    body = body[len(mark) :]
                    break
        for encoding in ("utf-8", "gb18030") if self._gbk else ("utf-8",):
            try:
                return body.decode(encoding)
            except UnicodeDecodeError:
                continue
        return body.decode("utf-8", "replace")

    def _count(self, body: bytes, most: int) -> None:
        if _more(body, b",", most) or _more(body, b'"', 4 * most):
            raise MessageError(f"the body has more than {most} values")

    def _look_down(self, body: bytes, value: Any) -> None:
        """Raises MessageError where arrays and objects of strict JSON nest too deeply."""
        deepest = self._bounds.deepest
        # counting is cheaper than looking for what is short, and a picture's base64 is long
        if deepest is None or (len(body) <= _LONG and body.count(b"{") + body.count(b"[") <= deepest):
            return
        level, depth = [value], 0
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


def _mend(found: re.Match[str]) -> str:
    mend = _MENDED.get(found.lastgroup)
    return found[0] if mend is None else mend(found)


def _more(body: bytes, mark: bytes, most: int) -> bool:
    """True where the mark comes more often: looking for the few in a picture takes a tenth of counting its bytes."""
    at = -1
    for _ in range(most + 1):
        at = body.find(mark, at + 1)
        if at < 0:
            return False
    return True


def _measure(text: str, deepest: int) -> None:
    """Raises MessageError where brackets nest too deeply: the lenient parser would recurse for each."""
    if text.count("{") + text.count("[") <= deepest:
        return
    depth = 0
    for match in _BRACKETS.finditer(text):
        mark = match[0]
        if mark in "[{":
            depth += 1
            if depth > deepest:
                raise MessageError(_deep(deepest))
        elif mark in "]}":
            depth -= 1


def _deep(deepest: int) -> str:
    return f"the body nests more than {deepest} levels"


def _reason(error: ValueError) -> str:
    """Without anything of the body."""
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} at character {error.pos}"
    return "a number is out of range"


def _whole_characters(value: Any) -> Any:
    """The value with halves of characters (lone surrogates) replaced: nothing can store them.

    Changes lists and objects in place, and does not recurse: a record may be nested deep.
    """
    top = [value]
    waiting: list[list[Any] | dict[Any, Any]] = [top]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            items = [(_whole(name), inner) for name, inner in node.items()]
            node.clear()
            node.update(items)
        for place, inner in list(node.items() if isinstance(node, dict) else enumerate(node)):
            if isinstance(inner, str):
                node[place] = _whole(inner)
            elif isinstance(inner, list | dict):
                waiting.append(inner)
    return top[0]


def _whole(text: str) -> str:
    return text if text.isascii() else text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
