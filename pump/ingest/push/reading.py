"""A request's body, read whole from its connection: within its size, its time and the bytes that may be held."""

from __future__ import annotations

import asyncio
import io
import zlib
from typing import Any, Final

from aiohttp import web
from aiohttp.hdrs import CONTENT_ENCODING
from aiohttp.http import HttpVersion11
from aiohttp.streams import StreamReader

from pump.ingest.push.admission import HeldBody
from pump.ingest.push.connections import Connection
from pump.ingest.push.request import DECODING, IN_THREAD, Refused

_CODINGS: Final = {"gzip": 31, "x-gzip": 31, "deflate": 47}
"""Content-Encoding to zlib's window bits; 47 finds out whether deflate means zlib's form or gzip's."""
_PIECE: Final = 4 << 10
"""Bytes below which a part is put to its neighbours at once: as an object of its own it has 33 bytes more."""
_JOINED: Final = 1 << 20
"""Bytes of a body whose parts are joined at its end: for that moment it is there twice, and grows without being moved
each time, which a picture takes longer for than for its parsing."""


class BodyReader:
    """One listener's."""

    def __init__(self, *, largest: int, seconds: float) -> None:
        """`largest` bytes of a body, as it comes and unpacked; `seconds` for it to come whole."""
        self.adjust(largest=largest, seconds=seconds)

    def adjust(self, *, largest: int, seconds: float) -> None:
        """Read within these limits from the next body on."""
        self._largest = largest
        self._seconds = seconds

    async def read(self, request: web.BaseRequest, held: HeldBody) -> bytes:
        """The body without its Content-Encoding.

        Raises Refused: too large (413), too slow (408), broken (400), of an unknown coding (415), too many held (503).
        Raises ConnectionError where the device goes away meanwhile.
        """
        content, most = request.content, self._largest
        if content.is_eof():
            try:
                body = content.read_nowait(-1)
            except Exception as error:
                error.__traceback__ = None  # as below
                raise Refused(400, "the body's framing is broken") from error
        else:
            length = request.content_length
            if length is not None and length > most:
                raise self._too_large()
            await _continue(request)
            body = await self._rest(request, held)
        if len(body) > most:
            raise self._too_large()
        coding = request.headers.get(CONTENT_ENCODING, "").strip().lower() if body else ""
        if coding not in ("", "identity"):
            held.hold(most)  # what it will be is not known before it is
            body = await unpack(body, coding, most)
            held.hold(len(body) - most)
        return body

    async def _rest(self, request: web.BaseRequest, held: HeldBody) -> bytes:
        """The body of a request that has not come whole yet."""
        protocol, length = request.protocol, request.content_length
        # Closed, it is gone though an error's traceback holds this frame.
        with io.BytesIO() as body:
            if isinstance(protocol, Connection):
                protocol.since = asyncio.get_running_loop().time()  # it may make room for others
            try:
                async with asyncio.timeout(self._seconds):
                    if length is not None and length <= _JOINED:
                        return await _joined(request.content, held)
                    await self._write(request.content, body, held)
            except TimeoutError:
                raise Refused(408, "the body did not come in time") from None
            except Refused:
                raise
            except Exception as error:  # aiohttp has several, and chunks can be broken in many ways
                error.__traceback__ = None  # the stream keeps the error, and the traceback the stream: a cycle
                if isinstance(error, ConnectionError) or request.transport is None:
                    raise ConnectionResetError("the device went away") from error
                raise Refused(400, "the body's framing is broken") from error
            finally:
                if isinstance(protocol, Connection):
                    protocol.since = None
            return body.getvalue()

    async def _write(self, content: StreamReader, body: io.BytesIO, held: HeldBody) -> None:
        while part := await content.readany():
            body.write(part)
            if body.tell() > self._largest:
                raise self._too_large()
            held.hold(len(part))

    def _too_large(self) -> Refused:
        return Refused(413, f"a body may have {self._largest} bytes")


async def _joined(content: StreamReader, held: HeldBody) -> bytes:
    """A body whose head says how small it is, so that the parser lets no more of it through."""
    parts: list[bytes | bytearray] = []
    try:
        while part := (await content.readchunk())[0]:  # one as it was parsed: `readany` would join them already
            if len(part) >= _PIECE:
                parts.append(part)
            elif parts and isinstance(last := parts[-1], bytearray):
                last += part
            else:
                parts.append(bytearray(part))
            held.hold(len(part))
        return b"".join(parts)
    finally:
        parts.clear()  # as above


async def _continue(request: web.BaseRequest) -> None:
    """Answer Expect: 100-continue; aiohttp's own answer belongs to its router, which is not used here."""
    expect = request.headers.get("Expect")
    if expect is None or request.version < HttpVersion11:
        return
    if expect.strip().lower() != "100-continue":
        raise Refused(417, "the only expectation that can be met is 100-continue")
    writer: Any = request.writer
    await writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    writer.output_size = 0  # it counts the real answer's bytes only


async def unpack(body: bytes, coding: str, most: int) -> bytes:
    """The body without its Content-Encoding. Raises Refused: unknown coding, broken, or larger than `most`."""
    bits = _CODINGS.get(coding)
    if bits is None:
        raise Refused(415, "the Content-Encodings that are understood are gzip and deflate")
    try:
        # a few KiB can stand for megabytes: what comes out must be small too
        plain = _inflate(body, bits, min(most, IN_THREAD)) if len(body) <= IN_THREAD else None
        if plain is None:
            plain = await DECODING.run(_inflate, body, bits, most)
    except zlib.error:
        raise Refused(400, "the body's compression is broken") from None
    if plain is None:
        raise Refused(413, f"unpacked, a body may have {most} bytes")
    return plain


def _inflate(body: bytes, bits: int, most: int) -> bytes | None:
    """None where there are more than `most` bytes. Raises zlib.error."""
    try:
        return _inflate_as(body, bits, most)
    except zlib.error:
        if bits != _CODINGS["deflate"]:
            raise
        return _inflate_as(body, -15, most)  # some mean the bare stream


def _inflate_as(body: bytes, bits: int, most: int) -> bytes | None:
    stream = zlib.decompressobj(bits)
    plain = stream.decompress(body, most + 1)
    if len(plain) > most:
        return None
    if not stream.eof:
        raise zlib.error("cut short")
    return plain
