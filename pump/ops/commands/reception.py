"""The desk as messages find it: read, judged by their age, asked for, answered (MQTT, NATS; `pump.commands.ways`)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

import orjson
import structlog

from pump.commands.contract import NotTaken, Request, Target, Ticket
from pump.commands.ways import LONGEST, Asking
from pump.core.clock import Clock
from pump.core.errors import Misconfigured, Unavailable
from pump.core.rate import TokenBucket
from pump.core.tasks import wait_for
from pump.core.text import printable, words_of
from pump.ops.commands.desk import CommandDesk, lifetime
from pump.ops.commands.web import shown
from pump.telemetry.metrics import Metrics

log = structlog.get_logger()

AT_ONCE: Final = 256
"""Messages in hand, of one way; as many more are answered that there are too many, all beyond are counted alone."""
PACE: Final = 5.0
"""Messages a second of one way, a minute's worth at once; and as many that no grant allows, which hold up nobody."""
AHEAD: Final = 5.0
"""Seconds that a message's own time may lie ahead of this clock; of one further ahead nobody knows how old it is."""
ANSWERING: Final = 15.0
"""Seconds for an answer to be delivered."""
_LONGEST_CALLER: Final = 1024
"""Characters of a topic or subject, with its way."""
_SHOWN: Final = 200
"""Characters of it in the log."""
_KEYS: Final = frozenset({"verb", "arguments", "expires", "id", "key", "time", "source", "target"})


class MessageReception:
    """One way's; fulfils `pump.commands.ways.Reception`. All its methods belong to the event loop."""

    def __init__(self, name: str, desk: CommandDesk, *, clock: Clock, metrics: Metrics) -> None:
        """`name` is the sink's, for counters and the log."""
        self._name = name
        self._desk = desk
        self._clock = clock
        self._metrics = metrics
        self._pace = TokenBucket(PACE, clock)
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing = False

    def targets(self) -> Iterable[tuple[str, Target]]:
        """Everything that can be commanded now, with its source's name."""
        return self._desk.targets()

    def allows(self, caller: str, verb: str, target: str) -> bool:
        """True where a grant lets the caller do this."""
        return self._desk.allows(caller, verb, target)

    def take(self, asking: Asking) -> None:
        """Take a message; a task of its own does what it asks for, answers it and counts it."""
        if len(self._tasks) >= 2 * AT_ONCE:
            self._count("too many")
            if asking.answer is not None:
                self._metrics.command_answers_lost.labels(self._name).inc()
            return
        full = len(self._tasks) >= AT_ONCE
        task = asyncio.create_task(self._serve(asking, full=full), name=f"{self._name}: {asking.target[:80]}")
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    async def close(self, seconds: float) -> None:
        """Take no more, and let those in hand be answered, for so long; then end them. The commands themselves are the
        desk's."""
        self._closing = True
        await wait_for(set(self._tasks), seconds, self._clock)
        for task in self._tasks:
            task.cancel("its way in ends")
        if self._tasks:
            await asyncio.wait(set(self._tasks))

    # --- one message ------------------------------------------------------------------------------------------------

    async def _serve(self, asking: Asking, *, full: bool) -> None:
        try:
            await self._served(asking, full=full)
        except asyncio.CancelledError:
            if asking.answer is not None:
                self._metrics.command_answers_lost.labels(self._name).inc()
                log.warning(
                    "The way in for commands has ended before an answer could be given; the result is an event all the "
                    "same", sink=self._name, target=asking.target,
                )  # fmt: skip
            raise

    async def _served(self, asking: Asking, *, full: bool) -> None:
        try:
            ticket = await self._asked(asking, full=full)
        except NotTaken as refused:
            self._count(refused.why)
            if refused.why == "malformed":  # the desk logs all others
                caller = printable(asking.caller[:_SHOWN])
                log.warning("A message is no command", sink=self._name, caller=caller, reason=refused.reason)
            body: dict[str, Any] = {"status": "refused", "reason": refused.reason}
            body |= {"request_id": refused.request_id} if refused.request_id else {}
            await self._answer(asking, body)
            return
        self._count("taken")
        if asking.progress:
            await self._answer(asking, shown(ticket, None))
        await self._answer(asking, shown(ticket, await ticket.result))

    async def _asked(self, asking: Asking, *, full: bool) -> Ticket:
        """The command's ticket. Raises NotTaken."""
        if full:
            raise NotTaken("too many", f"{AT_ONCE} messages are in hand")
        if self._closing:
            raise NotTaken("not now", "this way in ends or begins anew: ask once more in a moment")
        try:
            request, sent = _read(asking)
        except NotTaken:
            self._paced(granted=False)
            raise
        verb, target = request.verb, request.target
        self._paced(granted=self._desk.allows(asking.caller, str(verb), str(target)))
        reason = asking.stale
        if not reason:
            request, reason = self._fresh(request, sent, asking.within)
        if reason:
            await self._desk.decline(request, asking.caller, "stale", reason)
        return await self._desk.ask(request, asking.caller)

    def _paced(self, *, granted: bool) -> None:
        """Raises NotTaken for a message that comes too soon after others."""
        if self._pace.take(granted):
            raise NotTaken("too many", f"more than {PACE:g} messages a second have come")

    def _fresh(self, request: Request, sent: datetime | None, within: float | None) -> tuple[Request, str]:
        """The request with the time that is left to it, and the reason for which it is too late."""
        try:
            left = lifetime(request.expires)
        except ValueError as error:
            raise NotTaken("malformed", f"expires: {words_of(error)}") from None
        if sent is not None:
            age = (self._clock.now() - sent).total_seconds()
            if age < -AHEAD:
                return request, f"its time lies {-age:.0f} s ahead of this machine's clock"
            left -= max(0.0, age)
            if left <= 0.0:
                return request, f"it was sent {age:.0f} s ago"
        if within is not None:
            left = min(left, within)
        if left <= 0.0:
            return request, "its time was over when it came"
        return replace(request, expires=left), ""

    async def _answer(self, asking: Asking, body: Mapping[str, Any]) -> None:
        if asking.answer is None:
            return
        reason = f"it was not taken within {ANSWERING:g} s"
        sending = asyncio.create_task(asking.answer(orjson.dumps(body, default=str)), name=f"{self._name}: answer")
        try:
            if await wait_for({sending}, ANSWERING, self._clock):
                sending.result()
                return
        except (Unavailable, Misconfigured) as error:
            reason = error.reason
        except Exception as error:
            log.exception("A sink met a bug with an answer", sink=self._name)
            reason = words_of(error)
        finally:
            sending.cancel()
        self._metrics.command_answers_lost.labels(self._name).inc()
        log.warning(
            "The answer to a command could not be delivered; its result is an event all the same", sink=self._name,
            target=asking.target, request=body.get("request_id"), status=body["status"], reason=reason,
        )  # fmt: skip

    def _count(self, outcome: str) -> None:
        self._metrics.command_messages.labels(self._name, outcome).inc()

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("A message that asks for a command met a bug", sink=self._name, exc_info=error)


