"""A faithful local device: digest login, alertStream, device information and channel lists, faults included.

It speaks HTTP/1.1 on a real socket of the loopback, byte by byte where a fault wants it. `Quirks` turns the habits in
which devices differ; `account` is what tests audit: every message made, and on which connection it was written whole.

Faults on demand: `stall` (silence, connections stand), `half_open` (those that stand never speak again), `cut_after`
(a connection ends after so many bytes of its body, wherever that is), `Quirks.close_after`, `Quirks.replay`,
`Quirks.most_streams`, `expire_nonces`, `go_away` and `come_back`, `password` (another one from now on).
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import re
import secrets
import ssl as tls
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final

from pump.clock import Clock
from pump.vendors.hik_camera import device
from pump.vendors.hik_camera.simulator_quirks import BOUNDARY, ODDITIES, Quirks, content_type, frame
from pump.vendors.hik_camera.simulator_records import BURSTS, PULSES, Kind, Message, Records, identity

__all__ = ["BURSTS", "ODDITIES", "PULSES", "Account", "Message", "Quirks", "Simulator", "identity", "simulate"]

_REALM: Final = "DS-0000000"
_FIELD: Final = re.compile(r'(\w+)=(?:"([^"]*)"|([^\s,]+))')
_TICK: Final = 0.02

_INFO: Final = (
    '<DeviceInfo version="2.0" xmlns="http://www.hikvision.com/ver20/XMLSchema"><deviceName>North gate</deviceName>'
    "<model>DS-2CD0000</model><serialNumber>DS-2CD000020260101AAWRTEST00001</serialNumber>"
    "<macAddress>00:00:5e:00:53:01</macAddress><deviceType>IPCamera</deviceType></DeviceInfo>"
)
_INPUTS: Final = (
    "<VideoInputChannelList><VideoInputChannel><id>1</id><name>Lane 1</name></VideoInputChannel>"
    "</VideoInputChannelList>"
)
_PROXIES: Final = (
    "<InputProxyChannelList><InputProxyChannel><id>1</id><name>Yard &amp; fence</name></InputProxyChannel>"
    "</InputProxyChannelList>"
)


@dataclass
class Stream:
    """One connection to the alertStream."""

    begun: float
    """Monotonic seconds."""
    written: list[Message] = field(default_factory=list)
    """Messages that were written whole, pictures included, heartbeats left out."""
    begun_message: Message | None = None
    """The one that was being written when the connection ended."""
    ended: float | None = None


@dataclass
class Account:
    """What happened, from the device's side."""

    made: list[Message] = field(default_factory=list)
    """Every message, in order."""
    lost: list[Message] = field(default_factory=list)
    """Those that nobody listened to and that were not kept."""
    streams: list[Stream] = field(default_factory=list)
    whole: set[int] = field(default_factory=set)
    """The numbers of messages that were written whole to some connection."""
    heartbeats: int = 0
    challenges: int = 0
    logins: int = 0
    rejected: list[float] = field(default_factory=list)
    """When a login was rejected, monotonic seconds."""
    refused: int = 0
    """Streams beyond the limit."""
    requests: list[str] = field(default_factory=list)

    def delivered(self) -> list[Message]:
        """Messages that were written whole to some connection, in order, each once."""
        seen: dict[int, Message] = {}
        for stream in self.streams:
            for message in stream.written:
                seen.setdefault(message.number, message)
        return [seen[number] for number in sorted(seen)]


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


