"""One account at Tuya's cloud: the token, and the one command that we give (POST records/sync)."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, MutableMapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, Literal, NamedTuple, Self

import orjson
import structlog
from yarl import URL

from pump.commands.calls import LARGEST_ANSWER, RawAnswer, RawCall, without
from pump.commands.once import Answered, Sending
from pump.commands.rest import UNANSWERED, RestClient
from pump.core.clock import Clock
from pump.core.net.outcome import retry_after, why
from pump.sinks.tuya.answers import Action, CallFailed, result
from pump.sinks.tuya.signing import Request, headers, target
from pump.telemetry.redact import HIDDEN

log = structlog.get_logger()

Naming = Literal["camel", "snake"]

KEY: Final = "token"
"""Of the sink's memory."""
_LARGEST: Final = 64 << 10
"""Bytes of an answer that are read."""
_LONGEST_WAIT: Final = 300.0
"""Seconds of a Retry-After that are waited at the most: nothing is counted meanwhile."""
_LIFE: Final = 0.9
"""The part of a token's life for which it is used."""
_FIELDS: Final[dict[Naming, dict[str, str]]] = {
    "camel": {
        "data_type": "dataType", "infos": "recordSyncInfos", "total": "totalCount", "start": "startTime",
        "end": "endTime", "direction": "passDirection",
    },
    "snake": {
        "data_type": "data_type", "infos": "record_sync_infos", "total": "total_count", "start": "start_time",
        "end": "end_time", "direction": "pass_direction",
    },
}  # fmt: skip
"""The fields of the body: the document's tables have them in snake case, its sample in camel case."""


class Info(NamedTuple):
    """A count of one window; times in milliseconds since 1970."""

    total: int
    start: int
    end: int
    direction: int | None
    """0 in, 1 out; None where the kind of data has none."""


@dataclass(slots=True, frozen=True)
class Account:
    """Who calls whom."""

    host: str
    client_id: str
    secret: str = field(repr=False)
    timeout: float
    """Seconds of one call."""

    def digest(self) -> str:
        """The account's name for what is stored: a token of another one must not be used."""
        return hashlib.blake2b(f"{self.host}\n{self.client_id}".encode(), digest_size=16).hexdigest()


