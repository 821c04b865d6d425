"""An endless multipart response, taken apart: a state machine over bytes that knows no socket.

Written for the event streams of Hikvision's gateways, cameras and panels, whose framing is rarely what RFC 2046
wants (docs/field.md): a boundary that differs from the header's, bare line feeds, a delimiter glued to the body before
it, lengths that are one off, parts cut in their middle. A part is handed out as soon as its Content-Length is
complete; what cannot be a part is skipped up to the next delimiter, and reported.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from enum import IntEnum
from typing import Final

from pump.ingest.stream.multipart.boundary import BoundaryMatcher, without_line_end
from pump.ingest.stream.multipart.parts import (
    END,
    LARGE,
    BodyParser,
    ChunkedBody,
    Fault,
    Head,
    Limits,
    Part,
    Reason,
    Skipped,
    SkippedRun,
    delimited,
    is_picture,
    read_head,
)

_BLANK: Final = re.compile(rb"\n\r?\n")
_HEADS: Final = 512


class _State(IntEnum):
    SEEK = 0  # between parts, or skipping: looks for a delimiter
    HEAD = 1  # at the line feed that ends a delimiter: looks for the blank line
    BODY = 2  # at a body with a length
    OPEN = 3  # at a body that ends at the next delimiter


class MultipartReader:
    """Bytes in any slicing to parts. Not for sharing: one reader, one stream.

    `boundary` is the header's parameter as it came, quotes, dashes or angle brackets included, None where it has
    none. The body's own delimiter wins: one unlike the header's is believed when a header follows it, and for good
    when it comes a second time. `judges` parse bodies, by content type; "*" serves the types that have no own. A
    part that its judge refuses at its full Content-Length waits for the delimiter and is then judged again, in
    whole; without a judge the length alone decides, unless a delimiter comes earlier.
    """

    def __init__(
        self,
        boundary: str | None,
        *,
        judges: Mapping[str, BodyParser] | None = None,
        limits: Limits | None = None,
    ) -> None:
        self._judges = judges or {}
        self._limits = limits or Limits()
        self._delimiters = BoundaryMatcher(boundary)
        self._heads: dict[bytes, tuple[Head, BodyParser | None, int]] = {}
        self._state = _State.SEEK
        self._buffer: bytes | bytearray = b""
        self._at = 0
        self._seen = 0
        """SEEK: how many bytes from `_at` on are a delivered part's, looked at again for a delimiter it swallowed."""
        self._scanned = 0
        """BODY, OPEN: how many bytes from `_at` on hold no delimiter."""
        self._head = Head()
        self._judge: BodyParser | None = None
        self._limit = 0
        self._skips = SkippedRun()
        self._suspect = False
        """A delimiter has been seen within the large body that is on its way."""
        self._closing = False
        """No more will come: every body that is on its way may hold a delimiter."""
        self._pieces: ChunkedBody | None = None
        """Of a large body that is not suspected to hold a delimiter; then nothing is in `_buffer`."""
        self._out: list[Part | Skipped] = []
        self.ended = False
        """The closing delimiter has come. Parts after it are read all the same."""

    @property
    def _unsuspected(self) -> bool:
        """True where the body on its way is large, and its length alone decides: it is held in pieces."""
        large = self._judge is None and (self._head.length or 0) >= LARGE
        return large and self._delimiters.confirmed and not (self._suspect or self._closing)

    @property
    def unfinished(self) -> bool:
        """True where a part has begun and has not been handed out."""
        return self._state is not _State.SEEK

    @property
    def skipping(self) -> int:
        """Bytes skipped since the last part and not reported yet. Where it grows for ever the stream is lost."""
        return self._skips.size

    @property
    def buffered(self) -> int:
        """Bytes held."""
        return len(self._buffer) + (self._pieces.held if self._pieces else 0)

    def feed(self, data: bytes) -> list[Part | Skipped]:
        """The parts that `data` completes, in the stream's order, and what was skipped between them."""
        buffer = self._together(data)
        if buffer is None:
            return []
        self._step(buffer)
        if self._state is _State.BODY and self._unsuspected:
            rest = buffer[self._at :] if isinstance(buffer, bytearray) else memoryview(buffer)[self._at :]
            self._pieces, self._buffer = ChunkedBody(rest, self._head.length or 0, self._delimiters.token), b""
        elif isinstance(buffer, bytearray):
            del buffer[: self._at]
            self._buffer = buffer if len(buffer) >= LARGE // 2 else bytes(buffer)
        else:
            self._buffer = buffer[self._at :]
        out, self._out = self._out, []
        return out

    def close(self) -> list[Part | Skipped]:
        """The stream has ended: what was on its way, as whole as it is. The reader is used up."""
        buffer = bytes(self._pieces.joined() if self._pieces else self._buffer)
        self._buffer, self._pieces, self._at, self._closing = b"", None, 0, True
        self._step(buffer)
        buffer = buffer[self._at :]
        match self._state:
            case _State.SEEK:
                self._skips.add(buffer[self._seen :])
            case _State.HEAD:
                self._skip("header cut", buffer)
            case _State.BODY:
                self._deliver(buffer, "cut")
            case _State.OPEN if buffer.strip() or self._head.fields:
                body = without_line_end(self._delimiters.without_begun(buffer))
                unended: Fault = "no delimiter" if self._judge is None else "cut"
                self._deliver(body, unended if self._head.length is None else None)
        self._out += self._skips.taken()
        self._state = _State.SEEK
        out, self._out = self._out, []
        return out

    def _together(self, data: bytes) -> bytes | bytearray | None:
        """All that is held and `data`; None while they are the pieces of a large body, which are joined but once."""
        self._at = 0
        if self._pieces is not None:
            return self._completed(self._pieces, data)
        if not self._buffer:
            return data
        if isinstance(self._buffer, bytes) and len(self._buffer) < LARGE:
            return self._buffer + data
        buffer = self._buffer if isinstance(self._buffer, bytearray) else bytearray(self._buffer)
        buffer += data
        return buffer

    def _completed(self, pieces: ChunkedBody, data: bytes) -> bytes | bytearray | None:
        """As `_together`, for a body held in pieces: one that is whole by its own marks is handed out here."""
        if pieces.add(data):
            return None
        self._pieces = None
        if (body := pieces.picture(data)) is not None:
            self._out.append(Part(self._head, body))
            self._seen, self._at, self._state = 0, pieces.missing, _State.SEEK
            return data
        self._suspect = True
        return pieces.joined(data)

    def _step(self, buffer: bytes | bytearray) -> None:
        """From `_at` as far as the bytes lead."""
        while True:
            if self._state is _State.SEEK and not self._seen and not self._skips.size:
                self._hurry(buffer)
            if not _STEPS[self._state](self, buffer):
                return

    # --- the steps: each moves `_at` and returns whether another may follow with the bytes at hand ----------------

    def _hurry(self, buffer: bytes | bytearray) -> None:
        """Whole parts framed as RFC 2046 wants, one after the other: the same as the steps do, in one piece."""
        line, delimiter, heads, out = self._delimiters.line, self._delimiters.token, self._heads, self._out
        if not isinstance(buffer, bytes) or self._skips.reason != "garbage":
            return
        at, size, skip = self._at, len(buffer), len(line)
        while buffer.startswith(line, at):
            begin = at + skip
            end = buffer.find(b"\r\n\r\n", begin)
            known = heads.get(buffer[begin:end]) if end >= 0 else None
            if known is None:
                break
            head, judge, _ = known
            if (length := head.length) is None:
                break
            begin = end + 4
            end = begin + length
            if end > size:
                at = self._enter(known, begin)
                break
            picture = judge is None and length >= LARGE and is_picture(buffer, begin, end)
            if not picture and buffer.find(delimiter, begin, end) >= 0:
                break
            body = buffer[begin:end]
            if judge is None:
                if not buffer.startswith(line, end):
                    break
                out.append(Part(head, body))
            else:
                try:
                    value = judge(body)
                except ValueError:
                    break
                out.append(Part(head, body, value))
            at = end
        self._at = at

    def _seek(self, buffer: bytes | bytearray) -> bool:
        begin, end, closing = self._delimiters.locate(buffer, self._at, len(buffer))
        fresh = self._at + self._seen
        if end < 0:
            self._skips.add(buffer[fresh:begin])
            self._seen = max(0, fresh - begin)
            self._at = begin
            return False
        self._skips.add(buffer[fresh:begin])
        self._out += self._skips.taken()
        self._begin(end, closing)
        return True

    def _header(self, buffer: bytes | bytearray) -> bool:
        limit = self._at + self._limits.header
        blank = _BLANK.search(buffer, self._at, limit)
        stop = blank.end() if blank else min(len(buffer), limit)
        begin, end, closing = self._delimiters.locate(buffer, self._at, stop)
        if end >= 0:
            self._skip("header cut", buffer[self._at : begin])
            self._out += self._skips.taken()
            self._begin(end, closing)
            return True
        if blank is None:
            if len(buffer) < limit:
                return False
            self._skips.reason = "header over its limit"
            self._state = _State.SEEK
            return True
        known = self._known(bytes(buffer[self._at + 1 : blank.start() + 1]))
        if known is None:
            self._skips.reason = "header malformed"
            self._state = _State.SEEK
            return True
        self._at = self._enter(known, blank.end())
        length = self._head.length
        if length is None:
            self._state = _State.OPEN
        elif length > self._limit:
            self._over_limit()
        return True

    def _enter(self, known: tuple[Head, BodyParser | None, int], begin: int) -> int:
        """The header is read: the body is next, and where it begins."""
        self._head, self._judge, self._limit = known
        self._scanned, self._suspect = 0, False
        self._state = _State.BODY
        return begin

    def _body(self, buffer: bytes | bytearray) -> bool:
        length = self._head.length or 0
        whole = self._at + length
        if self._unsuspected:
            if len(buffer) < whole:
                self._suspect = delimited(buffer, self._delimiters.token, max(self._at, len(buffer) - END))
                if not self._suspect:
                    return False
            elif is_picture(buffer, self._at, whole):
                self._out.append(Part(self._head, _bytes(buffer, self._at, whole)))
                self._seen, self._at, self._state = 0, whole, _State.SEEK
                return True
        begin, end, closing = self._delimiters.locate(buffer, self._at + self._scanned, min(len(buffer), whole))
        if end >= 0:
            self._deliver(without_line_end(_bytes(buffer, self._at, begin)), "cut")
            self._begin(end, closing)
            return True
        self._scanned = begin - self._at
        if len(buffer) < whole:
            return False
        body = _bytes(buffer, self._at, whole)
        value = None
        if self._judge is not None:
            try:
                value = self._judge(body)
            except ValueError:
                self._state = _State.OPEN
                return True
            self._seen, self._at = 0, whole
        elif buffer.startswith(self._delimiters.line, whole):
            self._seen, self._at = 0, whole
        else:
            # The length may have been too large by less than a delimiter.
            self._seen, self._at = whole - begin, begin
        self._out.append(Part(self._head, body, value))
        self._state = _State.SEEK
        return True

    def _open(self, buffer: bytes | bytearray) -> bool:
        most = self._at + self._limit + self._delimiters.longest
        begin, end, closing = self._delimiters.locate(buffer, self._at + self._scanned, min(len(buffer), most))
        if end < 0:
            self._scanned = begin - self._at
            if len(buffer) < most:
                return False
            self._over_limit()
            return True
        self._deliver(without_line_end(_bytes(buffer, self._at, begin)), None)
        self._begin(end, closing)
        return True

    def _begin(self, end: int, closing: bool) -> None:
        """Behind a delimiter that ends at `end`."""
        self.ended = self.ended or closing
        self._seen, self._scanned = 0, 0
        self._at = end if closing else end - 1
        self._state = _State.SEEK if closing else _State.HEAD

    # --- headers, parts, what is skipped --------------------------------------------------------------------------

    def _known(self, block: bytes) -> tuple[Head, BodyParser | None, int] | None:
        """The header's lines, read; None where there are some and none of them is a field."""
        block = block.removesuffix(b"\n").removesuffix(b"\r")
        if (known := self._heads.get(block)) is not None:
            return known
        head = read_head(block)
        if head is None:
            return None
        limit = self._limits.picture if head.large else self._limits.part
        known = head, self._judges.get(head.content_type, self._judges.get("*")), limit
        if head.length is not None and head.length <= limit and len(block) < 1024:
            if len(self._heads) >= _HEADS:
                self._heads.clear()
            self._heads[block] = known
        return known

    def _deliver(self, body: bytes, fault: Fault | None) -> None:
        """A part that ended otherwise than at its length: its judge has the last word."""
        value = None
        if self._judge is not None:
            try:
                value, fault = self._judge(body), None
            except ValueError:
                fault = "cut" if fault == "cut" else "does not parse"
        self._out.append(Part(self._head, body, value, fault))

    def _over_limit(self) -> None:
        self._skips.reason = "part over its limit"
        self._seen, self._scanned = 0, 0
        self._state = _State.SEEK

    def _skip(self, reason: Reason, content: bytes | bytearray) -> None:
        self._skips.reason = reason
        self._skips.add(content)


_STEPS: Final[tuple[Callable[[MultipartReader, bytes | bytearray], bool], ...]] = (
    MultipartReader._seek,
    MultipartReader._header,
    MultipartReader._body,
    MultipartReader._open,
)


def _bytes(buffer: bytes | bytearray, begin: int, end: int) -> bytes:
    """A piece, copied once."""
    if isinstance(buffer, bytes):
        return buffer[begin:end]
    with memoryview(buffer) as view:
        return bytes(view[begin:end])
