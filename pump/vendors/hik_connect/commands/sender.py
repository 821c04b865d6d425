"""Doors, outputs, cameras and calls of the account (document: 5.7.1, A.3.138, 5.6.5, alarmoutputs/control, capturePic).

Events name what can be commanded by the very ids that the calls want.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, timedelta
from typing import Any, Final, NamedTuple

from pump.commands.calls import PATIENCE, RawAnswer, RawCall
from pump.commands.contract import DONE, Command, CommandResult, Target, medium_id
from pump.core.errors import Refusal, Unavailable
from pump.core.event import Event, Unparsed
from pump.core.groups import BOUNDS, Medium
from pump.core.naming import Named
from pump.core.text import bounded
from pump.vendors.common.api import Action, CallFailed
from pump.vendors.common.fields import children, text
from pump.vendors.common.values import member
from pump.vendors.hik_connect.client import Client
from pump.vendors.hik_connect.limiter import COMMAND
from pump.vendors.hik_connect.media import FILES

MOST: Final = 2048
"""Things that are remembered; the one that was seen longest ago is forgotten for a new one."""
THINGS: Final = "thing/"
"""How the state keys of what was seen begin, the account and the subject behind it."""
_CALLS: Final = 8
"""Calls of one station."""
_LONGEST: Final = 64
"""Characters of an id."""
_REFUSED: Final = frozenset({
    "OPEN000008", "OPEN000010", "OPEN000011", "OPEN000021", "OPEN000022", "OPEN000024", "OPEN000028", "CCF000001",
    "CCF000005", "LAP000001", "VMS000001", "VMS000003", "VMS000005", "VMS004005",
})  # fmt: skip
"""Codes (A.4) by which the vendor says that it has not done it."""

OWN: Final = tuple(
    f"/api/hccgw/{path}" for path in ("platform/v1/token", "alarm/v1/mq", "combine/v1/mq", "rawmsg/v1/mq")
)
"""Calls that the source alone makes: its login, and those that take messages out of a queue for good."""

DOORS: Final = {"door.open": 1, "door.release": 2, "door.hold-open": 3, "door.hold-closed": 4}
"""Verb to actionType (A.3.138); 2 is "lock door", and the document has no other that ends remaining unlocked."""
CALLS: Final = {"call.answer": 1, "call.reject": 2, "call.hang-up": 3}
"""Verb to status (5.6.5)."""
OUTPUTS: Final = {"output.on": -1, "output.off": 0}
"""Verb to operation (alarmoutputs/control, table 5-23: -1 yes, 0 no)."""
_VERBS: Final[dict[str, Collection[str]]] = {"door": DOORS, "output": OUTPUTS, "camera": ("camera.capture",)}
"""By the first part of a subject."""


@dataclass(slots=True)
class _Thing:
    """Something that events have named."""

    name: str | None = None
    serial: str | None = None
    calls: dict[str, str] = field(default_factory=dict)
    """Calls that are not over: record id to the id of the user that is called."""

    def row(self) -> dict[str, Any]:
        """As it is stored; calls are over by the next start."""
        return {name: value for name, value in (("name", self.name), ("serial", self.serial)) if value is not None}


class _Call(NamedTuple):
    path: str
    body: dict[str, Any]
    failures: str = ""
    """The member of `data` that lists what was not done."""


class Commands:
    """One source's."""

    def __init__(self, named: Mapping[str, Named]) -> None:
        """`named`: `names` of the configuration, by subject or id."""
        self._named = named
        self._things: dict[str, _Thing] = {}
        self._client: Client | None = None
        self._prefix = THINGS
        self._kept: dict[str, Any] = {}
        """The rows on disk, by subject."""
        self._touched: set[str] = set()
        """Subjects that were seen, or forgotten, since the rows were stored."""

    @asynccontextmanager
    async def using(self, client: Client) -> AsyncIterator[None]:
        """Commands go by the client of this run."""
        self._client = client
        try:
            yield
        finally:
            self._client = None

    def seen(self, items: Iterable[Event | Unparsed]) -> None:
        """Learn from events who is there, and which calls go on."""
        for item in items:
            if not isinstance(item, Event) or item.subject is None:
                continue
            talk = item.data.get("intercom") or {}
            if item.subject.partition("/")[0] not in _VERBS and "call_id" not in talk:
                continue
            thing = self._things.pop(item.subject, None) or _Thing()
            self._things[item.subject] = thing
            self._touched.add(item.subject)
            if len(self._things) > MOST:
                self._touched.add(oldest := next(iter(self._things)))
                del self._things[oldest]
            device, place = item.data.get("device") or {}, item.data.get("place") or {}
            thing.name = place.get("channel") or (item.data.get("access") or {}).get("door") or thing.name
            thing.serial = device.get("serial") or thing.serial
            if (call := talk.get("call_id")) is not None:
                thing.calls.pop(call, None)
                if item.data.get("phase") != "end" and not item.data.get("late"):
                    thing.calls[call] = talk.get("user") or ""
                    if len(thing.calls) > _CALLS:
                        del thing.calls[next(iter(thing.calls))]

    def targets(self) -> Iterator[Target]:
        """What was seen."""
        for subject, thing in self._things.items():
            if verbs := self.verbs(subject):
                yield Target(subject, verbs, thing.name)

    def verbs(self, target: str) -> Collection[str]:
        """See `Source.verbs`."""
        kind, _, id = target.partition("/")
        thing = self._things.get(target)
        if not 0 < len(id) <= _LONGEST or (thing is None and target not in self._named and id not in self._named):
            return ()
        return (*_VERBS.get(kind, ()), *(CALLS if thing is not None and thing.calls else ()))

    async def send(self, command: Command) -> CommandResult:
        """See `Source.command`."""
        call = _BUILD[command.verb.partition(".")[0]](command, self._things.get(command.target) or _Thing())
        if self._client is None:
            raise Unavailable("the source is just starting")
        try:
            data = await self._client.call(
                f"{COMMAND}{command.request_id}", f"/api/hccgw/{call.path}", call.body, sending=command.sending
            )
        except CallFailed as failure:
            return _failed(failure, sent=command.sent)
        if call.failures and (failed := children(data, call.failures) if isinstance(data, dict) else []):
            codes = {text(row, "errorCode") or "" for row in failed} - {"0"}
            if codes:
                raise Refusal(f"the vendor says that it failed: {', '.join(sorted(codes)) or 'no code'}")
        if command.verb != "camera.capture":
            return DONE
        return _captured(command, data)

    def load(self, stored: Mapping[str, Any], prefix: str) -> None:
        """Take up what earlier runs have stored below `prefix`: it can be commanded before an event comes again."""
        self._prefix = prefix
        rows = {key.removeprefix(prefix): row for key, row in stored.items() if key.startswith(prefix)}
        for subject, row in rows.items():
            if isinstance(row, dict):
                self._kept[subject] = row
                if subject not in self._things:
                    self._things[subject] = _Thing(text(row, "name"), text(row, "serial"))

    def state(self) -> dict[str, Any]:
        """The rows to be stored with what was just seen; `kept` once they are."""
        rows: dict[str, Any] = {}
        for subject in [*self._touched]:
            thing = self._things.get(subject)
            row = thing.row() if thing is not None and subject.partition("/")[0] in _VERBS else None
            if row != self._kept.get(subject):
                rows[self._prefix + subject] = row
            else:
                self._touched.discard(subject)
        return rows

    def kept(self, rows: Mapping[str, Any]) -> None:
        """These rows of `state` are on disk. What was seen since stays to be stored: another queue may have seen it."""
        for key, row in rows.items():
            if row is None:
                self._kept.pop(key.removeprefix(self._prefix), None)
            else:
                self._kept[key.removeprefix(self._prefix)] = row

    async def call(self, command: Command, call: RawCall) -> RawAnswer:
        """See `Source.call`."""
        if call.below(OWN):
            raise Refusal("the login and the queues are the source's own: a call beside it could lose events")
        if self._client is None:
            raise Unavailable("the source is just starting")
        try:
            return await self._client.raw(
                f"{COMMAND}{command.request_id}", call, command.sending, command.remaining + PATIENCE
            )
        except CallFailed as failure:
            raise Unavailable(str(failure)) from None


