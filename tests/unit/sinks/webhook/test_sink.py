"""The webhook sink against a real receiver, which verifies with the published library."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from aiohttp import web
from pydantic import ValidationError
from standardwebhooks import Webhook

from pump.core.clock import Clock
from pump.core.errors import Gone, Misconfigured, Rejected, Unavailable
from pump.core.record import Record
from pump.sinks.webhook.sink import WebhookSettings, WebhookSink
from pump.testing import ManualClock
from pump.testing.receiver import Received, Receiver
from pump.testing.records import record
from pump.testing.sinks import left_of

SECRETS = [f"whsec_{base64.b64encode(bytes([number]) * 32).decode()}" for number in (1, 2)]


def verify(received: Received) -> None:
    for secret in SECRETS:
        Webhook(secret).verify(received.body, dict(received.headers))


def settings(url: str, **keys: Any) -> WebhookSettings:
    table = {"type": "webhook", "url": url, "secret": SECRETS, "allow_private": True, **keys}
    return WebhookSettings.model_validate(table)


def sink(url: str, clock: Clock | None = None, **keys: Any) -> WebhookSink:
    return WebhookSink("hook", settings(url, **keys), state=None, clock=clock or Clock(), site="testing")


@asynccontextmanager
async def posting(clock: Clock | None = None, **keys: Any) -> AsyncIterator[tuple[Receiver, WebhookSink]]:
    check: Callable[[Received], None] = (lambda received: None) if isinstance(clock, ManualClock) else verify
    async with Receiver(check) as receiver, sink(receiver.url, clock, **keys) as hook:
        yield receiver, hook
        assert not receiver.wrong


def batch(*numbers: int) -> list[Record]:
    return [record(number) for number in numbers]


def statuses(*found: int | None, **headers: str) -> Callable[[Received], web.Response | None]:
    """Answers one after another, then 204 for ever."""
    waiting = list(found)

    def reply(_: Received) -> web.Response | None:
        status = waiting.pop(0) if waiting else None
        return None if status is None else web.Response(status=status, headers=headers)

    return reply


def refusing(*numbers: int) -> Callable[[Received], web.Response | None]:
    def reply(received: Received) -> web.Response | None:
        bad = set(received.numbers) & set(numbers)
        return web.Response(status=422, text=f"no {sorted(bad)}\n\x1b[31m") if bad else None

    return reply


async def test_one_event_is_one_cloudevent() -> None:
    async with posting(headers={"Authorization": "Bearer t0ken", "X-Site": "north"}) as (receiver, hook):
        await hook.send(batch(1, 2))
        first, second = receiver.requests
        assert first.headers["content-type"] == "application/cloudevents+json; charset=utf-8"
        assert first.headers["authorization"] == "Bearer t0ken"
        assert first.headers["x-site"] == "north"
        assert first.headers["user-agent"].startswith("pump/")
        assert first.body == record(1).body
        assert first.headers["webhook-id"] != second.headers["webhook-id"]
        assert len(first.headers["webhook-signature"].split(" ")) == 2


async def test_batches_are_arrays_of_whole_events_and_not_too_large() -> None:
    async with posting(batch_size=10) as (receiver, hook):
        await hook.send(batch(*range(1, 26)))
        assert [len(request.events) for request in receiver.requests] == [10, 10, 5]
        assert {request.headers["content-type"] for request in receiver.requests} == {
            "application/cloudevents-batch+json; charset=utf-8"
        }
        receiver.requests.clear()
        await hook.send([record(seq, size=200_000) for seq in range(1, 11)])
        assert [len(request.events) for request in receiver.requests] == [4, 4, 2]
        receiver.requests.clear()
        await hook.send(batch(1))
        assert [len(request.events) for request in receiver.requests] == [1]
        assert receiver.requests[0].body.startswith(b"[")


@pytest.mark.parametrize("size", [1, 5])
async def test_the_id_is_the_same_over_retries_and_the_time_is_not(size: int) -> None:
    clock = ManualClock()
    async with posting(clock, batch_size=size) as (receiver, hook):
        receiver.reply = statuses(500)
        with pytest.raises(Unavailable) as away:
            await hook.send(batch(*range(1, size + 1)))
        assert not away.value.done
        clock.advance(60)
        await hook.send(batch(*range(1, size + 1)))
        first, again = receiver.requests
        assert first.headers["webhook-id"] == again.headers["webhook-id"]
        assert int(again.headers["webhook-timestamp"]) - int(first.headers["webhook-timestamp"]) == 60
        assert first.headers["webhook-signature"] != again.headers["webhook-signature"]


@pytest.mark.parametrize("days", [-20_000, 10])
async def test_a_retry_after_the_clock_was_mended_is_signed_with_the_right_time(days: int) -> None:
    clock = ManualClock()
    right = clock.now_ms() // 1000
    clock.jump(days * 86400)
    async with posting(clock) as (receiver, hook):
        receiver.reply = statuses(500)
        with pytest.raises(Unavailable):
            await hook.send(batch(1))
        clock.jump(-days * 86400)
        await hook.send(batch(1))
        first, again = receiver.requests
        assert first.headers["webhook-id"] == again.headers["webhook-id"]
        assert int(again.headers["webhook-timestamp"]) == right


async def test_what_was_delivered_before_a_failure_is_told_and_order_is_kept() -> None:
    async with posting() as (receiver, hook):
        receiver.reply = statuses(None, None, 500)
        with pytest.raises(Unavailable) as away:
            await hook.send(batch(1, 2, 3, 4))
        assert away.value.done == {1, 2}
        assert receiver.taken == [1, 2]
        await hook.send(batch(3, 4))
        assert receiver.taken == [1, 2, 3, 4]


async def test_one_send_remembers_nothing_of_another() -> None:
    async with posting() as (receiver, hook):
        receiver.reply = statuses(400, 503)
        with pytest.raises(Unavailable) as away:
            await hook.send(batch(1, 2))
        assert [*away.value.refused] == [1]
        await hook.send(batch(1))
        assert [received.numbers for received in receiver.requests] == [[1], [2], [1]]


async def test_a_refused_event_is_found_in_its_batch_with_the_receiver_s_words() -> None:
    async with posting(batch_size=20) as (receiver, hook):
        receiver.reply = refusing(3, 17)
        with pytest.raises(Rejected) as refused:
            await hook.send(batch(*range(1, 21)))
        assert refused.value.sequence == {3, 17}
        assert refused.value.reasons[3] == "127.0.0.1 answers 422 Unprocessable Entity: no [3] \\x1b[31m"
        assert receiver.taken == [number for number in range(1, 21) if number not in (3, 17)]
        await hook.send(batch(21))


async def test_what_was_refused_before_an_outage_is_not_forgotten_in_it() -> None:
    async with posting() as (receiver, hook):
        receiver.reply = statuses(None, 400, None, 500)
        with pytest.raises(Unavailable) as away:
            await hook.send(batch(1, 2, 3, 4))
        assert away.value.done == {1, 3}
        assert [*away.value.refused] == [2], "it is a dead letter although the rest waits"
        await hook.send(left_of(batch(1, 2, 3, 4), away.value))
        assert receiver.taken == [1, 3, 4]
        assert len(receiver.requests) == 5


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_redirections_are_not_followed(status: int) -> None:
    async with posting() as (receiver, hook):
        receiver.reply = statuses(status, Location="/elsewhere")
        with pytest.raises(Misconfigured) as wrong:
            await hook.send(batch(1))
        assert str(status) in wrong.value.reason
        assert len(receiver.requests) == 1


async def test_gone_is_told_and_is_of_this_url_alone() -> None:
    async with posting() as (receiver, hook):
        receiver.reply = statuses(410)
        with pytest.raises(Gone, match="410 Gone: the receiver wants no more events"):
            await hook.send(batch(1))
        assert hook.settings.endpoint_digest() == settings(receiver.url, batch_size=7).endpoint_digest()
        assert hook.settings.endpoint_digest() != settings(receiver.url + "?v=2").endpoint_digest()
        assert receiver.url not in hook.settings.endpoint_digest()


@pytest.mark.parametrize("status", [401, 403, 404, 415])
async def test_what_only_a_person_can_mend(status: int) -> None:
    async with posting() as (receiver, hook):
        receiver.reply = statuses(status)
        with pytest.raises(Misconfigured):
            await hook.send(batch(1))
        await hook.send(batch(1))


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ("7", 7.0),
        ("0", 0.0),
        ("99999999", 86400.0),
        ("nonsense", None),
        ("-3", None),
        (format_datetime(ManualClock().now() + timedelta(seconds=90), usegmt=True), 90.0),
        (format_datetime(ManualClock().now() - timedelta(seconds=90), usegmt=True), 0.0),
    ],
)
async def test_retry_after_is_honoured(value: str, wanted: float | None) -> None:
    async with posting(ManualClock()) as (receiver, hook):
        receiver.reply = statuses(503, **{"Retry-After": value})
        with pytest.raises(Unavailable) as away:
            await hook.send(batch(1))
        assert away.value.retry_after == wanted


async def test_slow_down_spaces_the_requests_and_a_good_answer_speeds_up() -> None:
    clock = ManualClock()
    async with posting(clock) as (receiver, hook):
        receiver.reply = statuses(429)
        with pytest.raises(Unavailable):
            await hook.send(batch(1))
        sending = asyncio.create_task(hook.send(batch(1, 2, 3)))
        gaps = []
        for _ in range(2):
            await clock.sleeping()
            gaps.append((clock.deadline or 0.0) - clock.monotonic())
            clock.advance(gaps[-1])
        await sending
        assert gaps == pytest.approx([0.1, 0.05])
        assert receiver.taken == [1, 2, 3]


async def test_an_attempt_has_a_time_out() -> None:
    async with posting(timeout="100ms") as (receiver, hook):
        receiver.stall()
        with pytest.raises(Unavailable, match=r"no answer for 0\.1 s"):
            await hook.send(batch(1))
        receiver.resume()
        await hook.send(batch(1))


async def test_an_answer_that_never_ends_does_not_hold_anything_up() -> None:
    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        try:
            while True:
                writer.write(b"1000\r\n" + b"x" * 4096 + b"\r\n")
                await writer.drain()
        except OSError:
            writer.close()

    server = await asyncio.start_server(endless, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    async with sink(url) as hook:
        await hook.send(batch(1, 2))
    server.close()
    await server.wait_closed()


async def test_a_kept_connection_that_was_closed_meanwhile_is_no_failure() -> None:
    async with posting() as (receiver, hook):
        await hook.send(batch(1))
        await receiver.stop()
        await receiver.start()
        await hook.send(batch(2))
        assert receiver.taken == [1, 2]


async def test_what_outlives_max_age_is_given_up_after_an_outage_as_long() -> None:
    clock = ManualClock()
    async with posting(clock, max_age="1h") as (receiver, hook):
        await receiver.stop()
        begun = clock.now_ms()
        old = [one._replace(recorded=begun - 5 * 3_600_000) for one in batch(1, 2)]
        young = [one._replace(recorded=begun + 3_000_000) for one in batch(3, 4)]
        with pytest.raises(Unavailable):  # what waited while nobody tried gets its time
            await hook.send([*old, *young])
        clock.advance(3600)
        with pytest.raises(Unavailable) as away:
            await hook.send([*old, *young])
        assert not away.value.done
        assert away.value.refused.keys() == {1, 2}
        assert "not delivered within 1h" in away.value.refused[1]
        await receiver.start()
        await hook.send(left_of([*old, *young], away.value))
        assert receiver.taken == [3, 4]


async def test_an_open_circuit_tries_one_and_gives_up_the_old_untried() -> None:
    clock = ManualClock()
    async with posting(clock, batch_size=10, concurrency=4, max_age="1h") as (receiver, hook):
        receiver.reply = lambda _: web.Response(status=500)
        while not hook._pressure.circuit_open:
            with pytest.raises(Unavailable):
                await hook.send(batch(*range(1, 101)))
        receiver.requests.clear()
        with pytest.raises(Unavailable):
            await hook.send(batch(*range(1, 101)))
        assert [request.numbers for request in receiver.requests] == [[1]]
        await receiver.stop()
        clock.advance(7200)
        now = clock.now_ms()
        with pytest.raises(Rejected) as refused:  # one attempt was enough to see that nobody is there
            await hook.send(batch(1, 2))
        assert refused.value.sequence == {1, 2}
        assert len(receiver.requests) == 1
        await receiver.start()
        receiver.reply = statuses()
        await hook.send([one._replace(recorded=now) for one in batch(*range(3, 103))])
        assert sorted(receiver.taken) == list(range(3, 103))
        assert len(receiver.requests[1].numbers) == 1
        assert not hook._pressure.circuit_open


async def test_several_at_a_time_where_order_is_not_wanted() -> None:
    async with posting(concurrency=5) as (receiver, hook):
        receiver.stall()
        sending = asyncio.create_task(hook.send(batch(*range(1, 21))))
        await receiver.until(lambda: receiver.at_once == 5)
        receiver.resume()
        await sending
        assert sorted(receiver.taken) == list(range(1, 21))
        assert receiver.most_at_once == 5


async def test_several_at_a_time_and_some_fail_or_are_refused() -> None:
    async with posting(concurrency=4) as (receiver, hook):
        failed: set[int] = set()

        def reply(received: Received) -> web.Response | None:
            [number] = received.numbers
            if number in (5, 9) and number not in failed:
                failed.add(number)
                return web.Response(status=500)
            return web.Response(status=400) if number == 7 else None

        receiver.reply = reply
        left, refused = batch(*range(1, 21)), set[int]()
        while left:
            try:
                await hook.send(left)
                left = []
            except Unavailable as away:
                left = left_of(left, away)
                refused |= away.refused.keys()
            except Rejected as error:
                left = []
                refused |= error.sequence
        assert refused == {7}
        assert sorted(receiver.taken) == [number for number in range(1, 21) if number != 7]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0"])
async def test_private_targets_need_permission(host: str) -> None:
    async with Receiver() as receiver:
        async with sink(f"http://{host}:{receiver.port}/hook", allow_private=False) as hook:
            with pytest.raises(Misconfigured, match="allow_private"):
                await hook.send(batch(1))
        assert receiver.requests == []


@pytest.mark.parametrize(
    ("keys", "wanted"),
    [
        ({"url": "ftp://example.com"}, "http"),
        ({"url": "https://user:pass@example.com/"}, "http"),
        ({"url": "nonsense"}, "http"),
        ({"url": "http://[::1"}, "http"),
        ({"secret": "not-a-secret"}, "whsec_"),
        ({"secret": [SECRETS[0], "whsec_short"]}, "whsec_"),
        ({"headers": {"Webhook-Id": "1"}}, "own header"),
        ({"headers": {"Content-Type": "x"}}, "own header"),
        ({"headers": {"a b": "x"}}, "no name"),
        ({"headers": {"X": "a\r\nb: c"}}, "line"),
        ({"concurrency": 0}, "greater"),
        ({"batch_size": 0}, "greater"),
    ],
)
def test_settings_that_cannot_work(keys: dict[str, Any], wanted: str) -> None:
    with pytest.raises(ValidationError, match=wanted) as wrong:
        WebhookSettings.model_validate({"type": "webhook", "url": "https://example.com/", **keys})
    assert "user:pass" not in str(wrong.value)
    assert "not-a-secret" not in str(wrong.value)


def test_warnings() -> None:
    def told(**keys: Any) -> int:
        table = {"type": "webhook", "url": "https://example.com/", "secret": SECRETS[0], **keys}
        return len(WebhookSettings.model_validate(table).warnings())

    assert told() == 0
    assert told(secret=[]) == 1
    assert told(url="http://example.com/") == 1
    assert told(url="http://127.0.0.1:8000/") == told(url="http://localhost/") == 0
