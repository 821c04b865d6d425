"""The contract of a sink: the interface between delivery and a module under `pump.sinks`."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, ClassVar, Generic, Self, TypeVar

from pump.commands.calls import RawAnswer, RawCall
from pump.commands.contract import Command
from pump.commands.trial import NOTHING, Trial
from pump.commands.ways import WayIn
from pump.core.clock import Clock
from pump.core.errors import Refusal
from pump.core.record import Batch, State
from pump.core.settings import SinkSettings


@dataclass(slots=True, frozen=True)
class Settled:
    """The part of a deferring sink's work that is safe: everything through `seq`, and the state that belongs to it."""

    seq: int
    state: State | None


@dataclass(slots=True, frozen=True)
class Damage:
    """Damage to what a sink keeps itself, which its opening found and mended."""

    reason: str
    lost: int
    """Events that were there and are no more, as far as can be seen."""
    carried: int
    """Events that were carried over from what was set aside."""
    aside: str
    """The name of what was set aside, for a person to look at; empty where nothing was."""


C = TypeVar("C", bound=SinkSettings)


class Sink(ABC, Generic[C]):
    """A receiver of events. A module under `pump.sinks` says `SINK = ItsClass`.

    Delivery makes an object for each opening, with the state stored at the last cursor (None: never stored),
    enters it, calls `send` with one batch after another (never two at once), and leaves it. Making the object
    does no I/O. After an exception other than `Rejected` and `Unavailable`, or a send past its deadline (which is
    cancelled), the object is left and a new one is made.
    """

    Settings: ClassVar[type[SinkSettings]]
    deferring: bool = False
    """True: `send` only accepts; the cursor moves by `settle` alone."""
    watches: bool = False
    """True: `watch` is to be awaited while there is nothing to send."""
    names_events: ClassVar[bool] = False
    """True: the peer gets a name with each event and drops what it has under that name already; see `fresh_ids`."""
    fresh_ids: str = ""
    """Set by delivery while a replay asks for names of its own: they are made with this too; "": the usual."""
    duplicates: int = 0
    """Of the newest `send`: events that the peer had already under their names, and did not take again."""
    left_out: Mapping[str, int] = {}
    """Of the newest `send`: events that were meant for the peer and that it will not get, by reason; delivery counts
    them. For what is done with although nothing was sent; what is refused is `Rejected`."""

    damage: Damage | None = None
    """Set by the sink while it is entered: delivery has it announced as an event."""

    def __init__(self, name: str, settings: C, *, state: State | None, clock: Clock, site: str) -> None:
        self.name = name
        self.settings = settings
        self.state = state
        self.clock = clock
        self.site = site

    @classmethod
    def way_in(cls, name: str, settings: C, *, clock: Clock, site: str) -> WayIn | None:
        """The way for commands that this sink's peer offers, where the settings ask for one; None: there is none.

        Called by the daemon once for `[sinks.NAME]`; it is a part of its own, with a connection of its own, that
        lives whatever becomes of the sink's openings. `settings.command_callers` names those who may come by it.
        """
        return None

    def recall(self, memory: MutableMapping[str, Any]) -> None:
        """Called by delivery once, before the sink is entered, with what it remembers by key over all openings.

        For what is too much for `state`, such as something of each device. What the sink sets or deletes is stored
        within a second, beside the cursor and not with it; values are JSON and not None. After a crash it may be
        newer than the cursor, and never older: what is set before a `send` returns is on disk no later than the cursor
        that passes its records.
        """

    async def __aenter__(self) -> Self:
        """Open what is needed. May raise what `send` may.

        A sink that must find its place again after a crash before its first cursor may set `self.state` here:
        delivery stores it before the first `send`.
        """
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it; also after a failed or cancelled `send`. Called once for each successful entry."""

    @abstractmethod
    async def send(self, batch: Batch) -> State | None:
        """Deliver the batch, in order; return when the peer has it all. The state returned is stored with the cursor.

        A batch may hold records that were delivered before (a crash came before the cursor was stored).
        Raises `Unavailable(done=numbers)` when the peer is away: those are delivered, the rest is sent again later.
        Raises `Rejected(numbers, reason)` after all others were delivered: those become dead letters.
        Raises `Misconfigured` when only a person can help, `Gone` when the peer wants no more at all: then the sink
        is switched off. A `state` given to any of these is stored although the cursor stays. May be cancelled at any
        await; must then leave nothing that breaks the next opening.
        """

    async def first_held(self, batch: Batch) -> int | None:
        """The number of the first of these records that the peer holds for certain; None where none is, or who knows.

        Called by delivery after the entry where the sink's cursor was lost with a damaged spool, with one batch after
        another from the oldest record on, masked by nothing, until a number comes: everything through that record
        counts as delivered then, for it was in order. What follows is sent, and may be held too. A record that a
        vendor has sent again since is another record: it must not be taken for the one that the peer holds.
        """
        return None

    async def watch(self) -> State | None:
        """Look after the peer while there is nothing to send. Called by delivery of sinks alone that set `watches`.

        It is awaited from the end of one `send` to the beginning of the next, never beside one, and cancelled when
        there is something to send: any await must bear that. It returns when there is news, and is called again:
        None where a lost peer was found again, or a state to be stored with the cursor. Raises `Unavailable` where
        the peer is lost (the sink is down until `watch` returns or `send` succeeds, and `watch` is called again after
        a wait: then it connects anew), `Misconfigured` and `Gone`, as `send` does.

        It is the place for work that is due by the clock, too: while it runs, the sink has had every stored event.
        What must outlast the next event, such as a call that is on its way, goes into a task of the sink's own, which
        `watch` takes up again and `__aexit__` ends.
        """
        await asyncio.Event().wait()
        return None  # pragma: no cover  # nobody sets the event

    async def call(self, command: Command, call: RawCall) -> RawAnswer:
        """Make one call of the peer's document, signed as the sink's own: as `Source.call`, of an entered sink.

        It may come beside a `send`, and while the sink is left: then it raises Unavailable.
        """
        raise Refusal("this sink has no interface that could be called")

    async def try_out(self, trial: Trial) -> None:
        """Reach the peer, for `pump check --online`: as `Source.try_out`, on an object that is never entered.

        Nothing is sent to the peer that it would keep, and nothing made there; a daemon's own connection must stay.
        """
        trial.not_tried.append(NOTHING)

    async def settle(self) -> Settled | None:
        """Asked of deferring sinks alone: twice a second, and once more before they are left; None: nothing new."""
        return None
