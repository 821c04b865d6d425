"""The operators' page as a whole: its handlers behind one door, which looks at who comes before any of them runs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import structlog
from aiohttp import web

from pump.ops.http import Page
from pump.ops.page.access.signing_in import SigningIn, sign_in_address
from pump.ops.page.access.visits import LANGUAGE, THEME, Access, Handle, Right, Route, Visit
from pump.ops.page.acting.acknowledging import AcknowledgingPages
from pump.ops.page.acting.commanding import CommandingPages
from pump.ops.page.acting.jobs import Jobs
from pump.ops.page.acting.noted import Noted
from pump.ops.page.acting.pages import ActingPages
from pump.ops.page.behind import Behind
from pump.ops.page.board.pages import BoardPages
from pump.ops.page.health.pages import HealthPages
from pump.ops.page.live.feed import Feed
from pump.ops.page.live.pages import Pages
from pump.ops.page.live.stream import Stream
from pump.ops.page.render import HEADERS, Renderer, static
from pump.ops.page.searching.pages import SearchPages

log = structlog.get_logger()

_YEAR = 365 * 86400


class OperatorsPage:
    """Made once a daemon. It costs nothing until somebody looks."""

    def __init__(self, behind: Behind) -> None:
        self._behind = behind
        self._renderer = renderer = Renderer()
        self.access = Access(behind)
        self._feed = Feed(behind.clock)
        self._jobs = Jobs(behind.clock)
        noted = Noted()
        self._board = BoardPages(behind, renderer, noted)
        self._parts = (
            self._board,
            SigningIn(behind, self.access, renderer),
            Pages(behind, renderer, noted),
            Stream(behind, self.access, self._feed, noted),
            SearchPages(behind, renderer),
            HealthPages(behind, renderer, self._jobs),
            ActingPages(behind, renderer, self._jobs),
            CommandingPages(behind, renderer, self._jobs),
            AcknowledgingPages(behind, renderer, noted),
        )

    def pages(self) -> list[Page]:
        """The pages that the ops listener takes."""
        routes: list[Route] = [route for part in self._parts for route in part.routes()]
        behind_door = [(method, path, self._door(right, handle)) for method, path, right, handle in routes]
        return [("GET", "/static/{name}", static), *behind_door]

    def close(self) -> None:
        """Have every open list end: the daemon stops."""
        self._feed.over.set()
        self._jobs.close()
        self._board.close()

    def _door(self, right: Right, handle: Handle) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def answer(request: web.Request) -> web.StreamResponse:
            if not self.access.is_called_right(request):
                text = "this listener goes by another name; [ops] hosts names those that it answers to\n"
                return web.Response(status=421, text=text, headers=HEADERS)
            visit = self.access.visit(request)
            if (refused := await self._refused(right, request, visit)) is not None:
                return refused
            try:
                response = await handle(request, visit)
            except web.HTTPRequestEntityTooLarge:
                return await self._message(visit, 413, "error.too_large")
            except web.HTTPException:
                raise
            except Exception:
                log.exception("The operators' page met a bug", path=request.path)
                return await self._message(visit, 500, "error.bug")
            if not response.prepared:
                self._keep_choices(request, response)
            return response

        return answer

    async def _refused(self, right: Right, request: web.Request, visit: Visit) -> web.StreamResponse | None:
        if right == "anybody" or (right == "look" and visit.may_look) or (right == "act" and visit.may_act):
            return None
        if visit.may_look:
            log.warning("Somebody may not do this on the operators' page", user=visit.name, path=request.path)
            return await self._message(visit, 403, "error.may_not_act" if visit.name else "error.sign_in_to_act")
        if request.method == "GET" and "text/html" in request.headers.get("Accept", ""):
            return web.Response(status=303, headers={**HEADERS, "Location": sign_in_address(request)})
        return web.Response(status=401, text="sign in at /sign-in\n", headers=HEADERS)

    async def _message(self, visit: Visit, status: int, said: str) -> web.Response:
        reasons = self._behind.reasons() if visit.may_look else []
        return await self._renderer.page(
            "message", status, visit=visit, t=visit.texts, nav="", reasons=reasons,
            title=visit.texts("error.title"), said=visit.texts(said),
        )  # fmt: skip

    def _keep_choices(self, request: web.Request, response: web.StreamResponse) -> None:
        """A language or colours that were chosen are kept in the browser."""
        for asked, cookie in (("lang", LANGUAGE), ("theme", THEME)):
            if (value := request.query.get(asked, "")) and len(value) < 10 and value.isalpha():
                response.set_cookie(cookie, value, max_age=_YEAR, path="/", samesite="Lax", httponly=True)
