"""How the simulator's platform sends callbacks: signed, in time, tried again until they are answered with code 0."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import aiohttp

from pump.core.clock import Clock
from pump.vendors.kinot.numbers import Number, text_of
from pump.vendors.kinot.simulator.fleet import Bay, written

Trick = Literal["wrong_sign", "unsigned", "duplicate", "lost", "old", "trailing_comma", "key_suffix", "text_numbers"]
TRICKS: Final[tuple[Trick, ...]] = (
    "wrong_sign", "unsigned", "duplicate", "lost", "old", "trailing_comma", "key_suffix", "text_numbers",
)  # fmt: skip
"""What may be odd about the next status callback: its sign, or the lack of one; sent twice; not sent at all; an
earlier status of the same bay sent once more after it; commas as in the document's samples; the sign of older
platforms; numbers as strings."""

RETRIES: Final = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
"""Seconds before each further try; then the platform gives up, and only the lists still know."""
TIMEOUT: Final = 5.0
_KEPT: Final = 20


@dataclass
class Callback:
    """One callback and what became of it."""

    url: str
    body: str
    sn: int
    tries: int = 0
    at: float = 0.0
    """When it was first sent, monotonic seconds."""
    status: int = 0
    """The last answer's."""
    answer: str = ""
    acknowledged: bool = False
    given_up: bool = False


def signed(fields: Mapping[str, Any], secret: str, suffix: str = "secret") -> str:
    """The `sign` of a callback's other fields."""
    plain = "&".join(f"{name}={text_of(fields[name])}" for name in sorted(fields)) + f"&{suffix}={secret}"
    return hashlib.md5(plain.encode(), usedforsecurity=False).hexdigest().upper()


@dataclass
class Platform:
    """Sends callbacks, many at a time; `session` and `group` are its owner's."""

    clock: Clock
    secret: str
    session: aiohttp.ClientSession
    group: asyncio.TaskGroup
    retries: tuple[float, ...] = RETRIES
    callbacks: list[Callback] = field(default_factory=list)
    tricks: deque[Trick] = field(default_factory=deque)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)
    """Those that still try."""

    def sign(self, fields: Mapping[str, Any], suffix: str = "secret") -> str:
        """The `sign` of a callback's fields."""
        return signed(fields, self.secret, suffix)

    def status(self, bay: Bay, url: str) -> None:
        """Tell a bay's present state; the next trick, if there is one, is played with it."""
        trick = self.tricks.popleft() if self.tricks else None
        fields: dict[str, Any] = bay.fields()
        if trick == "text_numbers":
            fields = {name: str(value) if isinstance(value, Number) else value for name, value in fields.items()}
        fields |= {"device_type": Number(bay.device_type)}
        sign = self.sign(fields, "key" if trick == "key_suffix" else "secret")
        if trick == "wrong_sign":
            sign = sign[::-1]
        signed = fields if trick == "unsigned" else {**fields, "sign": sign}
        body = written(signed, trailing_comma=trick == "trailing_comma")
        earlier = bay.sent[-1] if bay.sent else None
        bay.sent[:] = [*bay.sent, body][-_KEPT:]
        if trick == "lost":
            return
        self.send(url, body, bay.sn)
        if trick == "duplicate":
            self.send(url, body, bay.sn)
        if trick == "old" and earlier is not None:
            self.send(url, earlier, bay.sn)

    def result(self, bay: Bay, url: str, guid: str, status: str, reason: str = "NULL") -> None:
        """Tell what became of a command."""
        fields = {
            "guid": guid,
            "sn": Number(bay.sn),
            "commnad_status": status,
            "reason": reason,
            "updated_at": bay.updated.isoformat(),
            "device_type": Number(bay.device_type),
        }
        self.send(url, written({**fields, "sign": self.sign(fields)}), bay.sn)

    def send(self, url: str, body: str, sn: int) -> Callback:
        """Send a body until it is acknowledged or given up."""
        callback = Callback(url, body, sn, at=self.clock.monotonic())
        self.callbacks.append(callback)
        task = self.group.create_task(self._deliver(callback), name=f"callback {sn}")
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return callback

    @property
    def open(self) -> int:
        """Callbacks that are neither acknowledged nor given up."""
        return sum(not (each.acknowledged or each.given_up) for each in self.callbacks)

    @property
    def repeated(self) -> int:
        """Tries beyond each callback's first."""
        return sum(max(0, each.tries - 1) for each in self.callbacks)

    async def _deliver(self, callback: Callback) -> None:
        for wait in (*self.retries, None):
            callback.acknowledged = await self.once(callback)
            if callback.acknowledged:
                return
            if wait is not None:
                await self.clock.sleep(wait)
        callback.given_up = True

    async def once(self, callback: Callback) -> bool:
        """One try; whether it was answered with code 0."""
        callback.tries += 1
        try:
            async with self.session.post(
                callback.url, data=callback.body.encode(), headers={"Content-Type": "application/json;charset=UTF-8"}
            ) as response:
                callback.status, callback.answer = response.status, await response.text()
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            callback.status, callback.answer = 0, type(error).__name__
            return False
        try:
            answer = json.loads(callback.answer)
        except ValueError:
            return False
        return callback.status == 200 and isinstance(answer, dict) and answer.get("code") == 0
