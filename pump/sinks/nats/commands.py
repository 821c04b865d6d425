"""The way in by NATS: requests on subjects of targets, heard by a core subscription and answered with the result.

No JetStream consumer is made: what a stream has kept is never heard. What one brings all the same, by its republishing
or a consumer of somebody's that delivers to these subjects, shows where it comes from and is refused.
"""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

import nats.errors
import orjson
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg

from pump.commands.ways import Asking, Reception
from pump.core.clock import Clock
from pump.core.errors import Misconfigured, Unavailable, anew
from pump.core.tasks import wait_for
from pump.sinks.common.template import NATS, read_back
from pump.sinks.nats.link import NatsConnection, connect_options, said_by
from pump.sinks.nats.settings import NatsSettings

log = structlog.get_logger()

AWAY: Final = 10.0
"""Seconds that an answer waits for a connection."""
SENT: Final = "Pump-Sent"
"""The header that says when a request was sent, RFC 3339."""
_PENDING: Final = 50_000
"""Messages that wait for the event loop, more than one reading of the socket brings; beyond, nats-py drops them."""
_PENDING_BYTES: Final = 8 << 20
_ASKING: Final = 2.0
"""Seconds for the server to say which streams take a subject."""
_OUT_OF_A_STREAM: Final = frozenset({"nats-stream", "nats-sequence"})
"""Headers of what a stream republishes."""
_FORBIDDEN: Final = re.compile(r"permissions violation for publish to \"(.*)\"")
"""-ERR has a text and nothing else (docs.nats.io, "Client Protocol", +OK/-ERR)."""
_FORBIDDEN_MOST: Final = 1_000
_ACKNOWLEDGING: Final = "$JS.ACK."
"""The beginning of the reply subject of what a stream's consumer delivers."""


class _CommandConnection(NatsConnection):
    """One that outlives a publish which is not permitted: who asks names the subject of the answer."""

    def __init__(self, options: dict[str, Any], timeout: float) -> None:
        super().__init__(options, timeout, on_answer=lambda *_: None, on_lost=lambda _: None)
        self.forbidden: set[str] = set()
        """The subjects of those publishes, in lower case, as nats-py has them."""

    async def through(self) -> None:
        """Return once the server has had what was sent. Raises nats.errors.Error.

        A flush of nats-py 2.16 writes its PING before what waits for its flusher; the second one's comes after it.
        """
        for _ in range(2):
            await self.client.flush()

    async def _errs(self, error: Exception) -> None:
        found = _FORBIDDEN.search(str(error).lower())
        if found is None:
            await super()._errs(error)
        elif len(self.forbidden) < _FORBIDDEN_MOST:
            self.forbidden.add(found[1])


class NatsCommands:
    """One sink's; fulfils `pump.commands.ways.WayIn`."""

    def __init__(self, name: str, settings: NatsSettings, *, clock: Clock, site: str) -> None:
        self._name = name
        self._settings = settings
        self._site = site
        self._clock = clock
        self._prefix = settings.command_prefix(site)
        self._servers = list(settings.servers)
        random.shuffle(self._servers)
        self._reception: Reception | None = None
        self._link: _CommandConnection | None = None
        self._there = asyncio.Event()
        self._asked = False
        """The server was asked which streams take commands."""

    async def run(self, reception: Reception, up: Callable[[], object]) -> None:
        """As `WayIn.run`. Raises Unavailable, Misconfigured."""
        self._reception = reception
        options = await connect_options(self._settings, f"pump-{self._site}-{self._name}-commands")
        link = _CommandConnection(options, self._settings.timeout)
        self._servers.append(server := self._servers.pop(0))
        await link.open(server)
        try:
            await self._subscribe(link)
            self._link = link
            self._there.set()
            up()
            await link.until_lost()
            raise anew(link.lost or Unavailable("the connection for commands ended"))
        finally:
            self._there.clear()
            self._link = None
            await link.close()

    async def _subscribe(self, link: _CommandConnection) -> None:
        """Hear what comes. Of several pumps of one site, which have the same name here, one hears each request."""
        client = link.client
        try:
            await client.subscribe(
                f"{self._prefix}.>", queue=f"pump-{self._site}", cb=self._hears, pending_msgs_limit=_PENDING,
                pending_bytes_limit=_PENDING_BYTES,
            )  # fmt: skip
            await link.through()
        except (nats.errors.Error, OSError, TimeoutError) as error:
            said = f"the server does not take the subscription: {said_by(error)}"
            raise anew(link.lost or Unavailable(said)) from error
        if link.lost is not None:
            raise anew(link.lost)
        if not self._asked:
            self._asked = True
            await self._look_for_streams(client)

    async def _look_for_streams(self, client: Client) -> None:
        """Log the streams that store commands: their acknowledgement is the first answer that who asks gets."""
        body = orjson.dumps({"subject": f"{self._prefix}.target.1"})
        try:
            answer = await client.request("$JS.API.STREAM.NAMES", body, timeout=_ASKING)
            streams = orjson.loads(answer.data).get("streams") or []
        except (nats.errors.Error, TimeoutError, ValueError):
            return  # no JetStream here, or none that this client may ask
        if streams:
            log.warning(
                "A stream takes the subjects of commands: it answers who asks before the pump does. Take them out of "
                "it (docs/nats.md), or set another command_subject",
                sink=self._name, subject=f"{self._prefix}.>", streams=streams,
            )  # fmt: skip

    async def _hears(self, msg: Msg) -> None:
        headers = {name.lower(): value for name, value in (msg.headers or {}).items()}
        if headers.get("content-type", "").startswith("application/cloudevents"):
            return  # an event of a pump's, on subjects that begin alike; it asks for nothing
        if self._reception is not None:
            self._reception.take(self._asking(msg, headers))

    def _asking(self, msg: Msg, headers: Mapping[str, str]) -> Asking:
        target = read_back(msg.subject.removeprefix(f"{self._prefix}."), NATS)
        replayed = msg.reply.startswith(_ACKNOWLEDGING) or not _OUT_OF_A_STREAM.isdisjoint(headers)
        key = headers.get("nats-msg-id")
        return Asking(
            f"nats:{msg.subject}",
            target or "",
            msg.data,
            key=key if key else None,
            sent=headers.get(SENT.lower()),
            stale="it comes out of a stream: it was sent at another time" if replayed else "",
            malformed="" if target else "its subject names no target in the form in which the pump writes it",
            answer=partial(self._answer, msg.reply) if msg.reply and not replayed else None,
        )

    async def _answer(self, reply: str, payload: bytes) -> None:
        """Send the answer, over this connection or the next. Raises Unavailable, Misconfigured."""
        head = self._settings.subject.replace("{site}", self._site).partition("{")[0]
        if reply.startswith("$") or any(f"{reply}.".startswith(one) for one in (head, f"{self._prefix}.") if one):
            raise Misconfigured(f"no answer goes to {reply}: it would be taken for the pump's own word")
        waiting = asyncio.create_task(self._there.wait())
        try:
            if not await wait_for({waiting}, AWAY, self._clock) or self._link is None:
                raise Unavailable("the server is away")
        finally:
            waiting.cancel()
        link = self._link
        link.forbidden.discard(reply.lower())
        try:
            await link.client.publish(reply, payload)
            await link.through()
        except (nats.errors.Error, OSError, TimeoutError) as error:
            raise Unavailable(f"the server did not take it: {said_by(error)}") from error
        if reply.lower() in link.forbidden:  # told before the flush's end
            raise Misconfigured(f"the server does not permit this client to publish to {reply}")
