"""What the JetStream sink says to a real server, beside the suite of all sinks."""

from __future__ import annotations

import base64
import secrets
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import nats
import nkeys  # type: ignore[import-untyped]  # it has no types
import orjson
import pytest
from pydantic import ValidationError

from pump.core.clock import Clock
from pump.core.errors import Misconfigured, Rejected, Unavailable
from pump.core.record import Record
from pump.sinks.nats.sink import NatsSettings, NatsSink
from pump.sinks.nats.stream import covers
from pump.testing.brokers import NatsServer
from pump.testing.records import record
from pump.testing.sinks import left_of

pytestmark = pytest.mark.skipif(NatsServer.found() is None, reason="nats-server is not installed")


def sink(url: str, **more: Any) -> NatsSink:
    settings = NatsSettings.model_validate({"type": "nats", "servers": url, **more})
    return NatsSink("out", settings, state=None, clock=Clock(), site="testing")


async def on_server(folder: Path, body: Callable[[NatsServer], Awaitable[None]], **more: Any) -> None:
    async with NatsServer(folder / "server", **more) as server:
        await body(server)


async def stored(server: NatsServer, stream: str = "pump-testing") -> list[Any]:
    client = await nats.connect(server.url)
    try:
        jetstream = client.jetstream()
        count = (await jetstream.stream_info(stream)).state.messages
        reader = await jetstream.subscribe(">", stream=stream, ordered_consumer=True)
        return [await reader.next_msg() for _ in range(count)]
    finally:
        await client.close()


def numbers(messages: list[Any]) -> list[int]:
    return [orjson.loads(one.data)["data"]["raw"]["number"] for one in messages]


async def delivered(out: NatsSink, batch: list[Record]) -> frozenset[int]:
    """Send as delivery does until it is through; the numbers that were refused."""
    refused: frozenset[int] = frozenset()
    while batch:
        try:
            await out.send(batch)
        except Unavailable as error:
            batch = left_of(batch, error)
            refused |= error.refused.keys()
        except Rejected as error:
            return refused | error.sequence
        else:
            break
    return refused


async def test_the_stream_is_made_from_the_configuration_and_takes_each_event_once(tmp_path: Path) -> None:
    async def body(server: NatsServer) -> None:
        async with sink(server.url, max_age="1h", max_bytes="64MiB", duplicate_window="2m") as out:
            await out.send([record(1), record(2)])
            await out.send([record(1), record(2), record(3)])
        client = await nats.connect(server.url)
        config = (await client.jetstream().stream_info("pump-testing")).config
        await client.close()
        assert (config.subjects, config.max_age, config.max_bytes) == (["pump.testing.>"], 3600.0, 64 << 20)
        assert config.duplicate_window == 120.0
        messages = await stored(server)
        assert numbers(messages) == [1, 2, 3]
        assert len({one.headers["Nats-Msg-Id"] for one in messages}) == 3
        assert messages[0].headers["Content-Type"] == "application/cloudevents+json"
        assert messages[0].subject == "pump.testing.vehicle.passed"

    await on_server(tmp_path, body)


async def test_what_the_stream_had_already_is_counted_and_breaks_no_chain(tmp_path: Path) -> None:
    async def body(server: NatsServer) -> None:
        async with sink(server.url) as out:
            await out.send([record(1), record(2), record(3)])
            assert out.duplicates == 0
            for number in range(4, 9):
                await out.send([record(1), record(2)])
                assert out.duplicates == 2
                await out.send([record(number)])  # at once: what was dropped is not taken for the stream's last
                assert out.duplicates == 0
            assert out._chained
            out.fresh_ids = "replay"
            for duplicates in (0, 2):
                await out.send([record(1), record(2)])
                assert out.duplicates == duplicates
        assert numbers(await stored(server)) == [*range(1, 9), 1, 2]

    await on_server(tmp_path, body)


async def test_others_may_publish_into_the_stream(tmp_path: Path) -> None:
    async def body(server: NatsServer) -> None:
        client = await nats.connect(server.url)
        async with sink(server.url) as out:
            for begin in range(1, 60, 10):
                await delivered(out, [record(number) for number in range(begin, begin + 10)])
                foreign = record(1000 + begin, source="other")
                await client.jetstream().publish(
                    "pump.testing.other", foreign.body, headers={"Nats-Msg-Id": f"other-{begin}"}
                )
            assert not out._chained
        await client.close()
        assert [number for number in numbers(await stored(server)) if number < 1000] == list(range(1, 61))

    await on_server(tmp_path, body)