class Simulator:
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
        self.clock = clock
        self.username = username
        self.password = password
        self.quirks = quirks or Quirks()
        self.account = Account()
        self.records = Records(clock, self.quirks, seed)
        self.cut_after: deque[int] = deque()
        """Of each coming connection the number of body bytes after which it ends; taken from the left."""
        self._host, self._port, self._ssl = host, port, ssl
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._clients: set[_Client] = set()
        self._nonces: dict[str, float] = {}
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._offline: list[Message] = []
        self._news = asyncio.Condition()

    async def __aenter__(self) -> Simulator:
        await self.come_back()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.go_away()

    @property
    def url(self) -> str:
        """The device's address, without a slash at its end."""
        return f"http{'s' if self._ssl else ''}://{self._host}:{self._port}"

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
        for message in messages:
            self.account.made.append(message)
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
        self._nonces.clear()

    async def go_away(self) -> None:
        """Stop listening and break every connection: connecting is refused."""
        if self._server is not None:
            self._server.close()
            self._server = None
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def come_back(self) -> None:
        """Listen again, at the same port."""
        self._flowing.set()
        self._server = await asyncio.start_server(self._serve, self._host, self._port, ssl=self._ssl)
        self._port = self._server.sockets[0].getsockname()[1]

    # --- HTTP -----------------------------------------------------------------------------------------------------

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # a connection's callback always runs in a task
        self._tasks.add(task)
        try:
            while await self._request(reader, writer):
                pass
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        except asyncio.CancelledError:
            writer.transport.abort()
        finally:
            self._tasks.discard(task)
            writer.close()
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await writer.wait_closed()

    async def _request(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        method, path, _ = head.split(" ", 2)
        await self._flowing.wait()
        self.account.requests.append(path)
        said = re.search(r"^Authorization: Digest (.*)$", head, re.MULTILINE | re.IGNORECASE)
        refusal = self._check(method, path, said[1] if said else "")
        if refusal is not None:
            await self._answer(writer, 401, refusal, closing=self.quirks.close_challenge)
            return not self.quirks.close_challenge
        documents = {device.INFO: _INFO, device.INPUTS: _INPUTS}
        if self.quirks.recorder:
            documents[device.PROXIES] = _PROXIES
        if path == device.STREAM:
            if len(self._clients) >= self.quirks.most_streams:
                self.account.refused += 1
                await self._answer(
                    writer, 503, "", body=b"<ResponseStatus><subStatusCode>deviceBusy</subStatusCode></ResponseStatus>"
                )
            else:
                await self._stream(reader, writer)
            return False
        if path in documents:
            await self._answer(writer, 200, "", body=documents[path].encode())
        else:
            await self._answer(
                writer, 404, "", body=b"<ResponseStatus><subStatusCode>notSupport</subStatusCode></ResponseStatus>"
            )
        return True

    async def _answer(
        self, writer: asyncio.StreamWriter, status: int, challenge: str, *, body: bytes = b"", closing: bool = False
    ) -> None:
        lines = [f"HTTP/1.1 {status} X", "Content-Type: application/xml", f"Content-Length: {len(body)}"]
        lines += [f"WWW-Authenticate: {challenge}"] if challenge else []
        lines += ["Connection: close"] if closing else []
        writer.write("\r\n".join([*lines, "", ""]).encode() + body)
        await writer.drain()

    def _check(self, method: str, path: str, said: str) -> str | None:
        """The challenge of a refused login, None where it is accepted."""
        fields = {name: quoted or plain for name, quoted, plain in _FIELD.findall(said)}
        stale = self.quirks.stale_word
        if fields:
            made = self._nonces.get(fields.get("nonce", ""))
            if made is None or self.clock.monotonic() - made > self.quirks.nonce_life:
                stale = '"TRUE"'
            elif self._digest(method, path, fields) == fields.get("response") and fields["username"] == self.username:
                self.account.logins += 1
                return None
            else:
                self.account.rejected.append(self.clock.monotonic())
        else:
            self.account.challenges += 1
        nonce = secrets.token_hex(16)
        self._nonces[nonce] = self.clock.monotonic()
        return f'Digest qop="auth", realm="{_REALM}", nonce="{nonce}", stale={stale}'

    def _digest(self, method: str, path: str, fields: dict[str, str]) -> str:
        def md5(*parts: str) -> str:
            return hashlib.md5(":".join(parts).encode(), usedforsecurity=False).hexdigest()

        parts = (fields.get(name, "") for name in ("nonce", "nc", "cnonce", "qop"))
        return md5(md5(self.username, _REALM, self.password), *parts, md5(method, path))

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
        client.stream.begun_message = message
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
        client.stream.begun_message = None
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
        begun, made = self.clock.monotonic(), 0
        kinds = (*PULSES[:3], *BURSTS)
        while True:
            due = int((self.clock.monotonic() - begun) * rate)
            for number in range(made, due):
                self.emit(kinds[number % len(kinds)], repeats=3)
            made = due
            await self.clock.sleep(_TICK)


async def simulate(*, host: str, port: int, rate: float, seed: int, on_ready: Callable[[str], None]) -> None:
    """`pump simulate hik-camera`: user admin, password Camera-1; `rate` matters a second."""
    async with Simulator(clock=Clock(), host=host, port=port, seed=seed) as simulator:
        on_ready(simulator.url)
        await simulator.traffic(rate)
