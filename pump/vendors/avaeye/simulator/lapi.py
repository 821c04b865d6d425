"""A camera's own interface, as "ANPR APIs 2.1" has it (Downstream Interfaces (HTTP)): digest login, calls, refusals."""

from __future__ import annotations

import asyncio
import hashlib
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import orjson
from aiohttp import web

from pump.core.clock import Clock
from pump.simulation.server import WebServer

_REALM: Final = "AvaEye"
_FIELD: Final = re.compile(r'(\w+)=(?:"([^"]*)"|([^\s,]+))')
_JSON: Final = "application/json"
_FORM: Final = "application/x-www-form-urlencoded"
_INVALID: Final = 3
_MISSING: Final = 5


@dataclass(slots=True)
class Actions:
    """What cameras did, whoever asked for it."""

    actions: list[tuple[str, Any, float]] = field(default_factory=list)
    """The action, what it was done with, and its time in monotonic seconds."""
    rejected: int = 0
    """Logins with a wrong password."""

    @property
    def names(self) -> list[str]:
        """The actions alone, in order."""
        return [name for name, *_ in self.actions]


@dataclass(slots=True)
class Quirks:
    """Habits and faults."""

    drop: bool = False
    """It acts, and then the connection ends without an answer."""
    hold: asyncio.Event | None = None
    """Slow: it acts, and answers when this is set."""
    status: int = 200
    """The HTTP status of each call that was let in; it acts at 200 alone."""
    garbled: bool = False
    """It acts, and its answer is no JSON."""
    open: bool = False
    """No login: "on the test stage, you can disable authentication"."""


