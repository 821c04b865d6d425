"""A faithful local server of Hik-Connect for Teams: the login and the three message queues, faults included.

It speaks HTTP on a real socket of the loopback and does what the vendor's document (3.1 to 3.3, 4.2, 4.4, 5.1.1,
5.3.1, 5.3.2, 5.4.1, A.4) and the field say: tokens of 7 days, subscriptions that die after 2 days without a pull,
messages that live 3 days, batches that repeat until they are completed, 5 requests a second, errors inside HTTP
200. `Quirks` turns the habits in which tenants differ, `faults` makes things go wrong, `account` is what tests audit.

Records carry a running number in their `systemId` (the alarm's own; `basicInfo.systemId` in combine and rawmsg):
`traffic.identity(record)` reads that text, `traffic.number(identity)` the queue's running number, so that an auditor
finds the queue's order again in the pump's output, where the record stands whole under `data.raw`.

Beside the vendor's API there are paths that no vendor has, for an auditor in another process, below
`/_simulator/`: see `control`. They are not limited and not counted.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any, Final

import orjson
from aiohttp import web

from pump.core.clock import Clock
from pump.simulation.server import TALLY, TICK, WebServer, perform, portions
from pump.vendors.hik_connect.simulator import messages as traffic
from pump.vendors.hik_connect.simulator.account import QUEUES, Account, Call, Entry, QueueName
from pump.vendors.hik_connect.simulator.api import Api, failure, queue_of
from pump.vendors.hik_connect.simulator.clips import FILES, Clips
from pump.vendors.hik_connect.simulator.control import PREFIX, control
from pump.vendors.hik_connect.simulator.documented import methods
from pump.vendors.hik_connect.simulator.doings import CAPTURES, Doings
from pump.vendors.hik_connect.simulator.faults import GARBAGE, POISON, Fault, Faults
from pump.vendors.hik_connect.simulator.logs import Logs
from pump.vendors.hik_connect.simulator.pictures import PICTURE, Pictures
from pump.vendors.hik_connect.simulator.quirks import LogQuirks, Quirks
from pump.vendors.hik_connect.simulator.rules import RULES, Refused

__all__ = ["Account", "Fault", "Faults", "LogQuirks", "Quirks", "Simulator", "simulate"]


class Simulator(WebServer):
    """The server; an async context manager that listens while it is open.

    `clock` gives every time: the monotonic one rules lives, limits and delays, the wall time is what is written
    into answers and records. `rate_limit` is how many requests any second may see (None: any number). `seed`
    decides the records.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        app_key: str = "ak",
        secret_key: str = "sk",
        quirks: Quirks | None = None,
        log_quirks: LogQuirks | None = None,
        rate_limit: int | None = 5,
        host: str = "127.0.0.1",
        port: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__(host, port)
        self.clock = clock
        self.quirks = quirks or Quirks()
        self.rate_limit = rate_limit
        self.account = Account()
        self.faults = Faults()
        self.records = traffic.Traffic(clock, self.quirks, seed)
        self.pictures = Pictures(clock, self.records.parts)
        self._api = Api(self.account, self.quirks, clock, app_key, secret_key, log_quirks or LogQuirks())
        self._admitted: deque[float] = deque()
        self._in_flight: Counter[str | None] = Counter()

    async def come_back(self) -> None:
        """As Server.come_back; records' links and the login name the address."""
        await super().come_back()
        self.records.server = self.clips.server = self.doings.server = self.url
        self.area_domain = self.area_domain or self.url

    @property
    def logs(self) -> Logs:
        """The alarm log, the access records and the inventory, which any of the vendor's clients may search."""
        return self._api.logs

    @property
    def doings(self) -> Doings:
        """What devices did by command."""
        return self._api.doings

    @property
    def taken(self) -> list[tuple[str, str, dict[str, Any]]]:
        """The documented calls that were made and are not played: method, path, parameters."""
        return self._api.taken

    @property
    def clips(self) -> Clips:
        """The clips that were asked for."""
        return self._api.clips

    @property
    def area_domain(self) -> str:
        """What the login answers as areaDomain; by default the simulator's own address."""
        return self._api.area_domain

    @area_domain.setter
    def area_domain(self, url: str) -> None:
        self._api.area_domain = url

    def put(self, queue: QueueName, *records: traffic.Record) -> list[str]:
        """Records arrive from devices, in this order; returns their identities.

        They are queued when the subscription stands and has their type, else counted as lost or filtered. Each is a
        JSON value, or bytes that go into the answer as they are (what orjson itself would not write).
        """
        TALLY["records made"] += len(records)
        now = self.clock.monotonic()
        target = self.account.queues[queue]
        target.alive(now, empty=self._api.empties)
        webhook = self.quirks.webhook == "stops the queues"
        identities = []
        for record in records:
            body = record if isinstance(record, bytes) else orjson.dumps(record)
            identity = traffic.identity(record)
            self.logs.add(queue, identity, body)
            if webhook:
                target.lost.append(identity)
            else:
                target.add(identity, traffic.code(queue, record), body, now)
                target.speaks(identity, traffic.matter(queue, record))
            identities.append(identity)
        return identities

    def make(self, queue: QueueName, n: int, kind: traffic.Kind = "mix") -> list[dict[str, Any]]:
        """`n` records as the queue has them, not yet put; see `traffic.KINDS` for the kinds of each queue."""
        return self.records.make(queue, n, kind)

    async def traffic(self, rate: float) -> None:
        """Puts a realistic mix of `rate` records a second, in all, into the subscribed queues until cancelled.

        A queue that lost its subscription goes on receiving, and losing, its share until the client cancels.
        """
        async for due in portions(self.clock, rate):
            wanted = [name for name in QUEUES if self.account.queues[name].wanted]
            for turn, name in enumerate(wanted):
                self.put(name, *self.make(name, (due + turn) // len(wanted)))

    def expire_tokens(self) -> None:
        """Every token is expired from now on (OPEN000006)."""
        self.account.expire_tokens(self.clock.monotonic())

    def forget_tokens(self) -> None:
        """Every token is unknown from now on (OPEN000007)."""
        self.account.tokens.clear()

    def lose_subscription(self, *queues: QueueName) -> None:
        """The subscriptions of these queues, or of all, end as if 2 days had passed."""
        for name in queues or QUEUES:
            self.account.queues[name].unsubscribe(empty=self._api.empties, wanted=True)

    # -- a request -------------------------------------------------------------------------------------------

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """As WebServer.answer."""
        if request.path.startswith(PREFIX):
            return await control(self, request)
        if request.path == PICTURE:  # in the field this is another host, which counts no calls
            return self.pictures.answer(request)
        if request.path.startswith(FILES):
            return self.clips.answer(request)
        if request.path.startswith(CAPTURES):
            return self.doings.answer(request)
        call = Call(request.path, self.clock.monotonic())
        self.account.calls.append(call)
        queue = queue_of(request.path)
        self._in_flight[queue] += 1
        call.in_flight = self._in_flight[queue]
        try:
            return await self._answer(request, call)
        finally:
            self._in_flight[queue] -= 1
            call.done = self.clock.monotonic()

    async def _answer(self, request: web.BaseRequest, call: Call) -> web.StreamResponse:
        if not self._admit(call.at):
            return self._refuse_rate(call)
        fault = self.faults.take(call.path)
        if fault is not None and (answer := await self._before(fault, request, call)) is not None:
            return answer
        allowed = ["POST"] if call.path in RULES else methods(call.path)
        if not allowed:
            self.account.refuse(call, "404", "unknown path")
            return web.json_response({"error": "Not Found", "path": call.path}, status=404)
        if request.method not in allowed:
            self.account.refuse(call, "405", f"not {' or '.join(allowed)}")
            return web.Response(status=405, headers={"Allow": ", ".join(allowed)})
        content = await request.content.read()
        try:
            content_type, token = request.headers.get("Content-Type"), request.headers.get("Token")
            asked = self._api.call if call.path in RULES else partial(self._api.take, request.method)
            body = asked(call.path, content_type, token, content)
            call.outcome = "0"
        except Refused as refusal:
            self.account.refuse(call, refusal.code, refusal.reason)
            body = failure(refusal.code)
        if fault is not None and fault.kind in ("lost_answer", "cut_answer"):
            call.outcome = fault.kind
            return await _break(request, body if fault.kind == "cut_answer" else None)
        return _json(body)

    def _admit(self, now: float) -> bool:
        if self.rate_limit is None:
            return True
        while self._admitted and now - self._admitted[0] >= 1.0:
            self._admitted.popleft()
        if len(self._admitted) >= self.rate_limit:
            return False
        self._admitted.append(now)
        return True

    def _refuse_rate(self, call: Call) -> web.Response:
        self.account.refuse(call, "429", "more than the limit within a second")
        date = f"{self.clock.now() + timedelta(seconds=1):%a, %d %b %Y %H:%M:%S} GMT"
        retry_after = {"absent": None, "1": "1", "date": date}[self.quirks.retry_after]
        return _status(429, retry_after)

    async def _before(self, fault: Fault, request: web.BaseRequest, call: Call) -> web.StreamResponse | None:
        """What a fault does before the work; an answer where it takes the work's place."""
        if fault.seconds:
            await self.clock.sleep(fault.seconds)
        if fault.kind == "hang":
            call.outcome = fault.kind
            while request.transport is not None:  # noqa: ASYNC110 - aiohttp has no event for a peer that left
                await asyncio.sleep(TICK)
            return web.StreamResponse()
        if (change := _CHANGES.get(fault.kind)) is not None:
            change(self, fault, call)
            return None
        if (instead := _INSTEAD.get(fault.kind)) is None:
            return None
        call.outcome, answer = instead(self, fault)
        return answer or await _break(request)

    def _redeliver(self, fault: Fault, call: Call) -> None:
        queue = self.account.queues[queue_of(call.path) or "combine"]
        if not queue.redeliver(new_id=fault.new_id, resigned=fault.resigned):
            self.faults.push(replace(fault, times=1, skip=0))  # nothing was completed yet: the next call then

    def _poison(self, fault: Fault, call: Call) -> None:
        body = POISON[fault.poison]
        entry = Entry(traffic.identity(body), body, call.at)
        self.account.queues[queue_of(call.path) or "combine"].poison = entry

    def _lose(self, fault: Fault, call: Call) -> None:
        name = queue_of(call.path)
        self.lose_subscription(*([name] if name else []))


_CHANGES: Final[dict[str, Callable[[Simulator, Fault, Call], None]]] = {
    "expired_token": lambda simulator, fault, call: simulator.expire_tokens(),
    "lost_subscription": Simulator._lose,
    "redeliver": Simulator._redeliver,
    "poison": Simulator._poison,
}
# What stands for the work: the call's outcome and the answer, None to close the connection.
_INSTEAD: Final[dict[str, Callable[[Simulator, Fault], tuple[str, web.Response | None]]]] = {
    "drop": lambda simulator, fault: ("drop", None),
    "ignore": lambda simulator, fault: ("ignore", _json(simulator._api.success())),
    "status": lambda simulator, fault: (str(fault.status), _status(fault.status, fault.retry_after)),
    "error": lambda simulator, fault: (fault.code, _json(failure(fault.code))),
    "garbage": lambda simulator, fault: ("garbage", _garbage(fault)),
}


def _json(body: bytes) -> web.Response:
    return web.Response(body=body, content_type="application/json")


def _status(status: int, retry_after: str | None) -> web.Response:
    return web.Response(status=status, headers={} if retry_after is None else {"Retry-After": retry_after})


def _garbage(fault: Fault) -> web.Response:
    body, content_type = GARBAGE[fault.body]
    return web.Response(body=body, content_type=content_type)


async def _break(request: web.BaseRequest, body: bytes | None = None) -> web.StreamResponse:
    """Closes the connection, after the first half of `body` where one is given."""
    answer = web.StreamResponse()
    if body is not None:
        answer.content_type = "application/json"
        answer.content_length = len(body)
        await answer.prepare(request)
        await answer.write(body[: len(body) // 2])
    if request.transport is not None:
        request.transport.close()
    return answer


async def simulate(
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    rate: float = 1.0,
    seed: int = 0,
    on_ready: Callable[[str], object] | None = None,
    app_key: str = "ak",
    secret_key: str = "sk",
    quirks: Quirks | None = None,
    rate_limit: int | None = 5,
) -> None:
    """A simulator with traffic of `rate` records a second, until cancelled; `on_ready` is called with its url.

    Rate 0 leaves the filling to `/_simulator/`. As `perform`.
    """
    simulator = Simulator(
        clock=Clock(), app_key=app_key, secret_key=secret_key, quirks=quirks, rate_limit=rate_limit, host=host,
        port=port, seed=seed,
    )  # fmt: skip
    await perform(simulator, rate, on_ready)
