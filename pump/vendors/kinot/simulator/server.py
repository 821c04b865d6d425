"""A local Kinot: the REST API behind its gateway, a fleet of bays, and the callbacks that it sends to who registered.

`async with Simulator(clock=...) as kinot` listens on the loopback; `kinot.change(sn, car_detected=1)` lets something
happen. Everything it was asked and sent is kept to be looked at.
"""

from __future__ import annotations

import asyncio
import uuid
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Any, Final, Literal, Self

import aiohttp
from aiohttp import web

from pump.core.clock import Clock
from pump.simulation.server import TALLY, WebServer, perform
from pump.vendors.kinot.numbers import Number, decode
from pump.vendors.kinot.simulator.api_gateway import Gate, Refusal
from pump.vendors.kinot.simulator.callbacks import RETRIES, TIMEOUT, Platform
from pump.vendors.kinot.simulator.fleet import TURNOVER, Bay, Fleet, written
from pump.vendors.kinot.simulator.orders import Action, Order, Orders

ROOT: Final = "/open/lora/v1/"
_TICK: Final = 0.05
_URLS: Final = ("status_changed_callback_url", "command_resp_callback_url")


@dataclass(slots=True)
class Fault:
    """What goes wrong with the next calls whose path holds `path`.

    status: an HTTP status, with `message` as the gateway's. code: a code of Kinot's inside HTTP 200. hang: no answer.
    drop: the connection is closed. lost: the call is carried out, and its answer dropped. garbage: 200, and no JSON.
    """

    kind: Literal["status", "code", "hang", "drop", "lost", "garbage"]
    path: str = ""
    times: int = 1
    status: int = 503
    message: str = "Service Unavailable"
    code: int = 10000


@dataclass(slots=True)
class Asked:
    """One call as it came in, and how it was answered."""

    method: str
    target: str
    at: float
    body: Any = None
    outcome: str = ""


@dataclass
class Quirks:
    """How this platform differs."""

    suffix_commas: bool = False
    """Answers for single devices end as in the document: with a comma too many."""
    command_key: Literal["command_resp_callback_url", "commandResp_callback_url"] = "command_resp_callback_url"
    """The only spelling that setting the callbacks understands."""
    count_of_page: bool = False
    """`count` is that of the page's devices: the document's only sample leaves it open."""
    numbers_for_urls: bool = False
    """What was never set is told as numbers, as the document's samples do, instead of as no record."""
    millivolts: bool = False
    """Voltages are sent as the document's table has them."""
    urls: dict[int, dict[str, str]] = field(default_factory=dict)
    """What is registered: device type to the two addresses."""


