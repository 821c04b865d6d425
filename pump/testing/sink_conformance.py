"""The duties of every sink, as functions to be run on each: `CHECKS` by name, each given a fresh `Peer`.

A sink's author writes a `Peer` for it (a harness around a real server, a file, a pipe) and parametrises a test over
`CHECKS`. A check that needs what the peer cannot do (`can`) is left out by `applies`.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any, ClassVar, Final

from pump.core.clock import Clock
from pump.core.errors import Rejected, Unavailable
from pump.core.record import Record, State
from pump.delivery.cursor import Surroundings
from pump.delivery.delivery import Delivery
from pump.sink import Sink
from pump.spool import Spool, SpoolSettings
from pump.telemetry.health import Component
from pump.telemetry.metrics import Metrics
from pump.testing.records import record, rows

_BEGUN: Final = Clock().now()
"""The arrival of the events that are sent to a sink directly: recent, and the same when one of them comes again."""

OPENINGS: Final = 5
"""Attempts to open a sink, where a check is not about a peer that is away."""


class Peer(ABC):
    """The other end of a sink. The suite starts it, aims sinks at it, disturbs it, and asks what it received."""

    can: ClassVar[frozenset[str]] = frozenset()
    """Its abilities beside the plain: "stop" (and start again), "stall" (and resume), "reject"."""
    exactly_once: ClassVar[bool] = False
    """True where a record that comes again after a crash must be there once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        """For the peer's own use."""

    async def start(self) -> None:  # noqa: B027  # a file has nothing to start
        """Begin, or begin again after `stop`; what was received before is kept."""

    async def stop(self) -> None:
        """Be gone: connections break, new ones are refused."""
        raise NotImplementedError("stop")

    async def stall(self) -> None:
        """Take nothing in, and say nothing."""
        raise NotImplementedError("stall")

    async def resume(self) -> None:
        """Go on after `stall`."""
        raise NotImplementedError("resume")

    async def reject(self, numbers: Sequence[int]) -> None:
        """Refuse for good the events that `pump.testing.records.record` numbered so."""
        raise NotImplementedError("reject")

    @abstractmethod
    def settings(self) -> Any:
        """The sink's settings, aimed here."""

    @abstractmethod
    def make(self, name: str, settings: Any, *, state: State | None, clock: Clock, site: str) -> Sink[Any]:
        """The sink; in most cases its class called with the same arguments."""

    @abstractmethod
    async def received(self) -> list[int]:
        """The numbers of the events that came, in order, repeated ones repeated. Fails on what is no whole event."""


class Feed:
    """Drives a sink as delivery does, and remembers the cursor that a crash would leave."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self.state: State | None = None

    async def __call__(self, batches: Sequence[Sequence[Record]], *, store: bool = True) -> None:
        """One opening that is sent `batches`; `store` = False: a crash came before their cursor was on disk."""
        async with opened(self._peer, self.state) as sink:
            self.state = sink.state  # delivery stores it before the first batch
            last = self.state
            for batch in batches:
                last = await sink.send(batch)
            if sink.deferring:
                settled = await sink.settle() or await sink.settle()
                last = settled.state if settled is not None else self.state
        if store:
            self.state = last


@asynccontextmanager
async def opened(peer: Peer, state: State | None) -> AsyncIterator[Sink[Any]]:
    """A sink that is open. It may find the peer unavailable first, as delivery would bear.

    nats-server holds back a client of MQTT whose connection before it still works off.
    """
    async with AsyncExitStack() as stack:
        for attempt in range(OPENINGS):
            sink = peer.make("out", peer.settings(), state=state, clock=Clock(), site="testing")
            try:
                await stack.enter_async_context(sink)
                break
            except Unavailable:
                if attempt + 1 == OPENINGS:
                    raise
        yield sink


def numbered(begin: int, end: int, size: int = 0) -> list[Record]:
    """The events `begin` to `end` - 1."""
    return [record(seq, size=size, at=_BEGUN) for seq in range(begin, end)]


async def order(peer: Peer) -> None:
    """Batches arrive whole and in order."""
    await Feed(peer)([numbered(1, 2), numbered(2, 40), numbered(40, 541)])
    assert await peer.received() == list(range(1, 541))


async def restart(peer: Peer) -> None:
    """A stored cursor's state serves the next opening; nothing is missing and nothing twice."""
    feed = Feed(peer)
    for begin in range(1, 50, 7):
        await feed([numbered(begin, begin + 7)])
    assert await peer.received() == list(range(1, 50))


