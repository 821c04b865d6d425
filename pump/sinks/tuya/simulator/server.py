"""Tuya's cloud with a project and its parking lots: tokens, signatures, records/sync. It refuses what the vendor would.

Written from the document (records-sync) and docs/field.md, without a line of the client: it takes the signature apart
and puts it together anew from the bytes that came.

`pump simulate tuya` has one lot without a count of its own, which agrees. GET /_simulator/account shows what came; POST
/_simulator/passes, [{"direction": 0, "at": ms}], gives the lot passes of its own; POST /_simulator/fail, {"code": 500,
"times": 3}, has the next calls refused.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import random
from collections import Counter, deque
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

import orjson
from aiohttp import web

from pump.core.clock import Clock
from pump.simulation.server import WebServer, perform
from pump.sinks.tuya.simulator.lot import Claim, Lot, Own

CLIENT_ID: Final = "simulated-project"
SECRET: Final = "simulated-secret-7Fq2"
DEVICE: Final = "6cesimulatedlot01"

SKEW_MS: Final = 300_000
"""How far a call's time may be off."""
LIFE: Final = 7200
"""Seconds that a token lives."""
DAY_MS: Final = 86_400_000
_SYNC: Final = ("/v1.0/parking-control/", "/records/sync")
_WORDS: Final[dict[int, str]] = {
    500: "system error, please contact the admin",
    1004: "sign invalid",
    1005: "clientId invalid",
    1010: "token is expired",
    1011: "token invalid",
    1013: "request time is invalid",
    1101: "params range invalid",
    1104: "type is incorrect",
    1108: "uri path invalid",
    1109: "param is illegal, please check it",
    1199: "your requests are too frequent",
    2001: "device is offline",
    2003: "function not support",
    2010: "device not exist",
}
_SPELLINGS: Final[dict[str, tuple[str, ...]]] = {
    "camel": ("dataType", "recordSyncInfos", "totalCount", "startTime", "endTime", "passDirection"),
    "snake": ("data_type", "record_sync_infos", "total_count", "start_time", "end_time", "pass_direction"),
}


class Refused(Exception):
    """The cloud says no."""

    def __init__(self, code: int) -> None:
        super().__init__(str(code))
        self.code = code


