"""POST /commands and GET /commands of the ops listener, for callers with a token of [ops.tokens]."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Callable, Mapping
from typing import Any, Final

import orjson
from aiohttp import web
from pydantic import SecretStr

from pump.commands.contract import CommandResult, NotTaken, Request, Ticket, Why
from pump.core.settings import parse_duration
from pump.core.text import words_of
from pump.ops.commands.desk import LONGEST_LIFE, CommandDesk
from pump.ops.http import Page

_STATUSES: Final[Mapping[Why, int]] = {
    "malformed": 400, "forbidden": 403, "no target": 404, "no verb": 422, "arguments": 422, "too many": 429,
    "not now": 503, "stale": 410,
}  # fmt: skip
_HEADERS: Final = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


class CommandPage:
    """The two handlers. `desk` gives None until commands are taken; `tokens` are the secrets by name."""

    def __init__(self, desk: Callable[[], CommandDesk | None], tokens: Mapping[str, SecretStr]) -> None:
        self._desk = desk
        self.use_tokens(tokens)

    def use_tokens(self, tokens: Mapping[str, SecretStr]) -> None:
        """Know callers by these from now on."""
        self._tokens = {name: token.get_secret_value().encode() for name, token in tokens.items()}

    def pages(self) -> list[Page]:
        """The pages that the ops listener takes."""
        return [("POST", "/commands", self.post), ("GET", "/commands", self.get)]

    async def post(self, request: web.Request) -> web.Response:
        """Take a command: 202 with its id, or with `?wait=5s` its result where that comes so soon."""
        caller = self._caller(request)
        if caller is None:
            return _unknown()
        wait = 0.0
        try:
            if "wait" in request.query:
                wait = min(parse_duration(request.query["wait"]), LONGEST_LIFE)
            asked = Request.of(orjson.loads(await request.read()))
        except web.HTTPRequestEntityTooLarge as error:
            return _said(413, {"error": error.text or "the body is too large"})
        except ValueError as error:
            return _said(400, {"error": words_of(error)})
        if asked is None:
            text = "an object with target, verb and, where wanted, arguments, expires, key, source is wanted"
            return _said(400, {"error": text})
        desk = self._desk()
        if desk is None:
            return _said(503, {"error": "the pump takes no commands now"})
        try:
            ticket = await desk.ask(asked, caller)
        except NotTaken as refused:
            body: dict[str, Any] = {"status": "refused", "error": refused.reason}
            body |= {"request_id": refused.request_id} if refused.request_id else {}
            return _said(_STATUSES[refused.why], body)
        result = await within(ticket, wait) if wait else None
        return _said(202 if result is None else 200, shown(ticket, result))

    async def get(self, request: web.Request) -> web.Response:
        """The targets and verbs that this caller may use."""
        caller = self._caller(request)
        if caller is None:
            return _unknown()
        desk = self._desk()
        return _said(200, {"targets": [] if desk is None else listed(desk, caller)})

    def _caller(self, request: web.Request) -> str | None:
        """Whose token it is, found in a time that says nothing of the token."""
        kind, _, given = request.headers.get("Authorization", "").partition(" ")
        token = given.strip().encode("utf-8", "surrogateescape")
        found = None
        for name, known in self._tokens.items():
            if hmac.compare_digest(token, known):
                found = name
        return f"token:{found}" if found is not None and kind.lower() == "bearer" else None


async def within(ticket: Ticket, seconds: float) -> CommandResult | None:
    """The command's result, if it comes so soon; the command goes on either way."""
    waiting = asyncio.ensure_future(ticket.result)
    done, _ = await asyncio.wait({waiting}, timeout=seconds)
    if not done:
        waiting.cancel()  # the shield's own future: what it shields goes on
        return None
    return waiting.result()


def shown(ticket: Ticket, result: CommandResult | None) -> dict[str, Any]:
    """A command as its caller sees it; without a result it is under way."""
    body: dict[str, Any] = {"request_id": ticket.request_id, "status": "under way" if result is None else result.status}
    if result is not None:
        body |= {"reason": result.reason} if result.reason else {}
        body |= {"answer": dict(result.facts)} if result.facts else {}
    return body


def listed(desk: CommandDesk, caller: str) -> list[dict[str, Any]]:
    """What the caller may command, for JSON and people."""
    return [
        {"target": target.subject, "source": source, "verbs": sorted(target.verbs)}
        | ({"name": target.name} if target.name else {})
        for source, target in desk.allowed(caller)
    ]


def _unknown() -> web.Response:
    answer = _said(401, {"error": "a token of [ops.tokens] is wanted: Authorization: Bearer …"})
    answer.headers["WWW-Authenticate"] = "Bearer"
    return answer


def _said(status: int, body: Mapping[str, Any]) -> web.Response:
    text = orjson.dumps(body, default=str, option=orjson.OPT_APPEND_NEWLINE)
    return web.Response(body=text, status=status, content_type="application/json", headers=_HEADERS)
