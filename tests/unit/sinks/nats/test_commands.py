"""Commands by a real nats-server: request and reply, beside a stream that stores the events, and never from one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import nats
import nats.errors
import orjson
import pytest
from nats.aio.client import Client
from nats.js.api import RePublish, StreamConfig
from pydantic import ValidationError
from structlog.testing import capture_logs

from pump.commands.ways import LONGEST
from pump.core.clock import Clock
from pump.core.taxonomy import TYPES
from pump.sinks.nats.sink import NatsSettings, NatsSink
from pump.sinks.nats.stream import covers, subjects
from pump.testing.brokers import NatsServer
from pump.testing.records import record
from tests.unit.ops.commands.ways import Way, granted, until, way

pytestmark = pytest.mark.skipif(NatsServer.found() is None, reason="nats-server is not installed")

OPEN = b'{"verb": "gate.open"}'
PREFIX = "pump.testing.command"


def settings(url: str, **more: Any) -> NatsSettings:
    return NatsSettings.model_validate(
        {"type": "nats", "servers": url, "command_subject": "pump.{site}.command", **more}
    )  # fmt: skip


@asynccontextmanager
async def commanded(folder: Path, url: str, *callers: str, **more: Any) -> AsyncIterator[Way]:
    def make(clock: Clock) -> Any:
        return NatsSink.way_in("out", settings(url, **more), clock=clock, site="testing")

    async with way(folder, make, granted(*(callers or ("nats",)))) as one:
        yield one


@asynccontextmanager
async def peer(url: str, **more: Any) -> AsyncIterator[Client]:
    client = await nats.connect(url, **more)
    try:
        yield client
    finally:
        await client.close()


@asynccontextmanager
async def both(folder: Path, *callers: str, **more: Any) -> AsyncIterator[tuple[NatsServer, Way, Client]]:
    async with (
        NatsServer(folder / "server") as server,
        commanded(folder / "spool", server.url, *callers, **more) as pump,
        peer(server.url) as client,
    ):
        yield server, pump, client


async def asked(
    client: Client, subject: str = "gate.obeys", payload: bytes = OPEN, headers: dict[str, str] | None = None
) -> dict[str, Any]:
    """The first reply."""
    answer = await client.request(f"{PREFIX}.{subject}", payload, timeout=60, headers=headers)
    found = orjson.loads(answer.data)
    assert isinstance(found, dict)
    return found


def test_nothing_is_heard_unless_the_settings_say_so() -> None:
    assert NatsSink.way_in("out", settings("nats://a", command_subject=""), clock=Clock(), site="testing") is None
    for wrong in ("pump.{type}", "a b", "a.>", "$SYS.x"):
        with pytest.raises(ValidationError):
            settings("nats://a", command_subject=wrong)


async def test_the_reply_is_the_result(tmp_path: Path) -> None:
    async with both(tmp_path) as (_, pump, client):
        done = await asked(client, payload=b'{"verb": "display.show", "arguments": {"text": "Hi"}}')
        assert done["status"] == "done"
        assert pump.site.gates.did == [("gate/obeys", "display.show", {"text": "Hi"})]
        request, result = await pump.site.events()
        assert request["data"]["command"]["caller"] == "nats:pump.testing.command.gate.obeys"
        assert result["data"]["command"]["request_id"] == done["request_id"]
        assert (await asked(client, "gate.refuses"))["status"] == "refused"


async def test_who_wants_no_reply_has_the_command_done_and_written_down(tmp_path: Path) -> None:
    async with both(tmp_path) as (_, pump, client):
        await client.publish(f"{PREFIX}.gate.obeys", OPEN)
        await until(lambda: pump.did)
        while (await pump.site.statuses())[-1] != "done":
            await asyncio.sleep(0.01)  # the condition is what another task writes
        assert pump.lost == 0


@pytest.mark.parametrize("position", ["before", "after"])
async def test_beside_the_stream_of_events_the_first_reply_is_the_pumps(tmp_path: Path, position: str) -> None:
    """A stream that took these subjects would acknowledge each request before the pump has its result."""
    async with NatsServer(tmp_path / "server") as server:
        out = NatsSink("out", settings(server.url), state=None, clock=Clock(), site="testing")
        if position == "before":
            async with out:
                await out.send([record(1)])
        async with commanded(tmp_path / "spool", server.url) as pump, peer(server.url) as client:
            if position == "after":
                async with out:
                    await out.send([record(1)])
            assert (await asked(client))["status"] == "done"
            assert len(pump.did) == 1
            info = await client.jetstream().stream_info("pump-testing")
            assert info.state.messages == 1


async def test_every_event_has_its_place_in_a_stream_that_leaves_commands_out() -> None:
    for more in ({}, {"subject": "pump.{site}.{type:levels}.{source}"}):
        new, needed = subjects(settings("nats://a", **more), "testing")
        assert new == needed
        tail = ".yard" if more else ""
        for type_ in TYPES:
            assert any(covers(one, f"pump.testing.{type_}{tail}") for one in new)
        assert not any(covers(one, f"{PREFIX}.gate.obeys") for one in new)
        whole, needed = subjects(settings("nats://a", command_subject="", **more), "testing")
        assert whole == ("pump.testing.>",)
        assert all(covers(whole[0], one) for one in needed)


async def test_a_stream_made_with_commands_serves_without_them_and_the_other_way_round(tmp_path: Path) -> None:
    async with NatsServer(tmp_path / "server") as server:
        for subject in ("pump.{site}.command", "", "pump.{site}.command"):
            here = settings(server.url, command_subject=subject)
            async with NatsSink("out", here, state=None, clock=Clock(), site="testing") as out:
                await out.send([record(1)])


async def test_a_stream_that_stores_commands_is_named(tmp_path: Path) -> None:
    async with NatsServer(tmp_path / "server") as server, peer(server.url) as client:
        await client.jetstream().add_stream(StreamConfig(name="all", subjects=["pump.>"]))
        with capture_logs() as logs:
            async with commanded(tmp_path / "spool", server.url):
                pass
        (warned,) = [one for one in logs if "stores" in one["event"] or "takes the subjects" in one["event"]]
        assert warned["streams"] == ["all"]


async def test_what_a_stream_brings_again_is_refused(tmp_path: Path) -> None:
    async with NatsServer(tmp_path / "server") as server, peer(server.url) as client:
        jetstream = client.jetstream()
        await jetstream.add_stream(
            StreamConfig(name="old", subjects=["old.>"], republish=RePublish(src="old.>", dest=f"{PREFIX}.>"))
        )
        await jetstream.publish("old.gate.obeys", OPEN)
        async with commanded(tmp_path / "spool", server.url) as pump:
            await jetstream.publish("old.gate.obeys", OPEN)  # the stream says it again where commands are heard
            await until(lambda: pump.counted("stale") == 1)
            assert pump.did == []


@pytest.mark.parametrize("header", ["Pump-Sent", "pump-sent"])
async def test_a_request_that_was_sent_long_ago_is_refused(tmp_path: Path, header: str) -> None:
    async with both(tmp_path) as (_, pump, client):
        assert (await asked(client, headers={header: "2020-01-01T00:00:00Z"}))["status"] == "refused"
        assert (await asked(client, headers={header: "soon"}))["status"] == "refused"
        assert (await asked(client, headers={header: datetime.now(UTC).isoformat()}))["status"] == "done"
        assert len(pump.did) == 1
        assert pump.counted("stale") == 1


async def test_one_message_id_is_one_command(tmp_path: Path) -> None:
    async with both(tmp_path) as (_, pump, client):
        answers = [await asked(client, headers={"Nats-Msg-Id": "one"}) for _ in range(3)]
        assert len({answer["request_id"] for answer in answers}) == 1
        assert len(pump.did) == 1


@pytest.mark.parametrize(
    ("subject", "payload"),
    [
        ("gate.obeys", b"OPEN"), ("gate.obeys", b""), ("gate.obeys", b"{}"), ("gate.obeys", OPEN + b" " * LONGEST),
        ("gate%2Fobeys", OPEN), ("%67ate.obeys", OPEN), ("gate.obe%C3", OPEN), ("x" * 1500, OPEN),
        ("gate.obeys", b'{"verb": "gate.open", "target": "gate/refuses"}'),
    ],
)  # fmt: skip
async def test_what_is_no_command_is_refused_and_counted(tmp_path: Path, subject: str, payload: bytes) -> None:
    async with both(tmp_path) as (_, pump, client):
        assert (await asked(client, subject, payload))["status"] == "refused"
        assert pump.counted("malformed") == 1
        assert pump.did == []


@pytest.mark.parametrize(
    ("callers", "status"),
    [
        (["nats"], "done"), (["nats:pump.testing.command.*"], "done"),
        (["nats:pump.testing.command.gate.obeys"], "done"), (["nats:pump.testing.command.gate"], "refused"),
        (["nats:pump.south.*"], "refused"), (["mqtt"], "refused"),
        (["mqtt:*"], "refused"), (["socket"], "refused"), (["token:*"], "refused"), (["nats:PUMP.*"], "refused"),
        (["nats:pump.testing.command.gate.refuses"], "refused"), (["nats:gate.obeys"], "refused"),
    ],
)  # fmt: skip
async def test_a_subject_is_who_asks(tmp_path: Path, callers: list[str], status: str) -> None:
    async with both(tmp_path, *callers) as (_, pump, client):
        assert (await asked(client))["status"] == status
        assert len(pump.did) == (status == "done")
        if status == "refused":
            assert await pump.site.statuses() == ["refused"]
            assert pump.counted("forbidden") == 1


async def test_a_server_that_goes_away_is_found_again(tmp_path: Path) -> None:
    async with NatsServer(tmp_path / "server") as server, commanded(tmp_path / "spool", server.url) as pump:
        await server.kill()
        await until(lambda: not pump.up.is_set())
        await server.start()
        await asyncio.wait_for(pump.up.wait(), 60)
        async with peer(server.url) as client:
            assert (await asked(client))["status"] == "done"


async def test_of_two_pumps_of_a_site_one_does_it(tmp_path: Path) -> None:
    async with both(tmp_path) as (server, pump, client), commanded(tmp_path / "other", server.url) as other:
        for _ in range(10):
            assert (await asked(client))["status"] == "done"
        assert len(pump.did) + len(other.did) == 10


@pytest.mark.parametrize("reply", ["pump.testing.vehicle.passed", "pump.testing.command.gate.obeys", "$SYS.x"])
async def test_no_reply_goes_where_it_would_be_taken_for_the_pumps_own_word(tmp_path: Path, reply: str) -> None:
    async with both(tmp_path) as (_, pump, client):
        await client.publish(f"{PREFIX}.gate.obeys", OPEN, reply=reply)
        await until(lambda: pump.lost == 1)
        assert len(pump.did) == 1


async def test_a_reply_that_the_server_does_not_permit_is_counted_and_nothing_else_ends(tmp_path: Path) -> None:
    users = (
        "authorization { users = [ { user: peer, password: b }, { user: pump, password: b, permissions: { subscribe: "
        '["pump.>", "_INBOX.>"], publish: "_INBOX.>" } } ] }'
    )
    async with (
        NatsServer(tmp_path / "server", extra=users) as server,
        commanded(tmp_path / "spool", server.url, username="pump", password="b") as pump,
        peer(server.url, user="peer", password="b") as client,
    ):
        await client.publish(f"{PREFIX}.gate.obeys", OPEN, reply="Some.Place")
        await until(lambda: pump.lost == 1)
        assert (await asked(client))["status"] == "done"
        assert pump.reasons == []


async def test_events_on_subjects_that_begin_alike_ask_for_nothing(tmp_path: Path) -> None:
    async with both(tmp_path) as (_, pump, client):
        headers = {"Content-Type": "application/cloudevents+json"}
        await client.publish(f"{PREFIX}.requested", b'{"specversion": "1.0"}', headers=headers)
        assert (await asked(client))["status"] == "done"
        assert pump.counted("malformed") == 0


async def test_a_server_that_does_not_permit_it_is_for_a_person(tmp_path: Path) -> None:
    users = 'authorization { users = [ { user: a, password: b, permissions: { subscribe: "_INBOX.>" } } ] }'
    async with NatsServer(tmp_path / "server", extra=users) as server:
        made = NatsSink.way_in(
            "out", settings(server.url, username="a", password="b"), clock=Clock(), site="testing"
        )  # fmt: skip
        assert made is not None
        with pytest.raises(Exception, match="does not permit it"):
            await made.run(None, lambda: None)  # type: ignore[arg-type]
