"""Texts: what people read (an event as one line, an error without its class), and the end of what is too long."""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any, Final

_RESET: Final = "\x1b[0m"
_DIM: Final = "\x1b[2m"
_COLOURS: Final = {"info": "\x1b[32m", "notice": "\x1b[36m", "warning": "\x1b[33m", "critical": "\x1b[1;31m"}
_MARKS: Final = ("late", "update", "reconciled")


def printable(value: object) -> str:
    """A value as one line of text: what a terminal would not print comes out as its escape, `\\x1b`, `\\n`, `\\u202e`.

    Names, plates and reasons come from strangers, and may neither steer the reader's terminal nor break the line.
    """
    text = value if isinstance(value, str) else str(value)
    return text if text.isprintable() else "".join(map(_escaped, text))


def printable_json(text: str) -> str:
    """JSON of the same value without what a terminal would not print: DEL, C1 controls, turns of the direction."""
    if text.isprintable():
        return text
    # JSON itself has these within its texts only; an escape of its own kind is the same value
    return "".join(c if c.isprintable() else json.dumps(c)[1:-1] if c > "\x7e" else c for c in text)


def spreadsheet_cell(cell: str) -> str:
    """A text as a cell of CSV: one that spreadsheets would take for a formula gets an apostrophe before it.

    Plates and names come from strangers.
    """
    return f"'{cell}" if cell[:1] in ("=", "+", "-", "@", "\t", "\r") else cell


def _escaped(letter: str) -> str:
    return letter if letter.isprintable() else letter.encode("unicode_escape", "surrogatepass").decode("ascii")


DIGEST: Final = 32
MARK: Final = "~"
"""Hexadecimal digits behind the mark of a text that was cut."""
MARKED: Final = DIGEST + 1


def fitted(encoded: bytes) -> bytes:
    """The same bytes without the room that orjson leaves around them, for what is kept or of which there are many.

    It writes into a buffer of eight times a text's length, 4 KiB at the least, and gives the buffer away whole.
    """
    return bytes(memoryview(encoded))


def bounded(text: str, most: int) -> str:
    """The text; of one with more than `most` bytes of UTF-8 (64 at least) the beginning, "~" and a digest of it all.

    Two long texts that begin alike stay apart, and what was cut is not cut again.
    """
    if (size := len(text)) * 4 <= most or (size <= most and text.isascii()):
        return text  # nearly always
    whole = text.encode("utf-8", "surrogatepass")
    if len(whole) <= most:
        return text
    begin = whole[: most - MARKED].decode("utf-8", "ignore")
    return f"{begin}{MARK}{blake2b(whole, digest_size=DIGEST // 2).hexdigest()}"


def was_cut(text: str) -> bool:
    """True for what `bounded` gave for a longer text."""
    return text[-MARKED:-DIGEST] == MARK and not text[-DIGEST:].strip("0123456789abcdef")


def words_of(error: BaseException) -> str:
    """An error in words for an operator: what the system or the library says of it, never the name of its class."""
    if isinstance(wrapped := getattr(error, "reason", None), OSError):  # urllib's
        error = wrapped
    strerror = getattr(error, "strerror", None)
    if isinstance(error, OSError) and isinstance(strerror, str) and strerror:
        return strerror
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, UnicodeError):
        return "it is no UTF-8 text"
    said = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    return said or "no reason given"


def line(event: Mapping[str, Any], colour: bool) -> str:
    """`08:00:00 info vehicle.passed teams West gate A12345 · Vehicle capture`, padded into columns, without line end.

    `event` is the decoded CloudEvent. The time is the event's own, in UTC. What is absent is left out, and what is
    not of the shape expected is shown as it is: this never raises. A vendor's control characters come out as escapes.
    """
    data = _mapping(event.get("data"))
    severity = _text(data.get("severity")) or "info"
    head = (
        (_DIM, _text(event.get("time"))[11:19] or "--:--:--"),
        (_COLOURS.get(severity, ""), f"{severity:<8}"),
        ("", f"{_text(event.get('type')):<30}"),
        (_DIM, f"{_text(event.get('source')).rpartition('/')[2]:<12}"),
    )
    words = " ".join(_paint(text, style if colour else "") for style, text in head)
    tail = " ".join(_details(event, data))
    name = _text(data.get("name"))
    return " ".join(part for part in (words, tail, "·" if tail and name else "", name) if part).rstrip()


def _details(event: Mapping[str, Any], data: Mapping[str, Any]) -> list[str]:
    """The things that it is about, weightiest first: who or what, the plate, a phase that is no pulse, the reason."""
    device = _mapping(data.get("device"))
    phase = _text(data.get("phase"))
    found = [
        _text(device.get("name")) or _text(event.get("subject")) or _text(device.get("id")),
        _text(_mapping(data.get("place")).get("zone")),
        _text(_mapping(data.get("vehicle")).get("plate")),
        _text(_mapping(data.get("access")).get("person")),
        phase if phase != "pulse" else "",
        *(mark for mark in _MARKS if data.get(mark) is True),
        _span(data),
        _text(data.get("reason")),
        _text(data.get("error")),
        _day(event),
    ]
    return [text for text in found if text]


def _day(event: Mapping[str, Any]) -> str:
    """The day of an event that came later than on its own; a reading of yesterday must not look like one of now."""
    happened, arrived = (_text(event.get(key))[:10] for key in ("time", "recordedtime"))
    return f"(of {happened})" if happened and arrived and happened != arrived else ""


def _span(data: Mapping[str, Any]) -> str:
    """From when to when a gap lasts; the day of its end is left out where it is that of its beginning."""
    begin, end = (_text(data.get(key))[:19].replace("T", " ") for key in ("from", "to"))
    if not begin or not end:
        return ""
    return f"{begin} to {end[11:] if end[:10] == begin[:10] else end}"


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _text(value: object) -> str:
    return "" if value is None else printable(value)


def _paint(text: str, style: str) -> str:
    return f"{style}{text}{_RESET}" if style else text
