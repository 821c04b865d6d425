"""A pushed body without its Content-Encoding, within a limit: a few KiB, packed, stand for gigabytes."""

from __future__ import annotations

import asyncio
import zlib
from typing import Final

from pump.ingest.push.request import Refused

_CODINGS: Final = {"gzip": 31, "x-gzip": 31, "deflate": 47}
"""Content-Encoding to zlib's window bits; 47 finds out whether deflate means zlib's form or gzip's."""


async def unpack(body: bytes, coding: str, most: int) -> bytes:
    """The body without its Content-Encoding. Raises Refused: unknown coding, broken, or larger than `most`."""
    bits = _CODINGS.get(coding)
    if bits is None:
        raise Refused(415, "the Content-Encodings that are understood are gzip and deflate")
    try:
        return (
            await asyncio.to_thread(_inflate, body, bits, most) if len(body) > 1 << 16 else _inflate(body, bits, most)
        )
    except zlib.error:
        if coding == "deflate":
            try:
                return _inflate(body, -15, most)  # some mean the bare stream
            except zlib.error:
                pass
        raise Refused(400, "the body's compression is broken") from None


def _inflate(body: bytes, bits: int, most: int) -> bytes:
    stream = zlib.decompressobj(bits)
    plain = stream.decompress(body, most + 1)
    if len(plain) > most:
        raise Refused(413, f"unpacked, a body may have {most} bytes")
    if not stream.eof:
        raise zlib.error("cut short")
    return plain