class CameraServer(WebServer):
    """One camera's, on a port of its own."""

    def __init__(
        self,
        *,
        clock: Clock | None = None,
        account: Actions | None = None,
        username: str = "admin",
        password: str = "camera-secret",
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        super().__init__(host, port)
        self.clock = clock or Clock()
        self.account = account or Actions()
        self.quirks = Quirks()
        self.lists: dict[str, dict[int, dict[str, Any]]] = {"Allow": {}, "Block": {}}
        """By list and id, the vehicles."""
        self._login = (username, password)
        self._nonces: set[str] = set()

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """As WebServer.answer."""
        if not self.quirks.open and not self._let_in(request):
            nonce = secrets.token_hex(16)
            self._nonces.add(nonce)
            challenge = f'Digest realm="{_REALM}", qop="auth", nonce="{nonce}", algorithm=MD5'
            return web.Response(status=401, headers={"WWW-Authenticate": challenge})
        if self.quirks.status != 200:
            location = {"Location": "http://192.0.2.1/"} if self.quirks.status < 400 else {}
            return web.Response(status=self.quirks.status, headers=location)
        code = await self._called(request)
        if code == 0 and self.quirks.hold is not None:
            await self.quirks.hold.wait()
        if code == 0 and self.quirks.drop and request.transport is not None:
            request.transport.abort()
        if self.quirks.garbled:
            return web.Response(body=b"<html>")
        stream = f"rtsp://{self._host}:554/media/video1" if request.path.endswith("/LivingStream") else "null"
        body = {
            "ResponseURL": request.path_qs, "StatusCode": code, "StatusString": "Failed" if code else "Succeed",
            "Data": stream,
        }  # fmt: skip
        return web.json_response({"Response": body})

    def _let_in(self, request: web.BaseRequest) -> bool:
        said = request.headers.get("Authorization", "")
        fields = {name: quoted or plain for name, quoted, plain in _FIELD.findall(said)}
        if not fields or fields.get("nonce") not in self._nonces:
            return False
        self._nonces.discard(fields["nonce"])
        username, password = self._login

        def md5(*parts: str) -> str:
            return hashlib.md5(":".join(parts).encode(), usedforsecurity=False).hexdigest()

        given = (fields.get(name, "") for name in ("nonce", "nc", "cnonce", "qop"))
        wanted = md5(md5(username, _REALM, password), *given, md5(request.method, request.path_qs))
        if fields.get("username") == username and fields.get("response") == wanted:
            return True
        self.account.rejected += 1
        return False

    async def _called(self, request: web.BaseRequest) -> int:
        """StatusCode; 0 where it was done."""
        content = await request.read()
        form = request.path_qs == "/LAPI/V1.0/Smart/CaptureExecution?IA_TRIGGER_FORMAL"
        if request.headers.get("Content-Type") != (_FORM if form else _JSON):
            return _INVALID
        try:
            body = orjson.loads(content) if content else {}
            action = self._action(request.method, request.path_qs, body)
        except (ValueError, KeyError, TypeError, AttributeError):
            return _INVALID
        if action is None:
            return _MISSING
        self.account.actions.append((*action, self.clock.monotonic()))
        return 0

    def _action(self, method: str, path: str, body: Any) -> tuple[str, Any] | None:
        """What is done, and with what; None for what is not there. Raises ValueError and its like."""
        place = path.removeprefix("/LAPI/V1.0")
        if (made := _PLAIN.get((method, place))) is not None:
            return made(body)
        found = re.fullmatch(r"/ParkingLots/Vehicles/(Allow|Block)List(?:/(\d+))?", place)
        if found is None:
            return None
        name, number = found[1], found[2]
        if method == "POST" and number is None:
            return self._added(name, body)
        if method == "PUT" and number is not None:
            return self._edited(name, int(number), body)
        if method == "DELETE" and number is not None:
            if body["ID"] != int(number):
                raise ValueError("another ID")
            gone = self.lists[name].pop(int(number), None)
            return None if gone is None else (f"remove {name}", gone["PlateNo"])
        return None

    def _edited(self, name: str, number: int, body: Any) -> tuple[str, Any] | None:
        """Edit Allowed Vehicle, Edit Forbidden Vehicle: the table wants AllowID in the one, the example has none."""
        row = self.lists[name].get(number)
        if row is None or not body.keys() <= {"PlateNo", f"{name}ID", "BeginTime", "EndTime"}:
            return None
        if body.get(f"{name}ID", number) != number or not 1 <= len(body.get("PlateNo", "A")) <= 16:
            raise ValueError("a row")
        row |= body
        return f"edit {name}", row["PlateNo"]

    def _added(self, name: str, body: Any) -> tuple[str, Any]:
        rows = body[f"{name}ListInfo"]
        wanted: object = str(len(rows)) if name == "Allow" else len(rows)
        if body["Num"] != wanted:
            raise ValueError("Num")
        for row in rows:
            number, plate = row[f"{name}ID"], row["PlateNo"]
            known = {other: one["PlateNo"] for other, one in self.lists[name].items()}
            if not 1 <= len(plate) <= 16 or row["BeginTime"] >= row["EndTime"] or number in known:
                raise ValueError("a row")
            self.lists[name][number] = row
        return f"add {name}", [row["PlateNo"] for row in rows]


def _gate(body: Any) -> tuple[str, Any]:
    return _GATE[body["Command"]], None


_GATE: Final = {0: "open", 1: "open and lock", 2: "unlock", 3: "close"}


def _led(body: Any) -> tuple[str, Any]:
    rows = body["scenseInfoList"]
    kind, seconds = body["msgType"], body["showTime"]
    if kind not in (1, 2) or body["scenseNum"] != 4 or len(rows) != 4 or not isinstance(seconds, int):
        raise ValueError("LED")
    for row in rows:
        if row["runType"] not in range(5) or row["isBroadcast"] not in (0, 1) or row["colorType"] not in (1, 2, 3):
            raise ValueError("a row")
    return "show", {"rows": [row["customContext"] for row in rows], "seconds": seconds, "type": kind}


def _osd(body: Any) -> tuple[str, Any]:
    """Live View OSD Configuration: up to 8 areas, each with its index from 0."""
    areas = body["InfoOSD"]
    if body["AreaNum"] != len(areas) or len(areas) > 8 or any(not 0 <= area["Index"] <= 7 for area in areas):
        raise ValueError("OSD")
    return "live osd", len(areas)


def _picture_osd(body: Any) -> tuple[str, Any]:
    """Photo OSD."""
    rows = body["PicOSDCFG"]
    if body["OSDNum"] != len(rows) or not isinstance(body["OSDBaseCFG"]["OSDArea"], list):
        raise ValueError("OSD")
    return "photo osd", len(rows)


_PLAIN: Final[dict[tuple[str, str], Callable[[Any], tuple[str, Any]]]] = {
    ("POST", "/ParkingLots/Entrances/Lanes/0/GateControl"): _gate,
    ("PUT", "/INTELLIGENT/ParkingLED"): _led,
    ("PUT", "/Smart/CaptureExecution?IA_TRIGGER_FORMAL"): lambda body: ("capture", None),
    ("PUT", "/System/Reboot"): lambda body: ("reboot", None),
    ("GET", "/Channel/0/Media/LivingStream"): lambda body: ("stream", None),
    ("POST", "/Channel/0/Media/OSD/0"): _osd,
    ("PUT", "/Media/PicOSD?BaseCfgType=0"): _picture_osd,
}
