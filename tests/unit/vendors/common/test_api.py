"""One call of a REST API to its end: each way to fail is one CallFailed, and no password goes astray."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from yarl import URL

from pump.vendors.common import api
from pump.vendors.common.api import Action, Answer, CallFailed, Limits, Reply, VendorApi, retry, translate

NOW = datetime(2026, 11, 20, 8, 0, tzinfo=UTC)
TOO_LARGE, GARBAGE = retry("too large for the test"), retry("garbage to the test")
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nRetry-After: 7\r\n\r\n{}"

Play = Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def server(play: Play) -> AsyncIterator[URL]:
    """A server that does as `play` says with each request's head."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(asyncio.IncompleteReadError):  # a connection on which nothing was sent after all
                await play(await reader.readuntil(b"\r\n\r\n"), writer)
        finally:
            writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with listening:
        yield URL(f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/there")


def says(content: bytes) -> Play:
    async def play(head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(content)
        await writer.drain()

    return play


async def send(url: URL, **more: Any) -> Reply:
    given: dict[str, Any] = {"timeout": 20.0, "largest": 1000, "too_large": TOO_LARGE, "garbage": GARBAGE} | more
    async with VendorApi(Limits(**given)) as calls:
        return await calls.send("POST", url, b"{}", {"Token": "nobody-may-see-it"})


def failure(play: Play, **more: Any) -> CallFailed:
    async def main() -> CallFailed:
        async with server(play) as url:
            with pytest.raises(CallFailed) as failed:
                await send(url, **more)
            return failed.value

    found = asyncio.run(main())
    assert "nobody-may-see-it" not in str(found)
    assert found.__cause__ is None
    return found


async def test_an_answer_comes_whole_with_its_headers() -> None:
    async with server(says(OK)) as url:
        reply = await send(url)
    assert (reply.status, reply.content, reply.headers["retry-after"]) == (200, b"{}", "7")
    assert reply.retry_after(NOW) == 7.0


@pytest.mark.parametrize(
    ("content", "answer"),
    [
        (b"", api.CUT_OFF),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}", api.CUT_OFF),
        (b"SSH-2.0-OpenSSH_9\r\n", GARBAGE),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n" + b"x" * 1001, TOO_LARGE),
    ],
)
def test_an_answer_that_is_none_has_its_row(content: bytes, answer: Answer) -> None:
    assert failure(says(content)).answer is answer


def test_silence_ends_with_the_call_s_time() -> None:
    async def play(head: bytes, writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    assert failure(play, timeout=0.2).answer is api.SILENCE


async def test_nobody_at_the_address_has_its_row() -> None:
    async with server(says(b"")) as url:
        pass
    with pytest.raises(CallFailed) as failed:
        await send(url)
    assert failed.value.answer is api.UNREACHABLE
    assert not failed.value.answered


async def test_a_redirect_is_not_followed() -> None:
    async with server(says(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.2:9/\r\nContent-Length: 0\r\n\r\n")) as url:
        assert (await send(url)).status == 302


async def test_a_password_of_netrc_never_goes_to_a_vendor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    heads = []

    async def play(head: bytes, writer: asyncio.StreamWriter) -> None:
        heads.append(head)
        await says(OK)(head, writer)

    named = tmp_path / "netrc"
    named.write_text("default login somebody password secret\n", encoding="ascii")
    named.chmod(0o600)
    monkeypatch.setenv("NETRC", str(named))
    async with server(play) as url:
        await send(url)
    assert b"authorization" not in heads[0].lower()


@pytest.mark.parametrize(
    ("error", "answer"),
    [
        (TimeoutError(), api.SILENCE), (aiohttp.ServerTimeoutError(), api.SILENCE),
        (aiohttp.ServerDisconnectedError(), api.CUT_OFF), (aiohttp.ClientPayloadError(), api.CUT_OFF),
        (aiohttp.ClientOSError(), api.CUT_OFF), (aiohttp.InvalidURL("x"), GARBAGE), (ssl.SSLError(), api.UNREACHABLE),
        (OSError(), api.UNREACHABLE),
    ],
)  # fmt: skip
def test_the_library_s_errors_are_sorted_by_kind(error: Exception, answer: Answer) -> None:
    found = translate(error, "http://vendor", GARBAGE)
    assert (found.answer, found.code) == (answer, "http://vendor")


def test_a_row_of_the_account_keeps_all_else() -> None:
    row = api.wrong("meaning", "advice")
    assert row.of_account() == Answer(Action.MISCONFIGURED, "meaning", "advice", account=True)
    assert row.text == "meaning: advice"
    assert api.CUT_OFF.text == "the answer broke off"


class Late(Exception):
    """What a command's `sending` raises once its time is over."""


async def test_a_request_that_must_leave_once_is_announced_when_its_connection_stands() -> None:
    heads: list[bytes] = []
    said: list[str] = []

    async def drops(head: bytes, writer: asyncio.StreamWriter) -> None:
        heads.append(head)

    async def noted() -> None:
        await asyncio.sleep(0)
        said.append("noted")

    def late() -> None:
        raise Late

    async with server(drops) as url, VendorApi(Limits(20.0, 1000, TOO_LARGE, GARBAGE)) as calls:
        with pytest.raises(Late):
            await calls.send("POST", url, b"{}", {}, sending=late)
        for method in ("PUT", "GET", "DELETE", "POST"):  # aiohttp repeats the first three by itself
            with pytest.raises(CallFailed) as failed:
                await calls.send(method, url, None, {}, sending=noted)
            assert failed.value.answer is api.CUT_OFF  # not that nothing was there: it may have been done
            assert not failed.value.unsent
        assert (len(heads), said) == (4, ["noted"] * 4)
    closing = OK.replace(b"Retry-After: 7", b"Connection: close")
    async with server(says(closing)) as url, VendorApi(Limits(20.0, 1000, TOO_LARGE, GARBAGE)) as calls:
        with pytest.raises(Late):
            await calls.send("POST", url, b"{}", {}, sending=late)
        reply = await calls.send("POST", url, b"{}", {}, sending=lambda: said.append("plain"))
        assert (reply.status, said[-1]) == (200, "plain")
        assert (await calls.send("POST", url, b"{}", {})).status == 200
        assert said.count("plain") == 1


async def test_a_connection_that_does_not_come_about_is_not_announced() -> None:
    held = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await held.wait()  # the handshake of TLS is never answered
        writer.close()

    said: list[str] = []
    listening = await asyncio.start_server(silent, "127.0.0.1", 0)
    async with listening:
        url = URL(f"https://127.0.0.1:{listening.sockets[0].getsockname()[1]}/")
        async with VendorApi(Limits(0.2, 1000, TOO_LARGE, GARBAGE)) as calls:
            with pytest.raises(CallFailed) as failed:
                await calls.send("POST", url, b"{}", {}, sending=lambda: said.append("sent"))
        held.set()
    assert failed.value.answer is api.SILENCE
    assert said == []
