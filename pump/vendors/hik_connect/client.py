"""One account's calls: login, token, subscribe, messages, complete (document, 3.1 to 3.3, 5.1.1, 5.3.1, 5.3.2, 5.4.1).

Every way a call can fail becomes one `CallFailed` here, with the row of `answers` that says what to do.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Any, Final, Self

import aiohttp
import orjson
import structlog

from pump.core.clock import Clock
from pump.vendors.hik_connect import answers
from pump.vendors.hik_connect.answers import Action, Answer
from pump.vendors.hik_connect.body import decode, pick
from pump.vendors.hik_connect.domain import Server, area, parse_server
from pump.vendors.hik_connect.limiter import Limiter
from pump.vendors.hik_connect.proxy import proxy_of

log = structlog.get_logger()

MAX_BODY: Final = 64 << 20
"""Bytes of an answer that are read; 500 events with long lists of links are a few MiB."""
_CHUNK: Final = 256 << 10
_LOGIN: Final = "/api/hccgw/platform/v1/token/get"
_REFRESH_AT: Final = 0.9
"""The part of a token's life after which it is renewed: 16 hours before the end of the usual 7 days."""
_REFRESH_PAUSE: Final = 60.0
"""Seconds, at the least, from one renewal before expiry to the next, whatever the vendor says of the expiry."""
_LONGEST_RETRY_AFTER: Final = 3600.0
_CODE: Final = re.compile(r"[A-Za-z0-9_]{1,40}")


class CallFailed(Exception):
    """A call came to nothing; `answer` says what to do about it.

    `code` is the vendor's code, "HTTP 503" or the like, or the error's kind. `retry_after` is the vendor's wish in
    seconds. `body` is the whole answer where it was not of the vendor's form. No text of it holds a key or token.
    """

    def __init__(self, code: str, answer: Answer, *, retry_after: float | None = None, body: bytes = b"") -> None:
        super().__init__(f"{code}: {answer.text}")
        self.code = code
        self.answer = answer
        self.retry_after = retry_after
        self.body = body


@dataclass(slots=True, eq=False)
class Token:
    """What a login gave. Compared as an object: the vendor may hand out the same text again with a longer life."""

    text: str = field(repr=False)
    refresh: float | None
    """When to renew it, seconds since 1970; None: when it is refused."""
    server: Server

    def state(self) -> dict[str, Any]:
        """As the spool keeps it. A stored secret: the spool's folder is for the daemon's user alone."""
        return {"token": self.text, "refresh": self.refresh, "server": str(self.server)}

    @classmethod
    def load(cls, state: object, server: Server) -> Token | None:
        """What `state` gave, if it still may be used with `server`."""
        text, refresh, named = pick(state, "token"), pick(state, "refresh"), pick(state, "server")
        there = area(named, server)
        if not isinstance(text, str) or there is None:
            return None
        return cls(text, float(refresh) if isinstance(refresh, (int, float)) else None, there)


