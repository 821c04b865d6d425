"""Raw calls (`pump call`): a call of a vendor's document by its running source or sink, journalled as commands are.

A grant names the verb `call`, and as target `call/NAME/METHOD/path`; with a device `call/NAME:PARK/DEVICE/METHOD/path`:
what stands for the one can never be taken for the other.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import Any, Final, Protocol

from pump.commands.calls import CALL, JSON, LARGEST_ANSWER, RawAnswer, RawCall
from pump.commands.contract import Command, CommandResult, NotTaken
from pump.config.model import NAME, RESERVED, CommandSettings
from pump.core.errors import Unavailable
from pump.core.tasks import Threads
from pump.core.text import words_of
from pump.delivery.delivery import Delivery
from pump.ops.commands.desk import Asked, CommandDesk, lifetime
from pump.ops.commands.socket import CALLER
from pump.ops.control import Handler, Tell
from pump.source import Source
from pump.telemetry.redact import HIDDEN, clean

_DEVICE: Final = re.compile(r"(?:camera/)?([\x21-\x2e\x30-\x7e]{1,100}/[\x21-\x2e\x30-\x7e]{1,100})")
"""Two segments, park and device."""
_LONGEST: Final = 200
"""Characters of a name."""
_BESIDE: Final = 64 << 10
"""Bytes of an answer beyond which it is looked through beside the event loop."""
_SECRET: Final = (
    "password|passwd|pwd|secret|secret_?key|app_?secret|client_?secret|access_?key_?secret|access_?key_?id|"
    "access_?token|refresh_?token|bt_?match_?code|validate_?code|verification_?code|verify_?code"
)
"""Names of members whose values are shown to nobody, whichever vendor has them."""
_IN_JSON: Final = re.compile(rb'("(?:%s)"\s*:\s*)(?:"(?:[^"\\]|\\.)*"|[^\s,}\]]+)' % _SECRET.encode(), re.IGNORECASE)
_IN_XML: Final = re.compile(rb"(<(?:[\w-]+:)?(?:%s)(?:\s[^<>]*)?>)[^<]+" % _SECRET.encode(), re.IGNORECASE)
_threads: Final = Threads("raw answers", 1)


class _Part(Protocol):
    """A source, or a sink that is open."""

    async def call(self, command: Command, call: RawCall) -> RawAnswer: ...


class RawCalls:
    """The handler over the desk; `sources` and `sinks` are the daemon's, by name."""

    def __init__(
        self, desk: CommandDesk, settings: CommandSettings, sources: Mapping[str, Source[Any]],
        sinks: Mapping[str, Delivery],
    ) -> None:  # fmt: skip
        self._desk = desk
        self._raw = settings.raw
        self._sources = sources
        self._sinks = sinks

    def adjust(self, settings: CommandSettings) -> None:
        """Go by other settings from now on."""
        self._raw = settings.raw

    def commands(self) -> dict[str, Handler]:
        """The commands that the control socket offers."""
        return {"command.call": self.ask}

    async def ask(self, arguments: Mapping[str, Any], tell: Tell) -> dict[str, Any]:
        """`name`, `method`, `path`, and where wanted `body` (base64), `content_type`, `device`, `expires`.

        {"request_id", "status", "reason"?, "http"?, "content_type"?, "body"?}: the body in base64, secrets hidden.
        """
        try:
            return await self.call(arguments, CALLER, tell)
        except NotTaken as refused:
            return {"request_id": refused.request_id, "status": "refused", "reason": refused.reason}

    async def call(self, arguments: Mapping[str, Any], caller: str, tell: Tell) -> dict[str, Any]:
        """As `ask`, of any caller. Raises NotTaken."""
        name = arguments.get("name")
        if not isinstance(name, str) or len(name) > _LONGEST or not re.fullmatch(NAME, name):
            raise NotTaken("malformed", "the name of a source or a sink is wanted")
        device = _device(arguments.get("device"))
        target = f"{CALL}/{name}" if device is None else f"{CALL}/{name}:{device}"
        try:
            asked = Asked(target, CALL, {}, lifetime(arguments.get("expires")), None, None)
        except ValueError as error:
            raise NotTaken("malformed", f"expires: {words_of(error)}") from None
        refuse = self._desk.refuse
        if not self._raw:
            await refuse("forbidden", "raw calls want raw = true in [commands]", asked, caller)
        try:
            call = _read(arguments, device)
        except ValueError as error:
            await refuse("malformed", words_of(error), asked, caller)
        if not self._desk.allows(caller, CALL, f"{target}/{call.method}{call.bare}"):
            await refuse("forbidden", f"no grant of [commands] lets {caller} do this", asked, caller)
        if name not in self._sources and name not in self._sinks:
            await refuse("no target", "there is no source or sink of this name", asked, caller)
        source = self._sources.get(name)
        if device is not None and not (source is not None and source.calls_devices):
            await refuse("arguments", "it has one server of its own: leave the device out", asked, caller)
        journal = name if name in self._sources else RESERVED
        await self._desk.paced(asked, caller, journal)
        answers: list[RawAnswer] = []

        async def doing(command: Command) -> CommandResult:
            answers.append(await self._part(name).call(command, call))
            return judged(answers[-1])

        shown = {"method": call.method, "path": clean(call.bare), "bytes": len(call.body)}
        entry = self._desk.entry(asked, shown, caller)
        ticket = await self._desk.begin(entry, shown, asked.expires, journal, doing)
        await tell({"request_id": ticket.request_id})
        result = await ticket.result
        found: dict[str, Any] = {"request_id": ticket.request_id, "status": result.status}
        found |= {"reason": result.reason} if result.reason else {}
        for answer in answers:
            found |= {"http": answer.status, "content_type": clean(answer.content_type)}
            found["body"] = await _encoded(answer.body)
        return found

    def _part(self, name: str) -> _Part:
        if name in self._sources:
            return self._sources[name]
        delivery = self._sinks.get(name)
        if delivery is None:
            raise Unavailable("it was taken out of the configuration before the call was sent")
        sink = delivery.open_sink
        if sink is None:
            raise Unavailable("the sink is not open now; see pump status")
        return sink


