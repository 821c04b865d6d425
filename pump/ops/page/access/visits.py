"""A request to the page as a visit: who it is, what they may, and in which language and colours they read."""

from __future__ import annotations

import hmac
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Literal
from urllib.parse import urlsplit

from aiohttp import web

from pump.ops.callers import from_here, host_of, is_address, loopback
from pump.ops.page.access.sessions import Session, Sessions
from pump.ops.page.behind import Behind
from pump.ops.page.rows import Words
from pump.ops.page.texts import LANGUAGES, Texts, language_of, texts_in

COOKIE: Final = "pump_session"
LANGUAGE: Final = "pump_language"
THEME: Final = "pump_theme"
THEMES: Final = ("auto", "light", "dark")
Right = Literal["anybody", "look", "act"]


@dataclass(slots=True, frozen=True)
class Visit:
    """Somebody at the page."""

    name: str | None
    """The user who signed in; None: somebody on this machine, or nobody yet."""
    may_look: bool
    may_act: bool
    session: Session | None
    texts: Texts
    words: Words
    theme: str

    @property
    def caller(self) -> str:
        """The name by which grants of [commands] know them."""
        return f"user:{self.name}"

    @property
    def form(self) -> str:
        """The token that each form carries, "" for who is not signed in."""
        return "" if self.session is None else self.session.form


Handle = Callable[[web.Request, Visit], Awaitable[web.StreamResponse]]
Route = tuple[str, str, Right, Handle]
"""Method, path, the right that it needs, handler."""


class Access:
    """Makes visits of requests."""

    def __init__(self, behind: Behind) -> None:
        self.sessions = Sessions(lambda: behind.config.ops.users, behind.clock)
        self._behind = behind
        own = behind.config.ops.listen.host, socket.gethostname(), socket.getfqdn()
        self._own = {name.lower() for name in own}
        """Names by which this listener can always be called."""

    def is_called_right(self, request: web.BaseRequest) -> bool:
        """True where the Host header names this listener: that of a page whose name was made to lead here does not."""
        host = host_of(request)
        known = host in self._own or host in {name.lower() for name in self._behind.config.ops.hosts}
        return known or loopback(host) or is_address(host)

    def visit(self, request: web.Request) -> Visit:
        """Who it is; asks nobody and waits for nothing."""
        session = self.session(request)
        user = None if session is None else self._behind.config.ops.users[session.user]
        texts = texts_in(self._language(request))
        theme = request.query.get("theme") or request.cookies.get(THEME) or THEMES[0]
        return Visit(
            None if session is None else session.user,
            may_look=user is not None or from_here(request),
            may_act=user is not None and user.role == "act",
            session=session,
            texts=texts,
            words=Words(texts, self._behind.config.time_zone),
            theme=theme if theme in THEMES else THEMES[0],
        )

    def session(self, request: web.BaseRequest) -> Session | None:
        """The session of the request's cookie."""
        spool, token = self._behind.spool(), request.cookies.get(COOKIE, "")
        return None if spool is None or not token else self.sessions.find(token, spool)

    def may_see(self, request: web.Request) -> bool:
        """True where pictures may be shown to the request's sender, as somebody who has signed in here."""
        return self.is_called_right(request) and self.session(request) is not None

    def _language(self, request: web.Request) -> str:
        asked = request.query.get("lang") or request.cookies.get(LANGUAGE, "")
        return asked if asked in LANGUAGES else language_of(request.headers.get("Accept-Language", ""))


def is_own_form(request: web.Request, visit: Visit, token: str) -> bool:
    """True for a form that was sent and is one of this page's, for this visit."""
    given, known = token.encode("utf-8", "surrogatepass"), visit.form.encode()
    return came_from_here(request) and bool(known) and hmac.compare_digest(given, known)


def came_from_here(request: web.Request) -> bool:
    """True where the browser says that the form stood on this very listener; one that says nothing is no browser."""
    if (site := request.headers.get("Sec-Fetch-Site")) is not None and site != "same-origin":
        return False
    origin = request.headers.get("Origin")
    return origin is None or urlsplit(origin).netloc == request.headers.get("Host", "")
