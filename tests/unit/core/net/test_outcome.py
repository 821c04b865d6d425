"""Why a call over HTTP came to nothing: words for an operator, whatever the library calls it."""

from __future__ import annotations

import asyncio
import re
import socket
from datetime import UTC, datetime
from typing import Final

import aiohttp
import pytest

from pump.core.net.outcome import retry_after, why

NOW: Final = datetime(2026, 11, 20, 8, 0, tzinfo=UTC)
_NAMED: Final = re.compile(r"[A-Z]\w+(Error|Exception)\b|aiohttp|asyncio|b'|\n")
"""The class or the bytes of somebody who debugs."""


async def _failure(content: bytes) -> Exception:
    """Of a call to a server that answers so and closes."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(content)
        writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with listening, aiohttp.ClientSession() as session:
        url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/"
        with pytest.raises(aiohttp.ClientError) as failed:
            async with session.get(url) as response:
                await response.read()
    return failed.value


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "the connection was closed"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}", "the answer broke off"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\n{}", "the answer broke off"),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}", "its encoding"),
        (b"SSH-2.0-OpenSSH_9\r\n\r\n", "what came is no HTTP"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 9000 + b"\r\n\r\n", "what came is no HTTP"),
    ],
)
async def test_an_answer_that_is_none_names_no_class(content: bytes, words: str) -> None:
    said = why(await _failure(content))
    assert words in said
    assert not _NAMED.search(said)


async def test_nobody_at_the_address_is_said_as_the_system_says_it() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        async with aiohttp.ClientSession() as session:
            with pytest.raises(aiohttp.ClientConnectorError) as failed:
                await session.get(f"http://127.0.0.1:{free.getsockname()[1]}/")
    assert why(failed.value) == "Connection refused"
    assert why(TimeoutError()) == "no answer in time"
    assert why(ValueError("a header: Token secret")) == "what came is no HTTP"
    assert why(aiohttp.InvalidURL("http://secret@")) == "it is no address"
    assert why(aiohttp.ClientConnectionResetError("Cannot write to closing transport")) == "the connection was closed"


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None), ("", None), ("soon", None), ("nan", None), ("-7", None), ("7", 7.0), ("0.5", 0.5),
        ("1e9", 3600.0),
        ("Fri, 20 Nov 2026 08:00:30 GMT", 30.0), ("Fri, 20 Nov 2026 07:00:00 GMT", 0.0),
        ("Fri, 20 Nov 2026 08:00:30 -0000", 30.0),
    ],
)  # fmt: skip
def test_retry_after_is_a_number_or_a_date(header: str | None, seconds: float | None) -> None:
    assert retry_after(header, NOW, 3600.0) == seconds