class Simulator(WebServer):
    """One account before one gateway, with a fleet. While it is away, callbacks are sent all the same."""

    def __init__(
        self,
        *,
        clock: Clock,
        app_key: str = "ak",
        app_secret: str = "sk",
        bays: int = 30,
        gateways: int = 1,
        seed: int = 0,
        host: str = "127.0.0.1",
        port: int = 0,
        quirks: Quirks | None = None,
        retries: tuple[float, ...] = RETRIES,
        persistent: bool = True,
    ) -> None:
        """`retries` are the seconds before each further try of a callback; `persistent`: their connections are kept."""
        super().__init__(host, port)
        self.clock = clock
        self.quirks = quirks or Quirks()
        self.fleet = Fleet(bays, gateways, seed)
        for bay in self.fleet.bays.values():
            bay.millivolts = self.quirks.millivolts
        self.asked: list[Asked] = []
        self.faults: deque[Fault] = deque()
        self.orders = Orders(clock, self.fleet.rng, self._tell_order)
        self._gate = Gate(app_key, app_secret)
        self._secret = app_secret
        self._retries = retries
        self._persistent = persistent
        self._stack = AsyncExitStack()
        self._platform: Platform | None = None

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        self._stack.push_async_callback(self.go_away)
        session = await self._stack.enter_async_context(
            aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=TIMEOUT),
                connector=aiohttp.TCPConnector(limit=64, force_close=not self._persistent),
            )
        )
        group = await self._stack.enter_async_context(asyncio.TaskGroup())
        self._platform = Platform(self.clock, self._secret, session, group, self._retries)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # what hangs or waits for its next try would hold the end up
        for task in [*self._busy, *self.platform.tasks]:
            task.cancel()
        await self._stack.aclose()

    @property
    def platform(self) -> Platform:
        """Who sends the callbacks."""
        assert self._platform is not None, "the simulator is used outside its context"
        return self._platform

    def register(self, base: str) -> None:
        """Set both types' addresses, as `register_callbacks` does: `base` with /status and /command behind it."""
        for device_type in (18, 34):
            self.quirks.urls[device_type] = {_URLS[0]: f"{base}/status", _URLS[1]: f"{base}/command"}

    def take_over(self, base: str = "http://127.0.0.1:9/other") -> None:
        """Another client of the account registers its own addresses; whoever had the callbacks hears nothing of it."""
        self.register(base)

    def change(self, sn: int, **flags: int) -> Bay:
        """Change a bay's flags and push its status."""
        bay = self.fleet.bays[sn]
        bay.set(self.clock.now(), **flags)
        self.push(bay)
        return bay

    def push(self, bay: Bay) -> None:
        """Send a bay's status to who registered for its type; nobody did: it is lost."""
        TALLY["changes made"] += 1
        urls = self.quirks.urls.get(bay.device_type)
        if urls:
            self.platform.status(bay, urls[_URLS[0]])

    def result(self, sn: int, status: str, reason: str = "NULL", guid: str | None = None) -> str:
        """Send a command's result for a bay; the command's guid."""
        bay = self.fleet.bays[sn]
        guid = guid or uuid.UUID(int=self.fleet.rng.getrandbits(128)).hex.upper()
        urls = self.quirks.urls.get(bay.device_type)
        if urls:
            self.platform.result(bay, urls[_URLS[1]], guid, status, reason)
        return guid

    async def traffic(self, rate: float, *, curve: bool = True) -> None:
        """Changes in the fleet until cancelled: `rate` a second over the day; with `curve`, as the hour has it."""
        owed, last = 0.0, self.clock.monotonic()
        while True:
            now, hour = self.clock.monotonic(), self.clock.now().hour
            owed += (now - last) * rate * (TURNOVER[hour] if curve else 1.0)
            last = now
            for _ in range(int(owed)):
                self.push(self.fleet.turn(self.clock.now()))
            owed -= int(owed)
            await self.clock.sleep(_TICK)

    # --- a request ----------------------------------------------------------------------------------------------

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """As WebServer.answer."""
        body = await request.read()
        call = Asked(request.method, request.path_qs, self.clock.monotonic())
        self.asked.append(call)
        return await self._answer(request, body, call)

    async def _answer(self, request: web.BaseRequest, body: bytes, call: Asked) -> web.StreamResponse:
        fault = self._fault(request.path)
        if fault is not None and (broken := await self._break(fault, request, call)) is not None:
            return broken
        try:
            self._gate.check(request.method, request.raw_path, request.headers, body, self.clock.now_ms())
        except Refusal as refusal:
            call.outcome = refusal.message
            return _refused(refusal.status, refusal.message)
        if not request.path.startswith(ROOT):
            call.outcome = "API Not Found"
            return _refused(400, "API Not Found")
        call.body = decode(body.decode()) if body else None
        answer = await self._api(request.method, request.path.removeprefix(ROOT), request.query, call.body)
        call.outcome = str(answer["code"])
        if fault is not None and fault.kind == "lost" and request.transport is not None:
            request.transport.close()
            return web.StreamResponse()
        single = self.quirks.suffix_commas and request.path.rpartition("/")[2].isdecimal()
        return web.Response(text=written(answer, trailing_comma=single), content_type="application/json")

    def _fault(self, path: str) -> Fault | None:
        for place, fault in enumerate(self.faults):
            if fault.path in path:
                del self.faults[place]
                if fault.times > 1:
                    self.faults.insert(place, replace(fault, times=fault.times - 1))
                return fault
        return None

    async def _break(self, fault: Fault, request: web.BaseRequest, call: Asked) -> web.StreamResponse | None:
        call.outcome = fault.kind
        if fault.kind == "lost":
            return None
        if fault.kind == "status":
            return _refused(fault.status, fault.message)
        if fault.kind == "code":
            return _json({"code": Number(fault.code), "message": "error"})
        if fault.kind == "garbage":
            return web.Response(text="<html>hello</html>", content_type="text/html")
        while fault.kind == "hang" and request.transport is not None:  # noqa: ASYNC110  # nothing tells a peer that left
            await asyncio.sleep(_TICK)
        if request.transport is not None:
            request.transport.close()
        return web.StreamResponse()

    async def _api(self, method: str, path: str, query: Mapping[str, str], body: Any) -> dict[str, Any]:
        name, _, sn = path.partition("/")
        lists: dict[str, Callable[[], list[Bay]]] = {
            "lockers": lambda: self.fleet.locks,
            "sensors": lambda: self.fleet.sensors,
        }
        if method == "GET" and name in lists:
            return _one(lists[name](), sn) if sn else self._page(lists[name](), query)
        if method == "GET" and name == "dtu_devices":
            return _one(list(self.fleet.gateways.values()), sn)
        if (method, path) == ("GET", "notifications"):
            return self._told(query.get("device_type", ""))
        if (method, path) == ("POST", "notifications"):
            return self._set(body)
        if (method, path) == ("POST", "commands"):
            return self._order(body)
        if (method, path) == ("GET", "commands"):
            order = self.orders.orders.get(query.get("guid", ""))
            return _code(10111) if order is None else _ok([order.listed()])
        if (method, path) == ("POST", "test/notifications"):
            return await self._test(body)
        return _code(10016)

    def _page(self, bays: list[Bay], query: Mapping[str, str]) -> dict[str, Any]:
        """`offset` counts pages, and may be one behind the last (document, "Query Parameters")."""
        try:
            offset, limit = int(query.get("offset", "0")), int(query.get("limit", "10"))
        except ValueError:
            return _code(10012)
        if not 10 <= limit <= 100 or not 0 <= offset <= len(bays) // limit + 1:
            return _code(10012)
        page = bays[offset * limit :][:limit]
        return _ok([bay.listed() for bay in page], len(page if self.quirks.count_of_page else bays))

    def _told(self, device_type: str) -> dict[str, Any]:
        found: Mapping[str, Any] | None = self.quirks.urls.get(int(device_type)) if device_type.isdecimal() else None
        if found is None and self.quirks.numbers_for_urls:
            found = {_URLS[0]: Number("3.654"), _URLS[1]: Number("38.6")}
        if found is None:
            return _code(10111)
        when = self.clock.now().isoformat(timespec="seconds")
        return _ok([{"device_type": Number(device_type), **found, "update_at": when}])

    def _set(self, body: Any) -> dict[str, Any]:
        try:
            device_type = int(body["device_type"])
            urls = {_URLS[0]: str(body[_URLS[0]]), _URLS[1]: str(body.get(self.quirks.command_key, ""))}
        except (TypeError, KeyError, ValueError):
            return _code(10012)
        self.quirks.urls[device_type] = urls
        return _ok([{"device_type": Number(device_type), **urls}])

    @property
    def actions(self) -> list[Action]:
        """Everything that devices did by command."""
        return self.orders.actions

    def _order(self, body: Any) -> dict[str, Any]:
        code, order = self.orders.take(self.fleet.bays, body)
        if order is None:
            return _code(code)
        answer = _ok([order.listed() | {"command_status": "pending"}])
        platform = self.platform
        task = platform.group.create_task(self.orders.carry_out(order), name=f"order {order.guid}")
        platform.tasks.add(task)
        task.add_done_callback(platform.tasks.discard)
        return answer

    def _tell_order(self, order: Order, reason: str) -> None:
        self.result(order.bay.sn, order.state, reason, order.guid)

    async def _test(self, body: Any) -> dict[str, Any]:
        try:
            bay = self.fleet.bays.get(int(body["sn"]))
            which = {"status_changed": 0, "command_resp": 1}[body["callback_type"]]
        except (TypeError, KeyError, ValueError):
            return _code(10012)
        if bay is None:
            return _code(10111)
        url = (self.quirks.urls.get(bay.device_type) or {}).get(_URLS[which], "")
        if not url:
            return _ok([{"sn": Number(bay.sn), "callback_url": "", "error_detail": "no callback url"}])
        if which == 0:
            self.platform.status(bay, url)
        else:
            self.platform.result(bay, url, uuid.uuid4().hex.upper(), "succeeded")
        return _ok([{"sn": Number(bay.sn), "callback_url": url, "error_detail": "sent"}])


