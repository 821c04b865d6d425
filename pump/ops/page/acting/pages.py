"""POST /do/…: the buttons of the page. Each form carries its visit's token; what cannot be undone asks once more."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from aiohttp import web

from pump.core.errors import Refusal
from pump.ops.page.access.visits import Route, Visit, is_own_form
from pump.ops.page.acting.jobs import Jobs
from pump.ops.page.behind import Behind
from pump.ops.page.filters import Filter
from pump.ops.page.render import HEADERS, Renderer

Form = Mapping[str, str]


def _letters(form: Form, visit: Visit) -> dict[str, Any]:
    """Dead letters: those that are ticked, or all of a sink."""
    ids = [int(one) for one in form.get("ids", "").split(",") if one.isascii() and one.isdigit() and len(one) < 19]
    if ids:
        return {"ids": ids}
    if not form.get("sink"):
        raise Refusal(visit.texts("do.which"))
    return {"sink": form["sink"]}


def _part(form: Form, visit: Visit) -> dict[str, Any]:
    return {"part": form.get("part", "")}


def _sink(form: Form, visit: Visit) -> dict[str, Any]:
    return {"sink": form.get("sink", "")}


def _replay(form: Form, visit: Visit) -> dict[str, Any]:
    since, until = Filter(since=form.get("since", ""), until=form.get("until", "")).moments(visit.words.zone)
    if since is None:
        raise Refusal(visit.texts("do.since"))
    arguments: dict[str, Any] = {"sink": form.get("sink", ""), "since": int(since.timestamp() * 1000)}
    return arguments if until is None else arguments | {"until": int(until.timestamp() * 1000)}


@dataclass(slots=True, frozen=True)
class _Button:
    """What it gives to the control socket's command of the same kind."""

    command: str
    arguments: Callable[[Form, Visit], dict[str, Any]]
    asks: bool = False
    """True: one more page names the target, and asks whether it is meant."""


_BUTTONS: Final[dict[str, _Button]] = {
    "retry": _Button("dead.retry", _letters),
    "drop": _Button("dead.drop", _letters, asks=True),
    "restart": _Button("restart", _part),
    "enable": _Button("sink.enable", _sink),
    "replay": _Button("replay", _replay, asks=True),
}


class ActingPages:
    """The handler of all of them."""

    def __init__(self, behind: Behind, renderer: Renderer, jobs: Jobs) -> None:
        self._behind = behind
        self._renderer = renderer
        self._jobs = jobs

    def routes(self) -> list[Route]:
        """The pages that it has."""
        return [("POST", f"/do/{{what:{'|'.join(_BUTTONS)}}}", "act", self.do)]

    async def do(self, request: web.Request, visit: Visit) -> web.StreamResponse:
        """Begin it, and go back to the health page, which shows what becomes of it."""
        form = await form_of(request)
        if not is_own_form(request, visit, form.get("token", "")):
            return await refused(self._behind, self._renderer, visit, visit.texts("error.form"), 403)
        what = request.match_info["what"]
        button = _BUTTONS[what]
        try:
            arguments = button.arguments(form, visit)
            target = ", ".join(f"{name} {value}" for name, value in named(form).items())
            if button.asks and form.get("sure") != "yes":
                return await self._renderer.page(
                    "confirm", visit=visit, t=visit.texts, nav="health", reasons=self._behind.reasons(),
                    title=visit.texts(f"job.{what}"), target=target, action=f"/do/{what}", back="/health",
                    kept={**named(form), "sure": "yes"}, danger=what == "drop",
                )  # fmt: skip
            handler = self._behind.commands().get(button.command)
            if handler is None:
                raise Refusal(visit.texts("sign.starting"))
            await self._jobs.run(what, target, str(visit.name), lambda tell: handler(arguments, tell))
        except Refusal as refusal:
            return await refused(self._behind, self._renderer, visit, str(refusal))
        return led_to("/health#jobs")


async def form_of(request: web.Request) -> dict[str, str]:
    """The fields of a form that are texts; of several with one name all, between commas."""
    found: dict[str, str] = {}
    for name, value in (await request.post()).items():
        if isinstance(value, str):
            found[name] = f"{found[name]},{value}" if name in found else value
    return found


def named(form: Form) -> dict[str, str]:
    """The fields that say what is meant, without those of the form itself."""
    return {name: value for name, value in form.items() if value and name not in ("token", "sure")}


async def refused(behind: Behind, renderer: Renderer, visit: Visit, said: str, status: int = 409) -> web.Response:
    """A page that says why it is not done."""
    return await renderer.page(
        "message", status, visit=visit, t=visit.texts, nav="health", reasons=behind.reasons(),
        title=visit.texts("error.title"), said=said,
    )  # fmt: skip


def led_to(path: str) -> web.Response:
    """On to a page of ours."""
    return web.Response(status=303, headers={**HEADERS, "Location": quote(path, safe="/#?=&")})
