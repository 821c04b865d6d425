"""A certificate outside its time, as a clock in 1970 or years ahead finds each: the reason names the clock."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pump.core.clock import Clock
from pump.core.errors import Misconfigured, Unavailable
from pump.core.failure import MISCONFIGURED_WAIT, clock_doubt, diagnose, scarcity
from pump.ingest.stream.client import ConnectionLost, DigestClient, tls_context
from pump.sinks.common.tls import refusal
from pump.sinks.webhook.sink import WebhookSettings, WebhookSink
from pump.testing.records import record
from pump.vendors.common.api import UNTRUSTED
from tests.certificates import dated, needs_openssl, self_signed

DOUBT = "is this machine's clock right? It says "
YEAR = timedelta(days=365)


@asynccontextmanager
async def server(context: ssl.SSLContext) -> AsyncIterator[str]:
    """Speaks TLS and nothing else; its URL."""

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    async with listening:
        yield f"https://127.0.0.1:{listening.sockets[0].getsockname()[1]}"


def spans() -> dict[str, tuple[datetime, datetime]]:
    """By this machine's clock: such certificates are to it what right ones are to a wrong clock."""
    now = datetime.now(UTC)
    return {"the clock is behind": (now + YEAR, now + 2 * YEAR), "the clock is ahead": (now - 2 * YEAR, now - YEAR)}


@pytest.fixture(params=["the clock is behind", "the clock is ahead"])
def wrong(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, ssl.SSLContext]:
    return dated(tmp_path, *spans()[request.param])


async def handshake(url: str, authority: Path) -> OSError:
    host, port = url.removeprefix("https://").split(":")
    with pytest.raises(ssl.SSLCertVerificationError) as caught:
        await asyncio.open_connection(host, int(port), ssl=ssl.create_default_context(cafile=authority))
    return caught.value


@needs_openssl
async def test_a_device_s_certificate_outside_its_time_names_the_clock(wrong: tuple[Path, ssl.SSLContext]) -> None:
    authority, context = wrong
    async with server(context) as url:
        link = DigestClient(url, username="u", password="p", ssl=tls_context(verify=True, ca=authority))
        with pytest.raises(ConnectionLost) as caught:
            await link.request("GET", "/")
        assert DOUBT in caught.value.reason


@needs_openssl
async def test_a_broker_s_certificate_outside_its_time_is_tried_again_soon(wrong: tuple[Path, ssl.SSLContext]) -> None:
    authority, context = wrong
    async with server(context) as url:
        meant = refusal(await handshake(url, authority), "broker:8883")
        assert isinstance(meant, Unavailable)
        assert DOUBT in meant.reason


@needs_openssl
async def test_a_webhook_s_certificate_outside_its_time_names_the_clock(
    wrong: tuple[Path, ssl.SSLContext], monkeypatch: pytest.MonkeyPatch
) -> None:
    authority, context = wrong
    # aiohttp loads the system's authorities once, at its import; the sink has no setting for others
    believing = ssl.create_default_context(cafile=authority)
    monkeypatch.setattr("aiohttp.connector._SSL_CONTEXT_VERIFIED", believing)

    async with server(context) as url:
        settings = WebhookSettings.model_validate({"type": "webhook", "url": url, "allow_private": True})
        async with WebhookSink("hook", settings, state=None, clock=Clock(), site="testing") as hook:
            with pytest.raises(Unavailable) as caught:
                await hook.send([record(1)])
            assert DOUBT in caught.value.reason
            assert "certificate" in caught.value.reason
            assert "Operation not permitted" not in caught.value.reason


@needs_openssl
async def test_a_stranger_s_certificate_says_nothing_of_the_clock(tmp_path: Path) -> None:
    _, context = self_signed(tmp_path)
    (tmp_path / "other").mkdir()
    other, _ = self_signed(tmp_path / "other")
    async with server(context) as url:
        error = await handshake(url, other)
        assert clock_doubt(error) == ""
        assert isinstance(refusal(error, "broker:8883"), Misconfigured)


@needs_openssl
def test_a_cloud_s_certificate_that_is_not_trusted_names_the_clock() -> None:
    assert "clock" in UNTRUSTED.text


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS])
def test_what_the_system_lacks_is_no_bug(number: int) -> None:
    wrapped = RuntimeError("a library's own")
    wrapped.__cause__ = OSError(number, os.strerror(number))
    for error in (OSError(number, os.strerror(number)), ExceptionGroup("", [wrapped, Unavailable("away")])):
        failure = diagnose(error)
        assert (failure.level, failure.error) == (logging.WARNING, None)
        assert failure.reason.partition("; ")[0] == scarcity(wrapped)


def test_what_cannot_be_read_for_want_of_descriptors_waits_for_no_person() -> None:
    taken_for = Misconfigured("the certificates cannot be read: Too many open files")
    taken_for.__cause__ = OSError(errno.EMFILE, os.strerror(errno.EMFILE))
    failure = diagnose(taken_for)
    assert (failure.level, failure.wait) == (logging.WARNING, None)
    assert failure.reason == scarcity(taken_for.__cause__)
    missing = Misconfigured("the certificates cannot be read: No such file or directory")
    missing.__cause__ = OSError(errno.ENOENT, os.strerror(errno.ENOENT))
    assert diagnose(missing).wait == MISCONFIGURED_WAIT


def test_a_bug_beside_it_is_one() -> None:
    failure = diagnose(ExceptionGroup("", [OSError(errno.EMFILE, ""), KeyError("x")]))
    assert failure.level == logging.ERROR
    assert scarcity(OSError(errno.ENOENT, "")) is None
    assert diagnose(MemoryError()).reason == "the system has no more memory"
