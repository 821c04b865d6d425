"""The contract of sources: the interface between the daemon and a vendor's folder."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Sequence
from typing import ClassVar, Generic, TypeVar

from pump.commands.calls import RawAnswer, RawCall
from pump.commands.contract import Command, CommandResult, Target
from pump.commands.trial import NOTHING, Trial
from pump.core.clock import Clock
from pump.core.errors import Refusal
from pump.core.settings import SourceSettings
from pump.ingest.fetch.access import PictureAccess
from pump.ingest.intake import Intake
from pump.ingest.push.admission import Admission
from pump.ingest.push.request import Push, Refused, Response
from pump.ingest.recording.fields import RecordedFields

S = TypeVar("S", bound=SourceSettings)


class Source(ABC, Generic[S]):
    """A vendor's events, gathered. A folder under `pump.vendors` says `SOURCE = ItsClass` in its `__init__`.

    The daemon makes one object for each `[sources.NAME]` table and calls `run` in a task of its own, named
    "source NAME". Making the object does no I/O.
    """

    Settings: ClassVar[type[SourceSettings]]
    numbers_itself: ClassVar[bool] = False
    """Its devices number their parts for themselves: `qualifier` leads those numbers in subjects."""

    recorded: ClassVar[RecordedFields] = RecordedFields()
    """Fields of the vendor's messages that `pump record` replaces or keeps where its general rule cannot know."""

    calls_devices: ClassVar[bool] = False
    """Each of its devices has an address of its own, and `RawCall.device` says which is called."""

    def __init__(self, name: str, settings: S, clock: Clock) -> None:
        self.name = name
        self.qualifier = name
        """Stands in subjects before what a device numbers for itself ("camera/gate/1"); the daemon empties it where
        "camera/1" is unique."""
        self.settings = settings
        self.clock = clock

    @abstractmethod
    async def run(self, intake: Intake) -> None:
        """Gather for as long as the task lives; called again, on the same object, after it returned or raised.

        Cancelled to stop it: close sockets, do not unsubscribe what the vendor keeps for us while we are away.
        `await intake.put(...)` returns when the events are on disk; only the line after it may tell the vendor.
        Report health with `intake.up()`, `intake.down(reason)` and, at every sign of life, `intake.activity()`. With
        `intake.component.expect(seconds)` a sign is due within that time; after three times as long it is cancelled and
        called again. Who waits longer says `down` first, and again within the hour.

        May raise `Unavailable` (the peer or the spool is away: restarted with backoff, or after `retry_after`),
        `Misconfigured` (only a person can mend it: restarted after its long wait, logged loudly). Anything else is
        a bug: logged whole, and the source restarts with backoff all the same. A failure that is the vendor's
        daily life (a time-out, a lost token) is better handled inside, where connections and tokens are kept.
        """

    def pictures(self) -> PictureAccess:
        """Where links in this source's events may be fetched from, and with which login; nowhere by default.

        Called by the daemon once, before `run`; no I/O. What `[media] hosts` names is permitted beside it.
        """
        return PictureAccess()

    def targets(self) -> Iterable[Target]:
        """What can be commanded now, by the configuration and the device table, for people and discovery."""
        return ()

    def verbs(self, target: str) -> Collection[str]:
        """The verbs that this target takes, also before it is seen for the first time; empty: it is not ours."""
        return next((one.verbs for one in self.targets() if one.subject == target), ())

    async def command(self, command: Command) -> CommandResult:
        """Have the device do it, under the source's own limiter; called with a verb of `verbs` alone, many at a time.

        `command.sending()` stands immediately before the first byte that may make the device act; never sent twice.
        Returns when the device has answered, whichever way its answer comes: "done" only where the vendor's document
        says that the answer means it. Cancelled a few seconds after `command.deadline`, and when the daemon stops. May
        raise `Refusal` (the device says no), `Expired` (by `sending`), `Unavailable` and `Misconfigured`; what is
        raised after `sending` leaves the outcome unknown, unless it is a `Refusal`.
        """
        raise Refusal("this source takes no commands")

    async def call(self, command: Command, call: RawCall) -> RawAnswer:
        """Make one call of the vendor's document, signed as the source's own, for `pump call`; as `command` else.

        `command` has no target that matters: what is called is `call`, on the source's own server, or on that of
        `call.device`. What only the source may do, such as its login and its queues, is a `Refusal` before `sending`.
        The answer is given back as it came, its tokens hidden; one that is larger than `LARGEST_ANSWER` is Unavailable.
        """
        raise Refusal("this source has no interface that could be called")

    async def try_out(self, trial: Trial) -> None:
        """Log in and ask, for `pump check --online`; write into `trial` what is found, and what was left alone.

        Called on an object of its own that never runs, perhaps beside a daemon that does: a few calls, and none that
        changes anything at the vendor's, such as a subscription or a confirmation. What is not overridden has nothing
        to try. May raise Unavailable and Misconfigured, which say what an operator can do; cancelled after a while.
        """
        trial.not_tried.append(NOTHING)


class PushSource(Source[S]):
    """A source that devices push to. The listener ([server]) reads their requests and hands over those it claims.

    It must accept whether or not `run` is just restarting: `handle` needs nothing that `run` makes. `run` looks after
    what is left, such as who has fallen silent.
    """

    @property
    @abstractmethod
    def claims(self) -> Sequence[str]:
        """Path prefixes ("/api/upark", "/kinot/bays"); whole segments, in any case. The longest that fits wins."""

    async def claim(self, push: Push) -> int:
        """How well a request fits, asked only where several sources claim its path: 0 not at all, more is better.

        What stands in the body is read by `await push.read(...)`: once for all who ask, a large one beside the loop.
        """
        return 1

    @abstractmethod
    async def handle(self, push: Push, intake: Intake, admission: Admission) -> Response:
        """Answer one request; many run at a time. `admission.admit` counts a device's requests, once it is known.

        Success may be answered only after `await intake.put(...)`. May raise `Unavailable` (as `put` does: the device
        gets `failure` with 503 and Retry-After) and `Refused`; anything else is a bug: logged, answered 500.
        """

    @abstractmethod
    def failure(self, push: Push, refused: Refused) -> Response:
        """The vendor's own form of a failure, with the HTTP status `refused.status`. Must not raise.

        Also for what the listener itself refuses: too large (413), too slow (408), broken (400), forbidden (403). The
        push may lack its body and its query then. Retry-After is added by the listener.
        """