class TuyaClient:
    """The calls of one account; an async context manager that holds the connections.

    The token lies in `memory`, which is stored: a restart asks for none.
    """

    def __init__(
        self,
        account: Account,
        memory: MutableMapping[str, Any],
        *,
        clock: Clock,
        naming: Naming = "camel",
        nonce: Callable[[], str] = lambda: uuid.uuid4().hex,
    ) -> None:
        self._account = account
        self._memory = memory
        self._clock = clock
        self._names = _FIELDS[naming]
        self._nonce = nonce
        self._api = RestClient(account.timeout, _LARGEST)

    async def __aenter__(self) -> Self:
        await self._api.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._api.__aexit__(kind, error, trace)

    @property
    def date(self) -> str:
        """The cloud's clock, as the newest answer's Date has it; "" for none."""
        return self._api.date

    async def sync(self, device_id: str, data_type: int, infos: Sequence[Info]) -> str:
        """Give a lot our counts; the command's number (`sn`), "" where the answer has none. Raises CallFailed.

        A refused token is renewed once, and the call made once more.
        """
        request = Request(
            "POST", f"/v1.0/parking-control/{device_id}/records/sync", orjson.dumps(self._body(data_type, infos))
        )
        token = self._stored() or await self._new_token()
        try:
            answer = await self._call(request, token)
        except CallFailed as failure:
            if failure.action is not Action.TOKEN:
                raise
            log.info("Tuya refuses the token; asking for a new one", reason=str(failure))
            try:
                answer = await self._call(request, await self._new_token())
            except CallFailed as second:
                if second.action is Action.TOKEN:
                    raise CallFailed(f"a new token is refused too: {second}") from None
                raise
        number = answer.get("sn") if isinstance(answer, dict) else None
        return str(number) if isinstance(number, str | int) else ""

    async def log_in(self) -> None:
        """Ask for a token, whether one is kept or not. Raises CallFailed."""
        await self._new_token()

    async def raw(self, call: RawCall, sending: Callable[[], None], timeout: float) -> RawAnswer:
        """Any call, sent once; its answer as it came, without the token. Raises CallFailed.

        A refused token is renewed once, and the call made once more: what it refuses, Tuya has not done.
        """
        token = self._stored() or await self._asked()
        answer = await self._raw(call, token, sending, timeout)
        if _renews(answer):
            answer = await self._raw(call, await self._asked(), sending, timeout)
        return answer

    async def _asked(self) -> str:
        """A new token, also where the sink may just be left."""
        if not self._api.open:
            raise CallFailed("the sink is just closing", answered=False)
        return await self._new_token()

    async def _raw(self, call: RawCall, token: str, sending: Callable[[], None], timeout: float) -> RawAnswer:
        request = Request(call.method, call.ordered, call.body)
        status, found, content = await self._answered(
            request, token, call.content_type, sending=sending, timeout=timeout, largest=LARGEST_ANSWER
        )
        if content is None:
            raise CallFailed(f"the answer has more than {LARGEST_ANSWER >> 20} MiB")
        try:
            result(status, content := without(token, content))
        except CallFailed as failure:
            return RawAnswer.of(status, found, content, str(failure) if status == 200 else "")
        return RawAnswer.of(status, found, content)

    def _signed(self, request: Request, token: str) -> dict[str, str]:
        account = self._account
        return headers(
            request, client_id=account.client_id, secret=account.secret, token=token, time_ms=self._clock.now_ms(),
            nonce=self._nonce(),
        )  # fmt: skip

    def _body(self, data_type: int, infos: Sequence[Info]) -> dict[str, Any]:
        names = self._names
        listed = []
        for info in infos:
            row = {names["total"]: info.total, names["start"]: info.start, names["end"]: info.end}
            if info.direction is not None:
                row[names["direction"]] = info.direction
            listed.append(row)
        return {names["data_type"]: data_type, names["infos"]: listed}

    def _stored(self) -> str:
        """The token that may still be used; "" where there is none."""
        kept = self._memory.get(KEY)
        if not isinstance(kept, dict) or kept.get("of") != self._account.digest():
            return ""
        token, until = kept.get("token"), kept.get("until")
        if not isinstance(token, str) or not isinstance(until, int) or self._clock.now_ms() >= until:
            return ""
        return token

    async def _new_token(self) -> str:
        request = Request("GET", target("/v1.0/token", {"grant_type": "1"}))
        answer = await self._call(request, "")
        token = answer.get("access_token") if isinstance(answer, dict) else None
        if not isinstance(token, str) or not token or not token.isascii() or not token.isprintable():
            raise CallFailed("the answer to the call for a token has none")
        life = answer.get("expire_time", answer.get("expireTime"))
        seconds = life if isinstance(life, int) and 0 < life < 1e7 else 0
        until = self._clock.now_ms() + int(seconds * 1000 * _LIFE)
        self._memory[KEY] = {"token": token, "until": until, "of": self._account.digest()}
        return token

    async def _call(self, request: Request, token: str) -> Any:
        """The answer's result. Raises CallFailed."""
        status, found, content = await self._answered(request, token, "application/json")
        if content is None:
            raise CallFailed(f"the answer has more than {_LARGEST >> 10} KiB")
        if token:
            # the vendor's words may repeat it, and are reported; the log's own redaction would keep each for ever
            content = content.replace(token.encode(), HIDDEN.encode())
        wish = retry_after(found.get("Retry-After"), self._clock.now(), _LONGEST_WAIT)
        return result(status, content, retry_after=wish)

    async def _answered(
        self, request: Request, token: str, content_type: str, *,
        sending: Sending | None = None, timeout: float | None = None, largest: int | None = None,
    ) -> Answered:  # fmt: skip
        sent = self._signed(request, token)
        if request.body:
            sent["Content-Type"] = content_type
        # as it was signed: the library must not spell it anew
        url = URL(f"{self._account.host}{request.target}", encoded=True)
        try:
            return await self._api.answered(
                request.method, url, request.body or None, sent, sending=sending, timeout=timeout, largest=largest
            )
        except UNANSWERED as error:
            raise CallFailed(f"{url.host} cannot be reached: {why(error)}", answered=False) from None


def _renews(answer: RawAnswer) -> bool:
    """True where the token is refused."""
    try:
        result(answer.status, answer.body)
    except CallFailed as failure:
        return failure.action is Action.TOKEN
    return False
