"""Small forms of pictures; with Pillow, which is an extra (`event-pump[pictures]`)."""

from __future__ import annotations

import io
from typing import Final

from pump.core.tasks import Threads

LARGEST: Final = 1024
SMALLEST: Final = 16
USUAL: Final = 320
"""Pixels of the longer side."""
MOST_BYTES: Final = 32 << 20
"""Of a picture that is made small."""
_MOST_PIXELS: Final = 64_000_000
_FORMATS: Final = ("JPEG", "PNG", "GIF", "BMP", "WEBP")

threads: Final = Threads("thumbnails", 1)
"""One: a page of fifty must not take the processor from events."""


class NoThumbnail(Exception):
    """There is none of this file; the text is for people."""


def thumbnail(content: bytes, size: int) -> bytes:
    """A JPEG of at most `size` pixels a side, without what the original says of its making. Raises NoThumbnail.

    To be called in one of `threads`.
    """
    try:
        from PIL import Image, ImageOps
    except ImportError:
        raise NoThumbnail('thumbnails need Pillow: pip install "event-pump[pictures]"') from None
    try:
        with Image.open(io.BytesIO(content), formats=_FORMATS) as picture:
            if picture.width * picture.height > _MOST_PIXELS:
                raise NoThumbnail("the picture has too many pixels")
            picture.draft("RGB", (size, size))  # a JPEG is decoded no larger than it is needed
            small = ImageOps.exif_transpose(picture).convert("RGB")
            small.thumbnail((size, size))
            out = io.BytesIO()
            small.save(out, "JPEG", quality=80)
    except NoThumbnail:
        raise
    except Exception:  # noqa: BLE001  # a decoder meets whatever a stranger sends
        raise NoThumbnail("it is no picture that can be read") from None
    return out.getvalue()
