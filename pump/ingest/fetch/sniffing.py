"""The kind of a fetched file by its first bytes: what a host calls it is not believed. Pure."""

from __future__ import annotations

from typing import Final

PICTURES: Final = (
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"BM", "image/bmp"),
    (b"GIF8", "image/gif"),
)
"""The beginnings of what cameras send."""
_OTHERS: Final = (
    (0, b"IMKH", "video/mpeg"),  # Hikvision's own header before a program stream
    (0, b"\x00\x00\x01\xba", "video/mpeg"),
    (4, b"ftyp", "video/mp4"),
    (8, b"AVI ", "video/x-msvideo"),
    (8, b"WAVE", "audio/wav"),
    (8, b"WEBP", "image/webp"),
    (0, b"\x1aE\xdf\xa3", "video/x-matroska"),
    (0, b"FLV\x01", "video/x-flv"),
    (0, b"ID3", "audio/mpeg"),
    (0, b"\xff\xf1", "audio/aac"),
    (0, b"\xff\xfb", "audio/mpeg"),
)
"""(Where, what, kind) of clips and sounds."""
NEEDED: Final = 64
"""Bytes of a file's beginning that are looked at."""
_TEXTS: Final = (b"<", b"{", b"[")
UNKNOWN: Final = "application/octet-stream"


def kind_of_bytes(begin: bytes) -> str:
    """The kind of file that begins so; `text/plain` for what is a page or a message, UNKNOWN for any other."""
    for magic, mime in PICTURES:
        if begin.startswith(magic):
            return mime
    for place, magic, mime in _OTHERS:
        if begin[place : place + len(magic)] == magic:
            return mime
    if begin.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(_TEXTS):
        return "text/plain"
    return UNKNOWN


def believable(kind: str, mime: str) -> bool:
    """True where a file of this type may be what the event calls `kind`: an error page is no picture, nor a clip."""
    if "picture" in kind or "image" in kind or "photo" in kind:
        return mime.startswith("image/")
    return mime != "text/plain"
