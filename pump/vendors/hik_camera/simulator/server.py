"""A faithful local device: digest login, alertStream, device information and channel lists, faults included.

It speaks HTTP/1.1 on a real socket of the loopback, byte by byte where a fault wants it. `Quirks` turns the habits in
which devices differ; `account` is what tests audit: every message made, on which connection it was
written whole, and every action.

Faults on demand: `stall` (silence, connections stand), `half_open` (those that stand never speak again), `cut_after`
(a connection ends after so many bytes of its body, wherever that is), `Quirks.close_after`, `Quirks.replay`,
`Quirks.most_streams`, `controls.habits`, `log` (what is remembered, and its search),
`expire_nonces`, `go_away` and `come_back`, `login.password`
(another one from now on).
"""

from __future__ import annotations

import asyncio
import re
import ssl as tls
from collections import deque
from collections.abc import Callable
from typing import Final

from pump.core.clock import Clock
from pump.simulation.pictures import jpeg
from pump.simulation.server import TALLY, RawServer, perform, portions
from pump.vendors.hik_camera import device
from pump.vendors.hik_camera.simulator.account import Account, Stream
from pump.vendors.hik_camera.simulator.controls import Controls
from pump.vendors.hik_camera.simulator.login import Login, documents
from pump.vendors.hik_camera.simulator.messages import BURSTS, PAIRS, PULSES, Kind, Message, Records, identity
from pump.vendors.hik_camera.simulator.quirks import BOUNDARY, ODDITIES, Quirks, content_type, frame
from pump.vendors.hik_camera.simulator.search import AcsLog

PICTURES: Final = "/picture/"
"""Below it the device has pictures: `jpeg` of the whole path."""

__all__ = ["BURSTS", "ODDITIES", "PAIRS", "PULSES", "Account", "Message", "Quirks", "Simulator", "identity", "simulate"]


