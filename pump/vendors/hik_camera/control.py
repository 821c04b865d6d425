"""Commands to one device: ISAPI's calls for outputs, doors, pictures and a new start, each sent once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from yarl import URL

from pump.commands.calls import PATIENCE, RawAnswer, RawCall
from pump.commands.contract import DONE, Command, CommandResult, Target, medium_id
from pump.core.clock import Clock
from pump.core.errors import Refusal, Unavailable
from pump.core.groups import Medium
from pump.core.text import words_of
from pump.ingest.media import TooLarge
from pump.ingest.stream.client import LARGEST_ANSWER, Answer, ConnectionLost, DigestClient, UnexpectedStatus
from pump.ingest.stream.intake import StreamIntake
from pump.ingest.stream.lockout import STALE, LoginLockout
from pump.vendors.common.hik_status import done, refused, status_fields, status_number
from pump.vendors.common.images import mime_of
from pump.vendors.hik_camera import device
from pump.vendors.hik_camera.document import Tree, read_document

OWN: Final = ("/isapi/event/notification/alertstream",)
"""The call that the source alone makes."""
_MOST: Final = 4096
"""The largest number of a channel, an output, a door."""
_BROKEN: Final = 3
"""statusCode of what the device could not do (A.2)."""


@dataclass(slots=True, frozen=True)
class _Call:
    """One call; `{}` in the path is the part's number."""

    path: str
    body: str | None = None
    method: str = "PUT"


def _output(state: str) -> _Call:
    body = f"<IOPortData><outputState>{state}</outputState></IOPortData>"
    return _Call("/ISAPI/System/IO/outputs/{}/trigger", body)


def _door(order: str) -> _Call:
    body = f"<RemoteControlDoor><cmd>{order}</cmd></RemoteControlDoor>"
    return _Call("/ISAPI/AccessControl/RemoteControl/door/{}", body)


CALLS: Final[dict[str, dict[str, _Call]]] = {
    "output": {"output.on": _output("high"), "output.off": _output("low")},
    "door": {
        "door.open": _door("open"), "door.hold-open": _door("alwaysOpen"), "door.hold-closed": _door("alwaysClose"),
        "door.release": _door("close"),
    },
    "camera": {"camera.capture": _Call("", method="GET")},
    "device": {"camera.reboot": _Call("/ISAPI/System/reboot")},
}  # fmt: skip
"""By the kind of subject: verbs, and the calls that they are."""


@dataclass(slots=True, frozen=True)
class Commanded:
    """The parts of a device that can be commanded, by what it says of itself; `qualifier` as in `Facts`."""

    known: Mapping[str, Any]
    qualifier: str = ""

    def targets(self) -> Iterator[Target]:
        """Those that its lists name."""
        facts = device.facts(self.known, qualifier=self.qualifier)
        rows: list[tuple[str, str | None, Any]] = [("camera", number, name) for number, name in facts.names.items()]
        rows += [("output", number, name) for number, name in self._outputs.items()]
        rows += [("door", str(number), None) for number in range(1, self._doors + 1)]
        rows += [("device", facts.serial, facts.name)]
        for kind, number, name in rows:
            if (subject := facts.subject(kind, number)) is not None:
                yield Target(subject, tuple(CALLS[kind]), name if isinstance(name, str) else None)

    def part(self, target: str) -> tuple[str, str] | None:
        """(kind, number) of a subject that is this device's, also where its lists were not read; else None."""
        kind, _, number = target.partition("/")
        if kind == "device":
            return (kind, number) if number and number == self.known.get("serial") else None
        if self.qualifier:
            own, _, number = number.partition("/")
            if own != self.qualifier:
                return None
        if kind not in CALLS or not _counts(number):
            return None
        listed = {"output": self._outputs, "door": range(1, self._doors + 1)}.get(kind)
        if listed and not (number in listed or int(number) in listed):
            return None
        return kind, number

    @property
    def _outputs(self) -> Mapping[str, Any]:
        found = self.known.get("outputs")
        return found if isinstance(found, dict) else {}

    @property
    def _doors(self) -> int:
        found = self.known.get("doors")
        return found if isinstance(found, int) else 0


