"""Orders and answers of a subscription, as the document has them (9.27 to 9.30)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pump.ingest.stream.stream import ABSENT, CUT
from pump.vendors.hik_gateway.codes import ADVICE
from pump.vendors.hik_gateway.subscription import Wanted, broken, granted
from tests.unit.vendors.hik_gateway.site import site


@pytest.mark.parametrize(
    ("wanted", "order"),
    [
        (Wanted(), {"eventMode": "all", "defenceMode": "all"}),
        (Wanted(("CIDAlarm",)), {"eventMode": "all", "defenceMode": "part", "eventList": ["CIDAlarm"]}),
        (
            Wanted((), {"a": (), "b": ("videoReview",)}),
            {
                "eventMode": "device",
                "DevEventList": [
                    {"Dev": {"devIndex": "a", "uploadMode": "all"}},
                    {"Dev": {"devIndex": "b", "uploadMode": "part", "eventList": ["videoReview"]}},
                ],
            },
        ),
        (
            Wanted(("CIDAlarm",), {"a": ()}),  # a device without a list of its own has the source's
            {
                "eventMode": "device",
                "DevEventList": [{"Dev": {"devIndex": "a", "uploadMode": "part", "eventList": ["CIDAlarm"]}}],
            },
        ),
    ],
)
def test_orders(wanted: Wanted, order: dict[str, Any]) -> None:
    assert wanted.body() == {"SubscribeDeviceMgmt": order}


async def test_the_configured_events_are_what_is_ordered_first(tmp_path: Path) -> None:
    async with site(tmp_path, settings={"events": ["CIDAlarm", "videoReview"]}) as one:
        await one.up()
        assert one.vendor.account.orders == [
            {"eventMode": "all", "defenceMode": "part", "eventList": ["CIDAlarm", "videoReview"]}
        ]


def test_answers() -> None:
    answer = {
        "SubscribeDeviceMgmtRsp": {
            "id": 3,
            "FailList": [
                {"Dev": {"devIndex": "a", "subStatusCode": "networkError"}},
                {"devIndex": "b", "subStatusCode": "neverHeardOf"},  # without the Dev around it
                {"Dev": {"devIndex": "", "subStatusCode": "x"}},
                "nonsense",
            ],
        }
    }
    found = granted(answer)
    assert found is not None
    assert found.id == "3"
    assert found.failed == {"a": "it is not reachable (networkError)", "b": "neverHeardOf"}
    bare = granted({"SubscribeDeviceMgmtRsp": {"FailList": None}})
    assert bare is not None
    assert (bare.id, bare.failed) == (None, {})
    others: list[Any] = [None, [], {}, {"SubscribeDeviceMgmtRsp": 1}, {"EventNotificationAlert": {}}]
    for other in others:
        assert granted(other) is None


def test_status() -> None:
    rows = [
        {"Dev": {"devIndex": "a", "status": "continue"}}, {"Dev": {"devIndex": "b", "status": "abnormalLink"}},
        {"Dev": {"devIndex": "c", "status": "fail"}}, {"Dev": {"devIndex": "d"}}, {"Dev": {"status": "fail"}}, None,
    ]  # fmt: skip
    assert broken({"SubscribeQueryStatusList": rows}) == {
        "b": "the gateway's link to it is broken (abnormalLink)", "c": "the gateway could not subscribe it (fail)",
    }  # fmt: skip
    assert broken({"SubscribeQueryStatusList": {}}) == broken(None) == {}


def test_refused_connections_are_tried_within_two_seconds_and_other_errors_back_off_to_a_minute() -> None:
    assert ABSENT[1] < 2.0
    assert CUT[1] == 60.0
    assert (ADVICE["devicebusy"].cap, ADVICE["deployexceedmax"].first) == (60.0, 60.0)
    assert ADVICE["badauthorization"].first == 600.0


async def test_after_many_errors_of_no_known_kind_the_link_comes_about(tmp_path: Path) -> None:
    async with site(tmp_path) as one:
        one.vendor.faults.refuse = [(500, "Internal Error", "")] * 12
        one.pace = 1.0
        await one.until(lambda: not one.vendor.faults.refuse)
        assert "HTTP 500" in one.intake.component.reason
        await one.up()