def judged(answer: RawAnswer) -> CommandResult:
    """What an answer says of its call: what only HTTP says is not the device's own word, and yet all there is."""
    facts = {"http": answer.status, "bytes": len(answer.body)}
    if answer.no:
        return CommandResult("refused", answer.no, facts)
    if 200 <= answer.status < 300:
        cut = len(answer.body) >= LARGEST_ANSWER
        return CommandResult("done", f"the answer is cut at {LARGEST_ANSWER >> 20} MiB" if cut else "", facts)
    return CommandResult("unknown" if answer.status >= 500 else "refused", f"HTTP {answer.status}", facts)


def masked(body: bytes) -> bytes:
    """An answer without the secrets that the configuration has, nor those whose names say what they are."""
    shown = HIDDEN.encode()
    try:
        body = clean(body.decode()).encode()
    except UnicodeDecodeError:  # a picture, or a text in another code, whose bytes stay as they are
        body = clean(body.decode("latin-1")).encode("latin-1")
    return _IN_XML.sub(rb"\g<1>%s" % shown, _IN_JSON.sub(rb'\1"%s"' % shown, body))


async def _encoded(body: bytes) -> str:
    if len(body) <= _BESIDE:
        return _base64(body)
    return await _threads.run(_base64, body)


def _base64(body: bytes) -> str:
    return base64.b64encode(masked(body[:LARGEST_ANSWER])).decode()


def _device(given: object) -> str | None:
    """ "park/device" of a subject. Raises NotTaken."""
    if given is None:
        return None
    found = _DEVICE.fullmatch(given) if isinstance(given, str) else None
    if found is None:
        raise NotTaken("malformed", "a device is the subject of its events, such as camera/10000/1001")
    return found[1]


def _read(arguments: Mapping[str, Any], device: str | None) -> RawCall:
    """The call. ValueError in words."""
    method, path = arguments.get("method"), arguments.get("path")
    body, content_type = arguments.get("body", ""), arguments.get("content_type", JSON)
    if not all(isinstance(one, str) for one in (method, path, body, content_type)):
        raise ValueError("method, path, body and content_type are texts")
    try:
        content = base64.b64decode(body, validate=True)
    except ValueError:
        raise ValueError("the body is not in base64") from None
    return RawCall(str(method).upper(), str(path), content, content_type, device)