async def crash_before_the_cursor_was_stored(peer: Peer) -> None:
    """Records that were delivered and not stored come again: nothing missing, and where promised nothing twice."""
    feed = Feed(peer)
    await feed([numbered(1, 11)])
    await feed([numbered(11, 21), numbered(21, 31)], store=False)
    await feed([numbered(11, 16)], store=False)
    await feed([numbered(11, 41)])
    expect(peer, await peer.received(), 40)


async def first_batch_lost(peer: Peer) -> None:
    """The same where no cursor of a batch was ever stored."""
    feed = Feed(peer)
    await feed([numbered(1, 11)], store=False)
    await feed([numbered(1, 21)])
    expect(peer, await peer.received(), 20)


async def cancelled_in_mid_send(peer: Peer) -> None:
    """A send that is cancelled at any await leaves what the next opening can go on from."""
    feed = Feed(peer)
    await feed([numbered(1, 3)])
    for turns in range(12):
        async with opened(peer, feed.state) as sink:
            sending = asyncio.create_task(sink.send(numbered(3, 303)))
            for _ in range(turns):
                await asyncio.sleep(0)
            sending.cancel()
            with suppress(asyncio.CancelledError):
                await sending
    await feed([numbered(3, 310)])
    expect(peer, await peer.received(), 309)


async def huge_event(peer: Peer) -> None:
    """An event of 256 KiB passes between small ones."""
    await Feed(peer)([[*numbered(1, 2), *numbered(2, 3, size=256 << 10), *numbered(3, 4)]])
    assert await peer.received() == [1, 2, 3]


async def rejected(peer: Peer) -> None:
    """The others of the batch are delivered before Rejected names those that are refused."""
    await peer.reject([2, 4])
    sink = peer.make("out", peer.settings(), state=None, clock=Clock(), site="testing")
    async with sink:
        refused: frozenset[int] = frozenset()
        try:
            await sink.send(numbered(1, 6))
        except Rejected as error:
            refused = error.sequence
        assert refused == {2, 4}
        await sink.send(numbered(6, 8))
    assert await peer.received() == [1, 3, 5, 6, 7]


async def away_at_the_opening(peer: Peer) -> None:
    """A peer that is away makes the opening or the send raise Unavailable, and loses nothing."""
    await peer.stop()
    sink = peer.make("out", peer.settings(), state=None, clock=Clock(), site="testing")
    sent = -1
    try:
        async with sink:
            await sink.send(numbered(1, 3))
    except Unavailable as error:
        sent = len(error.done)
    assert sent == 0, "a send to nobody returned, or says that somebody got it"
    await peer.start()
    await Feed(peer)([numbered(1, 3)])
    assert await peer.received() == [1, 2]


async def delivered(peer: Peer) -> None:
    """With the real spool and delivery: stopped in an orderly way, each event is there once, over several runs."""
    async with _Daemon(peer) as daemon:
        for run in range(3):
            await daemon.put(400)
            await daemon.until_stopped()
            assert await peer.received() == list(range(1, 400 * (run + 1) + 1))


async def cancelled_deliveries(peer: Peer) -> None:
    """With the real spool and delivery: cancelled at many points, nothing is missing."""
    async with _Daemon(peer) as daemon:
        await daemon.put(300)
        for turns in range(0, 60, 3):
            await daemon.cancelled_after(turns)
        await daemon.until_stopped()
        expect(peer, await peer.received(), 300)


async def peer_that_comes_and_goes(peer: Peer) -> None:
    """With the real spool and delivery: the peer dies and comes back; nothing is missing."""
    async with _Daemon(peer) as daemon:
        delivery = daemon.delivery()
        task = asyncio.create_task(delivery.run())
        await daemon.put(100)
        await peer.stop()
        await daemon.put(100)
        await peer.start()
        await daemon.until_here(delivery)
        task.cancel()
        await asyncio.wait({task})
        expect(peer, await peer.received(), 200)


async def slow_peer(peer: Peer) -> None:
    """With the real spool and delivery: a peer that takes nothing in is left after `timeout`; nothing is missing."""
    async with _Daemon(peer, timeout=0.2) as daemon:
        await peer.stall()
        await daemon.put(2000)
        delivery = daemon.delivery()
        task = asyncio.create_task(delivery.run())
        await daemon.retried()
        await peer.resume()
        await daemon.until_here(delivery)
        task.cancel()
        await asyncio.wait({task})
        expect(peer, await peer.received(), 2000)