class Cloud(WebServer):
    """A data center."""

    def __init__(
        self,
        *,
        clock: Clock | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        lots: Mapping[str, Lot] | None = None,
        naming: Literal["camel", "snake"] = "camel",
        seed: int = 0,
        on_verified: Callable[[Claim, bool], object] = lambda claim, agrees: None,
    ) -> None:
        """`lots` by device id; None: one, without a count of its own. `on_verified` gets each count and its verdict."""
        super().__init__(host, port)
        self.clock = clock or Clock()
        self.lots: dict[str, Lot] = dict(lots) if lots is not None else {DEVICE: Lot(knows=False)}
        self.naming = naming
        self.failures: deque[int | str] = deque()
        """What becomes of the next calls for a lot: a code, an HTTP status as "HTTP 503", "lost": done, unanswered."""
        self.refusals: Counter[int] = Counter()
        """Refused calls, by code."""
        self.tokens_given = 0
        self.calls = 0
        """Calls for a lot that were taken."""
        self.waiting = 0
        """Calls that wait for `stalled`."""
        self.stalled = asyncio.Event()
        self.stalled.set()
        """Cleared: calls wait."""
        self._tokens: dict[str, int] = {}
        self._nonces: dict[str, int] = {}
        self._random = random.Random(f"tuya/{seed}")
        self._on_verified = on_verified

    def forget_tokens(self) -> None:
        """All tokens are invalid from now on, long before their time."""
        self._tokens.clear()

    async def traffic(self, rate: float) -> None:
        """A lot that agrees makes none."""
        await asyncio.Event().wait()

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """As WebServer.answer."""
        body = await request.read()
        if request.path.startswith("/_simulator/"):
            return self._control(request, body)
        self.waiting += 1
        await self.stalled.wait()
        self.waiting -= 1
        now = self.clock.now_ms()
        fault: int | str | None = None
        try:
            token = self._verify(request, body, now)
            if (request.method, request.path) == ("GET", "/v1.0/token"):
                result = self._token(request, now)
            else:
                self._check_token(token, now)
                fault = self.failures.popleft() if self.failures else None
                if isinstance(fault, int):
                    raise Refused(fault)
                if fault is not None and fault.startswith("HTTP "):
                    return web.Response(status=int(fault.split()[1]), text="<html>")
                result = self._sync(request, body)
        except Refused as refused:
            self.refusals[refused.code] += 1
            words = _WORDS.get(refused.code, "unknown error")
            return web.json_response({"success": False, "code": refused.code, "msg": words, "t": now, "tid": "x"})
        if fault == "lost" and request.transport is not None:
            request.transport.abort()
        return web.json_response({"result": result, "t": now, "success": True})

    # --- who calls ----------------------------------------------------------------------------------------------------

    def _verify(self, request: web.BaseRequest, body: bytes, now: int) -> str:
        """The access token of a call that is signed rightly, "" where it has none."""
        sent = request.headers
        if sent.get("client_id") != CLIENT_ID:
            raise Refused(1005)
        stamp = sent.get("t", "")
        if not stamp.isdecimal() or len(stamp) != 13 or abs(int(stamp) - now) > SKEW_MS:
            raise Refused(1013)
        nonce, token = sent.get("nonce", ""), sent.get("access_token", "")
        path, _, query = request.raw_path.partition("?")
        fields = "&".join(sorted(query.split("&"))) if query else ""
        lines = [request.method, hashlib.sha256(body).hexdigest(), "", f"{path}?{fields}" if fields else path]
        text = CLIENT_ID + token + stamp + nonce + "\n".join(lines)
        expected = hmac.new(SECRET.encode(), text.encode(), hashlib.sha256).hexdigest().upper()
        if sent.get("sign_method") != "HMAC-SHA256" or not hmac.compare_digest(sent.get("sign", ""), expected):
            raise Refused(1004)
        if nonce:
            if now - self._nonces.get(nonce, -SKEW_MS) < SKEW_MS:
                raise Refused(1004)
            self._nonces[nonce] = now
        return token

    def _token(self, request: web.BaseRequest, now: int) -> dict[str, Any]:
        if request.query.get("grant_type") != "1":
            raise Refused(1109)
        self.tokens_given += 1
        token = f"{self._random.getrandbits(128):032x}"
        self._tokens[token] = now + LIFE * 1000
        return {"access_token": token, "expire_time": LIFE, "refresh_token": token[::-1], "uid": "simulated"}

    def _check_token(self, token: str, now: int) -> None:
        if token not in self._tokens:
            raise Refused(1011)
        if now >= self._tokens[token]:
            raise Refused(1010)

    # --- what is asked ------------------------------------------------------------------------------------------------

    def _sync(self, request: web.BaseRequest, body: bytes) -> dict[str, Any]:
        path, (begin, end) = request.path, _SYNC
        if request.method != "POST" or not (path.startswith(begin) and path.endswith(end)):
            raise Refused(1108)
        lot = self.lots.get(path.removeprefix(begin).removesuffix(end))
        if lot is None:
            raise Refused(2010)
        if not lot.supported:
            raise Refused(2003)
        claims = self._claims(body)
        self.calls += 1
        for claim in claims:
            self._on_verified(claim, lot.verify(claim))
        return {"sn": str(135_000_000 + self.calls)}

    def _claims(self, body: bytes) -> list[Claim]:
        """The counts of a body, each checked (Description of body)."""
        data_type_, infos_, count_, start_, end_, direction_ = _SPELLINGS[self.naming]
        try:
            found = orjson.loads(body)
        except orjson.JSONDecodeError:
            raise Refused(1109) from None
        if not isinstance(found, dict) or not isinstance(infos := found.get(infos_), list) or not infos:
            raise Refused(1109)
        data_type = found.get(data_type_)
        if type(data_type) is not int or data_type not in (0, 1):
            raise Refused(1101)
        claims = []
        for info in infos:
            count, start, end = (info.get(name) for name in (count_, start_, end_))
            if not all(type(value) is int for value in (count, start, end)):
                raise Refused(1104)
            if count < 0 or not 1_000_000_000_000 < start < end or end - start > DAY_MS:
                raise Refused(1101)
            direction = info.get(direction_)
            if data_type == 0 and direction not in (0, 1):
                raise Refused(1101)
            claims.append(Claim(data_type, direction if data_type == 0 else None, start, end, count))
        return claims

    # --- people -------------------------------------------------------------------------------------------------------

    def _control(self, request: web.BaseRequest, body: bytes) -> web.Response:
        lot = next(iter(self.lots.values()))
        match request.path.removeprefix("/_simulator/"):
            case "account":
                refusals = {str(code): count for code, count in self.refusals.items()}
                return web.json_response(
                    {
                        "calls": self.calls,
                        "tokens": self.tokens_given,
                        "refusals": refusals,
                        "claims": [claim._asdict() for claim in lot.claims],
                        "disagreements": [claim._asdict() for claim in lot.disagreements()] if lot.knows else [],
                    }
                )
            case "passes":
                lot.knows = True
                for one in orjson.loads(body):
                    lot.saw(Own(one["at"], "", lambda: None), direction=one["direction"])
                return web.json_response({})
            case "fail":
                wish = orjson.loads(body)
                self.failures.extend([wish["code"]] * wish.get("times", 1))
                return web.json_response({})
        return web.Response(status=404, text="404: Not Found")


async def simulate(*, host: str, port: int, rate: float, seed: int, on_ready: Callable[[str], None]) -> None:
    """Run a data center with one lot until cancelled."""
    await perform(Cloud(host=host, port=port, seed=seed), rate, on_ready)