def _captured(command: Command, data: object) -> CommandResult:
    """The picture's link, which lives 15 minutes, as a medium that is still to be fetched."""
    url = member(data, "captureUrl")
    if not isinstance(url, str) or not url:
        raise Unavailable("the vendor answered without a picture")
    secret = str(member(data, "isEncrypted")) == "1"
    expires = command.clock.now().astimezone(UTC) + timedelta(seconds=FILES)
    medium: Medium = {
        "id": medium_id(command.request_id), "kind": "picture", "url": bounded(url, BOUNDS["link"]),
        "expires": expires.isoformat(timespec="seconds"), "state": "remote",
    }  # fmt: skip
    if secret:
        medium["encrypted"] = True
    return CommandResult("done", facts={"id": medium["id"], "encrypted": secret}, media=[medium])


def _door(command: Command, thing: _Thing) -> _Call:
    # An empty list would be all doors: the id of the target is never left out.
    asked = {"actionType": DOORS[command.verb], "elementlist": [command.target.partition("/")[2]], "direction": 0}
    return _Call("acs/v1/remote/control", {"remoteControl": asked}, "operationResult")


def _output(command: Command, thing: _Thing) -> _Call:
    if "seconds" in command.arguments:
        raise Refusal("the vendor switches an output until it is switched again: leave seconds out")
    one = {"alarmOutputID": command.target.partition("/")[2], "operation": OUTPUTS[command.verb]}
    return _Call("resource/v1/areas/alarmoutputs/control", {"alarmOutputOperation": [one]}, "alarmOutputOperation")


def _camera(command: Command, thing: _Thing) -> _Call:
    channel = command.arguments.get("channel")
    if channel is None or thing.serial is None:
        raise Refusal("the vendor wants the channel's number (channel=1), of a camera that an event has named")
    return _Call("resource/v1/device/capturePic", {"deviceSerial": thing.serial, "channelNo": channel})


def _talk(command: Command, thing: _Thing) -> _Call:
    call = command.arguments.get("call_id") or (next(iter(thing.calls)) if len(thing.calls) == 1 else None)
    if call is None or call not in thing.calls:
        raise Refusal("there is no such call" if call or not thing.calls else "several calls go on: say call_id")
    body = {"recordId": call, "userId": thing.calls[call], "status": CALLS[command.verb]}
    return _Call("devcall/v1/call/receive", body)


_BUILD: Final[dict[str, Callable[[Command, _Thing], _Call]]] = {
    "door": _door, "output": _output, "camera": _camera, "call": _talk,
}  # fmt: skip


def _failed(failure: CallFailed, *, sent: bool) -> CommandResult:
    """The result of a call that came to nothing. Raises Refusal, and Unavailable where its outcome is open."""
    if failure.code in _REFUSED or failure.answer.action in (Action.MISCONFIGURED, Action.LOGIN):
        raise Refusal(str(failure)) from None
    if sent and not failure.unsent and not failure.code.startswith(("HTTP 3", "HTTP 4")):
        raise Unavailable(str(failure)) from None
    return CommandResult("failed", str(failure))
