"""Raw calls with the device's digest login, against the simulated device, which lets nobody else in."""

from __future__ import annotations

from pathlib import Path

from pump.vendors.hik_camera.simulator.controls import PICTURE
from tests.unit.ops.commands.calling import Found, called
from tests.unit.vendors.hik_camera.test_commands import Commanding, commanding

_HIGH = b"<IOPortData><outputState>high</outputState></IOPortData>"


async def made(there: Commanding, method: str, path: str, body: object = None) -> Found:
    found = await called("door", there.pump.source, there.desk, method, path, body, content_type="application/xml")
    assert there.device.login.password not in repr(found)
    return found


async def test_a_call_is_made_and_its_answer_given_back_whole(tmp_path: Path) -> None:
    async with commanding(tmp_path) as there:
        found = await made(there, "GET", "/ISAPI/System/deviceInfo")
        assert (found.status, b"<serialNumber>" in found.body) == ("done", True)
        found = await made(there, "GET", "/ISAPI/Streaming/channels/101/picture")
        assert (found.status, found.body) == ("done", PICTURE)
        found = await made(there, "PUT", "/ISAPI/System/IO/outputs/1/trigger", _HIGH)
        assert (found.status, there.did[-1]) == ("done", ("output", 1, "high"))


async def test_a_refusal_is_given_back_and_a_lost_answer_is_not_asked_for_again(tmp_path: Path) -> None:
    async with commanding(tmp_path) as there:
        found = await made(there, "PUT", "/ISAPI/System/IO/outputs/9/trigger", _HIGH)
        assert (found.status, b"ResponseStatus" in found.body) == ("refused", True)
        there.device.controls.habits.append("drop")
        found = await made(there, "PUT", "/ISAPI/System/IO/outputs/2/trigger", _HIGH)
        assert (found.status, there.did) == ("unknown", [("output", 2, "high")])


async def test_the_stream_stays_the_sources_own(tmp_path: Path) -> None:
    async with commanding(tmp_path) as there:
        found = await made(there, "GET", "/ISAPI/Event/notification/alertStream")
        assert (found.status, there.device.streams) == ("refused", 1)


async def test_a_rejected_password_is_not_tried_again(tmp_path: Path) -> None:
    async with commanding(tmp_path) as there:
        there.device.login.password = "another-one"
        found = [await made(there, "GET", "/ISAPI/System/deviceInfo") for _ in range(2)]
        assert [one.status for one in found] == ["refused", "failed"]
