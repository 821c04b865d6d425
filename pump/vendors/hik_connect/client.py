"""One account's calls: login, token, subscribe, messages, complete (document, 3.1 to 3.3, 5.1.1, 5.3.1, 5.3.2, 5.4.1).

Every way a call can fail becomes one `CallFailed`, with the row of `answers` that says what to do.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

import orjson
import structlog
from yarl import URL

from pump.commands.calls import LARGEST_ANSWER, RawAnswer, RawCall, without
from pump.commands.once import Sending
from pump.core.clock import Clock
from pump.ingest.recording.tap import Tap
from pump.vendors.common.api import Action, CallFailed, Limits, Reply, VendorApi
from pump.vendors.common.values import member
from pump.vendors.hik_connect import answers
from pump.vendors.hik_connect.domain import Server, area, parse_server
from pump.vendors.hik_connect.limiter import Limiter

log = structlog.get_logger()

MAX_BODY: Final = 64 << 20
"""Bytes of an answer that are read; 500 events with long lists of links are a few MiB."""
_LOGIN: Final = "/api/hccgw/platform/v1/token/get"
_REFRESH_AT: Final = 0.9
"""The part of a token's life after which it is renewed: 16 hours before the end of the usual 7 days."""
_REFRESH_PAUSE: Final = 60.0
"""Seconds, at the least, from one renewal before expiry to the next, whatever the vendor says of the expiry."""
_CODE: Final = re.compile(r"[A-Za-z0-9_]{1,40}")

Decode = Callable[[bytes], Any]


class AppKey(NamedTuple):
    """An account as its client knows it."""

    server: str
    """Its region's, as in pump.toml."""
    key: str
    secret: str
    source: str = ""
    """The name of the source that calls, for the log."""


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
        text, refresh, named = member(state, "token"), member(state, "refresh"), member(state, "server")
        there = area(named, server)
        if not isinstance(text, str) or there is None:
            return None
        return cls(text, float(refresh) if isinstance(refresh, (int, float)) else None, there)