class _Client:
    """One stream's queue and writer."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.queue: asyncio.Queue[Message | None] = asyncio.Queue()
        self.dead = False
        self.cut: int | None = None
        self.parts = 0
        self.bytes = 0

    @property
    def waiting(self) -> list[Message]:
        """What was not begun."""
        queued: deque[Message | None] = self.queue._queue  # type: ignore[attr-defined]  # a test's server may look
        return [message for message in queued if message is not None]


class Simulator(RawServer):
    """The device; an async context manager that listens while it is open."""

    def __init__(
        self,
        *,
        clock: Clock,
        username: str = "admin",
        password: str = "Camera-1",
        quirks: Quirks | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        seed: int = 0,
        ssl: tls.SSLContext | None = None,
    ) -> None:
        super().__init__(host, port, ssl)
        self.clock = clock
        self.quirks = quirks or Quirks()
        self.account = Account()
        self.controls = Controls(clock, self.account)
        self.login = Login(clock, self.account, username, password)
        self.records = Records(clock, self.quirks, seed)
        self.log = AcsLog(self.quirks)
        self.cut_after: deque[int] = deque()
        """Of each coming connection the number of body bytes after which it ends; taken from the left."""
        self._clients: set[_Client] = set()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._offline: list[Message] = []
        self._news = asyncio.Condition()

    @property
    def streams(self) -> int:
        """How many connections to the stream stand."""
        return len(self._clients)

    # --- what tests do with it ------------------------------------------------------------------------------------

    def emit(self, kind: Kind, *, repeats: int = 1) -> list[Message]:
        """The messages of one matter happen now."""
        messages = self.records.make(kind, repeats=repeats)
        self.send(*messages)
        return messages

    def send(self, *messages: Message) -> None:
        """These messages happen now: to every connection, or kept, or lost."""
        TALLY["messages made"] += len(messages)
        for message in messages:
            self.account.made.append(message)
            self.log.quirks = self.quirks
            self.log.add(message)
            listening = [client for client in self._clients if client.cut is None or client.bytes < client.cut]
            for client in listening:
                client.queue.put_nowait(message)
            if not listening:
                (self._offline if self.quirks.keep_offline else self.account.lost).append(message)

    async def connected(self, n: int = 1) -> None:
        """Wait until `n` connections to the stream have come about, since the beginning."""
        async with self._news:
            await self._news.wait_for(lambda: len(self.account.streams) >= n)

    async def drained(self) -> None:
        """Wait until everything is written that can be."""
        async with self._news:
            await self._news.wait_for(lambda: all(client.queue.empty() for client in self._clients if not client.dead))

    def stall(self) -> None:
        """Nothing is sent any more, answers to new requests included; connections stand."""
        self._flowing.clear()

    def resume(self) -> None:
        """What waited is sent."""
        self._flowing.set()

    def half_open(self) -> None:
        """The streams that stand never say anything again, not even their end."""
        for client in self._clients:
            client.dead = True

    def cut(self) -> None:
        """All streams end now."""
        for client in list(self._clients):
            client.queue.put_nowait(None)

    def expire_nonces(self) -> None:
        """Every nonce is too old from now on."""
        self.login.expire()

    async def come_back(self) -> None:
        """As Server.come_back; whatever `stall` held flows again."""
        self._flowing.set()
        await super().come_back()

    # --- HTTP -----------------------------------------------------------------------------------------------------

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """As RawServer.serve."""
        try:
            while await self._request(reader, writer):
                pass
        except asyncio.CancelledError:
            writer.transport.abort()  # a device that is gone says no goodbye
            raise

    async def _request(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        method, path, _ = head.split(" ", 2)
        length = re.search(r"^Content-Length: *(\d+)", head, re.MULTILINE | re.IGNORECASE)
        body = await reader.readexactly(int(length[1])) if length else b""
        await self._flowing.wait()
        self.account.requests.append(path)
        said = re.search(r"^Authorization: Digest (.*)$", head, re.MULTILINE | re.IGNORECASE)
        refusal = self.login.check(method, path, said[1] if said else "", self.quirks)
        if refusal is None and path in self.quirks.withheld:
            refusal = self.login.challenge(self.quirks.stale_word)
        if refusal is not None:
            await self._answer(writer, 401, refusal, closing=self.quirks.close_challenge)
            return not self.quirks.close_challenge
        if path in self.quirks.forbidden:
            await self._answer(
                writer, 403, "", body=b"<ResponseStatus><subStatusCode>lowPrivilege</subStatusCode></ResponseStatus>"
            )
            return True
        if path == device.STREAM:
            if len(self._clients) >= self.quirks.most_streams:
                self.account.refused += 1
                await self._answer(
                    writer, 503, "", body=b"<ResponseStatus><subStatusCode>deviceBusy</subStatusCode></ResponseStatus>"
                )
            else:
                await self._stream(reader, writer)
            return False
        if (told := self.controls.answer(method, path, body, recorder=self.quirks.recorder)) is not None:
            if told[0] < 0:
                await asyncio.get_running_loop().create_future()
            if told[0]:
                await self._answer(writer, told[0], "", body=told[2], kind=told[1])
            return told[0] > 0
        self.log.quirks = self.quirks
        if (said_so := self.log.answer(method, path, body, self.records.now())) is not None:
            await self._answer(writer, said_so[0], "", body=said_so[2], kind=said_so[1])
            return True
        document = (documents(self.quirks) | self.controls.lists()).get(path)
        if path.startswith(PICTURES):
            await self._answer(writer, 200, "", body=jpeg(path))
        elif document is not None:
            await self._answer(writer, 200, "", body=document)
        else:
            await self._answer(
                writer, 404, "", body=b"<ResponseStatus><subStatusCode>notSupport</subStatusCode></ResponseStatus>"
            )
        return True

    async def _answer(
        self, writer: asyncio.StreamWriter, status: int, challenge: str, *, body: bytes = b"", closing: bool = False,
        kind: str = "application/xml",
    ) -> None:  # fmt: skip
        lines = [f"HTTP/1.1 {status} X", f"Content-Type: {kind}", f"Content-Length: {len(body)}"]
        lines += [f"WWW-Authenticate: {challenge}"] if challenge else []
        lines += ["Connection: close"] if closing else []
        writer.write("\r\n".join([*lines, "", ""]).encode() + body)
        await writer.drain()

    # --- the stream -----------------------------------------------------------------------------------------------

    async def _stream(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        quirks = self.quirks
        client = _Client(Stream(self.clock.monotonic()))
        client.cut = self.cut_after.popleft() if self.cut_after else None
        chunked = "Transfer-Encoding: chunked\r\n" if quirks.chunked else "Connection: close\r\n"
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Type: {content_type(quirks)}\r\n{chunked}\r\n".encode())
        for old in self.account.delivered()[-quirks.replay :] if quirks.replay else []:
            client.queue.put_nowait(old)
        for kept in self._offline:
            client.queue.put_nowait(kept)
        self._offline = []
        self._clients.add(client)
        self.account.streams.append(client.stream)
        beat = asyncio.create_task(self._beat(client), name="heartbeats of the simulator")
        gone = asyncio.create_task(reader.read(), name="the client's end")
        gone.add_done_callback(lambda _: client.queue.put_nowait(None))
        await self._tell()
        try:
            while (message := await client.queue.get()) is not None:
                await self._flowing.wait()
                if client.dead:
                    await asyncio.get_running_loop().create_future()
                if not await self._write(client, writer, message):
                    break
                await self._tell()
        finally:
            beat.cancel()
            gone.cancel()
            client.stream.ended = self.clock.monotonic()
            self._clients.discard(client)
            self._unsent(client)
            await asyncio.gather(beat, gone, return_exceptions=True)
            await self._tell()

    def _unsent(self, client: _Client) -> None:
        """What still waited for a connection that has ended: kept or lost, unless another has it."""
        if not client.waiting:
            return
        others = {message.number for other in self._clients for message in other.waiting}
        for message in client.waiting:
            if message.number > 0 and message.number not in self.account.whole and message.number not in others:
                (self._offline if self.quirks.keep_offline else self.account.lost).append(message)

    async def _tell(self) -> None:
        async with self._news:
            self._news.notify_all()

    async def _beat(self, client: _Client) -> None:
        while True:
            await self.clock.sleep(self.quirks.heartbeat_interval)
            if (beat := self.records.heartbeat()) is not None:
                client.queue.put_nowait(beat)

    async def _write(self, client: _Client, writer: asyncio.StreamWriter, message: Message) -> bool:
        """False where the stream ends with it."""
        parts = [frame(self.quirks, message.content_type, message.body)]
        for number, picture in enumerate(message.pictures):
            extra = f'Content-Disposition: form-data; name="p{number}"; filename="p{number}.jpg"'
            parts.append(frame(self.quirks, "image/jpeg", picture, extra))
        for data in parts:
            if client.cut is not None and client.bytes + len(data) > client.cut:
                data = data[: client.cut - client.bytes]
                await self._chunk(writer, data)
                client.bytes = client.cut
                return False
            await self._chunk(writer, data)
            client.bytes += len(data)
        if message.number < 0:
            self.account.heartbeats += 1
        else:
            client.stream.written.append(message)
            self.account.whole.add(message.number)
        client.parts += 1
        if self.quirks.close_after is not None and client.parts >= self.quirks.close_after:
            await self._chunk(writer, f"--{BOUNDARY}--\r\n".encode())
            if self.quirks.chunked:
                writer.write(b"0\r\n\r\n")
            return False
        return client.cut is None or client.bytes < client.cut

    async def _chunk(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        if data:
            writer.write(f"{len(data):x}\r\n".encode() + data + b"\r\n" if self.quirks.chunked else data)
            await writer.drain()

    async def traffic(self, rate: float) -> None:
        """A mix of `rate` matters a second until cancelled."""
        made = 0
        kinds = (*PULSES[:3], *BURSTS, *PAIRS)
        async for due in portions(self.clock, rate):
            for number in range(made, made + due):
                self.emit(kinds[number % len(kinds)], repeats=3)
            made += due


async def simulate(*, host: str, port: int, rate: float, seed: int, on_ready: Callable[[str], None]) -> None:
    """`pump simulate hik-camera`: user admin, password Camera-1; `rate` matters a second."""
    await perform(Simulator(clock=Clock(), host=host, port=port, seed=seed), rate, on_ready)
