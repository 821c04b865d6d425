"""Commands that the answer to a keep-alive carries to its camera ("ANPR APIs 2.1", Heartbeat Keep-alive).

The answer is the sending: a command waits for its camera's next keep-alive, and one answer carries one command. The
results come by notifyresult, later, and name no request: the next one of the right path is taken for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pump.commands.contract import DONE, Command, CommandResult, Expired
from pump.core.clock import Clock
from pump.core.errors import Refusal
from pump.core.groups import BOUNDS
from pump.vendors.avaeye import codes
from pump.vendors.avaeye.parse import Message
from pump.vendors.common.values import text, whole

LATE: Final = 60.0
"""Seconds in which the result of a command that has timed out may still come, and would be taken for the next one's."""
QUIET: Final = 10.0
"""Seconds after a result in which no command of the same path is given: the result may come once more, and names no
request."""
_KEPT: Final = 1000
"""Cameras' last results that are remembered."""
_NO_REQUEST: Final = (None, "0")
"""requestId of a result that no request's id belongs to."""
_MODES: Final = {"off": 0, "on": 1, "flash": 2}
_COLORS: Final = {"red": 1, "green": 2, "yellow": 3}


@dataclass(slots=True)
class _Waiting:
    """A command on its way."""

    command: Command
    control: Mapping[str, Any]
    """What the answer carries."""
    path: str | None
    """That of its result; None: the document has none."""
    end: asyncio.Future[CommandResult]


class Carrier:
    """Of one source. The desk gives it one command of a camera at a time."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._waiting: dict[str, _Waiting] = {}
        """By the camera's key."""
        self._owed: dict[tuple[str, str], float] = {}
        """By key and path: until when the result of one that was given up may still come."""
        self._heard: dict[tuple[str, str], tuple[float, str | None]] = {}
        """By key and path: when the last result came, and its recordId."""

    async def carry(self, key: str, command: Command, spaces: Sequence[str]) -> CommandResult:
        """Have the camera's next keep-alive bring it; returns with its result. Raises Refusal, Expired.

        `spaces` are the parking spaces that the camera looks after. Cancelled when its time is over.
        """
        control, path = _CONTROLS[command.verb](command, spaces)
        if key in self._waiting:
            raise Refusal("another command waits for this camera's keep-alive")
        one = _Waiting(command, control, path, asyncio.get_running_loop().create_future())
        self._waiting[key] = one
        try:
            return await one.end
        finally:
            del self._waiting[key]
            if command.sent and path is not None and not (one.end.done() and not one.end.cancelled()):
                now = self._clock.monotonic()
                self._owed = {which: until for which, until in self._owed.items() if until > now}
                self._owed[key, path] = now + LATE

    def waits(self, key: str) -> bool:
        """True where a command has not been given to this camera yet."""
        one = self._waiting.get(key)
        return one is not None and not one.command.sent and not one.end.done()

    def take(self, key: str) -> Mapping[str, Any]:
        """What the answer to this camera's keep-alive carries, to be called just before it is given; empty: nothing."""
        if not self.waits(key):
            return {}
        one = self._waiting[key]
        last = self._heard.get((key, one.path)) if one.path is not None else None
        if last is not None and self._clock.monotonic() < last[0] + QUIET:
            return {}  # the next keep-alive has it
        try:
            one.command.sending()
        except Expired as error:
            one.end.set_exception(error)
            return {}
        if one.path is None:
            one.end.set_result(CommandResult("unknown", "it was given to the camera, which reports no result of it"))
        return one.control

    def settle(self, message: Message) -> None:
        """A result has come; to be called for every message that was stored."""
        if not message.path.startswith("notifyresult/") or (key := message.key) is None:
            return
        if message.request not in _NO_REQUEST:
            return  # somebody else's, over MQTT: a keep-alive gives no id
        if self._again(key, message):
            return
        if (until := self._owed.pop((key, message.path), None)) is not None and self._clock.monotonic() < until:
            return  # it may be that of the command before
        one = self._waiting.get(key)
        if one is None or one.path != message.path or not one.command.sent or one.end.done():
            return
        end(one.end, message)

    def _again(self, key: str, message: Message) -> bool:
        """True for a picture's result that has come before, however long ago; takes note of every result."""
        last = self._heard.pop((key, message.path), None)
        record = text(message.inner.get("recordId"))
        self._heard[key, message.path] = self._clock.monotonic(), record
        if len(self._heard) > _KEPT:
            del self._heard[next(iter(self._heard))]
        return last is not None and record is not None and last[1] == record


def end(future: asyncio.Future[CommandResult], message: Message) -> None:
    """What a result says becomes the command's."""
    code = whole(message.whole.get("code"))
    if code == codes.SUCCESS:
        future.set_result(DONE)
        return
    word = codes.STATUSES.get(code) if code is not None else None
    said = text(message.whole.get("message"), BOUNDS["name"]) or word or "no code"
    future.set_exception(Refusal(f"the camera reports code {code}: {said}"))


def lamps(arguments: Mapping[str, Any], spaces: Sequence[str]) -> dict[str, Any]:
    """setLamp for all of a camera's parking spaces, as a keep-alive's answer and MQTT have it. Raises Refusal."""
    mode, color = arguments.get("mode", "on"), arguments.get("color")
    if "brightness" in arguments:
        raise Refusal("the camera's lamps have no brightness")
    if color not in (None, *_COLORS):
        raise Refusal(f"the lamps' colours are {', '.join(_COLORS)}")
    if mode != "off" and color is None:
        raise Refusal("a lamp that is on wants a color")
    if not spaces:
        raise Refusal("the camera has not named its parking spaces, whose lamps these are")
    row = {"mode": _MODES[mode]} | ({} if color is None else {"color": _COLORS[color]})
    return {"num": len(spaces), "lampInfo": [{"id": one, **row} for one in spaces]}


_Control = tuple[Mapping[str, Any], str | None]


def _opened(command: Command, spaces: Sequence[str]) -> _Control:
    return {"letCarPass": 1}, "notifyresult/gatecontrol"


def _captured(command: Command, spaces: Sequence[str]) -> _Control:
    if command.arguments.get("channel", 0) != 0:
        raise Refusal("a camera has channel 0 alone")
    return {"getCapture": 1}, "notifyresult/manualcapture/common"


def _rebooted(command: Command, spaces: Sequence[str]) -> _Control:
    return {"reboot": 1}, None


def _lamp(command: Command, spaces: Sequence[str]) -> _Control:
    """setLamp, or lampCtrlMode 0 where the camera is to decide again. The result's path is the field's."""
    if command.arguments.get("mode") == "auto" and "brightness" not in command.arguments:
        return {"lampCtrlMode": 0}, "notifyresult/lamp"
    return {"setLamp": lamps(command.arguments, spaces)}, "notifyresult/lamp"


_CONTROLS: Final[dict[str, Callable[[Command, Sequence[str]], _Control]]] = {
    "gate.open": _opened,
    "camera.capture": _captured,
    "camera.reboot": _rebooted,
    "lamp.set": _lamp,
}
VERBS: Final = frozenset(_CONTROLS)
