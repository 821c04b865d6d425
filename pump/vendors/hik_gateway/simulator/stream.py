"""A subscription of the simulator: the endless response, framed as the quirks say, broken as the faults say."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from pump.vendors.hik_gateway.simulator.messages import Message, encode, identity, kind

if TYPE_CHECKING:
    from pump.vendors.hik_gateway.simulator.server import Simulator

DELIMITER: Final = b"--boundary"


@dataclass(slots=True)
class Account:
    """What the simulator has to tell an auditor."""

    whole: list[str] = field(default_factory=list)
    """The identities of the messages that were written whole, their closing delimiter or not, in order."""
    cut: list[str] = field(default_factory=list)
    """Those of which only a beginning was written."""
    lost: list[str] = field(default_factory=list)
    """Those that no subscription wanted."""
    replayed: int = 0
    heartbeats: int = 0
    streams: int = 0
    """Subscriptions that were granted."""
    cuts: int = 0
    closed: list[str] = field(default_factory=list)
    """Subscriptions that a DELETE ended."""
    orders: list[Any] = field(default_factory=list)
    """The bodies of the SubscribeDeviceMgmt requests."""
    requests: list[str] = field(default_factory=list)
    """Every request as "METHOD path"."""
    actions: list[tuple[float, str, str, str, str]] = field(default_factory=list)
    """What devices did because they were asked to: when (monotonic), devIndex, call, number, mode or state."""
    taken: list[tuple[str, str, str, bytes]] = field(default_factory=list)
    """Documented calls that were made and are not played: method, path, devIndex, body."""


class Ended(Exception):
    """The stream is over, by a fault."""


class Subscription:
    """One stream. `put` queues; `run` writes until the client or a fault ends it."""

    def __init__(self, simulator: Simulator, number: int, order: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        self.simulator = simulator
        self.number = number
        self.order = order
        self.devices: dict[str, list[str] | None] = {
            row["Dev"]["devIndex"]: row["Dev"].get("eventList") for row in order.get("DevEventList", [])
        }
        self._writer = writer
        self._queue: deque[Message | None] = deque()
        self._wake = asyncio.Event()
        self._sent = 0
        self._budget: int | None = None
        self._whole = False
        self.ended = asyncio.Event()

    @property
    def by_device(self) -> bool:
        """eventMode device."""
        return self.order.get("eventMode") == "device"

    def wants(self, message: Message) -> bool:
        """Whether the message falls under what was subscribed to."""
        name = kind(message)
        if not self.by_device:
            return self.order.get("defenceMode") != "part" or name in self.order.get("eventList", [])
        types = self.devices.get(str(message["EventNotificationAlert"].get("devIndex")), [])
        return types is None or name in types

    def put(self, message: Message) -> None:
        """Queue a message."""
        self._queue.append(message)
        self._wake.set()

    def stop(self) -> None:
        """End the stream as the gateway does after a DELETE."""
        self._queue.append(None)
        self._wake.set()

    def cut(self) -> None:
        """Cut the stream in the middle of its next part."""
        self._budget = self._sent + 100

    async def run(self) -> None:
        """Write the response's header, the answer, and then what comes. Returns when the stream is over."""
        simulator, faults, quirks = self.simulator, self.simulator.faults, self.simulator.quirks
        if faults.cuts:
            self._budget = faults.cuts.pop(0)
        half_open = faults.half_open > 0
        faults.half_open -= half_open
        one = faults.close_after_one > 0
        faults.close_after_one -= one
        transfer = "Transfer-Encoding: chunked\r\n" if quirks.transfer == "chunked" else ""
        head = (
            "HTTP/1.1 200 OK\r\nServer: nginx\r\n"
            f"Content-Type: multipart/mixed; boundary={quirks.boundary}\r\n"
            f"Connection: close\r\n{transfer}MIME-Version: 1.0\r\n\r\n"
        )
        self._writer.write(head.encode())
        beat = asyncio.create_task(self._beat(), name="simulator heartbeat")
        try:
            if quirks.answer == "first":
                await self._answer()
            if half_open:
                await asyncio.Event().wait()
            for message in list(simulator.recent)[-faults.replay :] if faults.replay else ():
                simulator.account.replayed += 1
                await self._message(message, again=True)
            while True:
                while not self._queue:
                    self._wake.clear()
                    await self._wake.wait()
                message_ = self._queue.popleft()
                if message_ is None:
                    await self._write(DELIMITER + b"--\r\n")
                    break
                while faults.garbage:
                    await self._write(faults.garbage.pop(0))
                await self._message(message_)
                if one:
                    raise Ended
            if quirks.transfer == "chunked":
                self._writer.write(b"0\r\n\r\n")
        except Ended:
            simulator.account.cuts += 1
        except ConnectionError:
            pass
        finally:
            beat.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await beat
            self.ended.set()

    async def _beat(self) -> None:
        count = 0
        while True:
            await self.simulator.clock.sleep(self.simulator.quirks.heartbeat_seconds)
            if not self.simulator.faults.stall:
                count += 1
                self.put(self.simulator.messages.heartbeat(count))

    async def _answer(self) -> None:
        simulator = self.simulator
        number: Any = self.number if simulator.quirks.subscription_id == "number" else str(self.number)
        answer: dict[str, Any] = {"id": number}
        named = self.devices if self.by_device else simulator.devices
        failed = [
            {"Dev": {"devIndex": index, "subStatusCode": code}}
            for index, code in simulator.faults.fail.items()
            if index in named
        ]
        if failed:
            answer["FailList"] = failed
        await self._part(encode({"SubscribeDeviceMgmtRsp": answer}, simulator.quirks))

    async def _message(self, message: Message, *, again: bool = False) -> None:
        while self.simulator.faults.stall:
            await self.simulator.clock.sleep(0.05)
        name, account = identity(message), self.simulator.account
        beat = kind(message).strip() == "heartBeat"
        try:
            await self._part(encode(message, self.simulator.quirks))
        except Ended:
            if not beat and not again and not self._whole:
                account.cut.append(name)
            elif not beat and not again:
                self._note(message, name)
            raise
        if beat:
            account.heartbeats += 1
        elif not again:
            self._note(message, name)

    def _note(self, message: Message, name: str) -> None:
        self.simulator.account.whole.append(name)
        self.simulator.recent.append(message)

    async def _part(self, body: bytes) -> None:
        quirks = self.simulator.quirks
        end = quirks.line_end.encode()
        off = {"exact": 0, "one more": 1, "one less": -1, "absent": 0}[quirks.length]
        lines = [DELIMITER, b'Content-Type: application/json; charset="UTF-8"']
        if quirks.length != "absent":
            lines.append(b"Content-Length: %d" % (len(body) + off))
        head = end.join([*lines, b"", b""])
        self._whole = False
        await self._write(head + body)
        self._whole = True
        await self._write(b"" if quirks.glued == "yes" else end)

    async def _write(self, data: bytes) -> None:
        """Write, up to the byte where the stream is to be cut."""
        cut = self._budget is not None and self._sent + len(data) > self._budget
        if cut and self._budget is not None:
            data = data[: self._budget - self._sent]
        self._sent += len(data)
        if data and self.simulator.quirks.transfer == "chunked":
            data = b"%x\r\n%s\r\n" % (len(data), data)
        self._writer.write(data)
        await self._writer.drain()
        if cut:
            raise Ended
