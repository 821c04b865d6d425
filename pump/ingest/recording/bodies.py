"""Bodies with stand-ins in them, as long as before: texts by their code, pictures drawn anew, multipart by parts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice, pairwise
from typing import Final

from pump.ingest.recording.fields import RecordedFields
from pump.ingest.recording.standins import StandIns
from pump.ingest.recording.text import TextReplacer

_ENDED: Final = re.compile(rb"\n(?=content-|\r?\n[{<])", re.IGNORECASE)
"""The end of a delimiter, whatever boundary the head of the message names. Looked for first: a delimiter may begin
anywhere, and a body of dashes alone would hold the interpreter for seconds."""
_DELIMITER: Final = re.compile(rb"--[\w'()+,./:=?<>\- ]{1,74}\r?\n\Z")
_LONGEST_DELIMITER: Final = 78
"""Bytes."""
_MOST_PARTS: Final = 1000
"""Of a body; what stands behind them is taken for the last one's."""
_LARGEST_HEAD: Final = 64 << 10
_LARGEST_TEXT: Final = 8 << 20
"""Bytes of a text; a larger one is replaced as a picture is, unread: it is there as characters many times."""
_CLOSING: Final = re.compile(rb"--[\w'()+,./:=?<>\- ]{1,72}--\s*\Z")
_LONGEST_CLOSING: Final = 100
"""Bytes."""
_BLANK: Final = re.compile(rb"\r?\n\r?\n")
_HEADER: Final = re.compile(rb"(?m)^([\w\-]+)(:[ \t]*)([^\r\n]*)")
_KEPT: Final = frozenset((b"content-type", b"content-length", b"content-transfer-encoding", b"content-encoding"))
_NAMED: Final = re.compile(rb"""(\bname\s*=\s*"?|filename\*?\s*=\s*"?)([^";\r\n]*)""", re.IGNORECASE)
_FILE: Final = re.compile(rb"""(filename\*?\s*=\s*"?)([^";\r\n]*)""", re.IGNORECASE)
_KIND: Final = re.compile(rb"""(?im)^content-type:\s*([\w.+\-]+/[\w.+\-]+)""")
_BINARY: Final = ("image/", "video/", "audio/", "application/octet-stream")
_PICTURES: Final = (b"\xff\xd8\xff", b"\x89PNG\r\n", b"GIF8", b"BM")
_CODECS: Final = ("utf-8", "gb18030")


def borders(content: bytes | bytearray, begin: int = 0) -> Iterator[tuple[int, int]]:
    """Where delimiters begin and end that end behind `begin`, in their order."""
    for end in _ENDED.finditer(content, begin):
        found = _DELIMITER.search(content[max(0, end.end() - _LONGEST_DELIMITER) : end.end()])
        if found is not None:
            yield end.end() - len(found[0]), end.end()


class BodyReplacer:
    """The rule, and the stand-ins, of one recording, for bytes."""

    def __init__(self, fields: RecordedFields) -> None:
        self.texts = TextReplacer(fields, StandIns())
        self._stand_ins = self.texts.stand_ins

    def body(self, content: bytes, content_type: str = "") -> bytes:
        """A whole body, or a piece of a stream that begins and ends between two parts; as many bytes."""
        places = [*islice(borders(content), _MOST_PARTS)]
        return self._parts(content, places) if places else self._single(content, content_type)

    def _parts(self, content: bytes, places: list[tuple[int, int]]) -> bytes:
        found = [self._single(content[: places[0][0]], "")]
        for (begin, end), (after, _) in pairwise([*places, (len(content), 0)]):
            found += [content[begin:end], self._part(content[end:after])]
        return b"".join(found)

    def _part(self, part: bytes) -> bytes:
        blank = _BLANK.search(part)
        if blank is None or blank.start() > _LARGEST_HEAD:
            return self._headers(part) if len(part) <= _LARGEST_HEAD else self._single(part, "")
        head, body = part[: blank.start()], part[blank.end() :]
        tail = max(0, len(body) - _LONGEST_CLOSING)
        closing = _CLOSING.search(body, tail)
        end = len(body) if closing is None else closing.start()
        kind = _KIND.search(head)
        made = self._single(body[:end], kind[1].decode().lower() if kind else "")
        return self._headers(head) + blank[0] + made + body[end:]

    def _headers(self, head: bytes) -> bytes:
        return _HEADER.sub(lambda one: one[1] + one[2] + self._header(one[1].lower(), one[3]), head)

    def _header(self, name: bytes, value: bytes) -> bytes:
        if name in _KEPT:
            return _NAMED.sub(lambda one: one[1] + self._replaced(one[2]), value) if name == b"content-type" else value
        if name == b"content-disposition":
            return _FILE.sub(lambda one: one[1] + self._replaced(one[2]), value)
        return self._replaced(value)

    def _replaced(self, value: bytes) -> bytes:
        return self._stand_ins.of(value.decode("latin-1")).encode("latin-1", "replace")

    def _single(self, content: bytes, content_type: str) -> bytes:
        if not content.strip():
            return content
        if content.lstrip()[:6].startswith(_PICTURES) or content_type.startswith(_BINARY):
            bare = content.rstrip(b"\r\n")  # the end of a line before the next delimiter
            return self._stand_ins.picture(bare) + content[len(bare) :]
        if len(content) > _LARGEST_TEXT:
            return self._stand_ins.picture(content)
        for codec in _CODECS:
            try:
                text = content.decode(codec)
            except UnicodeDecodeError:
                continue
            if text.encode(codec) == content:
                return self.texts.text(text, codec).encode(codec)
        if content.count(0) or _unprintable(content) > len(content) // 8:
            return self._stand_ins.picture(content)
        return self.texts.text(content.decode("latin-1"), "latin-1").encode("latin-1", "replace")


def _unprintable(content: bytes) -> int:
    return len(content) - len(content.translate(None, bytes(each for each in range(32) if each not in b"\t\r\n")))
