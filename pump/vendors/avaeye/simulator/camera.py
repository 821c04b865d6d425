"""One camera, as the document's interaction model has it: it introduces itself, gives signs of life, and captures.

A message that is not answered with code 200 stays in its memory and is sent again, the oldest first.
"""

from __future__ import annotations

import asyncio
import base64
from collections import deque
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta, tzinfo
from functools import partial
from typing import Any, Final

import aiohttp
import orjson

from pump.core.clock import Clock
from pump.simulation.server import TALLY
from pump.vendors.avaeye.simulator.controls import controlled
from pump.vendors.avaeye.simulator.lapi import Actions
from pump.vendors.avaeye.simulator.messages import Scene, weight

BASICINFO: Final = 30.0
"""Seconds between two introductions, till one is answered (document, Interaction Model)."""
MISSED: Final = 3
"""Keep-alives without an answer, after which it introduces itself anew."""
RETRY: Final = (1.0, 2.0, 5.0, 10.0)
"""Seconds before each further try of what was not answered; the last one counts for all others."""
MEMORY: Final = 1000
"""Captures that it keeps; beyond that it forgets the oldest."""
TIMEOUT: Final = 5.0
MANUAL: Final = "3"
"""captureMode of a capture that somebody asked for: no vehicle passes."""