class Control:
    """The calls beside one device's stream, one at a time: a rejected password is known before the next tries it."""

    def __init__(self, link: DigestClient, lockout: LoginLockout, store: StreamIntake, clock: Clock) -> None:
        self._link = link
        self._lockout = lockout
        self._store = store
        self._own = LoginLockout(clock, ())
        """After a 401 beside a stream that stands: it may be but a right that is missing, and events must not wait."""
        self._expired = 0
        """Expired challenges in a row."""
        self._one = asyncio.Lock()

    def commanded(self, qualifier: str) -> Commanded:
        """What the device has, as the spool knows it."""
        kept = self._store.intake.state("device").get("device")
        return Commanded(kept if isinstance(kept, dict) else {}, qualifier)

    def hurry(self) -> None:
        """A password that was rejected may be tried again now."""
        self._own.hurry()

    async def do(self, command: Command, part: tuple[str, str]) -> CommandResult:
        """As `Source.command`. Raises Refusal, Expired, Unavailable."""
        kind, number = part
        call = CALLS[kind][command.verb]
        if command.arguments.get("seconds") is not None:
            raise Refusal("the device has no call for a time: an output stays as it is until it is switched again")
        if command.verb == "camera.capture":
            return await self._capture(command, int(number))
        body = None if call.body is None else call.body.encode()
        answer = await self._ask(command, call.method, call.path.format(number), body)
        return _judged(answer, _read(answer.body))

    async def _capture(self, command: Command, channel: int) -> CommandResult:
        if command.arguments.get("channel", channel) != channel:
            raise Refusal(f"the target is channel {channel}; leave the argument out, or name the other one's target")
        names = self.commanded("").known.get("names")
        answer = await self._ask(command, "GET", device.picture(channel, names if isinstance(names, dict) else {}))
        mime = mime_of(answer.body)
        if answer.status != 200 or mime is None:
            result = _judged(answer, _read(answer.body))
            return result if result is not DONE else CommandResult("failed", "the device answered without a picture")
        if len(answer.body) >= LARGEST_ANSWER:
            return CommandResult("failed", f"the picture is larger than {LARGEST_ANSWER} bytes; make it smaller")
        try:
            stored = await self._store.intake.media.store(answer.body)
        except (OSError, TooLarge) as error:
            return CommandResult("failed", f"the picture was taken and could not be stored: {words_of(error)}")
        medium: Medium = {
            "id": medium_id(command.request_id), "kind": "picture", "mime": mime, "bytes": stored.bytes,
            "sha256": stored.sha256, "path": stored.path, "state": "stored",
        }  # fmt: skip
        return CommandResult("done", facts=dict(medium), media=[medium])

    async def call(self, command: Command, call: RawCall) -> RawAnswer:
        """As `Source.call`. Raises Refusal, Expired, Unavailable."""
        if call.below(OWN):
            raise Refusal("the stream is the source's own")
        answer = await self._ask(
            command, call.method, self._link.exact(call.path), call.body or None, call.content_type
        )
        return RawAnswer(answer.status, answer.content_type, answer.body)

    async def _ask(
        self, command: Command, method: str, path: str | URL, body: bytes | None = None, kind: str = "application/xml"
    ) -> Answer:
        async with self._one:
            if (left := max(self._lockout.left, self._own.left)) > 0:
                raise Unavailable(f"the device rejected the login; no command for {left:.0f} s more")
            try:
                answer = await self._link.request(
                    method, path, body=body, content_type=kind, timeout=command.remaining + PATIENCE,
                    sending=command.sending,
                )  # fmt: skip
            except ConnectionLost as lost:
                raise Unavailable(lost.reason) from lost
            except UnexpectedStatus as error:
                raise Refusal(await self._rejected(error.answer)) from None
            self._expired = 0
            return answer

    async def _rejected(self, answer: Answer) -> str:
        """Keep a login that was not taken from being tried again soon; the reason, for people."""
        if answer.challenge and not answer.wants_digest:
            return "the device asks for another login than digest"
        if answer.stale and self._expired < STALE:
            self._expired += 1
            return "the device's challenge had expired before it was answered"
        advice = device.advise(answer)
        if self._store.connected:
            self._store.intake.count("rejected")
            self._own.note(advice.reason, advice.wait)
            return f"{advice.reason}; its events are still taken, so that the user may lack the right to do this"
        await self._lockout.reject(advice, self._store)
        return advice.reason


def _counts(number: str) -> bool:
    return number.isascii() and number.isdecimal() and number[0] != "0" and len(number) < 5 and int(number) <= _MOST


def _read(body: bytes) -> Tree:
    try:
        return read_document(body)
    except ValueError:
        return {}


def _judged(answer: Answer, tree: Tree) -> CommandResult:
    """By the ResponseStatus, inside HTTP 200 too. Raises Refusal, and Unavailable where nobody says what was done."""
    fields = status_fields(tree)
    if 200 <= answer.status < 300 and done(fields):
        return DONE
    words = [str(fields[name])[:80] for name in ("statusString", "subStatusCode", "errorMsg") if fields.get(name)]
    said = ", ".join([f"HTTP {answer.status}", *words])
    if status_number(fields.get("statusCode")) == _BROKEN:
        return CommandResult("failed", f"the device could not do it: {said}")
    if refused(fields) or 300 <= answer.status < 500:
        raise Refusal(f"the device says no: {said}")
    raise Unavailable(f"the device's answer does not say what it did: {said}")
