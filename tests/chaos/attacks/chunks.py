"""Chunked bodies whose framing is larger than what it frames; who is turned away comes again."""

from __future__ import annotations

from typing import Final

from tests.chaos.attacks.frame import Attack, Stream, head, keep_sending

_HEAD: Final = head(None, b"Transfer-Encoding: chunked")
_PIECE: Final = 256 << 10


def _endless(chunk: bytes) -> list[bytes]:
    return [_HEAD, *[chunk * (_PIECE // len(chunk))] * 400]


async def tiny_chunks(port: int, seconds: float) -> list[Stream]:
    """Two bytes each, as fast as they are taken."""
    return await keep_sending(port, 20, seconds, _endless(b"2\r\nxx\r\n"))


async def tiny_chunks_of_many(port: int, seconds: float) -> list[Stream]:
    return await keep_sending(port, 100, seconds, _endless(b"2\r\nxx\r\n"))


async def paid_chunks(port: int, seconds: float) -> list[Stream]:
    """Of 48 bytes, which cost a connection nothing."""
    return await keep_sending(port, 50, seconds, _endless(b"30\r\n" + b"x" * 48 + b"\r\n"))


async def chunk_extensions(port: int, seconds: float) -> list[Stream]:
    """A chunk of one byte with words about it."""
    return await keep_sending(port, 50, seconds, _endless(b"1;" + b"a=b;" * 500 + b"\r\nx\r\n"))


async def many_short_chunked(port: int, seconds: float) -> list[Stream]:
    """Chunked bodies that are finished before they are too many chunks, one after the other."""
    one = _HEAD + b"1\r\n{\r\n" + b"1\r\n \r\n" * 900 + b"1\r\n}\r\n0\r\n\r\n"
    return await keep_sending(port, 50, seconds, [one * 10] * 100)


async def endless_trailers(port: int, seconds: float) -> list[Stream]:
    lines = b"a: b\r\n"
    return await keep_sending(port, 50, seconds, [_HEAD + b"1\r\n{\r\n0\r\n", *[lines * (_PIECE // len(lines))] * 20])


ATTACKS = [
    Attack(tiny_chunks, quick=True), Attack(tiny_chunks_of_many), Attack(paid_chunks), Attack(chunk_extensions),
    Attack(many_short_chunked), Attack(endless_trailers),
]  # fmt: skip
