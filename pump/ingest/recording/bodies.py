"""Bodies with stand-ins in them, as long as before: texts by their code, pictures drawn anew, multipart by parts."""

from __future__ import annotations

import re
from typing import Final

from pump.ingest.recording.fields import RecordedFields
from pump.ingest.recording.standins import StandIns
from pump.ingest.recording.text import TextReplacer

DELIMITER: Final = re.compile(rb"--[\w'()+,./:=?<>\- ]{1,74}\r?\n(?=content-|\r?\n[{<])", re.IGNORECASE)
"""Before a part's headers, whatever boundary the head of the message names."""
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


class BodyReplacer:
    """The rule, and the stand-ins, of one recording, for bytes."""

    def __init__(self, fields: RecordedFields) -> None:
        self.texts = TextReplacer(fields, StandIns())
        self._stand_ins = self.texts.stand_ins

    def body(self, content: bytes, content_type: str = "") -> bytes:
        """A whole body, or a piece of a stream that begins and ends between two parts; as many bytes."""
        if DELIMITER.search(content) is not None:
            return self._parts(content)
        return self._single(content, content_type)

    def _parts(self, content: bytes) -> bytes:
        found: list[bytes] = []
        borders = [*DELIMITER.finditer(content)]
        for number, border in enumerate(borders):
            if not number:
                found.append(self._single(content[: border.start()], ""))
            found.append(border[0])
            place = borders[number + 1].start() if number + 1 < len(borders) else len(content)
            found.append(self._part(content[border.end() : place]))
        return b"".join(found)

    def _part(self, part: bytes) -> bytes:
        blank = _BLANK.search(part)
        if blank is None:
            return self._headers(part)
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
