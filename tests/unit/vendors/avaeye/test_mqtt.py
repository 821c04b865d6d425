"""Commands through a real broker: each type once, results by their request's id, and never late or twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import aiomqtt
import orjson
import pytest
from pydantic import ValidationError
from structlog.testing import capture_logs

from pump.commands.contract import Command, NotTaken
from pump.core.clock import Clock
from pump.testing import ManualClock
from pump.testing.brokers import Mosquitto
from pump.vendors.avaeye import broker as connection
from pump.vendors.avaeye.broker import Broker
from pump.vendors.avaeye.settings import AvaEyeSettings, BrokerSettings
from pump.vendors.avaeye.simulator.camera import Camera
from pump.vendors.avaeye.simulator.lapi import Actions
from pump.vendors.avaeye.simulator.messages import STEADY
from pump.vendors.avaeye.simulator.subscriber import Subscriber
from tests.certificates import certificate, needs_openssl
from tests.unit.vendors.avaeye.commanded import TARGET, Commanded, commanded

pytestmark = pytest.mark.skipif(Mosquitto.found() is None, reason="mosquitto is not installed")

TOPIC = "park/orders"
MODES = {"add": 1, "remove": 3}


@dataclass
class Ordered:
    """A pump, a broker, and the camera 10000/1001 at it."""

    pump: Commanded
    broker: Mosquitto
    subscriber: Subscriber

    @property
    def camera(self) -> Camera:
        return self.subscriber.camera

    @property
    def account(self) -> Actions:
        return self.subscriber.camera.account

    async def status(self, verb: str, **arguments: Any) -> str:
        return (await self.pump.result(verb, **arguments)).status

    async def introduce(self, **params: Any) -> None:
        message = self.camera.introduction()
        message["params"] |= {"parkInfo": {"idInfo": [{"area": "A", "id": "001"}]}, **params}
        async with aiohttp.ClientSession() as session:
            assert await self.camera.send(session, self.pump.site.listener.url, "basicinfo", message)

    async def keep_alive(self) -> None:
        async with aiohttp.ClientSession() as session:
            assert await self.camera.keep_alive(session, self.pump.site.listener.url)


@asynccontextmanager
async def ordered(
    folder: Path, *, clock: Clock | None = None, modes: tuple[int, int, int] = (1, 2, 3), extra: str | None = None,
    login: dict[str, str] | None = None, **table: Any,
) -> AsyncIterator[Ordered]:  # fmt: skip
    """`table` changes the source's, which has control "mqtt" and the document's list modes."""
    clock = clock or Clock()
    async with AsyncExitStack() as stack:
        broker = await stack.enter_async_context(
            Mosquitto(folder / "broker", **({} if extra is None else {"extra": extra}))
        )
        settings = {
            "control": "mqtt", "broker": {"url": broker.url, "topic": TOPIC, **(login or {})}, "list_modes": MODES,
            **table,
        }  # fmt: skip
        there = await stack.enter_async_context(commanded(folder / "pump", clock=clock, **settings))
        camera = Camera("10000", "1001", STEADY, clock=clock, zone=clock.now().tzinfo, seed=1)  # type: ignore[arg-type]
        url = there.site.listener.url
        subscriber = Subscriber(camera, broker.url, TOPIC, url, modes=modes)
        if extra is None:
            await stack.enter_async_context(subscriber)
        running = asyncio.create_task(there.source.run(there.site.intakes[0]))
        try:
            if extra is None:
                assert there.source.broker is not None
                await asyncio.wait_for(there.source.broker.up.wait(), 60)
            yield Ordered(there, broker, subscriber)
        finally:
            running.cancel()
            await asyncio.wait({running})


_PLATE: dict[str, Any] = {"plate": "A12345", "list": "allow"}


@pytest.mark.parametrize(
    ("verb", "arguments", "kind", "action", "status"),
    [
        ("camera.capture", {}, 1, ("capture", None), "done"),
        ("camera.reboot", {}, 2, ("reboot", None), "unknown"),
        ("lamp.set", {"mode": "flash", "color": "red"}, 3, ("lamp", [("001", 2, 1)]), "done"),
        ("list.add", _PLATE, 4, ("add allow", ["A12345"]), "done"),
        ("list.add", {**_PLATE, "list": "block"}, 4, ("add block", ["A12345"]), "done"),
        ("gate.open", {}, 5, ("open", None), "done"),
        ("serial.send", {"hex": "77aa 77AA", "port": 2}, 6, ("serial", (2, "77aa77aa")), "unknown"),
        ("display.show", {"text": "Full", "line": 2}, 7, ("show", ["", "Full", "", ""]), "done"),
        ("gate.close", {}, 8, ("close", None), "done"),
    ],
)  # fmt: skip
async def test_each_type_is_ordered_once_and_its_result_comes_over_http(
    tmp_path: Path, verb: str, arguments: dict[str, Any], kind: int, action: tuple[str, Any], status: str
) -> None:
    async with ordered(tmp_path) as there:
        await there.introduce()
        result = await there.pump.result(verb, **arguments)
        assert result.status == status
        while not there.account.actions:
            await asyncio.sleep(0.01)
        assert [one[:2] for one in there.account.actions] == [action]
        (message,) = there.subscriber.heard
        assert (message["type"], message["deviceId"], message["parkId"]) == (kind, "1001", "10000")
        assert result.facts == {"requestId": message["requestId"]}
        assert (len(message["requestId"]), message["requestId"].isdecimal()) == (18, True)


async def test_lists_have_the_modes_of_the_cameras_firmware(tmp_path: Path) -> None:
    modes = {"add": 0, "remove": 1}
    cameras = {"10000/1001": {"list_modes": modes}}
    async with ordered(tmp_path, modes=(0, -1, 1), cameras=cameras) as there:
        assert await there.status("list.add", **_PLATE) == "done"
        assert list(there.subscriber.lists[1]) == ["A12345"]
        assert await there.status("list.remove", **_PLATE) == "done"
        assert there.subscriber.lists[1] == {}
        assert there.account.names == ["add allow", "remove allow"]


async def test_without_list_modes_no_list_is_touched(tmp_path: Path) -> None:
    async with ordered(tmp_path, list_modes=None) as there:
        assert {"list.add", "list.remove"}.isdisjoint(there.pump.source.verbs(TARGET))
        with pytest.raises(NotTaken, match="cannot do that"):
            await there.status("list.add", **_PLATE)
        assert there.subscriber.heard == []


@pytest.mark.parametrize(
    ("verb", "arguments", "reason"),
    [
        ("serial.send", {"hex": "7"}, "pairs"), ("serial.send", {"hex": "7g"}, "pairs"),
        ("serial.send", {"hex": "77", "port": 3}, "ports"), ("serial.send", {"hex": " "}, "bytes"),
        ("camera.capture", {"channel": 2}, "channel 0"), ("list.add", {**_PLATE, "plate": "A" * 17}, "16 characters"),
        ("lamp.set", {"mode": "auto"}, "keep-alive"), ("lamp.set", {"mode": "off"}, "parking spaces"),
    ],
)  # fmt: skip
async def test_what_a_camera_cannot_do_is_refused_before_it_is_sent(
    tmp_path: Path, verb: str, arguments: dict[str, Any], reason: str
) -> None:
    async with ordered(tmp_path) as there:
        found = await there.pump.result(verb, **arguments)
        assert (found.status, reason in found.reason) == ("refused", True), found
        assert there.subscriber.heard == []


@pytest.mark.parametrize("device", ["1ton", "1TON", "all"])
async def test_no_command_goes_to_everybody(tmp_path: Path, device: str) -> None:
    key = f"10000/{device}"
    table: dict[str, Any] = {"cameras": {key: {"url": "http://127.0.0.1:9"}}, "control": "auto"}
    async with ordered(tmp_path, **table) as there:
        there.camera.device = device
        await there.introduce()
        await there.introduce(mqttEnable=1)
        assert (key, [*there.pump.source.verbs(f"camera/{key}")]) == (key, [])
        assert not [one for one in there.pump.source.targets() if device in one.subject]
        with pytest.raises(NotTaken, match="no source has"):
            await there.pump.ask("gate.open", f"camera/{key}")
        assert there.subscriber.heard == []


async def test_the_cameras_own_no_is_a_refusal(tmp_path: Path) -> None:
    async with ordered(tmp_path) as there:
        there.camera.refuses = True
        found = await there.pump.result("gate.open")
        assert (found.status, "code 101" in found.reason, there.account.names) == ("refused", True, [])


async def test_a_result_that_comes_twice_or_for_another_settles_nothing_else(tmp_path: Path) -> None:
    async with ordered(tmp_path) as there:
        there.camera.repeats = 3
        assert await there.status("gate.open") == "done"
        there.camera.repeats = 1
        there.subscriber.hold = asyncio.Event()
        second = await there.pump.ask("gate.open")
        while len(there.account.names) < 2:
            await asyncio.sleep(0.01)
        first, other = (message["requestId"] for message in there.subscriber.heard)
        url = there.pump.site.listener.url
        async with aiohttp.ClientSession() as session:
            await there.camera.report(session, url, "gatecontrol", request=first, code=101)
            await there.camera.report(session, url, "list", request=other, code=101)
            there.camera.device = "1002"
            await there.camera.report(session, url, "gatecontrol", request=other, code=101)
            there.camera.device = "1001"
        there.subscriber.hold.set()
        assert (await second.result).status == "done"
        assert there.account.names == ["open", "open"]


@pytest.mark.parametrize("lost", ["order", "report"])
async def test_what_is_lost_is_a_time_out_and_goes_no_second_way(tmp_path: Path, lost: str) -> None:
    clock = ManualClock()
    async with ordered(
        tmp_path, clock=clock, control="auto", username=None, password=None, cameras={"10000/1001": {}}
    ) as there:
        await there.introduce()
        there.subscriber.deaf, there.camera.mute = lost == "order", lost == "report"
        ticket = await there.pump.ask("gate.open", expires=10)
        while lost == "report" and not there.account.names:
            await asyncio.sleep(0.01)
        while there.pump.source.broker is None or not there.pump.source.broker.flying:
            await asyncio.sleep(0.01)
        await there.keep_alive()
        waiting = asyncio.ensure_future(ticket.result)
        await clock.run(20.0)
        assert (await asyncio.wait_for(waiting, 60)).status == "timed-out"
        await there.keep_alive()
        assert there.account.names == (["open"] if lost == "report" else [])
        assert there.pump.source.broker.flying == 0


async def test_the_most_direct_way_that_stands_is_taken_and_one_alone(tmp_path: Path) -> None:
    async with ordered(tmp_path, control="auto") as there:
        await there.introduce()
        assert await there.status("gate.open") == "done"
        assert (there.pump.camera.account.names, there.account.names) == (["open"], [])
        await there.pump.camera.go_away()
        assert await there.status("gate.open") == "done"
        assert there.account.names == ["open"], "the camera's interface is away: through the broker"
        await there.broker.kill()
        while there.pump.source.broker is None or there.pump.source.broker.up.is_set():
            await asyncio.sleep(0.01)
        ticket = await there.pump.ask("gate.open")
        while not there.pump.source.waits("10000/1001"):
            await asyncio.sleep(0.01)
        await there.keep_alive()
        assert (await ticket.result).status == "done"
        assert there.account.names == ["open", "open"], "the broker is away too: by the answer to a keep-alive"
        with pytest.raises(NotTaken):
            await there.pump.ask("list.clear", list="allow")


async def test_what_only_another_way_can_say_goes_that_way(tmp_path: Path) -> None:
    async with ordered(tmp_path, control="auto", username=None, password=None, cameras={"10000/1001": {}}) as there:
        await there.introduce()
        ticket = await there.pump.ask("lamp.set", mode="auto")
        while not there.pump.source.waits("10000/1001"):
            await asyncio.sleep(0.01)
        await there.keep_alive()
        assert (await ticket.result).status == "done"
        assert (there.subscriber.heard, there.account.names) == ([], ["lamps"])


async def test_a_camera_that_says_that_it_uses_no_broker_is_not_ordered_there(tmp_path: Path) -> None:
    async with ordered(tmp_path, park_ids=["10000"], cameras={"1001": {}}) as there:
        await there.introduce(mqttEnable=0)
        assert [*there.pump.source.verbs(TARGET)] == []
        await there.introduce(mqttEnable=1)
        assert await there.status("gate.open") == "done"


async def test_a_camera_that_is_away_gets_nothing_when_it_comes_back(tmp_path: Path) -> None:
    clock = ManualClock()
    async with ordered(tmp_path, clock=clock) as there:
        there.subscriber.deaf = True
        away = {"identifier": "away", "clean_session": False, "timeout": 30.0}
        async with aiomqtt.Client("127.0.0.1", there.broker.port, **away) as client:  # type: ignore[arg-type]
            await client.subscribe(TOPIC, qos=1)
        ticket = await there.pump.ask("gate.open", expires=10)
        while there.pump.source.broker is None or not there.pump.source.broker.flying:
            await asyncio.sleep(0.01)
        waiting = asyncio.ensure_future(ticket.result)
        await clock.run(20.0)
        assert (await asyncio.wait_for(waiting, 60)).status == "timed-out"
        async with aiomqtt.Client("127.0.0.1", there.broker.port, **away) as client:  # type: ignore[arg-type]
            await client.subscribe("last", qos=1)
            await client.publish("last", b"", qos=1)
            async for message in client.messages:
                assert str(message.topic) == "last", "the broker has kept the order for it"
                break


async def test_without_the_broker_nothing_is_sent_and_it_is_connected_again(tmp_path: Path) -> None:
    async with ordered(tmp_path) as there:
        link = there.pump.source.broker
        assert link is not None
        await there.broker.kill()
        while link.up.is_set():
            await asyncio.sleep(0.01)
        found = await there.pump.result("gate.open")
        assert (found.status, "not connected" in found.reason) == ("failed", True)
        await there.broker.start()
        await asyncio.wait_for(link.up.wait(), 60)
        assert await there.status("serial.send", hex="77") == "unknown"


async def test_the_brokers_login_is_used_and_stands_nowhere(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    login = {"username": "pump", "password": "broker-secret-1"}
    async with ordered(tmp_path, extra="allow_anonymous false", login=login) as there:
        found = await there.pump.result("gate.open", expires=0.5)
        assert found.status == "failed"
        while "cameras' broker is away" not in (seen := capfd.readouterr().out):
            await asyncio.sleep(0.01)
        events = orjson.dumps(await there.pump.site.events()).decode()
        assert "broker-secret-1" not in seen + events + repr(there.pump.source.settings)


async def test_as_many_bytes_go_to_the_serial_port_as_the_document_allows(tmp_path: Path) -> None:
    async with ordered(tmp_path) as there:
        assert await there.status("serial.send", hex="7a" * 1024) == "unknown"
        while not there.account.actions:
            await asyncio.sleep(0.01)
        assert there.account.actions[0][1] == (1, "7a" * 1024)
        with pytest.raises(NotTaken, match="2048 characters"):
            await there.pump.ask("serial.send", hex="7a" * 1025)


class Hasty(Clock):
    """Tries a broker again at once where seconds were wanted; time itself passes as ever."""

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(min(seconds, 0.02))


async def test_cancelled_at_any_moment_an_order_was_sent_once_or_not_at_all(tmp_path: Path) -> None:
    clock = Hasty()
    async with ordered(tmp_path, clock=clock) as there:
        there.camera.mute = True
        link, sent = there.pump.source.broker, 0
        assert link is not None
        for turns in (0, 1, 2, 3, 5, 8, 50):
            command = Command(str(turns), "gate.open", TARGET, {}, "socket", clock.monotonic() + 60.0, clock)
            doing = asyncio.create_task(there.pump.source.command(command))
            for _ in range(turns):
                await asyncio.sleep(0)
            doing.cancel()
            await asyncio.wait({doing})
            sent += command.sent
            assert (link.flying, len(there.account.actions) <= sent) == (0, True)
            await asyncio.sleep(0.02)  # a connection that took nothing is dropped meanwhile
            await asyncio.wait_for(link.up.wait(), 60)
        assert 0 < sent < 7


@needs_openssl
async def test_a_broker_with_tls_is_believed_by_its_authority_alone(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for name, by in (("ca", None), ("other", None), ("server", "ca")):
        certificate(tmp_path, name, by=by)
    extra = (
        f"allow_anonymous true\ncafile {tmp_path}/ca.pem\ncertfile {tmp_path}/server.pem\nkeyfile {tmp_path}/server.key"
    )
    async with Mosquitto(tmp_path / "broker", extra=extra) as server:
        url = f"mqtts://127.0.0.1:{server.port}"
        for ca in ("ca", "other", "missing"):
            settings = BrokerSettings(url=url, topic=TOPIC, ca=tmp_path / f"{ca}.pem")
            link, counted = Broker(settings, "gate", Clock()), asyncio.Queue[str]()
            running = asyncio.create_task(link.run(counted.put_nowait))
            assert await asyncio.wait_for(counted.get(), 60) == ("broker up" if ca == "ca" else "broker lost")
            running.cancel()
            await asyncio.wait({running})
            assert not link.up.is_set()
    assert "cameras' broker is away" in capfd.readouterr().out


async def test_a_stop_ends_a_connection_that_is_just_coming_about(tmp_path: Path) -> None:
    async def hear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            await reader.read()
        writer.close()

    mute = await asyncio.start_server(hear, "127.0.0.1", 0)
    port = mute.sockets[0].getsockname()[1]
    try:
        link = Broker(BrokerSettings(url=f"mqtt://127.0.0.1:{port}", topic=TOPIC), "gate", Clock())
        for turns in (1, 2, 5, 20, 200):
            running = asyncio.create_task(link.run(lambda what: None))
            for _ in range(turns):
                await asyncio.sleep(0)
            running.cancel()
            await asyncio.wait({running}, timeout=60)
            assert running.cancelled()
    finally:
        mute.close()


async def test_a_stop_leaves_what_was_ordered_unknown(tmp_path: Path) -> None:
    async with ordered(tmp_path) as there:
        there.camera.mute = True
        ticket = await there.pump.ask("gate.open")
        while not there.account.names:
            await asyncio.sleep(0.01)
        await there.pump.desk.close()
        assert (await ticket.result).status == "unknown"
        assert there.account.names == ["open"]


@pytest.mark.parametrize(
    ("table", "what"),
    [
        ({"control": "mqtt"}, "wants a broker"),
        ({"cameras": {"1": {"control": "mqtt"}}}, "wants a broker"),
        ({"broker": {"url": "http://b", "topic": "t"}}, "mqtt://broker:1883"),
        ({"broker": {"url": "mqtt://u:p@b", "topic": "t"}}, "mqtt://broker:1883"),
        ({"broker": {"url": "mqtt://b", "topic": "t/#"}}, "without"),
        ({"broker": {"url": "mqtt://b", "topic": "t", "password": "p"}}, "password needs username"),
        ({"broker": {"url": "mqtt://b", "topic": "t", "ca": "x"}}, "mqtts"),
        ({"list_modes": {"add": 1, "remove": 1}}, "two numbers"),
    ],
)  # fmt: skip
def test_settings_that_cannot_be_meant(table: dict[str, Any], what: str) -> None:
    with pytest.raises(ValidationError, match=what):
        AvaEyeSettings.model_validate({"type": "avaeye", **table})


async def test_a_bug_of_the_broker_s_connection_leaves_the_cameras_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with ordered(tmp_path) as there:
        link = there.pump.source.broker
        assert link is not None
        monkeypatch.setattr(connection, "KEEPALIVE", "no time")
        with capture_logs() as logs:
            link._broken.set()  # it is to be made anew
            while not any("met a bug" in line["event"] for line in logs):
                await asyncio.sleep(0.01)
        monkeypatch.undo()
        await link.up.wait()
        assert await there.status("gate.open") == "done"
