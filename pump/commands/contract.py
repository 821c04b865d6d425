"""What a source and a caller know of a command: the request, the command under way, its result."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import orjson

from pump.core.clock import Clock
from pump.core.event import event_id
from pump.core.groups import BOUNDS, Medium
from pump.core.text import bounded, printable

Status = Literal["done", "refused", "failed", "timed-out", "expired", "unknown"]
"""done: the device did it. refused: nothing was sent, or the device said no. failed: nothing reached the device, or it
said that it could not. timed-out: sent, and no answer came. expired: its time was over before it could be sent.
unknown: sent, and nobody can say what became of it."""

_FACTS: Final = 64 << 10
"""Bytes of facts, as JSON."""
NOTHING_HAPPENED: Final[frozenset[Status]] = frozenset({"refused", "failed", "expired"})
"""Statuses by which the device has not done it."""


class Expired(Exception):
    """The command's time is over: it must not be sent any more."""


@dataclass(slots=True)
class Command:
    """A command under way, as a source gets it: allowed, checked, and written down on disk."""

    request_id: str
    verb: str
    target: str
    """The subject of the device's own events."""
    arguments: Mapping[str, Any]
    """As the verb's schema has them (`verbs.VERBS`)."""
    caller: str
    """"socket", "token:<name>", "mqtt:<topic>" or "nats:<subject>"."""
    deadline: float
    """Monotonic seconds of the clock at which it expires."""
    clock: Clock
    expires_ms: int | None = None
    """The same by the wall clock, in milliseconds since 1970: the monotonic one stands still while a machine sleeps."""
    sent: bool = False
    """True from the moment at which the device may have it."""
    ended: bool = False
    """True once its end was decided: whoever is late in hearing of it sends nothing any more."""

    @property
    def remaining(self) -> float:
        """Seconds until it expires; 0.0 once it has."""
        return max(0.0, self.deadline - self.clock.monotonic())

    def sending(self) -> None:
        """To be called immediately before the first byte that may make the device act. Raises Expired, where either
        clock says that its time is over.

        From here on the command counts as sent: an error or a time-out afterwards leaves its outcome open. It is never
        sent again; only what the device has plainly not acted upon, such as a request that it challenged for a
        password, may be repeated.
        """
        slept = self.expires_ms is not None and self.clock.now_ms() > self.expires_ms
        if self.ended or slept or self.remaining <= 0.0:
            raise Expired
        self.sent = True


@dataclass(slots=True, frozen=True)
class CommandResult:
    """The end of a command. `reason` is for people, and `facts` are JSON values for the caller and the event."""

    status: Status
    reason: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    media: Sequence[Medium] = ()
    """What the device gave, for `data.media` of the event; a link of it is fetched. See `medium_id`."""

    def plain(self) -> CommandResult:
        """The same as it can be written down and answered, whatever a device has put into it."""
        reason, said = printable(self.reason), ""
        try:
            body = orjson.dumps(self.facts)
        except TypeError:  # half a surrogate pair, a number beyond 64 bits, JSON too deep
            body = b""
        facts = orjson.loads(body) if 0 < len(body) <= _FACTS else {}
        if self.facts and not facts:
            said = "what else was answered cannot be written down"
        return CommandResult(
            self.status, bounded("; ".join(filter(None, (reason, said))), BOUNDS["name"]), facts, self.media
        )


def medium_id(request_id: str, place: int = 0) -> str:
    """The id of a medium in a command's result: that of the event, and its place."""
    return f"{event_id('command.result', request_id)}/{place}"


DONE: Final = CommandResult("done")


@dataclass(slots=True, frozen=True)
class Target:
    """Something that can be commanded: its subject, its name for people, the verbs that it takes."""

    subject: str
    verbs: Collection[str]
    name: str | None = None


@dataclass(slots=True, frozen=True)
class Request:
    """A command as it is asked for; nothing of it is believed yet."""

    target: object
    verb: object
    arguments: object = field(default_factory=dict)
    expires: object = None
    """Seconds, or a duration such as "5s"; None: 10 s."""
    key: object = None
    """The caller's own name of it: asked again under the same one, it is the same command."""
    source: object = None
    """The source's name, where two have such a target."""

    @classmethod
    def of(cls, asked: object) -> Request | None:
        """From a JSON object with these keys; None where it is none, or has others."""
        if not isinstance(asked, Mapping) or not {"target", "verb"} <= asked.keys() <= _KEYS:
            return None
        return cls(**asked)


_KEYS: Final = frozenset({"target", "verb", "arguments", "expires", "key", "source"})

Ask = Callable[[Request, str], Awaitable["Ticket"]]
"""How the ways in (HTTP, MQTT, NATS) ask for a command: the request and the caller. Raises NotTaken."""


@dataclass(slots=True, frozen=True)
class Ticket:
    """A command that was taken: its result comes within its expiry and 5 s."""

    request_id: str
    result: Awaitable[CommandResult]


class NotTaken(Exception):
    """A command that was not taken; nothing was sent. The text is for who asked."""

    def __init__(self, why: Why, reason: str, request_id: str = "") -> None:
        super().__init__(reason)
        self.why: Why = why
        self.reason = reason
        self.request_id = request_id


Why = Literal["malformed", "forbidden", "no target", "no verb", "arguments", "too many", "not now", "stale"]
