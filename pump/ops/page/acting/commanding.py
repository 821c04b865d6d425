"""GET /doing: what the one who looks may have devices do. POST /do/command: it is asked for, once it is confirmed."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from pump.commands.contract import NotTaken, Request
from pump.commands.verbs import VERBS
from pump.core.errors import Refusal
from pump.ops.commands.desk import CommandDesk
from pump.ops.commands.web import listed
from pump.ops.control import Tell
from pump.ops.page.access.visits import Route, Visit, is_own_form
from pump.ops.page.acting.jobs import Jobs
from pump.ops.page.acting.pages import form_of, led_to, refused
from pump.ops.page.behind import Behind
from pump.ops.page.render import Renderer

_ARGUMENT = "argument."
"""Before the name of an argument's field."""


class CommandingPages:
    """The handlers. Whoever has signed in asks as "user:NAME"; the grants of [commands] decide."""

    def __init__(self, behind: Behind, renderer: Renderer, jobs: Jobs) -> None:
        self._behind = behind
        self._renderer = renderer
        self._jobs = jobs

    def routes(self) -> list[Route]:
        """The pages that it has."""
        return [("GET", "/doing", "act", self.doing), ("POST", "/do/command", "act", self.command)]

    async def doing(self, request: web.Request, visit: Visit) -> web.Response:
        """The targets with a button for each verb."""
        desk = self._behind.desk()
        return await self._renderer.page(
            "doing", visit=visit, t=visit.texts, nav="doing", reasons=self._behind.reasons(),
            targets=[] if desk is None else [{"name": "", **one} for one in listed(desk, visit.caller)], verbs=VERBS,
        )  # fmt: skip

    async def command(self, request: web.Request, visit: Visit) -> web.StreamResponse:
        """Show what is meant, with the fields of its arguments; confirmed, ask for it.

        The key is made with the confirmation: a form that is sent twice is one command.
        """
        form = await form_of(request)
        desk = self._behind.desk()
        if desk is None or not is_own_form(request, visit, form.get("token", "")):
            return await refused(self._behind, self._renderer, visit, visit.texts("error.form"), 403)
        target, verb, source = form.get("target", ""), form.get("verb", ""), form.get("source", "")
        if form.get("sure") != "yes":
            known = VERBS.get(verb)
            return await self._renderer.page(
                "command", visit=visit, t=visit.texts, nav="doing", reasons=self._behind.reasons(), target=target,
                verb=verb, source=source, says=known.says if known else "", prefix=_ARGUMENT, key=uuid.uuid4().hex,
                arguments=known.arguments if known else {}, called=form.get("name", ""),
            )  # fmt: skip
        arguments = {
            name.removeprefix(_ARGUMENT): value for name, value in form.items() if name.startswith(_ARGUMENT) and value
        }
        asked = Request(target, verb, arguments, None, form.get("key") or None, source or None)

        async def work(tell: Tell) -> Mapping[str, Any]:
            return await _ask(desk, asked, visit.caller)

        try:
            await self._jobs.run("command", f"{verb} {target}", str(visit.name), work)
        except Refusal as refusal:
            return await refused(self._behind, self._renderer, visit, str(refusal))
        return led_to("/health#jobs")


async def _ask(desk: CommandDesk, asked: Request, caller: str) -> Mapping[str, Any]:
    """The command's end in a few words. Raises Refusal where it was not taken, or did not happen."""
    try:
        ticket = await desk.ask(asked, caller)
    except NotTaken as error:
        raise Refusal(error.reason) from error
    result = await ticket.result
    if result.status != "done":
        raise Refusal(f"{result.status}: {result.reason}" if result.reason else result.status)
    return {"status": result.status, **({"reason": result.reason} if result.reason else {}), **result.facts}