def _read(asking: Asking) -> tuple[Request, datetime | None]:
    """The request, and when it was sent where the message says so. Raises NotTaken for what is none."""
    if asking.malformed or len(asking.caller) > _LONGEST_CALLER:
        raise NotTaken("malformed", asking.malformed or "its topic is too long")
    if asking.order is not None:
        order = asking.order
        return Request(asking.target, order.verb, order.arguments, key=asking.key), _time(asking.sent)
    if len(asking.payload) > LONGEST:
        raise NotTaken("malformed", f"it has {len(asking.payload)} bytes; {LONGEST} at the most are read")
    try:
        found = orjson.loads(asking.payload)
    except ValueError:
        found = None
    if not isinstance(found, dict) or not {"verb"} <= found.keys() <= _KEYS:
        raise NotTaken("malformed", f"an object with verb and, where wanted, {', '.join(sorted(_KEYS - {'verb'}))}")
    if found.get("target", asking.target) != asking.target:
        raise NotTaken("malformed", f"its topic is that of {asking.target}, and its target another")
    named = [found[name] for name in ("key", "id") if found.get(name) is not None]
    if len(named) == 2 and named[0] != named[1]:
        raise NotTaken("malformed", "id and key are two words for one thing")
    key = named[0] if named else asking.key
    request = Request(
        asking.target, found["verb"], found.get("arguments", {}), found.get("expires"), key, found.get("source")
    )
    return request, _time(found["time"] if found.get("time") is not None else asking.sent)


def _time(text: object) -> datetime | None:
    """None where there is none. Raises NotTaken for what is no moment."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise NotTaken("malformed", 'its time is a text with an offset, such as "2030-01-31T08:00:00Z"')
    return moment
