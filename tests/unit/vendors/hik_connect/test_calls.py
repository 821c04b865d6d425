"""Raw calls with the account's token and in its limiter, against the simulated vendor, which refuses any other."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pump.ops.commands.desk import CommandDesk
from pump.vendors.hik_connect import limiter
from pump.vendors.hik_connect.simulator.clips import _CAMERAS
from pump.vendors.hik_connect.simulator.documented import GETS, POSTS, PREFIX
from pump.vendors.hik_connect.simulator.server import Fault
from tests.unit.ops.commands.calling import called
from tests.unit.vendors.hik_connect.test_commands import desk
from tests.unit.vendors.hik_connect.test_source import SECRET_KEY, Site


async def made(there: Site, over: CommandDesk, method: str, path: str, body: object = None) -> tuple[str, Any, str]:
    """Status, answer and reason of a call."""
    found = await called("teams", there.source, over, method, path, body)
    return found.status, json.loads(found.body) if found.body else None, found.reason


async def test_every_documented_call_without_a_verb_can_be_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("INTERVAL", 0.0), ("MOST", 1000)):  # 80 calls at the account's pace would take 20 s
        monkeypatch.setattr(limiter, name, value)
    async with desk(tmp_path) as (vendor, there, over):
        wanted = [("GET", path) for path in GETS] + [("POST", path) for path in POSTS]
        for method, path in wanted:
            filled = f"{PREFIX}{path}".replace("{deviceId}", "d1").replace("{id}", "i1")
            body = {"pageIndex": 1} if method == "POST" else None
            assert (await made(there, over, method, filled, body))[:2] == ("done", {"data": {}, "errorCode": "0"})
            assert vendor.taken[-1] == (method, filled, body or {})
        assert len(vendor.taken) == len(wanted)


async def test_calls_that_the_source_makes_itself_can_be_made_too(tmp_path: Path) -> None:
    async with desk(tmp_path) as (vendor, there, over):
        local = {"beginTime": "2026-11-20T00:00:00", "endTime": "2026-11-20T01:00:00"}
        day = {"beginTime": "2026-11-20T00:00:00+00:00", "endTime": "2026-11-20T01:00:00+00:00"}
        camera = sorted(_CAMERAS)[0]
        rows: list[tuple[str, dict[str, Any]]] = [
            ("alarm/v1/alarmlog", {"pageIndex": 1, "pageSize": 10, "timeRange": local, "areaID": ["-1"]}),
            ("acs/v1/event/certificaterecords/search",
             {"pageIndex": 1, "pageSize": 10, "searchCriteria": {**day, "searchType": 0}}),
            ("resource/v1/areas/get", {"pageIndex": 1, "pageSize": 10}),
            ("resource/v1/devices/get", {"pageIndex": 1, "pageSize": 10}),
            ("maintenance/v1/list/device/detail", {"page": 1, "pageSize": 10, "deviceCategory": 1}),
            ("video/v1/video/save", {"cameraId": camera, **day, "voiceSwitch": 0}),
        ]  # fmt: skip
        for path, body in rows:
            status, answer, reason = await made(there, over, "POST", PREFIX + path, body)
            assert (status, answer["errorCode"]) == ("done", "0"), (path, answer, reason)
        (task,) = vendor.clips.tasks
        status, answer, _ = await made(there, over, "POST", f"{PREFIX}video/v1/video/download/url", {"taskId": task})
        assert (status, answer["errorCode"]) == ("done", "0")


async def test_a_call_that_the_vendor_refuses_is_refused_with_its_answer(tmp_path: Path) -> None:
    async with desk(tmp_path) as (vendor, there, over):
        status, answer, reason = await made(there, over, "POST", f"{PREFIX}resource/v1/device/capturePic", {})
        assert (status, answer["errorCode"], "OPEN000010" in reason) == ("refused", "OPEN000010", True)
        status, _, reason = await made(there, over, "POST", f"{PREFIX}no/such/call", {})
        assert (status, reason) == ("refused", "HTTP 404")
        assert vendor.taken == []


@pytest.mark.parametrize(
    ("fault", "status", "taken"),
    [
        (Fault("lost_answer"), "unknown", 1), (Fault("drop"), "unknown", 0),
        (Fault("status", status=503), "unknown", 0), (Fault("status", status=429), "refused", 0),
        (Fault("status", status=401), "done", 1), (Fault("error", code="OPEN000007"), "done", 1),
        (Fault("error", code="OPEN000006", times=2), "refused", 0),
    ],
)  # fmt: skip
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_only_a_refused_token_has_it_made_again(
    tmp_path: Path, fault: Fault, status: str, taken: int, method: str
) -> None:
    path = {"GET": "platform/v1/servicepackage", "POST": "person/v1/persons/list"}[method]
    async with desk(tmp_path) as (vendor, there, over):
        vendor.faults.push(replace(fault, path=path))
        assert (await made(there, over, method, PREFIX + path))[0] == status
        assert len(vendor.taken) == taken


async def test_the_login_and_the_queues_stay_the_sources_own(tmp_path: Path) -> None:
    async with desk(tmp_path) as (vendor, there, over):
        asked = len([call for call in vendor.account.calls if "token" in call.path or "complete" in call.path])
        for path in (
            "platform/v1/token/get", "Platform/v1/Token/get", "alarm/v1/mq/messages/complete", "rawmsg/v1/mq/messages",
            "combine/v1/mq/subscribe", "combine/v1/%6dq/messages",
        ):  # fmt: skip
            status, _, reason = await made(there, over, "POST", PREFIX + path, {"batchId": "1"})
            assert (status, "own" in reason) == ("refused", True)
        assert asked == len([call for call in vendor.account.calls if "token" in call.path or "complete" in call.path])


async def test_neither_key_nor_token_stands_in_an_answer_or_an_event(tmp_path: Path) -> None:
    async with desk(tmp_path) as (vendor, there, over):
        token = next(iter(vendor.account.tokens))
        status, answer, _ = await made(there, over, "GET", f"{PREFIX}platform/v1/streamtoken/get?echo={token}")
        assert status == "done"
        events = json.dumps([*map(json.loads, [record.body for record in await there.spool.read(0, limit=1000)])])
        assert "command.result" in events
        assert not any(secret in events + json.dumps(answer) for secret in (token, SECRET_KEY))