@pytest.mark.parametrize(
    ("more", "limit"), [({"extra": "max_payload: 20000"}, None), ({}, 20_000)], ids=["server", "stream"]
)
async def test_what_is_too_large_is_rejected_alone(tmp_path: Path, more: dict[str, Any], limit: int | None) -> None:
    async def body(server: NatsServer) -> None:
        if limit is not None:
            client = await nats.connect(server.url)
            await client.jetstream().add_stream(
                name="pump-testing", subjects=["pump.testing.>"], max_msg_size=limit, duplicate_window=600
            )
            await client.close()
        async with sink(server.url) as out:
            batch = [record(1), record(2, size=50_000), record(3), record(4, size=50_000), record(5)]
            assert await delivered(out, batch) == {2, 4}
            assert await delivered(out, [record(6)]) == frozenset()
        assert numbers(await stored(server)) == [1, 3, 5, 6]

    await on_server(tmp_path, body, **more)


async def test_wrong_credentials_wait_for_a_person(tmp_path: Path) -> None:
    async def body(server: NatsServer) -> None:
        for wrong in ({"token": "wrong"}, {}, {"username": "a", "password": "wrong"}):
            with pytest.raises(Misconfigured) as raised:
                await sink(server.url, **wrong).__aenter__()
            assert "wrong" not in str(raised.value)
        async with sink(server.url, token="right") as out:
            await out.send([record(1)])

    await on_server(tmp_path, body, extra='authorization { token: "right" }')


async def test_a_user_name_with_its_password(tmp_path: Path) -> None:
    async def body(server: NatsServer) -> None:
        with pytest.raises(Misconfigured, match="credentials"):
            await sink(server.url, username="gate", password="wrong").__aenter__()
        async with sink(server.url, username="gate", password="right") as out:
            await out.send([record(1)])
            assert out._link is not None
            known = (await out._link.client.jetstream().stream_info("pump-testing")).state
            assert known.messages == 1

    await on_server(tmp_path, body, extra='authorization { users: [{ user: "gate", password: "right" }] }')


def key(kind: int) -> nkeys.KeyPair:
    return nkeys.from_seed(nkeys.encode_seed(secrets.token_bytes(32), kind))


def token(signer: nkeys.KeyPair, subject: nkeys.KeyPair, name: str, **claims: Any) -> str:
    """A JWT as nats-server's operator mode has them: https://docs.nats.io, "JWT authentication"."""

    def part(content: bytes) -> str:
        return base64.urlsafe_b64encode(content).rstrip(b"=").decode()

    head = part(orjson.dumps({"typ": "JWT", "alg": "ed25519-nkey"}))
    said: dict[str, Any] = {
        "jti": secrets.token_hex(16),
        "iat": int(time.time()),
        "iss": signer.public_key.decode(),
        "sub": subject.public_key.decode(),
        "name": name,
        "nats": {"version": 2, **claims},
    }
    signed = f"{head}.{part(orjson.dumps(said))}"
    return f"{signed}.{part(signer.sign(signed.encode()))}"


def credentials(user: nkeys.KeyPair, jwt: str) -> str:
    """What a .creds file holds."""
    return (
        f"-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n"
        f"-----BEGIN USER NKEY SEED-----\n{user.seed.decode()}\n------END USER NKEY SEED------\n"
    )


