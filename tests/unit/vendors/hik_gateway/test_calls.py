"""Raw calls with the gateway's digest login, against the simulated gateway, which lets nobody else in."""

from __future__ import annotations

import json
from pathlib import Path

from pump.vendors.hik_gateway.simulator.documented import DEVICES, GATEWAYS, XML
from tests.unit.ops.commands.calling import Found, called
from tests.unit.vendors.hik_gateway.site import PASSWORD
from tests.unit.vendors.hik_gateway.test_commands import PANEL, Commanding, commanding


async def made(there: Commanding, method: str, path: str, body: object = None) -> Found:
    return await called("arc", there.pump.source, there.desk, method, path, body)


async def test_every_documented_call_without_a_verb_can_be_made(tmp_path: Path) -> None:
    async with commanding(tmp_path) as there:
        taken = there.pump.vendor.account.taken
        taken.clear()
        for rows, index in ((GATEWAYS, ""), (DEVICES, PANEL)):
            for method, path in rows:
                filled = path.replace("<ID>", "1")
                query = [*([] if path == XML else ["format=json"]), *([f"devIndex={index}"] if index else [])]
                body = None if method == "GET" else {"any": 1}
                found = await made(there, method, f"{filled}?{'&'.join(query)}", body)
                assert (found.status, found.http) == ("done", 200), (method, filled, found)
                assert taken[-1] == (method, filled, index, b"" if body is None else b'{"any": 1}')
        assert len(taken) == len(GATEWAYS) + len(DEVICES) == 21


async def test_the_calls_that_the_pump_makes_itself_can_be_made_too(tmp_path: Path) -> None:
    async with commanding(tmp_path) as there:
        for method, path, body in (
            ("POST", "/ISAPI/ContentMgmt/DeviceMgmt/deviceList?format=json",
             {"SearchDescription": {"position": 0, "maxResult": 10, "Filter": {}}}),
            ("POST", "/ISAPI/ContentMgmt/DeviceMgmt/refreshDevInfo?format=json", {"DevList": [PANEL]}),
            ("GET", "/ISAPI/Security/userCheck?format=json", None),
            ("GET", f"/ISAPI/SecurityCP/status/subSystems?format=json&devIndex={PANEL}", None),
            ("GET", f"/ISAPI/SecurityCP/status/zones?format=json&devIndex={PANEL}", None),
            ("GET", f"/ISAPI/SecurityCP/status/exDevStatus?format=json&devIndex={PANEL}", None),
            ("GET", "/HikGatewayStorage/clip.mp4", None),
            ("PUT", f"/ISAPI/SecurityCP/control/disarm/1?format=json&devIndex={PANEL}", None),
        ):  # fmt: skip
            found = await made(there, method, path, body)
            assert (found.status, found.http) == ("done", 200), (path, found)
            assert found.body
        assert there.did == [(PANEL, "disarm", "1", "")]


async def test_a_refusal_is_given_back_and_a_lost_answer_is_not_asked_for_again(tmp_path: Path) -> None:
    async with commanding(tmp_path) as there:
        found = await made(there, "GET", "/ISAPI/System/capabilities?format=json")
        assert (found.status, found.http, b'"statusCode":4' in found.body) == ("refused", 404, True)
        there.pump.vendor.faults.commands = ["drop"]
        found = await made(there, "PUT", f"/ISAPI/SecurityCP/control/arm/1?ways=away&format=json&devIndex={PANEL}")
        assert (found.status, found.http, there.did) == ("unknown", None, [(PANEL, "arm", "1", "away")])


async def test_the_subscription_stays_the_sources_own(tmp_path: Path) -> None:
    async with commanding(tmp_path) as there:
        streams = there.pump.vendor.account.streams
        for path in ("subscribeDeviceMgmt", "unSubscribeDeviceMgmt/5939", "SubscribeDeviceMgmt/5939/queryStatus"):
            found = await made(there, "POST", f"/ISAPI/Event/notification/{path}?format=json", {})
            assert (found.status, found.http) == ("refused", None)
        assert (there.pump.vendor.account.streams, there.pump.vendor.account.closed) == (streams, [])


async def test_a_rejected_password_is_not_tried_again_and_stands_nowhere(tmp_path: Path) -> None:
    async with commanding(tmp_path) as there:
        there.pump.vendor.digest.password = "another"
        asked = len(there.pump.vendor.account.requests)
        found = [await made(there, "GET", "/ISAPI/System/time?format=json") for _ in range(2)]
        assert {one.status for one in found} <= {"refused", "failed"}, "the device list may find it out first"
        assert found[1].status == "failed"
        assert len(there.pump.vendor.account.requests) <= asked + 3, "the second call asked nothing"
        events = json.dumps([json.loads(one.body) for one in await there.pump.spool.read(0, limit=1000)])
        assert PASSWORD not in events + repr(found)
