"""Commands to locks and sensors: sent once, ended by the platform's callback or by asking (document, "Command")."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final, Literal, NamedTuple

import orjson

from pump.commands.calls import JSON, PATIENCE, RawAnswer, RawCall
from pump.commands.contract import Command, CommandResult, Status
from pump.core.clock import Clock
from pump.core.errors import Refusal, Unavailable
from pump.core.tasks import first_of
from pump.vendors.common.api import Action, CallFailed
from pump.vendors.common.values import member, text
from pump.vendors.kinot import parse
from pump.vendors.kinot.client import Client
from pump.vendors.kinot.values import reason

VALUES: Final[dict[str, dict[str, int]]] = {
    "lock": {"lock.reset-code": 1},
    "sensor": {"sensor.activate": 1, "sensor.freeze": 2},
}
"""Kind and verb to `parameter.value` ("Request body detail"). That of raising and lowering is in no document: the
setting `lock_values`."""
ENDS: Final[dict[str, Status]] = {"succeeded": "done", "failed": "failed"}
"""The states in which a command stays; sending, pending and arrived pass."""
ASKED: Final = (0.5, 1.0, 2.0, 4.0)
"""Seconds before each question what became of a command; the last stands for all that follow."""
_REFUSED: Final = frozenset({"10012", "10013", "10016", "10111"})
"""Codes by which Kinot says that it has not taken it."""
_EARLY: Final = 64
"""Results that are kept while a command is being sent: its own may overtake the answer that names it."""
_LONGEST: Final = 200
"""Characters of a reason that the platform gives."""


LockValues = Mapping[Literal["raise", "lower"], int]


class _Said(NamedTuple):
    """One message about a command."""

    sn: str
    word: str
    reason: str


class _Waiting:
    """A command that was sent, or is just being sent: then without its guid."""

    def __init__(self, sn: str) -> None:
        self.sn = sn
        self.guid: str | None = None
        self.result: CommandResult | None = None
        self.ended = asyncio.Event()
        self.ask = asyncio.Event()
        """Set where it is worth asking now."""

    def take(self, said: _Said) -> None:
        """The command is over where the state is one that stays."""
        status = ENDS.get(said.word.lower())
        if status is not None and said.sn == self.sn and self.result is None:
            self.result = CommandResult(status, said.reason, {"guid": self.guid})
            self.ended.set()


class Commands:
    """One source's commands that wait for their results."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._client: Client | None = None
        self._count: Callable[[str], None] | None = None
        self._waiting: set[_Waiting] = set()
        self._early: dict[str, _Said] = {}

    @asynccontextmanager
    async def using(self, client: Client, count: Callable[[str], None]) -> AsyncIterator[Client]:
        """Open the client of a run, for commands too; `count` gets "retry"."""
        async with client:
            self._client, self._count = client, count
            try:
                yield client
            finally:
                self._client = None

    def heard(self, fields: Mapping[str, Any], *, signed: bool) -> None:
        """A callback about a command. Anybody may have sent one that is not signed: it is a reason to ask, no more."""
        guid = text(fields.get("guid"))
        if guid is None:
            return
        said = _said(fields)
        named = [one for one in self._waiting if one.guid == guid]
        for one in named:
            if signed:
                one.take(said)
            else:
                one.ask.set()
        if signed and not named and any(one.guid is None for one in self._waiting):
            self._early[guid] = said
            if len(self._early) > _EARLY:
                del self._early[next(iter(self._early))]

    async def send(self, command: Command, kind: str, sn: str, value: int, *, known: bool) -> CommandResult:
        """Send it and wait for its end, as Source.command; a device that is not `known` is looked up before."""
        client = self._client
        if client is None:
            raise Unavailable("the source is just starting")
        with self._open(sn) as one:
            try:
                if not known and await client.device("lockers" if kind == "lock" else "sensors", sn) is None:
                    raise Refusal(f"Kinot has no {kind} of this number")
                sent = await client.send_command(int(sn), value, command.sending)
            except CallFailed as failure:
                return _failed(failure, sent=command.sent)
            guid = text(sent.get("guid"))
            if guid is None:
                raise Unavailable("Kinot's answer has no guid, so that nobody can ask what became of it")
            one.guid = guid
            one.take(_said({"sn": sn, **sent}))
            if (said := self._early.get(guid)) is not None:
                one.take(said)
            await first_of(one.ended.wait(), self._asking(one, guid))
            assert one.result is not None, "the wait has ended without a result"
            return one.result

    async def call(self, command: Command, call: RawCall) -> RawAnswer:
        """As Source.call."""
        client = self._client
        if client is None:
            raise Unavailable("the source is just starting")
        if call.content_type != JSON:
            raise Refusal(f"Kinot takes {JSON} alone")
        try:
            reply = await client.raw(call, command.sending, command.remaining + PATIENCE)
        except CallFailed as failure:
            raise Unavailable(str(failure)) from None
        code = _code(reply.content)
        no = "" if code in ("", "0") else f"Kinot answers code {code}"
        return RawAnswer.of(reply.status, reply.headers, reply.content, no)

    @contextmanager
    def _open(self, sn: str) -> Iterator[_Waiting]:
        one = _Waiting(sn)
        self._waiting.add(one)
        try:
            yield one
        finally:
            self._waiting.discard(one)
            if all(other.guid is not None for other in self._waiting):
                self._early.clear()

    async def _asking(self, one: _Waiting, guid: str) -> None:
        """Ask again and again, until it has ended; whoever waits cancels this at the command's end."""
        waits = iter(ASKED)
        while not one.ended.is_set():
            one.ask.clear()
            await first_of(one.ask.wait(), self._clock.sleep(next(waits, ASKED[-1])))
            client = self._client
            if client is None:
                continue
            try:
                found = await client.command(guid)
            except CallFailed:
                if self._count is not None:
                    self._count("retry")
                continue
            if found is not None:
                one.take(_said({"sn": one.sn, **found}))


