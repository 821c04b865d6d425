"""Signing in and out: /sign-in, /sign-out, and the choice of language and colours."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlencode

import structlog
from aiohttp import web

from pump.config.passwords import fits, hashed
from pump.core.tasks import Threads
from pump.ops.callers import sender
from pump.ops.page.access.lockout import Lockout
from pump.ops.page.access.visits import COOKIE, Access, Route, Visit, came_from_here, is_own_form
from pump.ops.page.behind import Behind
from pump.ops.page.render import HEADERS, Renderer

log = structlog.get_logger()

_THREADS: Final = Threads("sign-in", 1)
"""One: a guess takes 32 MiB and a processor for a tenth of a second."""
_WAITING: Final = 4
"""Sign-ins that may wait for it; more are asked to come again."""


class SigningIn:
    """The form and what it leads to."""

    def __init__(self, behind: Behind, access: Access, renderer: Renderer) -> None:
        self._behind = behind
        self._access = access
        self._renderer = renderer
        self._lockout = Lockout(behind.clock)
        self._secure = behind.config.ops.tls_cert is not None
        self._waiting = 0
        self._nobody = ""
        """A hash that no password fits: who does not exist takes as long as who does."""

    def routes(self) -> list[Route]:
        """The pages that it has."""
        return [
            ("GET", "/sign-in", "anybody", self.form),
            ("POST", "/sign-in", "anybody", self.sign_in),
            ("POST", "/sign-out", "anybody", self.sign_out),
        ]

    async def form(self, request: web.Request, visit: Visit) -> web.Response:
        """GET /sign-in."""
        return await self._form(visit, _target(request.query.get("to", "/")))

    async def sign_in(self, request: web.Request, visit: Visit) -> web.Response:
        """POST /sign-in: a cookie and on to where they wanted; else the form again, which says why."""
        form = await request.post()
        name, password, to = (str(form.get(key, "")) for key in ("name", "password", "to"))
        to = _target(to)
        spool = self._behind.spool()
        if not came_from_here(request):
            return await self._form(visit, to, 403, "sign.elsewhere")
        if spool is None:
            return await self._form(visit, to, 503, "sign.starting")
        tried, address = name[:200], sender(request, self._behind.config.ops.trusted_proxies)
        if (wait := self._lockout.wait(tried, address)) > 0.0:
            log.warning("A sign-in is not taken, for too many have failed", user=name[:64], address=address)
            return await self._form(visit, to, 429, "sign.wait", seconds=int(wait) + 1)
        if self._waiting >= _WAITING:
            return await self._form(visit, to, 503, "sign.busy")
        self._waiting += 1
        try:
            right = await self._fits(name, password)
        finally:
            self._waiting -= 1
        if not right:
            self._lockout.failed(tried, address)
            log.warning("A sign-in has failed", user=name[:64], address=address)
            return await self._form(visit, to, 403, "sign.wrong")
        self._lockout.passed(tried, address)
        log.info("Somebody has signed in", user=name, address=address)
        answer = _lead(to)
        answer.set_cookie(
            COOKIE, self._access.sessions.open(name, spool), httponly=True, samesite="Strict", secure=self._secure,
            path="/",
        )  # fmt: skip
        return answer

    async def sign_out(self, request: web.Request, visit: Visit) -> web.Response:
        """POST /sign-out."""
        form = await request.post()
        spool = self._behind.spool()
        answer = _lead("/sign-in")
        if visit.session is not None and spool is not None and is_own_form(request, visit, str(form.get("token", ""))):
            self._access.sessions.close(visit.session, spool)
            answer.del_cookie(COOKIE, path="/")
        return answer

    async def _fits(self, name: str, password: str) -> bool:
        user = self._behind.config.ops.users.get(name)
        if user is None:
            self._nobody = self._nobody or await _THREADS.run(hashed, "")
        known = self._nobody if user is None else user.password.get_secret_value()
        return await _THREADS.run(fits, password, known) and user is not None

    async def _form(self, visit: Visit, to: str, status: int = 200, said: str = "", **values: object) -> web.Response:
        words = visit.texts(said, **values) if said else ""
        return await self._renderer.page(
            "sign_in",
            status,
            visit=visit,
            t=visit.texts,
            nav="",
            to=to,
            said=words,
            users=bool(self._behind.config.ops.users),
        )


def _target(to: str) -> str:
    """A path of this page, whatever was asked for."""
    return to if to.startswith("/") and not to.startswith(("//", "/\\")) and to.isprintable() else "/"


def _lead(to: str) -> web.Response:
    return web.Response(status=303, headers={**HEADERS, "Location": to})


def sign_in_address(request: web.Request) -> str:
    """Where somebody goes who must sign in first."""
    return f"/sign-in?{urlencode({'to': request.path_qs})}"
