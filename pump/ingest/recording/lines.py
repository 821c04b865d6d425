"""A recording's lines: a header, a frame each, and the end; written here, and read again with every line checked.

    {"format": "pump recording", "version": 1, "pump": "0.1.0", "type": "avaeye", "begun": "2026-…", "replaced": […]}
    {"kind": "push", "at": 12, "method": "POST", "path": "/capture", "headers": {…}, "status": 200, "text": "…"}
    {"kind": "end", "at": 600000, "why": "its time was over", "frames": 1, "left_out": 0}

`at` is milliseconds since the beginning. A body is "text" where it is UTF-8, else "base64". A file without an end is
what a daemon or a disk left behind: what stands in it is good.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple

import orjson

from pump import __version__
from pump.ingest.recording.bodies import BodyReplacer
from pump.ingest.recording.fields import RecordedFields
from pump.ingest.recording.streams import StreamReplacer
from pump.ingest.recording.tap import Frame, Recording

FORMAT: Final = "pump recording"
VERSION: Final = 1
REPLACED: Final = (
    "plates", "names", "cards", "phones", "addresses", "serials", "ids", "macs", "ips", "links", "positions", "tokens",
    "keys", "signatures", "pictures", "free text",
)  # fmt: skip
HEADERS: Final = frozenset(("content-type", "retry-after", "date", "expect", "accept"))
"""Headers that are recorded; no others, for they carry logins, cookies and signatures."""
_SHAPES: Final[dict[str, dict[str, type]]] = {
    "push": {"method": str, "path": str, "headers": dict, "status": int},
    "answer": {"method": str, "path": str, "headers": dict, "status": int},
    "open": {"link": int, "method": str, "path": str, "headers": dict},
    "chunk": {"link": int},
    "close": {"link": int},
    "end": {"why": str},
}
_BODIES: Final = frozenset(("push", "answer", "chunk"))


class LineWriter:
    """The lines of one recording, in order; bytes of JSON with a line's end. No I/O."""

    def __init__(self, vendor: str, fields: RecordedFields, recording: Recording, begun: datetime) -> None:
        self.frames = 0
        self._bodies = BodyReplacer(fields)
        self._texts = self._bodies.texts
        self._begun = recording.begun
        self._links: dict[int, StreamReplacer] = {}
        self.header = {
            "format": FORMAT, "version": VERSION, "pump": __version__, "type": vendor, "begun": begun.isoformat(),
            "replaced": REPLACED,
        }  # fmt: skip

    def lines(self, frames: list[Frame]) -> list[dict[str, Any]]:
        """Of frames that follow those before."""
        found = [line for frame in frames for line in self._of(frame)]
        self.frames += len(found)
        return found

    def rest(self) -> list[dict[str, Any]]:
        """Of streams that have not ended: what is there of their last parts."""
        found = [line for number, link in self._links.items() for line in _chunks(number, link.rest())]
        self._links.clear()
        self.frames += len(found)
        return found

    def end(self, recording: Recording, at: float) -> dict[str, Any]:
        """The last line."""
        return {
            "kind": "end", "at": self._ms(at), "why": recording.ended, "frames": self.frames,
            "left_out": recording.left_out,
        }  # fmt: skip

    def _of(self, frame: Frame) -> Iterator[dict[str, Any]]:
        at, fields = self._ms(frame.at), frame.fields
        number = fields.get("link", 0)
        match frame.kind:
            case "open":
                self._links[number] = StreamReplacer(self._bodies, joined="joined" in fields)
                yield {"kind": "open", "at": at, **self._head(fields)}
            case "chunk":
                if (link := self._links.get(number)) is not None:
                    yield from _chunks(number, link.feed(at, frame.body, torn=frame.torn))
            case "close":
                if (link := self._links.pop(number, None)) is not None:
                    yield from _chunks(number, link.rest())
                    yield {"kind": "close", "at": at, "link": number}
            case kind:
                head = self._head(fields)
                content_type = head["headers"].get("Content-Type", "").partition(";")[0].strip().lower()
                yield {"kind": kind, "at": at, **head, **_body(self._bodies.body(frame.body, content_type))}

    def _head(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Its path, query and headers with stand-ins."""
        path, mark, query = str(fields["path"]).partition("?")
        head = {**fields, "path": self._texts.path(path) + mark + self._texts.query(query)}
        given = fields["headers"].items()
        # a device's header may hold bytes that are no text, which JSON cannot have
        kept = {
            name.title(): value.encode("utf-8", "replace").decode() for name, value in given if name.lower() in HEADERS
        }
        return {**head, "headers": kept}

    def _ms(self, at: float) -> int:
        return max(0, round((at - self._begun) * 1000))


def _chunks(number: int, pieces: list[tuple[int, bytes]]) -> Iterator[dict[str, Any]]:
    for at, piece in pieces:
        yield {"kind": "chunk", "at": at, "link": number, **_body(piece)}


def _body(content: bytes) -> dict[str, str]:
    try:
        return {"text": content.decode()}
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(content).decode()}


# --- reading ----------------------------------------------------------------------------------------------------------


class RecordingError(Exception):
    """The file is no recording, or none that this pump can play; the text says why."""


class Recorded(NamedTuple):
    """A line, read."""

    kind: str
    at: int
    """Milliseconds since the beginning."""
    fields: dict[str, Any]
    body: bytes


class RecordedFile(NamedTuple):
    """A recording, read whole."""

    vendor: str
    begun: datetime
    frames: list[Recorded]
    """In order, the end not among them."""
    end: str
    """Why it ended; empty where it was cut off."""


def read(content: bytes) -> RecordedFile:
    """A recording's file. Raises RecordingError; a last line that was cut short is left out."""
    lines = content.split(b"\n")
    whole = lines[:-1]
    if not whole:
        raise RecordingError("it is no recording: it has no line that is whole")
    try:
        header = _loads(whole[0], 1)
    except RecordingError as error:
        raise RecordingError(f"it is no recording: {error}") from None
    if header.get("format") != FORMAT:
        raise RecordingError('it is no recording: its first line does not say "format": "pump recording"')
    if (version := header.get("version")) != VERSION:
        raise RecordingError(
            f"it is of version {version!r:.20}, and this pump plays version {VERSION}: use the pump that "
            f"recorded it, {header.get('pump')!r:.20}"
        )
    try:
        vendor, begun = str(header["type"]), datetime.fromisoformat(header["begun"])
    except (KeyError, TypeError, ValueError):
        raise RecordingError("line 1 names no type of source, or no time") from None
    frames: list[Recorded] = []
    for number, line in enumerate(whole[1:], start=2):
        frame = _frame(_loads(line, number), number)
        if frame.kind == "end":
            if number < len(whole) or lines[-1]:
                raise RecordingError(f"line {number} is the end, and more stands behind it")
            return RecordedFile(vendor, begun, frames, frame.fields["why"])
        frames.append(frame)
    return RecordedFile(vendor, begun, frames, "")


def _loads(line: bytes, number: int) -> dict[str, Any]:
    try:
        found = orjson.loads(line)
    except orjson.JSONDecodeError:
        raise RecordingError(f"line {number} is no JSON") from None
    if not isinstance(found, dict):
        raise RecordingError(f"line {number} is no JSON object")
    return found


def _frame(line: dict[str, Any], number: int) -> Recorded:
    kind, at = line.get("kind"), line.get("at")
    shape = _SHAPES.get(kind) if isinstance(kind, str) else None
    if kind is None or shape is None:
        raise RecordingError(f"line {number} is of no kind that there is")
    if type(at) is not int or at < 0:
        raise RecordingError(f"line {number} has no time")
    for name, wanted in shape.items():
        if type(line.get(name)) is not wanted:
            raise RecordingError(f"line {number} lacks {name}, or has another kind of value for it")
    if not all(type(value) is str for value in line.get("headers", {}).values()):
        raise RecordingError(f"line {number} has headers that are no texts")
    return Recorded(kind, at, line, _content(line, number) if kind in _BODIES else b"")


def _content(line: dict[str, Any], number: int) -> bytes:
    text, coded = line.get("text"), line.get("base64")
    try:
        if isinstance(text, str):
            return text.encode()
        if isinstance(coded, str):
            return base64.b64decode(coded, validate=True)
    except ValueError:
        pass
    raise RecordingError(f"line {number} has no body that could be read")