class Camera:
    """Talks to the pump at `url` once that is known."""

    def __init__(
        self,
        park: str,
        device: str,
        curve: Sequence[int],
        *,
        clock: Clock,
        zone: tzinfo,
        seed: object,
        keepalive: float = 30.0,
        picture: int = 0,
        retries: Sequence[float] = RETRY,
        ahead: timedelta = timedelta(),
        beside: bool = False,
        introduced: bool = False,
    ) -> None:
        """`curve` is the day of its lane, `picture` the bytes of each picture (0: none).

        `ahead`: how far its clock is before the world's. `beside`: its picInfo stands beside params, as some firmware
        has it. `introduced`: it believes to have introduced itself, as after a change of the platform at its address.
        """
        self.park = park
        self.device = device
        self.waiting: deque[dict[str, Any]] = deque(maxlen=MEMORY)
        """Captures without an answer, the oldest first."""
        self.answered: dict[str, float] = {}
        """recordId of what was answered 200, and when it was seen, monotonic seconds."""
        self.retries = 0
        self.silent = asyncio.Event()
        """Set: it says nothing more, as if its power were gone."""
        self.lose_answer = False
        """The next answer to a capture is lost on its way: the camera sends it again."""
        self.forgets = False
        """The next capture is lost before it is in its memory: it never reports it by itself."""
        self.reported_again = 0
        self.account = Actions()
        """What the answers to its keep-alives had it do."""
        self.refuses = False
        """It does nothing of that, and reports code 101."""
        self.mute = False
        """It does it, and its reports get lost."""
        self.repeats = 1
        """How often it sends each report."""
        self.on_passage: Callable[[int, Callable[[], object]], object] = lambda at, report: None
        """Called with each vehicle that passes: when (milliseconds since 1970), and what has it reported once more."""
        self._curve = curve
        self._clock = clock
        self._zone = zone
        self._scene = Scene(seed)
        self._keepalive = keepalive
        self._picture = picture
        self._retries = retries
        self.ahead = ahead
        self._beside = beside
        self._introduced = introduced
        self._last: dict[str, Any] | None = None
        self._seen: dict[str, float] = {}
        self._more = asyncio.Event()

    async def run(self, session: aiohttp.ClientSession, url: str, rate: float) -> None:
        """Its life until cancelled; `rate` is vehicles a second, on the day's average; 0: only what `see` is told."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._sign(session, url), name=f"camera {self.device} signs")
            group.create_task(self._tell(session, url), name=f"camera {self.device} tells")
            if rate:
                group.create_task(self._watch(rate), name=f"camera {self.device} watches")

    def see(self) -> str:
        """A vehicle comes; its recordId."""
        now = self._now()
        message = self._scene.message(self.park, self.device, now, picture=self._picture, beside=self._beside)
        record: str = message["params"]["recordId"]
        self._seen[record] = self._clock.monotonic()
        passes = message["params"]["captureMode"] != MANUAL
        if self.forgets and passes:
            self.forgets = False
        else:
            self._last = message
            self.waiting.append(message)
            self._more.set()
        if passes:
            self.on_passage(int(now.timestamp()) * 1000, partial(self._report_again, message))
        return record

    def _report_again(self, message: dict[str, Any]) -> None:
        """Send a capture once more, as the parking lot wants it, or a forgotten one for the first time."""
        self.reported_again += 1
        self._seen[message["params"]["recordId"]] = self._clock.monotonic()
        self.waiting.append(message)
        self._more.set()

    async def relay(self, session: aiohttp.ClientSession, url: str, content: bytes, *, form: str = "text") -> bool:
        """Pass on what a peripheral sent (Upstream Transparent Channel), as "text", "hex" or "base64".

        Whether it was answered. The size is always that of the bytes.
        """
        forms = {"hex": content.hex(), "base64": base64.b64encode(content).decode()}
        message = self._message({"size": len(content), "data": forms.get(form) or content.decode()})
        return await self._post(session, url, "transchannel", message)

    def _now(self) -> datetime:
        """The time by its own clock, in its own zone."""
        return self._clock.now().astimezone(self._zone) + self.ahead

    def repeat(self) -> None:
        """Send the newest capture once more, as after a power cut that took the answer with it."""
        if self._last is not None:
            self.waiting.append(self._last)
            self._more.set()

    def seen(self, record: str) -> float | None:
        """When it saw the record's vehicle, monotonic seconds; None for another camera's."""
        return self._seen.get(record, self.answered.get(record))

    async def _watch(self, rate: float) -> None:
        while True:
            busy = weight(self._curve, self._clock.now().astimezone(self._zone))
            await self._clock.sleep(self._scene.wait(rate * busy))
            self.see()

    async def _sign(self, session: aiohttp.ClientSession, url: str) -> None:
        """(1) basic data every 30 s till it is answered, (2) keep-alives till three in a row are not."""
        while True:
            while not self._introduced and not await self._post(session, url, "basicinfo", self.introduction()):
                await self._clock.sleep(BASICINFO)
            self._introduced = False
            missed = 0
            while missed < MISSED:
                await self._clock.sleep(self._keepalive)
                missed = 0 if await self.keep_alive(session, url) else missed + 1

    async def keep_alive(self, session: aiohttp.ClientSession, url: str) -> bool:
        """Give a sign of life and do what its answer says. Whether it was answered with code 200."""
        body = self._message({"uploadTime": int(self._now().timestamp() * 1000)})
        answer = await self._asked(session, url, "keepalive", body)
        if answer is not None and (control := controlled(answer.get("data"))) is not None:
            action, content, kind = control
            if not self.refuses:
                self.did(action, content)
            if kind and not self.mute:
                for _ in range(self.repeats):
                    await self.report(session, url, kind)
        return answer is not None

    def did(self, action: str, content: Any) -> None:
        """It has acted."""
        self.account.actions.append((action, content, self._clock.monotonic()))

    async def report(
        self, session: aiohttp.ClientSession, url: str, kind: str, *, request: str | None = None, code: int = 0
    ) -> bool:
        """What became of a control (Report … Results); that of a keep-alive has no `request`."""
        code = code or (101 if self.refuses else 200)
        word = {101: "common error", 301: "invalid param"}.get(code, "success")
        report = {"parkId": self.park, "deviceId": self.device, "code": code, "message": word, "data": {}}
        report |= {} if request is None else {"requestId": request}
        return await self._post(session, url, f"notifyresult/{kind}", report)

    async def send(self, session: aiohttp.ClientSession, url: str, path: str, message: dict[str, Any]) -> bool:
        """Send any message. Whether it was answered with code 200."""
        return await self._post(session, url, path, message)

    async def _tell(self, session: aiohttp.ClientSession, url: str) -> None:
        tries = 0
        while True:
            if not self.waiting:
                self._more.clear()
                await self._more.wait()
            message = self.waiting[0]
            record = message["params"]["recordId"]
            answered = await self._post(session, url, "capture", message)
            if answered and self.lose_answer:
                self.lose_answer = answered = False
            if answered:
                tries = 0
                if self.waiting and self.waiting[0] is message:
                    self.waiting.popleft()
                self.answered[record] = self._seen.pop(record, self.answered.get(record, 0.0))
            else:
                self.retries += 1
                await self._clock.sleep(self._retries[min(tries, len(self._retries) - 1)])
                tries += 1

    async def _post(self, session: aiohttp.ClientSession, url: str, path: str, message: dict[str, Any]) -> bool:
        """Whether it was answered with code 200."""
        return await self._asked(session, url, path, message) is not None

    async def _asked(
        self, session: aiohttp.ClientSession, url: str, path: str, message: dict[str, Any]
    ) -> dict[str, Any] | None:
        """The answer, where it has code 200."""
        if self.silent.is_set():
            return None
        TALLY["messages sent"] += 1
        headers = {"Content-Type": "text/plain"} if path == "keepalive" else {"Content-Type": "application/json"}
        try:
            async with session.post(
                f"{url}/api/upark/{path}", data=orjson.dumps(message), headers=headers, expect100=path == "basicinfo"
            ) as answer:
                body: dict[str, Any] = orjson.loads(await answer.read())
                return body if answer.status == 200 and body["code"] == 200 else None
        except (aiohttp.ClientError, TimeoutError, ValueError, KeyError, TypeError):
            return None

    def _message(self, params: dict[str, Any]) -> dict[str, Any]:
        return {"version": "1.0", "parkId": self.park, "deviceId": self.device, "params": params}

    def introduction(self) -> dict[str, Any]:
        """Basic Data, with keys of the customer's storage and broker in it, as real cameras send them."""
        return self._message(
            {
                "deviceType": 1,
                "deviceName": f"HC121@{self.device}",
                "senceType": 1,
                "keepalive": self._keepalive,
                "picFillType": 1,
                "aliOssParam": {"accessKeyId": "oss-key", "accessKeySecret": "oss-secret", "bucketName": "b"},
                "mqttEnable": 1,
                "mqttParam": {"address": "tcp://127.0.0.1:1883", "user": "u", "pwd": "mqtt-secret", "reqTopic": "t"},
                "deviceCapability": {"isSupportGate": 1, "isSupprotCoil": 1, "isSupportLED": 1, "isSupportStore": 1},
                "shootPosition": "1",
                "ipAddress": f"192.168.1.{int(self.device) % 250 if self.device.isdecimal() else 9}",
                "resolution": "1920*1080",
                "softwareVersion": "PARK_1201-B0003",
                "serialNum": f"2102350000{self.device:0>5}",
                "registerCode": "register-secret",
            }
        )
