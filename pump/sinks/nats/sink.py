"""NATS JetStream: each event once in a stream that may live on several servers (docs/nats.md).

Nats-Msg-Id lets the stream drop what comes again inside its window; Nats-Expected-Last-Msg-Id keeps the order: a
message whose predecessor was lost, as when the stream's leader changes, is refused instead of stored before it.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Final, Self

import nats.errors
import orjson
import structlog

from pump.commands.trial import Trial
from pump.commands.ways import WayIn
from pump.core.clock import Clock
from pump.core.errors import Misconfigured, Rejected, Unavailable, anew, bare
from pump.core.record import Batch, Record, State
from pump.sink import Sink
from pump.sinks.common.ack_window import Window
from pump.sinks.common.event_key import name_of
from pump.sinks.common.template import NATS, Template
from pump.sinks.nats.commands import NatsCommands
from pump.sinks.nats.link import Answer, NatsConnection, connect_options
from pump.sinks.nats.settings import NatsSettings
from pump.sinks.nats.stream import Wanted, ensure, subjects

__all__ = ["SINK", "NatsSettings", "NatsSink"]

log = structlog.get_logger()

_WRONG_LAST: Final = 10070
_NEVER: Final = frozenset({10054, 10097})
"""err_codes of a message that this stream will never take: too large, as a whole or in its headers."""
_MEND: Final = frozenset({10039, 10076})
"""No JetStream for this account."""
_GIVE_UP: Final = 3
"""How often somebody else's message may stand between two of ours before none names the one before it any more."""


