"""What a source is: the interface between the daemon and a vendor's folder."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, Generic, TypeVar

from pump.clock import Clock
from pump.intake import Intake
from pump.settings import SourceSettings

S = TypeVar("S", bound=SourceSettings)


class Source(ABC, Generic[S]):
    """A vendor's events, gathered. A folder under `pump.vendors` says `SOURCE = ItsClass` in its `__init__`.

    The daemon makes one object for each `[sources.NAME]` table and calls `run` in a task of its own, named
    "source NAME". Making the object does no I/O.
    """

    Settings: ClassVar[type[SourceSettings]]

    def __init__(self, name: str, settings: S, clock: Clock) -> None:
        self.name = name
        self.settings = settings
        self.clock = clock

    @abstractmethod
    async def run(self, intake: Intake) -> None:
        """Gather for as long as the task lives; called again, on the same object, after it returned or raised.

        Cancelled to stop it: close sockets, do not unsubscribe what the vendor keeps for us while we are away.
        `await intake.put(...)` returns when the events are on disk; only the line after it may tell the vendor.
        Tell health with `intake.up()`, `intake.down(reason)` and, at every sign of life, `intake.activity()`.

        May raise `Unavailable` (the peer or the spool is away: restarted with backoff, or after `retry_after`),
        `Misconfigured` (only a person can mend it: restarted after its long wait, told loudly). Anything else is
        a bug: logged whole, and the source restarts with backoff all the same. A failure that is the vendor's
        daily life (a time-out, a lost token) is better handled inside, where connections and tokens are kept.
        """
