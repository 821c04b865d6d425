"""The simulated logs refuse what the vendor refuses (5.2, 5.3.4, 5.7.3, 5.11.2, A.4) and keep what devices sent."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest

from pump.testing import ManualClock
from pump.vendors.hik_connect.simulator.quirks import LogQuirks
from pump.vendors.hik_connect.simulator.server import Simulator
from tests.unit.vendors.hik_connect.simulator.test_server import Client, run

ALARMS = "/api/hccgw/alarm/v1/alarmlog"
RECORDS = "/api/hccgw/acs/v1/event/certificaterecords/search"
AREAS = "/api/hccgw/resource/v1/areas/get"
DEVICES = "/api/hccgw/resource/v1/devices/get"
DETAILS = "/api/hccgw/maintenance/v1/list/device/detail"
DAY = {"beginTime": "2026-11-19T12:00:00", "endTime": "2026-11-20T12:00:00"}


async def areas(client: Client) -> list[str]:
    _, answer = await client.send(AREAS, {"pageIndex": "1", "pageSize": "10"})
    return [area["id"] for area in answer["data"]["area"]]


async def alarms(client: Client, **more: Any) -> dict[str, Any]:
    body = {"pageIndex": 1, "pageSize": 500, "timeRange": DAY, "areaID": await areas(client), **more}
    _, answer = await client.send(ALARMS, body)
    data: dict[str, Any] = answer["data"]
    return data


@pytest.mark.parametrize(("change", "code"), [
    ({}, "0"),
    ({"areaID": "a0"}, "0"),
    ({"timeRange": {"beginTime": "2026-11-19 12:00:00", "endTime": "2026-11-20 12:00:00"}}, "OPEN000026"),
    ({"timeRange": {"beginTime": "2026-11-19T12:00:00Z", "endTime": "2026-11-20T12:00:00Z"}}, "OPEN000026"),
    ({"timeRange": {**DAY, "endTime": "2026-11-20T12:00:01"}}, "OPEN000027"),
    ({"timeRange": {}}, "OPEN000026"),
    ({"areaID": []}, "OPEN000028"),
    ({"areaID": ""}, "OPEN000028"),
    ({"areaID": [str(number) for number in range(101)]}, "OPEN000024"),
    ({"pageSize": 501}, "OPEN000025"),
    ({"pageIndex": 0}, "OPEN000010"),
    ({"pageIndex": None}, "OPEN000010"),
    ({"surprise": 1}, "OPEN000010"),
    ({"eventTypeList": [10002]}, "OPEN000008"),
])  # fmt: skip
async def test_the_alarm_log_s_parameters(change: dict[str, Any], code: str) -> None:
    async def test(client: Client) -> None:
        body = {"pageIndex": 1, "pageSize": 500, "timeRange": DAY, "areaID": ["a0"], **change}
        assert await client.code(ALARMS, body) == code

    await run(test)


async def test_a_row_has_start_and_end_and_no_offset_and_pages_hold_all() -> None:
    async def test(client: Client) -> None:
        client.simulator.put("alarm", *client.simulator.make("alarm", 4, "matter"))  # nobody subscribes
        [row] = (await alarms(client))["alarmLogList"]
        assert set(row["timeInfo"]) == {"startTime", "endTime"}
        assert row["timeInfo"]["startTime"] < row["timeInfo"]["endTime"]
        assert not row["timeInfo"]["startTime"].endswith("Z")
        assert (row["alarmState"], row["markState"], row["affirmedState"]) == ("0", "1", "1")
        client.simulator.put("combine", *client.simulator.make("combine", 24, "camera"))
        client.simulator.put("combine", *client.simulator.make("combine", 5, "gps"))
        seen = []
        for page in range(1, 4):
            data = await alarms(client, pageIndex=page, pageSize=10)
            seen += [one["guid"] for one in data["alarmLogList"]]
            assert data["moreData"] == (page < 3)
        assert len(seen) == len(set(seen)) == 25, "positions are in no log"
        some = await alarms(client, eventTypeList=["10103"])
        assert {one["eventSource"]["eventType"] for one in some["alarmLogList"]} == {"10103"}

    await run(test)


async def test_records_are_found_by_a_time_with_an_offset_alone() -> None:
    async def test(client: Client) -> None:
        client.simulator.put("rawmsg", *client.simulator.make("rawmsg", 5, "access"))

        async def found(begin: str, end: str, name: str = "searchCriteria") -> int:
            body = {"pageIndex": 1, "pageSize": 200, name: {"beginTime": begin, "endTime": end}}
            _, answer = await client.send(RECORDS, body)
            return int(answer["data"]["totalNum"]) if answer["errorCode"] == "0" else -1

        assert await found("2026-11-20T07:00:00+00:00", "2026-11-20T09:00:00+00:00") == 5
        assert await found("2026-11-20T15:00:00+08:00", "2026-11-20T17:00:00+08:00") == 5
        assert await found("2026-11-20T07:00:00Z", "2026-11-20T09:00:00Z") == 0
        assert await found("2026-11-20T07:00:00", "2026-11-20T09:00:00") == -1
        assert await found("2026-11-21T07:00:00+00:00", "2026-11-21T09:00:00+00:00") == 0
        assert await found("2026-11-20T07:00:00+00:00", "2026-11-20T09:00:00+00:00", "searchCreteria") == -1
        assert await client.code(RECORDS, {"pageIndex": 1, "pageSize": 201}) == "OPEN000025"
        _, answer = await client.send(RECORDS, {})
        assert {"recordGuid", "devSerialNo", "deviceId", "occurTime"} <= answer["data"]["recordList"][0].keys()

    await run(test)


async def test_another_spelling_of_the_criteria_is_the_only_one() -> None:
    clock = ManualClock()
    habits = LogQuirks(search_criteria="searchCreteria")
    async with (
        Simulator(clock=clock, log_quirks=habits, rate_limit=None) as simulator,
        aiohttp.ClientSession() as session,
    ):
        client = Client(simulator, clock, session)
        await client.login()
        assert await client.code(RECORDS, {"searchCreteria": {}}) == "0"
        assert await client.code(RECORDS, {"searchCriteria": {}}) == "OPEN000010"


async def test_devices_and_their_states() -> None:
    async def test(client: Client) -> None:
        _, answer = await client.send(DEVICES, {"pageIndex": 1, "pageSize": 10})
        assert (answer["data"]["totalCount"], len(answer["data"]["device"])) == (18, 10)
        camera = next(one for one in answer["data"]["device"] if one["category"] == "encodingDevice")
        client.simulator.logs.online[camera["id"]] = 0
        found: dict[str, int] = {}
        for area in await areas(client):
            _, answer = await client.send(DETAILS, {"page": 1, "pageSize": 1, "areaId": area, "deviceCategory": 2001})
            assert answer["data"]["hasNext"]
            found |= {one["baseStatus"]["id"]: one["baseStatus"]["status"] for one in answer["data"]["devices"]}
            body = {"page": 2, "pageSize": 1, "areaId": area, "deviceCategory": 2001}
            _, answer = await client.send(DETAILS, body)
            assert not answer["data"]["hasNext"]
            found |= {one["baseStatus"]["id"]: one["baseStatus"]["status"] for one in answer["data"]["devices"]}
        assert len(found) == 6
        assert [id_ for id_, status in found.items() if status == 0] == [camera["id"]]
        _, answer = await client.send(DETAILS, {"page": 1, "deviceCategory": 2001})
        assert answer["data"]["devices"] == [], "without an area there is no device"
        assert await client.code(DETAILS, {"page": 1, "pageSize": 101, "deviceCategory": 2001}) == "OPEN000025"

    await run(test)


async def test_rows_live_thirty_days() -> None:
    async def test(client: Client) -> None:
        client.simulator.put("combine", *client.simulator.make("combine", 3, "camera"))
        assert len((await alarms(client))["alarmLogList"]) == 3
        client.clock.advance(31 * 86400.0)
        await client.login()
        assert (await alarms(client))["alarmLogList"] == []

    await run(test)
