"""A faithful local server of Hik-Connect for Teams: the login and the three message queues, faults included.

It speaks HTTP on a real socket of the loopback and does what the vendor's document (3.1 to 3.3, 4.2, 4.4, 5.1.1,
5.3.1, 5.3.2, 5.4.1, A.4) and the field say: tokens of 7 days, subscriptions that die after 2 days without a pull,
messages that live 3 days, batches that repeat until they are completed, 5 requests a second, errors inside HTTP
200. `Quirks` turns the habits in which tenants differ, `faults` makes things go wrong, `account` is what tests audit.

Records carry a running number in their `systemId` (the alarm's own; `basicInfo.systemId` in combine and rawmsg):
`traffic.identity(record)` reads that text, `traffic.number(identity)` the queue's running number, so that an auditor
finds the queue's order again in the pump's output, where the record stands whole under `data.raw`.

Beside the vendor's API there are paths that no vendor has, for an auditor in another process, below
`/_simulator/`: see `simulator_control`. They are not limited and not counted.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Any

import orjson
from aiohttp import web

from pump.clock import Clock
from pump.vendors.hik_connect import traffic
from pump.vendors.hik_connect.simulator_account import (
    QUEUES,
    TOKEN_LIFE,
    Account,
    Call,
    Entry,
    Queue,
    QueueName,
)
from pump.vendors.hik_connect.simulator_control import PREFIX, control
from pump.vendors.hik_connect.simulator_faults import GARBAGE, POISON, Fault, Faults
from pump.vendors.hik_connect.simulator_quirks import Quirks, variants
from pump.vendors.hik_connect.simulator_rules import DEFAULT_BATCH_SIZE, LOGIN, MESSAGES, RULES, Refused, parameters

__all__ = ["Account", "Fault", "Faults", "Quirks", "Simulator", "simulate", "variants"]

_TICK = 0.02  # seconds between two portions of traffic


class Simulator:
    """The server; an async context manager that listens while it is open.

    `clock` gives every time: the monotonic one rules lives, limits and delays, the wall time is what is written
    into answers and records. `rate_limit` is how many requests any second may see (None: any number). `area_domain`
    is what the login answers, by default the simulator's own address. `seed` decides the records.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        app_key: str = "ak",
        secret_key: str = "sk",
        quirks: Quirks | None = None,
        rate_limit: int | None = 5,
        host: str = "127.0.0.1",
        port: int = 0,
        seed: int = 0,
    ) -> None:
        self.clock = clock
        self.app_key = app_key
        self.secret_key = secret_key
        self.quirks = quirks or Quirks()
        self.rate_limit = rate_limit
        self.area_domain: str | None = None
        self.account = Account()
        self.faults = Faults()
        self.records = traffic.Traffic(clock, self.quirks, seed)
        self._host, self._port = host, port
        self._admitted: deque[float] = deque()
        self._busy: set[asyncio.Task[Any]] = set()
        self._runner: web.ServerRunner | None = None

    async def __aenter__(self) -> Simulator:
        listener = socket.socket(socket.AF_INET6 if ":" in self._host else socket.AF_INET)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((self._host, self._port))
        self._port = listener.getsockname()[1]
        self.records.server = self.url
        self._runner = web.ServerRunner(web.Server(self._handle, access_log=None))
        await self._runner.setup()
        await web.SockSite(self._runner, listener).start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._busy:
            task.cancel()  # a hanging answer would hold the shutdown for its whole time
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    @property
    def url(self) -> str:
        """http://host:port, without a slash at its end."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._port}"

    def put(self, queue: QueueName, *records: traffic.Record) -> list[str]:
        """Records arrive from devices, in this order; returns their identities.

        They are queued when the subscription stands and has their type, else counted as lost or filtered. Each is a
        JSON value, or bytes that go into the answer as they are (what orjson itself would not write).
        """
        now = self.clock.monotonic()
        target = self.account.queues[queue]
        target.alive(now, empty=self._empties)
        identities = []
        for record in records:
            body = record if isinstance(record, bytes) else orjson.dumps(record)
            identity = traffic.identity(record)
            target.add(identity, traffic.code(queue, record), body, now)
            identities.append(identity)
        return identities

    def make(self, queue: QueueName, n: int, kind: traffic.Kind = "mix") -> list[dict[str, Any]]:
        """`n` records as the queue has them, not yet put; see `traffic.KINDS` for the kinds of each queue."""
        return self.records.make(queue, n, kind)

    async def traffic(self, rate: float) -> None:
        """Puts a realistic mix of `rate` records a second, in all, into the subscribed queues until cancelled.

        A queue that lost its subscription goes on receiving, and losing, its share until the client cancels.
        """
        begun, made = self.clock.monotonic(), 0
        while True:
            due = int((self.clock.monotonic() - begun) * rate)
            wanted = [name for name in QUEUES if self.account.queues[name].wanted]
            for turn, name in enumerate(wanted):
                share = (due - made + turn) // len(wanted)
                self.put(name, *self.make(name, share))
            made = due
            await self.clock.sleep(_TICK)

    def expire_tokens(self) -> None:
        """Every token is expired from now on (OPEN000006)."""
        self.account.expire_tokens(self.clock.monotonic())

    def forget_tokens(self) -> None:
        """Every token is unknown from now on (OPEN000007)."""
        self.account.tokens.clear()

    def lose_subscription(self, *queues: QueueName) -> None:
        """The subscriptions of these queues, or of all, end as if 2 days had passed."""
        for name in queues or QUEUES:
            self.account.queues[name].unsubscribe(empty=self._empties, wanted=True)

    @property
    def _empties(self) -> bool:
        return self.quirks.lost_subscription == "empties"

    # -- a request -------------------------------------------------------------------------------------------

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        task = asyncio.current_task()
        assert task is not None  # a handler always runs in a task
        self._busy.add(task)
        try:
            if request.path.startswith(PREFIX):
                return await control(self, request)
            call = Call(request.path, self.clock.monotonic())
            self.account.calls.append(call)
            try:
                return await self._answer(request, call)
            finally:
                call.done = self.clock.monotonic()
        finally:
            self._busy.discard(task)

    async def _answer(self, request: web.BaseRequest, call: Call) -> web.StreamResponse:
        if not self._admit(call.at):
            return self._refuse_rate(call)
        fault = self.faults.take(call.path)
        if fault is not None and (answer := await self._before(fault, request, call)) is not None:
            return answer
        if request.path not in RULES:
            self.account.refuse(call, "404", "unknown path")
            return web.json_response({"error": "Not Found", "path": request.path}, status=404)
        if request.method != "POST":
            self.account.refuse(call, "405", "not POST")
            return web.Response(status=405, headers={"Allow": "POST"})
        body = await request.content.read()
        if fault is not None and fault.kind == "ignore":
            call.outcome = fault.kind
            return self._ok()
        try:
            answer = self._work(request, body)
            call.outcome = "0"
        except Refused as refusal:
            self.account.refuse(call, refusal.code, refusal.reason)
            answer = _error(refusal.code)
        return answer if fault is None else await _after(fault, request, call, answer)

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
        headers = {
            "absent": {},
            "1": {"Retry-After": "1"},
            "date": {"Retry-After": f"{self.clock.now():%a, %d %b %Y %H:%M:%S} GMT"},
        }[self.quirks.retry_after]
        return web.Response(status=429, headers=headers)

    async def _before(self, fault: Fault, request: web.BaseRequest, call: Call) -> web.StreamResponse | None:
        """What a fault does before the work; an answer where it prevents the work."""
        if fault.seconds:
            await self.clock.sleep(fault.seconds)
        queue = _queue_of(call.path)
        match fault.kind:
            case "drop":
                call.outcome = "drop"
                return _drop(request)
            case "hang":
                call.outcome = "hang"
                await asyncio.get_running_loop().create_future()
            case "status":
                call.outcome = str(fault.status)
                headers = {} if fault.retry_after is None else {"Retry-After": fault.retry_after}
                return web.Response(status=fault.status, headers=headers)
            case "error":
                call.outcome = fault.code
                return _error(fault.code)
            case "garbage":
                call.outcome = "garbage"
                body, kind = GARBAGE[fault.body]
                return web.Response(body=body, content_type=kind)
            case "expired_token":
                self.expire_tokens()
            case "lost_subscription":
                self.lose_subscription(*([queue] if queue else []))
            case "redeliver" if queue:
                self.account.queues[queue].redeliver(new_id=fault.new_id, resigned=fault.resigned)
            case "poison" if queue:
                body = POISON[fault.poison]
                entry = Entry(traffic.identity(body), body, call.at)
                self.account.queues[queue].poison = entry
        return None

    # -- the work ----------------------------------------------------------------------------------------------

    def _work(self, request: web.BaseRequest, body: bytes) -> web.Response:
        strict = self.quirks.unknown_fields == "refused"
        given = parameters(request.path, request.headers.get("Content-Type"), body, strict=strict)
        if request.path == LOGIN:
            return self._login(given)
        self._check_token(request.headers.get("Token"))
        name = _queue_of(request.path)
        assert name is not None  # every other path of RULES has its queue
        queue = self.account.queues[name]
        action = request.path.rpartition("/")[2]
        if action == "subscribe":
            return self._subscribe(queue, given)
        now = self.clock.monotonic()
        if not queue.alive(now, empty=self._empties):
            raise Refused("OPEN000016", f"{name} is not subscribed")
        if action == "messages":
            limit = self.quirks.rawmsg_batch if name == "rawmsg" else given.get("maxNumberPerTime")
            return self._messages(queue, limit or DEFAULT_BATCH_SIZE, now)
        if not queue.complete(given["batchId"], now):
            raise Refused("OPEN000012", "the batch is unknown" if given["batchId"] not in ("", "0") else "no batch")
        return self._ok()

    def _login(self, given: dict[str, Any]) -> web.Response:
        if given["appKey"] != self.app_key:
            raise Refused("OPEN000001", "the AK is unknown")
        if str(given["secretKey"]) != self.secret_key:
            raise Refused(self.quirks.wrong_secret, "the SK is wrong")
        now = self.clock.monotonic()
        tokens = self.account.tokens
        alive = [token for token, expires in tokens.items() if now < expires]
        if self.quirks.login == "replaces":
            self.account.expire_tokens(now)
        token = alive[-1] if alive and self.quirks.login == "same" else f"hcc.{secrets.token_hex(16)}"
        tokens[token] = now + TOKEN_LIFE
        self.account.logins += 1
        expires = self.clock.now_ms() // 1000 + int(TOKEN_LIFE)
        data = {
            "accessToken": token,
            "expireTime": str(expires) if self.quirks.expire_time == "text" else expires,
            "userId": "8a7485aa7f209dd5017f2141adff0019",
            "areaDomain": self.url if self.area_domain is None else self.area_domain,
        }
        return self._ok(orjson.dumps(data))

    def _check_token(self, token: str | None) -> None:
        if token is None:
            raise Refused("OPEN000010", "the Token header is missing")
        expires = self.account.tokens.get(token)
        if expires is None:
            raise Refused("OPEN000007", "the token is unknown")
        if self.clock.monotonic() >= expires:
            raise Refused("OPEN000006", "the token is expired")

    def _subscribe(self, queue: Queue, given: dict[str, Any]) -> web.Response:
        if given["subscribeType"] == 0:
            queue.unsubscribe(empty=self._empties)
            return self._ok()
        listed = given.get("eventType") if queue.name == "alarm" else given.get("msgType")
        if queue.name == "alarm" and given["subscribeMode"] == 0:
            listed = None
        elif queue.name == "alarm" and not listed:
            raise Refused("OPEN000010", "eventType is missing though subscribeMode is 1")
        queue.subscribe(frozenset(map(str, listed)) if listed else None, self.clock.monotonic())
        return self._ok()

    def _messages(self, queue: Queue, limit: int, now: float) -> web.Response:
        batch = queue.pull(limit, now)
        listed = getattr(self.quirks, f"{queue.name}_list")
        members: list[bytes] = []
        if batch is None:
            if self.quirks.empty_batch_id != "absent":
                members.append(
                    b'"batchId":null'
                    if self.quirks.empty_batch_id == "null"
                    else b'"batchId":"%b"' % self.quirks.empty_batch_id.encode()
                )
            if self.quirks.empty_list != "absent":
                members.append(b'"%b":%b' % (listed.encode(), self.quirks.empty_list.encode()))
        else:
            if self.quirks.links_signed == "at every answer":
                batch.sign()
            members += [b'"batchId":"%b"' % batch.id.encode(), b'"%b":%b' % (listed.encode(), batch.body)]
        if self.quirks.remaining != "absent":
            shape = b'"remainingNumber":"%d"' if self.quirks.remaining == "text" else b'"remainingNumber":%d'
            members.insert(1, shape % queue.remaining)
        return self._ok(b"{" + b",".join(members) + b"}")

    def _ok(self, data: bytes | None = None) -> web.Response:
        code = b"0" if self.quirks.error_code == "number" else b'"0"'
        prefix = b"{" if data is None else b'{"data":' + data + b","
        return web.Response(body=prefix + b'"errorCode":' + code + b"}", content_type="application/json")


async def _after(fault: Fault, request: web.BaseRequest, call: Call, answer: web.Response) -> web.StreamResponse:
    """What a fault does to the answer, after the work."""
    if fault.kind == "lost_answer":
        call.outcome = fault.kind
        return _drop(request)
    if fault.kind == "cut_answer":
        call.outcome = fault.kind
        body = answer.body
        assert isinstance(body, bytes)
        cut = web.StreamResponse(headers={"Content-Type": "application/json", "Content-Length": str(len(body))})
        await cut.prepare(request)
        await cut.write(body[: len(body) // 2])
        return _drop(request, cut)
    return answer


def _drop(request: web.BaseRequest, answer: web.StreamResponse | None = None) -> web.StreamResponse:
    if request.transport is not None:
        request.transport.close()
    return answer or web.Response()


def _error(code: str) -> web.Response:
    message = f"{MESSAGES.get(code, 'Error')}{{{code}}}"
    return web.Response(body=orjson.dumps({"message": message, "errorCode": code}), content_type="application/json")


def _queue_of(path: str) -> QueueName | None:
    return next((name for name in QUEUES if path.startswith(f"/api/hccgw/{name}/v1/mq/")), None)


async def simulate(
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    rate: float = 1.0,
    seed: int = 0,
    on_ready: Callable[[str], object] | None = None,
) -> None:
    """A simulator with traffic of `rate` records a second, until cancelled; `on_ready` is called with its url.

    The account's app key is "ak", its secret "sk". Nothing is written to standard output.
    """
    clock = Clock()
    async with Simulator(clock=clock, host=host, port=port, seed=seed) as simulator:
        if on_ready is not None:
            on_ready(simulator.url)
        await simulator.traffic(rate)
