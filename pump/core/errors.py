"""The few exceptions that steer the engine. Message texts are for people; nothing reads them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import TypeVar

from pump.core.record import State

E = TypeVar("E", bound=BaseException)

Memory = State | None
"""State that a sink wants remembered beside its cursor although a send failed; None: nothing new."""


class Undelivered(Exception):
    """Some of a batch, or all of it, was not delivered, or something else was not done; raised as one of its kinds.

    Of a sink's batch the records whose numbers are in `done` are delivered, those in `refused` will never be (number to
    reason: they become dead letters). `retry_after` is in seconds; None: the engine's wait.
    """

    def __init__(
        self,
        reason: str = "",
        *,
        retry_after: float | None = None,
        done: Iterable[int] = (),
        refused: Mapping[int, str] | None = None,
        state: Memory = None,
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry_after = retry_after
        self.done = frozenset(done)
        self.refused = dict(refused or {})
        self.state = state


class Unavailable(Undelivered):
    """It cannot be done now, and may be later.

    Raised by `Intake.put` when the spool refuses (disk full, size limit, too much waiting): answer the vendor
    with its failure form, complete nothing. Raised by `Sink.send` when the peer is away: what is neither `done` nor
    `refused` is tried again after `retry_after` seconds.
    """


class Rejected(Exception):
    """The peer refuses these records and always will: they become dead letters, the sink goes on.

    Raised by `Sink.send` only after the batch's other records were delivered. `sequence` holds the numbers of
    the refused records; where each has a reason of its own, it maps them to those.
    """

    def __init__(
        self, sequence: Collection[int] | Mapping[int, str], reason: str = "", *, state: Memory = None
    ) -> None:
        self.reasons = dict(sequence) if isinstance(sequence, Mapping) else dict.fromkeys(sequence, reason)
        self.sequence = frozenset(self.reasons)
        self.reason = reason or "; ".join(dict.fromkeys(self.reasons.values()))
        self.state = state
        super().__init__(self.reason)


class Misconfigured(Undelivered):
    """Only a person can mend it (wrong key, locked account): wait long, say so loudly, `reason` says what to do."""


class Gone(Misconfigured):
    """A sink's peer wants no more, ever: the sink is switched off, over restarts too (`pump.delivery.shutoff`).

    Raised by `Sink.send` and `Sink.watch`. It is on again when its settings name another peer, or a person says so.
    """


class Absent(ValueError):
    """A file that the configuration names cannot be read: it may be there later, so this is no mistake of its words."""


class Refusal(Exception):
    """The command cannot be done; the text is for the person who asked."""


class MessageError(ValueError):
    """A vendor's message that is none: no JSON, or not what its document calls one.

    The text says what is missing and holds nothing of the message; the message itself is kept as
    `pump.record.unparsed`.
    """


def bare(error: E) -> E:
    """The error without tracebacks, its own and of what it came of: for who keeps it beyond its `except`.

    A traceback holds the frames it went through and their variables, one of which is then the error itself: a cycle,
    with all that the frames knew, which only the collector frees.
    """
    one: BaseException | None = error
    while one is not None and (one is error or one.__traceback__ is not None):
        one.__traceback__ = None
        one = one.__cause__ or one.__context__
    return error


def anew(error: E) -> E:
    """A copy to be raised in the place of an error that is kept, by a list or an object that the raising frame knows.

    Each raise adds its frames to the error's traceback: to that of the copy, which nobody keeps. `copy.copy` would call
    `__init__` with the words alone, and some want more.
    """
    kind = type(error)
    made = kind.__new__(kind, *error.args)
    made.__dict__.update(error.__dict__)
    return made