class NatsSink(Sink[NatsSettings]):
    """Publishes with a window of pending acknowledgements; connects again, to the next server, while idle too."""

    Settings = NatsSettings
    watches = True
    names_events = True

    def __init__(self, name: str, settings: NatsSettings, *, state: State | None, clock: Clock, site: str) -> None:
        super().__init__(name, settings, state=state, clock=clock, site=site)
        self._subject = Template(settings.subject, NATS, site)
        self._stream = settings.stream.replace("{site}", site)
        self._servers = list(settings.servers)
        random.shuffle(self._servers)  # so that many pumps do not all ask the first
        self._link: NatsConnection | None = None
        self._window: Window | None = None
        self._ids: list[str] = []
        self._last = ""
        """The id of the message stored last; "": not known, so the next one names none before it."""
        self._chained = True
        self._foreign = 0
        self._checked = False

    async def __aenter__(self) -> Self:
        """Connect, and find or create the stream. Raises Unavailable, Misconfigured."""
        await self._connected()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Disconnect."""
        await self._dropped()

    async def try_out(self, trial: Trial) -> None:
        """As Sink.try_out: a connection to each server, and a look at the stream; none is made."""
        options = await connect_options(self.settings, f"pump-{self.site}-{self.name}-check")
        trial.not_tried.append("publishing: whether its subjects are permitted shows with the first event")
        for server in self._servers:
            link = NatsConnection(options, self.settings.timeout, on_answer=lambda *_: None, on_lost=lambda _: None)
            await link.open(server)
            where = link.client.connected_url.netloc.rpartition("@")[2] if link.client.connected_url else "the server"
            try:
                there = await ensure(link.client, self._wanted(), look=True)
            finally:
                await link.close()
            trial.found.append(f"{where} takes the login")
        how = "is there, and takes the subjects" if there else "is not there yet: the daemon would create it"
        trial.found.append(f"the stream {self._stream} {how}")

    @classmethod
    def way_in(cls, name: str, settings: NatsSettings, *, clock: Clock, site: str) -> WayIn | None:
        """Where `command_subject` says so."""
        return NatsCommands(name, settings, clock=clock, site=site) if settings.command_subject else None

    async def send(self, batch: Batch) -> None:
        """Publish the batch in order. Raises Unavailable, Rejected, Misconfigured."""
        link = await self._connected()
        settings = self.settings
        window = self._window = Window(batch, settings.window, settings.timeout, silence=settings.ack_wait)
        self._ids = []
        self.duplicates = 0
        try:
            for place, record in enumerate(batch):
                await window.room()
                await self._publish(link, window, place, record)
            await window.finish()
        except Rejected:
            self._last = ""  # what was refused is not in the stream, and the last one may be among it
            raise
        except Unavailable as error:
            await self._dropped()
            raise Unavailable(
                error.reason, retry_after=error.retry_after, done=window.done, refused=window.refused
            ) from error
        except BaseException:
            await self._dropped()
            raise
        else:
            # What the stream had already stands somewhere in it, as a rule not at its end.
            self._last = "" if self.duplicates else self._ids[-1]
        finally:
            window.close()
            self._window = None

    async def watch(self) -> None:
        """Wait for the connection's end. Returns where one that was lost is there again. Raises as `send` does."""
        link = self._link
        if link is None or link.lost is not None:
            await self._connected()
            return
        await link.until_lost()
        assert link.lost is not None  # that is what was waited for
        raise anew(link.lost)

    # --- messages ---------------------------------------------------------------------------------------------------

    async def _publish(self, link: NatsConnection, window: Window, place: int, record: Record) -> None:
        before = self._ids[-1] if self._ids else self._last
        event: Mapping[str, Any] = orjson.loads(record.body) if self._subject.decodes else {}
        known = name_of(record.body, self.fresh_ids)
        headers = {"Nats-Msg-Id": known, "Content-Type": "application/cloudevents+json"}
        if before and self._chained:
            headers["Nats-Expected-Last-Msg-Id"] = before
        self._ids.append(known)
        window.expect(1)
        try:
            await link.publish(place, self._subject.fill(record, event), record.body, headers)
        except nats.errors.MaxPayloadError:
            self._ids[-1] = before
            window.refuse(place, f"it is larger than the {link.client.max_payload} bytes that the server takes")

    def _answered(self, place: int, answer: Answer) -> None:
        window = self._window
        if window is None:
            return
        if not answer.error:
            self.duplicates += answer.duplicate
            window.settle(place)
        elif answer.error == _WRONG_LAST:
            self._unchain(window, place)
        elif answer.error in _NEVER:
            # What follows names this one as its predecessor and is refused too: it comes again, without this one.
            window.refuse(place, f"the stream refuses it: {answer.text}")
        elif answer.error in _MEND:
            window.fail(Misconfigured(f"the stream {self._stream} does not take it: {answer.text}"))
        else:
            self._checked = self._checked and answer.error > 0
            window.fail(Unavailable(f"the stream {self._stream} takes nothing now: {answer.text}"))

    def _unchain(self, window: Window, place: int) -> None:
        """The message before this one is not the stream's last: lost, refused, or somebody else publishes there too."""
        if place == window.settled and window.seq(place - 1 if place else 0) not in window.refused:
            self._foreign += 1
            if self._foreign >= _GIVE_UP:
                log.warning(
                    "Others publish into the stream too: a lost message may change the order", stream=self._stream
                )
                self._chained = False
        window.fail(Unavailable("the message before it is not in the stream", retry_after=0.0))

    # --- the connection ---------------------------------------------------------------------------------------------

    async def _connected(self) -> NatsConnection:
        if self._link is not None and self._link.lost is None:
            return self._link
        await self._dropped()
        failed: list[Exception] = []
        options = await connect_options(self.settings, f"pump-{self.site}-{self.name}")
        for _ in range(len(self._servers)):
            link = NatsConnection(options, self.settings.timeout, on_answer=self._answered, on_lost=self._lost)
            try:
                await link.open(self._servers[0])
                if not self._checked:
                    await self._check(link)
                    self._checked = True
            except (Unavailable, Misconfigured) as error:
                failed.append(bare(error))
                self._servers.append(self._servers.pop(0))
                continue
            self._link = link
            return link
        # One that is only away may be right where the others are not.
        raise anew(next((error for error in failed if isinstance(error, Unavailable)), failed[0]))

    async def _check(self, link: NatsConnection) -> None:
        try:
            await ensure(link.client, self._wanted())
        except BaseException:
            await link.close()
            raise

    def _wanted(self) -> Wanted:
        settings = self.settings
        new, needed = subjects(settings, self.site)
        return Wanted(
            name=self._stream,
            subjects=new,
            needed=needed,
            create=settings.create,
            replicas=settings.replicas,
            max_age=settings.max_age,
            max_bytes=settings.max_bytes,
            storage=settings.storage,
            duplicate_window=settings.duplicate_window,
        )

    async def _dropped(self) -> None:
        self._last = ""
        link, self._link = self._link, None
        if link is not None:
            await link.close()

    def _lost(self, error: Exception) -> None:
        if self._window is not None:
            self._window.fail(error)


SINK = NatsSink
