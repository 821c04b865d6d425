"""What an operator asks of a running source's subscription: `pump subscribe`, without the command line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from pump.core.errors import Refusal
from pump.ops.subscribe import Subscribe
from pump.vendors.hik_gateway.simulator.server import Device
from pump.vendors.hik_gateway.subscription import amended
from tests.unit.vendors.hik_gateway.site import Site, site

A, B = (f"2cd6716d-767f-4756-ac55-50276a5e3b{n:02x}" for n in (1, 2))


async def nothing(progress: dict[str, Any]) -> None:
    """Progress that nobody looks at."""


async def asked(one: Site, **arguments: Any) -> dict[str, Any]:
    return await Subscribe({"arc": one.source}).subscribe({"source": "arc", **arguments}, nothing)


@pytest.mark.parametrize(
    ("now", "types", "add", "drop", "wanted"),
    [
        (("a",), ["b"], [], [], ("b",)),
        (("a",), [], [], [], ()),
        (("a",), None, ["b", "a"], [], ("a", "b")),
        (("a", "b"), None, ["c"], ["a"], ("b", "c")),
        (("a",), ["b", "c", "b"], ["d"], ["c"], ("b", "d")),
        ((), ["a"], [], [], ("a",)),
    ],
)
def test_types_take_the_place_add_and_drop_change(
    now: Sequence[str], types: Sequence[str] | None, add: Sequence[str], drop: Sequence[str], wanted: tuple[str, ...]
) -> None:
    assert amended(now, types=types, add=add, drop=drop) == wanted


@pytest.mark.parametrize(
    ("now", "add", "drop", "word"),
    [
        ((), ["a"], [], "every event type"),
        ((), [], ["a"], "every event type"),
        (("a",), [], ["a"], "no event type would be left"),
    ],
)
def test_a_change_that_means_nothing_is_refused(
    now: Sequence[str], add: Sequence[str], drop: Sequence[str], word: str
) -> None:
    with pytest.raises(ValueError, match=word):
        amended(now, add=add, drop=drop)


async def test_one_device_s_types_are_changed_by_the_gateway_s_own_calls(tmp_path: Path) -> None:
    async with site(tmp_path, settings={"devices": {A: ["CIDAlarm"]}}) as one:
        await one.up()
        (stream,) = one.vendor.subscriptions.values()
        result = await asked(one, device=A, add=["videoReview"])
        assert result == {
            "mode": "device", "events": [], "devices": {A: ["CIDAlarm", "videoReview"]}, "anew": False,
            "connected": True,
        }  # fmt: skip
        assert stream.devices == {A: ["CIDAlarm", "videoReview"]}
        await asked(one, device=A, drop=["CIDAlarm"])
        await asked(one, device=B, types=[])
        assert stream.devices == {A: ["videoReview"], B: None}
        await asked(one, device=A, leave=True)
        assert stream.devices == {B: None}
        before = len(one.vendor.account.requests)
        assert (await asked(one))["devices"] == {B: []}
        assert len(one.vendor.account.requests) == before, "to look asks nobody"
        assert one.vendor.account.streams == 1


async def test_a_change_for_all_devices_is_a_new_subscription(tmp_path: Path) -> None:
    async with site(tmp_path, settings={"events": ["CIDAlarm"]}) as one:
        await one.up()
        (number,) = one.vendor.subscriptions
        result = await asked(one, add=["videoReview"])
        assert (result["events"], result["anew"]) == (["CIDAlarm", "videoReview"], True)
        await one.until(lambda: one.vendor.account.streams == 2)
        assert one.vendor.account.closed == [str(number)]
        assert one.vendor.account.orders[1] == {
            "eventMode": "all", "defenceMode": "part", "eventList": ["CIDAlarm", "videoReview"],
        }  # fmt: skip
        await one.gapped()
        # The same once more changes nothing.
        assert not (await asked(one, add=["videoReview"]))["anew"]


async def test_what_an_operator_asked_holds_against_the_gateway_s_list(tmp_path: Path) -> None:
    settings = {"event_mode": "device", "inventory_interval": "70s"}
    async with site(tmp_path, settings=settings) as one:
        await one.up()
        (stream,) = one.vendor.subscriptions.values()
        others = {index: None for index in one.vendor.devices if index not in (A, B)}
        await asked(one, device=A, leave=True)
        await asked(one, device=B, types=["CIDAlarm"])
        one.vendor.devices["new-1"] = Device("new-1", "Panel new")
        one.pace = 0.5
        await one.until(lambda: "new-1" in stream.devices)
        assert stream.devices == {**others, B: ["CIDAlarm"], "new-1": None}
        # Also over a new link.
        stream.stop()
        await one.until(lambda: one.vendor.account.streams == 2)
        (stream,) = one.vendor.subscriptions.values()
        assert stream.devices == {**others, B: ["CIDAlarm"], "new-1": None}


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"device": A, "types": ["CIDAlarm"]}, 'event_mode "all"'),
        ({"drop": ["CIDAlarm"]}, "every event type"),
        ({"leave": True}, "name the device"),
        ({"types": "CIDAlarm"}, "types is a list"),
        ({"add": [""]}, "add is a list"),
        ({"device": ["x"]}, "device is a name"),
        ({"source": "nobody"}, "there are: arc"),
    ],
)
async def test_what_cannot_be_done_is_said(tmp_path: Path, arguments: dict[str, Any], word: str) -> None:
    async with site(tmp_path) as one:
        await one.up()
        with pytest.raises(Refusal, match=word):
            await asked(one, **arguments)
        assert one.vendor.account.streams == 1


async def test_a_device_that_the_gateway_refuses_stays_as_it_was(tmp_path: Path) -> None:
    async with site(tmp_path, settings={"devices": {A: ["CIDAlarm"]}}) as one:
        await one.up()
        one.vendor.faults.deny = {A, B}
        for device in (A, B):
            with pytest.raises(Refusal, match="badParameters"):
                await asked(one, device=device, types=["videoReview"])
        with pytest.raises(Refusal, match="not subscribed to"):
            await asked(one, device=B, leave=True)
        assert (await asked(one))["devices"] == {A: ["CIDAlarm"]}
        (stream,) = one.vendor.subscriptions.values()
        assert stream.devices == {A: ["CIDAlarm"]}
