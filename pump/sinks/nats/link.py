"""One connection to a NATS server: nats-py's, without its reconnecting, and an acknowledgement for each publish.

nats-py would keep what was on its way when a connection breaks and send it on the next one, holes and all; here a
broken link is over, and the sink begins a new one with what is not acknowledged.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

import nats.errors
import orjson
import structlog
from nats.aio.client import Client, RawCredentials
from nats.aio.msg import Msg
from nats.js.api import Header

from pump.core.errors import Misconfigured, Unavailable
from pump.core.text import words_of
from pump.sinks.common.tls import client_context, refusal
from pump.sinks.nats.settings import NatsSettings

log = structlog.get_logger()

CONNECTING: Final = 5.0
"""Seconds for each step of a connection, or the sink's `timeout` where that is shorter."""
FAREWELL: Final = 2.0
"""Seconds for an orderly end."""
_NO_RESPONDERS: Final = "503"


class Answer(NamedTuple):
    """What the server says of one publish; https://docs.nats.io/reference/reference-protocols/nats_api_reference."""

    error: int
    """0: stored (or stored before); -1: nobody stores this subject; else JetStream's err_code."""
    text: str
    duplicate: bool = False
    """Stored before: the stream knows its Nats-Msg-Id, and keeps this one not."""


async def connect_options(settings: NatsSettings, name: str) -> dict[str, Any]:
    """How nats-py is to connect, beside where. `name` is the client's, for the server's log."""
    found: dict[str, Any] = {"name": name, "tls_handshake_first": settings.tls_first}
    if settings.ca_file or settings.cert_file or settings.tls_first:
        password = settings.key_password.get_secret_value() if settings.key_password is not None else None
        found["tls"] = await client_context(settings.ca_file, settings.cert_file, settings.key_file, password)
    if settings.username is not None and settings.password is not None:
        found |= {"user": settings.username, "password": settings.password.get_secret_value()}
    if settings.token is not None:
        found["token"] = settings.token.get_secret_value()
    if settings.credentials is not None:
        found["user_credentials"] = RawCredentials(settings.credentials.get_secret_value())
    return found


class NatsConnection:
    """One life of a connection: `open`, then `publish` any number, `close`; never used again."""

    def __init__(
        self,
        options: dict[str, Any],
        timeout: float,
        *,
        on_answer: Callable[[int, Answer], None],
        on_lost: Callable[[Exception], None],
    ) -> None:
        """`on_answer` is told the caller's place of each publish; `timeout` is the sink's."""
        self.client = Client()
        self.lost: Exception | None = None
        self._ended = asyncio.Event()
        self._options = options
        self._connecting = min(CONNECTING, timeout)
        self._on_answer = on_answer
        self._on_lost = on_lost
        self._flying: dict[int, int] = {}
        self._number = 0
        self._inbox = ""
        self._server = ""
        self._last: Exception | None = None

    async def open(self, server: str) -> None:
        """Connect to one server. Raises Unavailable, Misconfigured."""
        self._server = urlsplit(server).netloc
        try:
            await self.client.connect(
                servers=[server],
                allow_reconnect=False,
                max_reconnect_attempts=1,
                reconnect_time_wait=0,
                connect_timeout=self._connecting,  # type: ignore[arg-type]  # it goes to asyncio alone
                ping_interval=10,
                max_outstanding_pings=2,
                # Its forced flushes swallow a cancellation; what is on its way is bounded by the sink's window.
                pending_size=-1,
                error_cb=self._errs,
                closed_cb=self._closes,
                **self._options,
            )
            self._inbox = self.client.new_inbox()
            await self.client.subscribe(f"{self._inbox}.*", cb=self._hears)
        except (nats.errors.Error, OSError, TimeoutError) as error:
            await self.close()
            raise _translated(error, self._last, self._server) from error
        except BaseException:
            await self.close()
            raise

    async def publish(self, place: int, subject: str, payload: bytes, headers: dict[str, str]) -> None:
        """Send one message. Raises nats.errors.MaxPayloadError; a link's end is told by `on_lost` alone."""
        self._number += 1
        self._flying[self._number] = place
        try:
            await self.client.publish(subject, payload, reply=f"{self._inbox}.{self._number}", headers=headers)
        except nats.errors.MaxPayloadError:
            del self._flying[self._number]
            raise
        except nats.errors.Error as error:
            self._end(_translated(error, self._last, self._server))

    async def until_lost(self) -> None:
        """Wait until the connection ends; `lost` says why. The server is asked every ten seconds."""
        await self._ended.wait()

    async def close(self) -> None:
        """End the connection, in an orderly way where that is quick."""
        self._ended.set()
        self.lost = self.lost or Unavailable(f"the connection to {self._server} is closed")
        transport = self.client._transport
        try:
            async with asyncio.timeout(FAREWELL):
                await self.client.close()
        except Exception as error:  # noqa: BLE001  # whatever it was, the socket goes
            log.debug("A NATS connection did not end in an orderly way", error=type(error).__name__)
        finally:
            writer = getattr(transport, "_io_writer", None)
            if isinstance(writer, asyncio.StreamWriter):
                writer.transport.abort()

    async def _hears(self, msg: Msg) -> None:
        place = self._flying.pop(int(msg.subject.rpartition(".")[2]), None)
        if place is None:
            return
        if not msg.data and msg.headers and msg.headers.get(Header.STATUS) == _NO_RESPONDERS:
            self._on_answer(place, Answer(-1, "no stream takes it"))
            return
        answer = orjson.loads(msg.data)
        error = answer.get("error")
        if error is None:
            self._on_answer(place, Answer(0, "", duplicate=answer.get("duplicate") is True))
        else:
            self._on_answer(place, Answer(error.get("err_code", 0) or 10003, str(error.get("description", ""))))

    async def _errs(self, error: Exception) -> None:
        self._last = error
        translated = _translated(error, None, self._server)
        if isinstance(translated, Misconfigured) and self._inbox:
            self._end(translated)

    async def _closes(self) -> None:
        self._end(Unavailable(f"the connection to {self._server} ended"))

    def _end(self, error: Exception) -> None:
        if self.lost is None:
            self.lost = error
            self._ended.set()
            self._on_lost(error)


def said_by(error: BaseException) -> str:
    """The words of an error of the server's, the library's or the system's, without the library's name before them."""
    return words_of(error).removeprefix("nats: ")


def _translated(error: Exception, before: Exception | None, server: str) -> Exception:
    """A library's exception as one of ours. `before` tells more where it says only that no server is left."""
    if isinstance(error, nats.errors.NoServersError) and before is not None:
        error = before
    if isinstance(error, (OSError, ssl.SSLError)) and not isinstance(error, nats.errors.Error):
        return refusal(error, server)
    # -ERR has a text and nothing else (docs.nats.io, "Client Protocol", +OK/-ERR): these words are the protocol.
    said = said_by(error)
    if isinstance(error, nats.errors.AuthorizationError) or any(
        word in said.lower() for word in ("authorization", "authentication")
    ):
        return Misconfigured(f"{server} refuses the credentials")
    if "permissions violation" in said.lower():
        return Misconfigured(f"{server} does not permit it: {said}")
    return Unavailable(f"{server} cannot be used: {said}")