async def peer_lost_while_idle(peer: Peer) -> None:
    """With the real spool and delivery, of a sink that holds a link: it is down while its peer is away although
    nothing is to be sent, and up once the peer is back."""
    if not peer.make("out", peer.settings(), state=None, clock=Clock(), site="testing").watches:
        return
    async with _Daemon(peer) as daemon:
        delivery = daemon.delivery()
        task = asyncio.create_task(delivery.run())
        await daemon.put(10)
        await daemon.turned("up")
        await peer.stop()
        await daemon.turned("down")
        await peer.start()
        await daemon.turned("up")
        await daemon.put(10)
        await daemon.until_here(delivery)
        task.cancel()
        await asyncio.wait({task})
        expect(peer, await peer.received(), 20)


def expect(peer: Peer, received: list[int], last: int) -> None:
    """All of 1 to `last` are there, first seen in order, and once where that is promised."""
    first_seen = list(dict.fromkeys(received))
    assert first_seen == list(range(1, last + 1)), "missing, or out of order"
    if peer.exactly_once:
        assert received == first_seen, "twice"


CHECKS: Final[dict[str, Callable[[Peer], Awaitable[None]]]] = {
    check.__name__: check
    for check in (
        order,
        restart,
        crash_before_the_cursor_was_stored,
        first_batch_lost,
        cancelled_in_mid_send,
        huge_event,
        rejected,
        away_at_the_opening,
        delivered,
        cancelled_deliveries,
        peer_that_comes_and_goes,
        slow_peer,
        peer_lost_while_idle,
    )
}
_NEEDS: Final = {
    "rejected": "reject",
    "away_at_the_opening": "stop",
    "peer_that_comes_and_goes": "stop",
    "slow_peer": "stall",
    "peer_lost_while_idle": "stop",
}


def applies(check: str, peer: type[Peer]) -> bool:
    """True where the peer can do what the check needs."""
    return check not in _NEEDS or _NEEDS[check] in peer.can


class _Daemon:
    """A real spool with one delivery to the peer."""

    def __init__(self, peer: Peer, **settings: Any) -> None:
        self._peer = peer
        self._settings = settings
        self._metrics = Metrics()
        self._stored = 0
        self._spool: Spool | None = None
        self._component = Component("sink out", Clock())

    async def __aenter__(self) -> _Daemon:
        folder = self._peer.folder / "spool"
        self._spool = await Spool.open(folder, SpoolSettings(), clock=Clock(), metrics=self._metrics)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._spool is not None
        await self._spool.close()

    async def put(self, count: int) -> None:
        assert self._spool is not None
        await self._spool.append(rows(range(self._stored + 1, self._stored + count + 1), Clock()), source="gate")
        self._stored += count

    def delivery(self) -> Delivery:
        assert self._spool is not None
        return Delivery(
            Surroundings(self._spool, Clock(), self._metrics, "testing", _lost),
            self._peer.make,
            "out",
            self._peer.settings().model_copy(update={"batch_size": 50, **self._settings}),
            self._component,
        )

    async def until_stopped(self) -> None:
        """Run to the end of what is stored; who stops at a failure is started again, as a daemon would be."""
        assert self._spool is not None
        for _ in range(OPENINGS):
            delivery = self.delivery()
            delivery.stop()
            await delivery.run()
            if delivery.position >= self._spool.head:
                break

    async def until_here(self, delivery: Delivery) -> None:
        """Wait until the peer has all that is stored. The delivery is asked first, which costs nothing."""
        while delivery.position < self._stored:  # noqa: ASYNC110  # it tells nobody
            await asyncio.sleep(0.02)
        while len(set(await self._peer.received())) < self._stored:  # noqa: ASYNC110  # nor does the peer
            await asyncio.sleep(0.02)

    async def cancelled_after(self, turns: int) -> None:
        task = asyncio.create_task(self.delivery().run())
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task})

    async def turned(self, state: str) -> None:
        """Wait until /status shows the sink in this state."""
        while self._component.state != state:  # noqa: ASYNC110  # it tells nobody
            await asyncio.sleep(0.02)

    async def retried(self) -> None:
        # a sink may have a time-out of its own, shorter than delivery's
        reasons = [{"sink": "out", "reason": reason} for reason in ("stalled", "unavailable", "error")]
        value = self._metrics.registry.get_sample_value
        while not any(value("pump_sink_retries_total", labels) for labels in reasons):  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def _lost(sink: str, first: int, last: int, count: int) -> None:
    raise AssertionError(f"{sink} lost {count} events, {first} to {last}")