def _ok(objects: list[dict[str, Any]], count: int | None = None) -> dict[str, Any]:
    answer = {"code": Number(0), "message": "OK", "objects": objects}
    return answer if count is None else {**answer, "count": Number(count)}


def _code(code: int) -> dict[str, Any]:
    return {"code": Number(code), "message": "error"}


def _one(things: list[Any], sn: str) -> dict[str, Any]:
    found = next((thing for thing in things if str(thing.sn) == sn), None)
    return _code(10111) if found is None else _ok([found.listed()])


def _json(answer: Mapping[str, Any]) -> web.Response:
    return web.Response(text=written(answer), content_type="application/json")


def _refused(status: int, message: str) -> web.Response:
    headers = {"X-Ca-Request-Id": str(uuid.uuid4()).upper(), "X-Ca-Error-Message": message}
    return web.Response(status=status, headers=headers)


async def simulate(
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    rate: float = 1.0,
    seed: int = 0,
    on_ready: Callable[[str], object] | None = None,
    app_key: str = "ak",
    app_secret: str = "sk",
    bays: int = 60,
) -> None:
    """A simulator whose bays change `rate` times a second over the day, until cancelled; `on_ready` gets its url.

    Statuses go to the addresses that are registered with it. As `perform`.
    """
    simulator = Simulator(
        clock=Clock(), app_key=app_key, app_secret=app_secret, bays=bays, seed=seed, host=host, port=port
    )
    await perform(simulator, rate, on_ready)