def _code(answer: bytes) -> str:
    try:
        return str(member(orjson.loads(answer), "code") or 0)[:20]
    except orjson.JSONDecodeError:
        return ""


def verbs(kind: str, lock_values: LockValues) -> dict[str, int]:
    """The verbs that a kind of device takes, with their values; empty for none. `lock_values` is the setting."""
    more = {f"lock.{name}": value for name, value in lock_values.items()} if kind == "lock" else {}
    return VALUES.get(kind, {}) | more


def parts(target: str) -> tuple[str, str]:
    """Kind and number of a subject; the number is empty where Kinot can have none of this form."""
    kind, _, sn = target.partition("/")
    return kind, sn if sn.isascii() and sn.isdecimal() and len(sn) <= 19 else ""


def subject(kind: str, sn: str, taking: Collection[str]) -> str | None:
    """The target that a device is; None where it takes nothing."""
    target = f"{kind}/{sn}"
    return target if taking and parts(target)[1] else None


def _said(fields: Mapping[str, Any]) -> _Said:
    word = next((found for name in parse.STATES if (found := text(fields.get(name))) is not None), "")
    why = (reason(fields.get("reason")) or "")[:_LONGEST]
    return _Said(text(fields.get("sn")) or "", word, why)


def _failed(failure: CallFailed, *, sent: bool) -> CommandResult:
    """The result of a call that came to nothing. Raises Refusal, and Unavailable where its outcome is open."""
    if failure.code in _REFUSED:
        raise Refusal(str(failure)) from None
    if sent and not failure.unsent and not failure.code.startswith(("HTTP 3", "HTTP 4")):
        raise Unavailable(str(failure)) from None
    # The API gateway itself has refused it, or nothing was reached: what stands behind knows nothing of it.
    return CommandResult("refused" if failure.answer.action is Action.MISCONFIGURED else "failed", str(failure))