class Client:
    """The calls of one account, all through its limiter; an async context manager that holds the connections.

    `token` is what an earlier run kept, `keep` is awaited with each new one. `count` gets "login" and the like,
    `tap` every answer.
    Without a limiter nothing is paced: for benches alone.
    """

    def __init__(
        self,
        account: AppKey,
        *,
        clock: Clock,
        timeout: float,
        limiter: Limiter | None,
        token: object = None,
        keep: Callable[[dict[str, Any]], Awaitable[None]],
        count: Callable[[str], None],
        tap: Tap | None = None,
    ) -> None:
        self._server = parse_server(account.server)
        self._account = account
        self._clock = clock
        self._api = VendorApi(Limits(timeout, MAX_BODY, answers.TOO_LARGE, answers.GARBAGE), tap)
        self._limiter = limiter
        self._token = Token.load(token, self._server)
        self._keep = keep
        self._count = count
        self._log = log.bind(source=account.source)
        self._login_lock = asyncio.Lock()

    async def __aenter__(self) -> Self:
        await self._api.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._api.__aexit__(kind, error, trace)

    @property
    def date(self) -> str:
        """The server's clock at its newest answer, as its Date header has it; "" for none."""
        return self._api.date

    async def call(
        self, queue: str, path: str, body: dict[str, Any], *,
        sending: Sending | None = None, decode: Decode = answers.decode,
    ) -> Any:  # fmt: skip
        """The `data` of the vendor's answer, whatever it is; None where there is none. Raises CallFailed.

        `sending` is called, and awaited where it is to be, when the connection stands, before the first byte, again
        for a repeated call; what it raises is raised. `decode` reads the answer's bytes.

        A refused token is renewed once, by one queue for all, and the call repeated once. A failed login's own
        CallFailed is raised with `account` set where a person must mend it.
        """
        token = await self._fresh()
        try:
            return await self._post(queue, token.server, path, body, token, sending, decode)
        except CallFailed as failure:
            if failure.answer.action is not Action.LOGIN:
                raise
            self._log.info("The token was refused; logging in again", code=failure.code)
        token = await self._login(token)
        return await self._post(queue, token.server, path, body, token, sending, decode)

    async def raw(self, queue: str, call: RawCall, sending: Callable[[], None], timeout: float) -> RawAnswer:
        """Any call, its answer as it came, without the token. A refused token is renewed once, as in `call`."""
        token = await self._fresh()
        answer = await self._raw(queue, token, call, sending, timeout)
        if answer.status != 401 and answers.answer_of(_code_of(answer)).action is not Action.LOGIN:
            return answer
        return await self._raw(queue, await self._login(token), call, sending, timeout)

    async def _raw(
        self, queue: str, token: Token, call: RawCall, sending: Callable[[], None], timeout: float
    ) -> RawAnswer:
        headers = {"Content-Type": call.content_type, "Token": token.text}
        async with nullcontext() if self._limiter is None else self._limiter.place(queue):
            url = URL(f"{token.server}{call.path}", encoded=True)
            reply = await self._api.send(
                call.method, url, call.body or None, headers, sending=sending, timeout=timeout, largest=LARGEST_ANSWER
            )
        answer = RawAnswer.of(reply.status, reply.headers, without(token.text, reply.content))
        code = _code_of(answer)
        return replace(answer, no="" if code in ("", "0") else f"the vendor answers {code}")

    async def _fresh(self) -> Token:
        """A token that is not known to be over."""
        token = self._token
        if token is None:
            return await self._login(None)
        if token.refresh is not None and self._now() >= token.refresh:
            return await self._refresh(token)
        return token

    async def _refresh(self, token: Token) -> Token:
        try:
            return await self._login(token)
        except CallFailed as failure:
            if failure.answer.action is Action.MISCONFIGURED:
                raise
            # It is still good for a while, and a login that fails now must not stop what works.
            self._log.warning("The token could not be renewed in time; going on with the old one", code=failure.code)
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
                named = {"appKey": self._account.key, "secretKey": self._account.secret}
                data = await self._post("login", self._server, _LOGIN, named, None)
            except CallFailed as failure:
                answer = failure.answer
                if answer.action is Action.MISCONFIGURED:
                    answer = answer.of_account()
                raise CallFailed(failure.code, answer, retry_after=failure.retry_after) from None
            token = self._read_token(data)
            self._token = token
            await self._keep(token.state())
            return token

    def _read_token(self, data: object) -> Token:
        text = member(data, "accessToken")
        if not isinstance(text, str) or not text or not text.isascii() or not text.isprintable():
            raise CallFailed("no token", answers.GARBAGE)
        named = member(data, "areaDomain")
        server = area(named, self._server)
        if server is None:
            server = self._server
            if named:
                self._count("refused domain")
                self._log.warning(
                    "The login names a domain that is not the server's own; keeping the server",
                    area_domain=str(named)[:200],
                    server=str(self._server),
                )
        return Token(text, self._refresh_time(member(data, "expireTime")), server)

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

    async def _post(
        self, queue: str, server: Server, path: str, body: dict[str, Any], token: Token | None,
        sending: Sending | None = None, decode: Decode = answers.decode,
    ) -> Any:  # fmt: skip
        headers = {"Content-Type": "application/json"}
        if token is not None:
            headers["Token"] = token.text
        place: AbstractAsyncContextManager[None] = (
            nullcontext() if self._limiter is None else self._limiter.place(queue)
        )
        async with place:
            # The time-outs begin here, behind the limiter: waiting for one's turn is no failure of the server's.
            url = URL(f"{server}{path}")
            reply = await self._api.send("POST", url, orjson.dumps(body), headers, sending=sending)
        return self._judge(reply, decode)

    def _judge(self, reply: Reply, decode: Decode) -> Any:
        status, _, content = reply
        wish = reply.retry_after(self._clock.now())
        whole = decode(content)
        code = member(whole, "errorCode")
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
        return member(whole, "data")


def _code_of(answer: RawAnswer) -> str:
    """The vendor's errorCode; empty where there is none that could be one."""
    code = str(member(answers.decode(answer.body), "errorCode") or 0)
    return code if _CODE.fullmatch(code) else ""