class Client:
    """The calls of one account, all through its limiter; an async context manager that holds the connections.

    `token` is what an earlier run kept, `keep` is awaited with each new one. `count` is told "login" and the like.
    Without a limiter nothing is paced: for benches alone.
    """

    def __init__(
        self,
        *,
        server: str,
        app_key: str,
        secret_key: str,
        clock: Clock,
        timeout: float,
        limiter: Limiter | None,
        token: object = None,
        keep: Callable[[dict[str, Any]], Awaitable[None]],
        count: Callable[[str], None],
    ) -> None:
        self._server = parse_server(server)
        self._app_key = app_key
        self._secret_key = secret_key
        self._clock = clock
        self._timeout = timeout
        self._limiter = limiter
        self._token = Token.load(token, self._server)
        self._keep = keep
        self._count = count
        self._login_lock = asyncio.Lock()
        self._session: aiohttp.ClientSession | None = None
        self._proxies: dict[Server, str | None] = {}

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(
                total=self._timeout, connect=self._timeout, sock_connect=self._timeout, sock_read=self._timeout
            ),
            headers={"Accept": "application/json"},
            cookie_jar=aiohttp.DummyCookieJar(),
            json_serialize=_dumps,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            session, self._session = self._session, None
            await session.close()

    async def call(self, queue: str, path: str, body: dict[str, Any]) -> Any:
        """The `data` of the vendor's answer, whatever it is; None where there is none. Raises CallFailed.

        A refused token is renewed once, by one queue for all, and the call repeated once. A failed login's own
        CallFailed is raised with `account` set where a person must mend it.
        """
        token = self._token
        if token is None:
            token = await self._login(None)
        elif token.refresh is not None and self._now() >= token.refresh:
            token = await self._refresh(token)
        try:
            return await self._post(queue, token.server, path, body, token)
        except CallFailed as failure:
            if failure.answer.action is not Action.LOGIN:
                raise
            log.info("The token was refused; logging in again", code=failure.code)
        token = await self._login(token)
        return await self._post(queue, token.server, path, body, token)

    async def _refresh(self, token: Token) -> Token:
        try:
            return await self._login(token)
        except CallFailed as failure:
            if failure.answer.action is Action.MISCONFIGURED:
                raise
            # It is still good for a while, and a login that fails now must not stop what works.
            log.warning("The token could not be renewed in time; going on with the old one", code=failure.code)
            self._count("retry")
            token.refresh = self._now() + _REFRESH_PAUSE
            return token

    async def _login(self, known: Token | None) -> Token:
        """A token other than `known`: of a login now, or of the one that another queue made meanwhile."""
        async with self._login_lock:
            if self._token is not None and self._token is not known:
                return self._token
            self._count("login")
            try:
                data = await self._post(
                    "login", self._server, _LOGIN, {"appKey": self._app_key, "secretKey": self._secret_key}, None
                )
            except CallFailed as failure:
                answer = failure.answer
                if answer.action is Action.MISCONFIGURED and not answer.account:
                    answer = Answer(answer.action, answer.meaning, answer.advice, account=True)
                raise CallFailed(failure.code, answer, retry_after=failure.retry_after) from None
            token = self._read_token(data)
            self._token = token
            await self._keep(token.state())
            return token

    def _read_token(self, data: object) -> Token:
        text = pick(data, "accessToken")
        if not isinstance(text, str) or not text or not text.isascii() or not text.isprintable():
            raise CallFailed("no token", answers.GARBAGE)
        named = pick(data, "areaDomain")
        server = area(named, self._server)
        if server is None:
            server = self._server
            if named:
                self._count("refused domain")
                log.warning(
                    "The login names a domain that is not the server's own; keeping the server",
                    area_domain=str(named)[:200],
                    server=str(self._server),
                )
        return Token(text, self._refresh_time(pick(data, "expireTime")), server)

    def _refresh_time(self, expires: object) -> float | None:
        try:
            end = float(expires) if isinstance(expires, (int, float, str)) else 0.0
        except (ValueError, OverflowError):
            end = 0.0
        if end > 1e11:  # milliseconds
            end /= 1000.0
        now = self._now()
        # One that has ended already says that one of the clocks is wrong: believe the refusal when it comes.
        return max(now + (end - now) * _REFRESH_AT, now + _REFRESH_PAUSE) if now < end < 1e11 else None

    def _now(self) -> float:
        return self._clock.now_ms() / 1000.0

    async def _post(self, queue: str, server: Server, path: str, body: dict[str, Any], token: Token | None) -> Any:
        assert self._session is not None, "the client is used outside its context"
        headers = {"Token": token.text} if token is not None else {}
        place: AbstractAsyncContextManager[None] = (
            nullcontext() if self._limiter is None else self._limiter.place(queue)
        )
        async with place:
            try:
                if server not in self._proxies:
                    self._proxies[server] = proxy_of(server)
                # The time-outs begin here, behind the limiter: waiting for one's turn is no failure of the server's.
                async with self._session.post(
                    f"{server}{path}", json=body, headers=headers, allow_redirects=False, proxy=self._proxies[server]
                ) as response:
                    content = await _read(response)
                    status, retry_after = response.status, response.headers.get("Retry-After")
            except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
                # The library's errors carry the request's headers, the token among them: none is passed on.
                raise _translate(error) from None
        return self._judge(status, retry_after, content)

    def _judge(self, status: int, retry_after: str | None, content: bytes | None) -> Any:
        wish = self._seconds(retry_after)
        if content is None:
            raise CallFailed("too large", answers.TOO_LARGE)
        whole = decode(content)
        code = pick(whole, "errorCode")
        if isinstance(code, int):
            code = str(code)
        if not isinstance(code, str) or not _CODE.fullmatch(code):
            code = None
        if status != 200:
            # The vendor's own word tells more than the status, where it is one that we know.
            answer = answers.ANSWERS.get(code or "")
            if status == 429 and self._limiter is not None:
                self._limiter.hold(1.0 if wish is None else wish)
            if code is None or answer is None:
                raise CallFailed(f"HTTP {status}", answers.answer_of_status(status), retry_after=wish)
            raise CallFailed(code, answer, retry_after=wish)
        if code is None:
            raise CallFailed("no error code", answers.GARBAGE, retry_after=wish, body=content)
        if code != "0":
            raise CallFailed(code, answers.answer_of(code), retry_after=wish)
        return pick(whole, "data")

    def _seconds(self, retry_after: str | None) -> float | None:
        """Seconds that Retry-After asks for, as a number or a date (RFC 9110, 10.2.3); at most an hour."""
        if retry_after is None:
            return None
        try:
            seconds = float(retry_after)
        except ValueError:
            try:
                date = parsedate_to_datetime(retry_after)
            except (ValueError, TypeError, OverflowError):
                return None
            date = date if date.tzinfo is not None else date.replace(tzinfo=UTC)
            seconds = (date - datetime.fromtimestamp(self._now(), UTC)).total_seconds()
        return min(max(seconds, 0.0), _LONGEST_RETRY_AFTER) if seconds == seconds else None


def _dumps(body: object) -> str:
    return orjson.dumps(body).decode()


async def _read(response: aiohttp.ClientResponse) -> bytes | None:
    """The body, or None where it is longer than `MAX_BODY`."""
    parts: list[bytes] = []
    size = 0
    async for part in response.content.iter_chunked(_CHUNK):
        size += len(part)
        if size > MAX_BODY:
            response.close()
            return None
        parts.append(part)
    return b"".join(parts)


def _translate(error: Exception) -> CallFailed:
    """The library's errors, told apart by kind alone."""
    for kinds, answer in _KINDS:
        if isinstance(error, kinds):
            return CallFailed(type(error).__name__, answer)
    return CallFailed(type(error).__name__, answers.UNREACHABLE)


_KINDS: Final[tuple[tuple[type[Exception] | tuple[type[Exception], ...], Answer], ...]] = (
    (TimeoutError, answers.SILENCE),
    ((aiohttp.ClientConnectorCertificateError, aiohttp.ClientConnectorSSLError), answers.UNTRUSTED),
    (aiohttp.ClientConnectorError, answers.UNREACHABLE),
    (aiohttp.ServerDisconnectedError, answers.CUT_OFF),
    (aiohttp.ClientPayloadError, answers.CUT_OFF),
    ((aiohttp.ClientResponseError, ValueError), answers.GARBAGE),
    (aiohttp.ClientOSError, answers.CUT_OFF),
)