async def test_a_credentials_file(tmp_path: Path) -> None:
    operator, account = key(nkeys.PREFIX_BYTE_OPERATOR), key(nkeys.PREFIX_BYTE_ACCOUNT)
    system = key(nkeys.PREFIX_BYTE_ACCOUNT)
    user, stranger = key(nkeys.PREFIX_BYTE_USER), key(nkeys.PREFIX_BYTE_USER)
    unlimited = dict.fromkeys(("mem_storage", "disk_storage", "streams", "consumer", "subs", "data", "payload"), -1)
    unlimited |= dict.fromkeys(("imports", "exports", "conn", "leaf"), -1) | {"wildcards": True}
    storage = {name: unlimited.pop(name) for name in ("mem_storage", "disk_storage", "streams", "consumer")}
    accounts = {
        account.public_key.decode(): token(operator, account, "A", type="account", limits={**unlimited, **storage}),
        system.public_key.decode(): token(operator, system, "SYS", type="account", limits=unlimited),
    }
    extra = (
        f"operator: {token(operator, operator, 'O', type='operator')}\n"
        f"system_account: {system.public_key.decode()}\n"
        "resolver: MEMORY\n"
        f"resolver_preload: {{ {', '.join(f'{name}: {jwt}' for name, jwt in accounts.items())} }}"
    )
    free = {"type": "user", "subs": -1, "data": -1, "payload": -1}
    right = credentials(user, token(account, user, "U", **free))
    wrong = credentials(stranger, token(key(nkeys.PREFIX_BYTE_ACCOUNT), stranger, "S", **free))

    async def body(server: NatsServer) -> None:
        with pytest.raises(Misconfigured, match="credentials"):
            await sink(server.url, credentials=wrong).__aenter__()
        async with sink(server.url, credentials=right) as out:
            await out.send([record(1), record(2)])
            assert out._link is not None
            known = (await out._link.client.jetstream().stream_info("pump-testing")).state
            assert known.messages == 2

    await on_server(tmp_path, body, extra=extra)


async def test_what_the_server_does_not_permit_waits_for_a_person(tmp_path: Path) -> None:
    async def body(server: NatsServer) -> None:
        async with sink(server.url, username="u", password="p") as out:
            with pytest.raises(Misconfigured, match="permit"):
                await out.send([record(1)])

    await on_server(
        tmp_path,
        body,
        extra='authorization { users: [{ user: "u", password: "p", '
        'permissions: { publish: { deny: "pump.>" }, subscribe: ">" } }] }',
    )


async def test_a_stream_that_must_be_there_and_is_not(tmp_path: Path) -> None:
    async def body(server: NatsServer) -> None:
        with pytest.raises(Misconfigured, match="no stream"):
            await sink(server.url, create=False).__aenter__()
        with pytest.raises(Misconfigured):
            await sink(server.url, replicas=3).__aenter__()
        async with sink(server.url), sink(server.url, subject="pump.testing.x.{type}"):
            pass
        with pytest.raises(Misconfigured, match="does not take"):
            await sink(server.url, subject="other.{type}").__aenter__()

    await on_server(tmp_path, body)


async def test_one_of_several_servers_is_enough(tmp_path: Path) -> None:
    async def body(server: NatsServer) -> None:
        away = NatsServer(tmp_path / "away").url
        settings = NatsSettings.model_validate({"type": "nats", "servers": [away, server.url, away]})
        async with NatsSink("out", settings, state=None, clock=Clock(), site="testing") as out:
            await out.send([record(1)])
        assert numbers(await stored(server)) == [1]

    await on_server(tmp_path, body)


@pytest.mark.parametrize(
    ("wide", "narrow", "does"),
    [
        ("pump.>", "pump.a.>", True),
        ("pump.*.>", "pump.a.>", True),
        ("pump.a", "pump.a", True),
        ("pump.a.>", "pump.>", False),
        ("pump.*", "pump.>", False),
        ("pump.>", "pump", False),
        ("pump.a", "pump.*", False),
    ],
)
def test_filters_that_cover_others(wide: str, narrow: str, does: bool) -> None:
    assert covers(wide, narrow) is does


@pytest.mark.parametrize(
    "wrong",
    [
        {"servers": []},
        {"servers": "http://x"},
        {"servers": "nats://user:pass@host"},
        {"subject": "{type}.x"},
        {"subject": "pump.*.{type}"},
        {"subject": "pump. .{type}"},
        {"stream": "a.b"},
        {"stream": "{type}"},
        {"token": "a", "username": "b", "password": "c"},
        {"username": "alone"},
        {"credentials": "no creds file"},
        {"replicas": 6},
    ],
)
def test_settings_that_cannot_work_are_told(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        NatsSettings.model_validate({"type": "nats", "servers": "nats://127.0.0.1:4222", **wrong})
