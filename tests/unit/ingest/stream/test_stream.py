"""A stream's life by itself: a listener that only keeps, before a server whose every byte the test chooses."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest

from pump.core.errors import Misconfigured, Unavailable
from pump.core.event import Event
from pump.ingest.intake import Intake
from pump.ingest.stream.client import Answer, ConnectionLost, DigestClient
from pump.ingest.stream.connection import StreamOptions
from pump.ingest.stream.handler import Batch, RetryAdvice, StreamHandler, StreamRefused, StreamRequest
from pump.ingest.stream.intake import StreamIntake
from pump.ingest.stream.lockout import LoginLockout
from pump.ingest.stream.multipart.parts import Part, Skipped
from pump.ingest.stream.stream import Stream
from pump.spool import Receipt, Spool, SpoolSettings
from pump.telemetry.health import Health
from pump.telemetry.metrics import Metrics
from pump.testing import ManualClock

STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: multipart/mixed; boundary=b\r\nConnection: close\r\n\r\n"


def part(body: bytes) -> bytes:
    return b"--b\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%s\r\n" % (len(body), body)


def document(status: int, body: bytes) -> bytes:
    return b"HTTP/1.1 %d X\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body)


class Keeper(StreamHandler):
    """Keeps what it is told, in order; a greeting of "no" is a refusal."""

    def __init__(self, *, greeting: bool = False) -> None:
        super().__init__()
        self.greeting = greeting
        self.told: list[str] = []
        self.looked_after = asyncio.Event()
        self.fails: Exception | None = None
        self.postponed: RetryAdvice | None = None

    async def opening(self) -> StreamRequest:
        if self.postponed is not None:
            raise StreamRefused(self.postponed)
        return StreamRequest("GET", "/events", greeting=self.greeting)

    def greeted(self, part: Part) -> None:
        self.told.append(f"greeted {part.body.decode()}")
        if part.body == b"no":
            raise StreamRefused(RetryAdvice("not now", 5.0))

    async def opened(self) -> Sequence[Batch]:
        self.told.append("opened")
        return ()

    async def received(self, items: Sequence[Part | Skipped]) -> Sequence[Batch]:
        self.told += [item.body.decode() if isinstance(item, Part) else item.reason for item in items]
        return ()

    async def rest(self, items: Sequence[Part | Skipped]) -> Sequence[Batch]:
        self.told += [f"rest {item.body.decode()}" if isinstance(item, Part) else item.reason for item in items]
        return ()

    async def upkeep(self) -> None:
        self.looked_after.set()
        if self.fails is not None:
            raise self.fails
        try:
            await asyncio.Event().wait()
        finally:
            self.looked_after.clear()

    async def leaving(self) -> None:
        self.told.append("leaving")

    async def closed(self) -> Sequence[Batch]:
        self.told.append("closed")
        return ()

    def refused(self, answer: Answer) -> RetryAdvice:
        self.told.append(f"refused {answer.status} {answer.body.decode()}")
        return RetryAdvice(f"HTTP {answer.status}", 5.0)


class Site:
    """The server, the stream before it, and the clock that both go by."""

    def __init__(self, folder: Path, spool: Spool, clock: ManualClock, listener: Keeper, intake: type[Intake]) -> None:
        self.clock, self.listener = clock, listener
        self.requests: list[bytes] = []
        self.scripts: list[bytes] = []
        """What the next requests are answered with; then STREAM."""
        self.writers: list[asyncio.StreamWriter] = []
        self.spool = spool
        self.intake = intake("s", spool=spool, site="n", clock=clock, metrics=Metrics(), health=Health(clock))

    def begin(self, port: int, **more: Any) -> None:
        self.port = port
        link = DigestClient(f"http://127.0.0.1:{port}", username="u", password="p")
        store, lockout = StreamIntake(self.intake, self.clock), LoginLockout(self.clock, ("u", "p"))
        options = StreamOptions(**more)
        self.stream = Stream(store, link, self.listener, clock=self.clock, lockout=lockout, options=options)
        self.task = asyncio.create_task(self.stream.run(), name="stream")

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        try:
            self.requests.append(await reader.readuntil(b"\r\n\r\n"))
            script = self.scripts.pop(0) if self.scripts else STREAM
            writer.write(script)
            await writer.drain()
            if b"Content-Length" in script.partition(b"\r\n\r\n")[0]:
                writer.close()
            else:
                await reader.read()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def send(self, data: bytes) -> None:
        self.writers[-1].write(data)

    async def until(self, condition: Callable[[], object], step: float = 0.05) -> None:
        async with asyncio.timeout(60.0):
            while not condition():
                if self.task.done():
                    await self.task
                self.clock.advance(step)
                await asyncio.sleep(0.001)

    async def up(self) -> None:
        told = self.listener.told
        await self.until(lambda: told.count("opened") > told.count("closed"))

    async def gaps(self) -> list[dict[str, Any]]:
        events = [orjson.loads(record.body) for record in await self.spool.read(0)]
        return [event["data"] for event in events if event["type"] == "pump.gap"]


@asynccontextmanager
async def site(
    folder: Path,
    *,
    greeting: bool = False,
    scripts: Sequence[bytes] = (),
    listener: Keeper | None = None,
    intake: type[Intake] = Intake,
    **more: Any,
) -> AsyncIterator[Site]:
    clock = ManualClock()
    spool = await Spool.open(folder, SpoolSettings(), clock=clock, metrics=Metrics())
    one = Site(folder, spool, clock, listener or Keeper(greeting=greeting), intake)
    one.scripts += scripts
    server = await asyncio.start_server(one.serve, "127.0.0.1", 0)
    one.begin(server.sockets[0].getsockname()[1], **more)
    try:
        yield one
    finally:
        one.task.cancel()
        await asyncio.wait({one.task})
        server.close()
        for writer in one.writers:
            writer.close()
        await server.wait_closed()
        await spool.close()


async def test_a_part_that_never_ends_breaks_the_link_after_three_time_outs(tmp_path: Path) -> None:
    # The second request is not answered before the test says so: a link that is back has its gap stored at once.
    async with site(tmp_path, scripts=[STREAM, b""]) as one:
        await one.up()
        one.send(part(b"whole") + b"--b\r\nContent-Length: 100000\r\n\r\n")
        await one.until(lambda: "whole" in one.listener.told)
        begin = one.clock.monotonic()
        while one.intake.component.state == "up":
            # A byte every 10 s is life enough for the watchdog: the part is what never ends.
            heard = one.intake.component.active
            one.clock.advance(10.0)
            one.send(b"x")
            async with asyncio.timeout(30.0):
                while one.intake.component.active == heard and one.intake.component.state == "up":
                    await asyncio.sleep(0.001)
        assert one.intake.component.reason == "a part of the stream did not end"
        # A step that finds the reader not waiting yet is no time spent reading.
        assert 90.0 <= one.clock.monotonic() - begin <= 200.0
        await one.until(lambda: len(one.requests) == 2)
        assert await one.gaps() == []
        one.send(STREAM)
        await one.up()
        await one.until(lambda: one.listener.told.count("opened") == 2)
        assert [gap["reason"] for gap in await one.gaps()] == ["a part of the stream did not end"]


async def test_a_slow_part_that_ends_in_time_is_read(tmp_path: Path) -> None:
    async with site(tmp_path) as one:
        await one.up()
        one.send(b"--b\r\nContent-Length: 8\r\n\r\n")
        for letter in b"abcdefgh":
            heard = one.intake.component.active
            one.clock.advance(10.0)
            one.send(bytes([letter]))
            async with asyncio.timeout(30.0):
                while one.intake.component.active == heard:
                    await asyncio.sleep(0.001)
        one.send(b"\r\n" + part(b"next"))
        await one.until(lambda: "next" in one.listener.told)
        assert one.listener.told == ["opened", "abcdefgh", "next"]
        assert len(one.writers) == 1


async def test_more_garbage_than_is_believed_breaks_the_link(tmp_path: Path) -> None:
    async with site(tmp_path, most_skipped=1000) as one:
        await one.up()
        one.send(part(b"one") + b"g" * 900)
        one.send(part(b"two"))
        await one.until(lambda: "two" in one.listener.told)
        assert len(one.writers) == 1
        one.send(b"g" * 3000)
        await one.until(lambda: one.intake.component.state == "down")
        assert one.intake.component.reason == "the stream is malformed beyond repair"


async def test_with_a_greeting_the_link_is_up_with_its_first_part(tmp_path: Path) -> None:
    async with site(tmp_path, greeting=True) as one:
        await one.until(lambda: one.writers and one.requests)
        await one.clock.run(20.0)
        assert not one.stream.connected
        one.send(part(b"hello"))
        await one.up()
        await one.until(one.listener.looked_after.is_set)
        one.send(part(b"event"))
        await one.until(lambda: "event" in one.listener.told)
        assert one.listener.told == ["greeted hello", "opened", "hello", "event"]
        one.writers[-1].close()
        await one.until(lambda: "closed" in one.listener.told)
        assert "leaving" not in one.listener.told
        assert not one.listener.looked_after.is_set()


async def test_a_greeting_that_refuses_is_waited_out_as_it_says_and_no_gap_ends_with_it(tmp_path: Path) -> None:
    scripts = [STREAM + part(b"hello") + b"--b--", STREAM + part(b"no")]
    async with site(tmp_path, greeting=True, scripts=scripts) as one:
        await one.until(lambda: "greeted no" in one.listener.told)
        await one.until(lambda: one.intake.component.reason == "not now")
        refused = one.clock.monotonic()
        assert one.listener.told == ["greeted hello", "opened", "hello", "closed", "greeted no"]
        assert await one.gaps() == []
        await one.until(lambda: len(one.requests) == 3)  # and so is the head of its answer written
        assert one.clock.monotonic() - refused >= 4.9
        one.send(part(b"hello"))
        await one.up()
        await one.until(lambda: one.listener.told.count("opened") == 2)
        (gap,) = await one.gaps()
        # From the first link's last sign of life, not from the refused one's.
        begin, end = datetime.fromisoformat(gap["from"]), datetime.fromisoformat(gap["to"])
        assert end - begin >= timedelta(seconds=4.9)


async def test_a_greeting_that_is_cut_is_none(tmp_path: Path) -> None:
    cut = STREAM + b"--b\r\nContent-Length: 500\r\n\r\nhello"
    scripts = [cut.replace(b"Connection: close", b"Content-Length: 900"), STREAM + part(b"hello")]
    async with site(tmp_path, greeting=True, scripts=scripts) as one:
        await one.up()
        assert one.listener.told[0] == "greeted hello"
        assert one.listener.told.count("opened") == 1
        assert len(one.writers) == 2
        assert await one.gaps() == []


async def test_a_document_instead_of_a_stream_is_a_refusal(tmp_path: Path) -> None:
    async with site(tmp_path, scripts=[document(200, b"Device Busy"), document(503, b"later")]) as one:
        await one.up()
        assert one.listener.told == ["refused 200 Device Busy", "refused 503 later", "opened"]


async def test_a_renewed_link_says_goodbye_and_is_back_at_once(tmp_path: Path) -> None:
    async with site(tmp_path) as one:
        await one.up()
        one.stream.renew()
        begin = one.clock.monotonic()
        await one.until(lambda: len(one.writers) == 2, step=0.0)
        await one.until(lambda: one.listener.told.count("opened") == 2, step=0.0)
        assert one.clock.monotonic() == begin, "it was waited for"
        assert one.listener.told == ["opened", "leaving", "closed", "opened"]
        assert one.intake.component.state == "up"
        assert [gap["reason"] for gap in await one.gaps()] == ["the subscription is made anew"]


class SlowGap(Intake):
    """The spool takes half a minute to store a gap: its disk is full, say."""

    async def gap(self, begin: datetime, end: datetime, reason: str, count: int | None = None) -> Receipt:
        assert isinstance(self.clock, ManualClock)
        self.clock.advance(30.0)
        return await super().gap(begin, end, reason, count)


async def test_what_came_while_the_gap_was_stored_is_in_the_next_one(tmp_path: Path) -> None:
    """What the link brings meanwhile lies unread: if the link or the process ends, it is lost."""
    async with site(tmp_path, intake=SlowGap) as one:
        await one.up()
        one.writers[-1].close()
        await one.until(lambda: one.listener.told.count("opened") == 2)
        one.writers[-1].close()
        await one.until(lambda: one.listener.told.count("opened") == 3)
        first, second = await one.gaps()
        assert second["from"] <= first["to"] < second["to"]


async def test_a_kill_before_what_was_read_is_stored_has_it_in_the_gap(tmp_path: Path) -> None:
    async with site(tmp_path) as one:
        await one.up()
        begin = one.clock.now()
        storing, go_on = asyncio.Event(), asyncio.Event()

        async def received(items: Sequence[Part | Skipped]) -> Sequence[Batch]:
            one.clock.advance(60.0)
            one.intake.up()  # as after a pause
            storing.set()
            await go_on.wait()
            return ()

        one.listener.received = received  # type: ignore[method-assign]
        one.clock.advance(60.0)
        one.send(part(b"1"))
        await storing.wait()
        kept = one.spool.state("s")["alive"]
        assert datetime.fromisoformat(kept) <= begin, "a start would let the gap begin after what is lost"
        go_on.set()
        await one.until(lambda: datetime.fromisoformat(one.spool.state("s")["alive"]) > begin, step=10.0)


async def test_one_that_is_cancelled_over_what_it_has_read_begins_anew_with_it_in_the_gap(tmp_path: Path) -> None:
    """A restart, a reload, a source that stands still: the same stream goes on, and what it held is nowhere else."""
    async with site(tmp_path) as one:
        await one.up()
        storing, begin = asyncio.Event(), one.clock.now()

        async def received(items: Sequence[Part | Skipped]) -> Sequence[Batch]:
            storing.set()
            await asyncio.Event().wait()
            return ()

        one.listener.received = received  # type: ignore[method-assign]
        await one.clock.run(0.0)  # it waits for bytes by now
        one.clock.advance(20.0)
        one.send(part(b"1"))
        await storing.wait()
        read = one.clock.now()
        one.clock.advance(20.0)
        one.task.cancel()
        await asyncio.wait({one.task})
        one.task = asyncio.create_task(one.stream.run(), name="stream")
        await one.until(lambda: one.listener.told.count("opened") == 2)
        (gap,) = await one.gaps()
        assert datetime.fromisoformat(gap["from"]) <= begin < read


class Refusing(Intake):
    """A spool that takes nothing for long."""

    async def put(self, *items: Any, state: Any = None, stranger: bool = False) -> Receipt:
        if items:
            raise Unavailable("the disk is full")
        return await super().put(*items, state=state)


async def test_who_waits_for_a_spool_that_refuses_says_so_again_and_again(tmp_path: Path) -> None:
    """So nobody takes it for stuck, however long it lasts."""
    async with site(tmp_path, intake=Refusing) as one:
        await one.up()
        event = Event("vehicle.passed", "1", {})

        async def received(items: Sequence[Part | Skipped]) -> Sequence[Batch]:
            return [Batch([event])]

        one.listener.received = received  # type: ignore[method-assign]
        one.send(part(b"1"))
        component = one.intake.component
        await one.until(lambda: component.state == "down")
        for _ in range(3):
            words = component.words
            begin = one.clock.monotonic()
            await one.until(lambda: component.words > words, step=1.0)  # noqa: B023  # waited for here
            assert one.clock.monotonic() - begin <= 60.0
        assert component.reason.startswith("the spool refuses (the disk is full); reading pauses")


async def test_a_stop_says_goodbye_before_the_connection_is_closed(tmp_path: Path) -> None:
    async with site(tmp_path) as one:
        await one.up()
        one.task.cancel()
        await asyncio.wait({one.task})
        assert one.task.cancelled()
        assert one.listener.told == ["opened", "leaving", "closed"]


async def test_an_upkeep_that_loses_the_link_breaks_it_and_one_with_a_bug_ends_the_run(tmp_path: Path) -> None:
    async with site(tmp_path) as one:
        one.listener.fails = ConnectionLost("the keeper has had enough")
        await one.until(lambda: one.intake.component.reason == "the keeper has had enough")
        one.listener.fails = RuntimeError("a bug")
        with pytest.raises(RuntimeError, match="a bug"):
            await one.until(lambda: False)
        assert one.listener.told[-1] == "closed"


async def test_what_an_opening_cannot_have_postpones_it(tmp_path: Path) -> None:
    async with site(tmp_path) as one:
        one.listener.postponed = RetryAdvice("no list yet", 30.0)
        await one.until(lambda: one.intake.component.reason == "no list yet")
        begin = one.clock.monotonic()
        one.listener.postponed = None
        await one.up()
        assert one.clock.monotonic() - begin >= 29.0
        # A listener that knows the password to be wrong is believed too.
        one.listener.postponed = RetryAdvice("rejected", rejected=True)
        one.writers[-1].close()
        with pytest.raises(Misconfigured, match="rejected") as rejected:
            await one.until(lambda: False)
        assert rejected.value.retry_after == pytest.approx(600.0, abs=60.0)
        one.listener.postponed = None
        with pytest.raises(Misconfigured, match="rejected"):
            await one.stream.run()
        assert len(one.writers) == 1


@pytest.mark.parametrize("together", [False, True], ids=["two headers", "one header"])
async def test_a_device_that_offers_basic_first_is_logged_in_to_with_digest(tmp_path: Path, together: bool) -> None:
    basic, digest = b'Basic realm="cam"', b'Digest realm="cam", nonce="n1", qop="auth", stale="FALSE"'
    between = b", " if together else b"\r\nWWW-Authenticate: "
    refusal = b"HTTP/1.1 401 X\r\nContent-Length: 0\r\nWWW-Authenticate: " + basic + between + digest + b"\r\n\r\n"

    async with site(tmp_path, scripts=[refusal]) as one:
        await one.up()
        first, second = one.requests
        assert b"Authorization" not in first
        said = dict(re.findall(r'(\w+)="?([^",\r]*)"?', second.decode().split("Authorization: Digest ")[1]))
        ha1, ha2 = (hashlib.md5(text.encode()).hexdigest() for text in ("u:cam:p", "GET:/events"))
        text = f"{ha1}:n1:{said['nc']}:{said['cnonce']}:auth:{ha2}"
        assert said["response"] == hashlib.md5(text.encode()).hexdigest()


async def test_a_password_rejected_by_a_device_that_offers_basic_first_is_tried_once(tmp_path: Path) -> None:
    refusal = (
        b"HTTP/1.1 401 X\r\nContent-Length: 0\r\nWWW-Authenticate: Basic realm=x\r\n"
        b'WWW-Authenticate: Digest realm="cam", nonce="n1", qop="auth", stale="FALSE"\r\n\r\n'
    )

    async with site(tmp_path, scripts=[refusal] * 4) as one:
        with pytest.raises(Misconfigured) as rejected:
            await one.until(lambda: False)
        assert rejected.value.retry_after == pytest.approx(600.0, abs=60.0)  # less what has passed since
        assert len(one.requests) == 2  # the challenge, and the one answer to it
        assert b"Authorization: Digest" in one.requests[1]
