"""The control socket's commands to devices: `command.ask` and `command.list`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pump.commands.contract import NotTaken, Request
from pump.commands.verbs import VERBS
from pump.core.errors import Refusal
from pump.ops.commands.desk import LONGEST_LIFE, CommandDesk
from pump.ops.commands.web import listed, shown, within
from pump.ops.control import Handler, Tell

CALLER: Final = "socket"
_VOCABULARY: Final = {
    name: {"says": verb.says, "arguments": {key: one.says for key, one in verb.arguments.items()}}
    for name, verb in VERBS.items()
}


class CommandSocket:
    """The handlers over the desk."""

    def __init__(self, desk: CommandDesk) -> None:
        self._desk = desk

    def commands(self) -> dict[str, Handler]:
        """What the control socket offers."""
        return {"command.ask": self.ask, "command.list": self.list}

    async def ask(self, arguments: Mapping[str, Any], tell: Tell) -> dict[str, Any]:
        """A request's keys, and `wait`, seconds; {"request_id", "status", "reason"?, "answer"?}."""
        wait = arguments.get("wait", 0.0)
        asked = Request.of({key: value for key, value in arguments.items() if key != "wait"})
        if asked is None or not isinstance(wait, int | float):
            raise Refusal("a target and a verb are wanted")
        try:
            ticket = await self._desk.ask(asked, CALLER)
        except NotTaken as refused:
            return {"request_id": refused.request_id, "status": "refused", "reason": refused.reason}
        await tell({"request_id": ticket.request_id})
        return shown(ticket, await within(ticket, min(wait, LONGEST_LIFE)) if wait else None)

    async def list(self, arguments: Mapping[str, Any], tell: Tell) -> dict[str, Any]:
        """Targets with the verbs that the socket may use, and every verb with its arguments."""
        return {"targets": listed(self._desk, CALLER), "verbs": _VOCABULARY}
