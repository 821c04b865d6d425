"""The kind of a picture or clip: by its first bytes, or by the ending of its address. Pure."""

from __future__ import annotations

from typing import Final, Literal

from pump.ingest.fetch.sniffing import PICTURES

Kind = Literal["picture", "video", "audio"]

MAGIC: Final = PICTURES
"""The beginnings of what cameras send."""
MIMES: Final = {
    "jpg": "image/jpeg", "jpeg": "image/jpeg", "png": "image/png", "bmp": "image/bmp", "gif": "image/gif",
    "mp4": "video/mp4", "avi": "video/x-msvideo", "wav": "audio/wav", "mp3": "audio/mpeg", "aac": "audio/aac",
}  # fmt: skip
"""By a file's ending, in small letters and without its point."""
_KINDS: Final[dict[str, Kind]] = {"image": "picture", "video": "video", "audio": "audio"}


def mime_of(content: bytes) -> str | None:
    """The kind of picture by its first bytes; None for what is none of those that cameras send."""
    for magic, name in MAGIC:
        if content.startswith(magic):
            return name
    return None


def mime_of_ending(ending: str) -> str | None:
    """The kind of file by its ending, with or without its point ("jpg", ".JPG"); None for one that is not known."""
    return MIMES.get(ending.lower().lstrip("."))


def mime_of_address(address: str) -> str | None:
    """The kind of file behind an address; a terminal puts a number behind the ending ("x.jpeg@WEB000000000085")."""
    path = address.partition("?")[0].partition("#")[0]
    return mime_of_ending(path.rpartition("/")[2].rpartition(".")[2].partition("@")[0])


def kind_of(mime: str) -> Kind | None:
    """The event's word for a kind of file: picture, video, audio; None for others."""
    return _KINDS.get(mime.partition("/")[0])
