"""Second uploads, confirmations and marks through the whole source, over restarts, with the vendor's audit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from pump.testing import ManualClock
from pump.vendors.hik_connect.simulator.account import QueueName
from pump.vendors.hik_connect.simulator.audit import audit
from pump.vendors.hik_connect.simulator.server import Fault, Simulator
from tests.unit.vendors.hik_connect.test_source import MESSAGES, Site, simulator, site

LATER: list[tuple[QueueName, Any, int]] = [
    ("alarm", "second upload", 2),
    ("alarm", "plate picture later", 2),
    ("alarm", "link later", 2),
    ("alarm", "marks", 5),
    ("alarm", "matter", 4),
    ("alarm", "pulse", 3),
    ("combine", "second upload", 2),
    ("combine", "plate picture later", 2),
    ("combine", "link later", 2),
    ("rawmsg", "second upload", 2),
    ("rawmsg", "attachment later", 2),
    ("rawmsg", "snapshot later", 2),
]


async def stored(pump: Site) -> list[dict[str, Any]]:
    return [event for event in await pump.events() if event["data"]["vendor"] != "pump"]


async def deliver(vendor: Simulator, pump: Site, queue: QueueName, *records: Any) -> None:
    await pump.until(lambda: vendor.account.queues[queue].subscribed)
    vendor.put(queue, *records)
    await pump.completed(queue)


@pytest.mark.parametrize("way", ["one batch", "batch by batch", "restart by restart", "each batch again"])
@pytest.mark.parametrize(("queue", "kind", "size"), LATER)
async def test_each_upload_and_mark_is_an_event_that_names_its_first(
    tmp_path: Path, queue: QueueName, kind: Any, size: int, way: str
) -> None:
    clock = ManualClock()
    async with simulator(clock) as vendor:
        records = vendor.make(queue, 2 * size, kind)
        batches = [records] if way == "one batch" else [[record] for record in records]
        if way == "restart by restart":
            for batch in batches:
                async with site(vendor, tmp_path, clock, queues=[queue]) as pump:
                    await deliver(vendor, pump, queue, *batch)
                clock.advance(1.0)
        async with site(vendor, tmp_path, clock, queues=[queue]) as pump:
            for batch in batches if way != "restart by restart" else []:
                await deliver(vendor, pump, queue, *batch)
                if way == "each batch again":
                    for anew in (False, True):
                        vendor.faults.push(Fault("redeliver", MESSAGES, new_id=anew, resigned=anew))
                        await pump.until(lambda: not vendor.faults.waiting)
                        await pump.completed(queue)
            events = await stored(pump)
            assert audit(vendor.account, events) == []
            assert len(events) == len(records), "none is lost, and none comes twice"
            updates = [event for event in events if event["data"]["update"]]
            assert len(updates) == vendor.account.queues[queue].counted("upload")
            assert all(event["data"]["media"] for event in updates)


async def test_a_first_upload_that_was_never_stored_is_named_by_nothing(tmp_path: Path) -> None:
    """The spool refused the batch, the vendor lost it, and the second upload comes alone."""

    clock = ManualClock()
    async with simulator(clock) as vendor, site(vendor, tmp_path, clock, queues=["alarm"]) as pump:
        await pump.polls(1)
        first, second = vendor.make("alarm", 2, "second upload")
        pump.intake.refusing = True
        vendor.put("alarm", first)
        await pump.until(lambda: pump.counted("refused") >= 2)
        vendor.account.queues["alarm"].out.clear()
        pump.intake.refusing = False
        await deliver(vendor, pump, "alarm", second)
        (event,) = await stored(pump)
        assert "updates" not in event["data"]
        assert event["data"]["update"] is False


@pytest.mark.parametrize("harm", ["deep", "huge"])
async def test_a_first_upload_that_became_an_unparsed_record_is_named_by_nothing(tmp_path: Path, harm: str) -> None:
    clock = ManualClock()
    async with simulator(clock) as vendor, site(vendor, tmp_path, clock, queues=["combine"]) as pump:
        first, second = vendor.make("combine", 2, "second upload")
        first["basicInfo"]["more"] = "HARM"
        body = b"[" * 400 + b"]" * 400 if harm == "deep" else b"1" * 30 + b', "no UTF-8": "\xff"'
        broken = orjson.dumps(first).replace(b'"HARM"', body)
        await deliver(vendor, pump, "combine", broken)
        await deliver(vendor, pump, "combine", second)
        events = await pump.events()
        assert [event["type"] for event in events][:1] == ["pump.record.unparsed"]
        assert "updates" not in events[1]["data"]


async def test_the_memory_stays_bounded_and_goes_with_its_account(tmp_path: Path) -> None:
    clock = ManualClock()
    async with simulator(clock) as vendor, site(vendor, tmp_path, clock, queues=["alarm"]) as pump:
        for _ in range(4):
            await deliver(vendor, pump, "alarm", *vendor.make("alarm", 10, "marks"))
        assert len(pump.intake.state("uploads/")) == 1, "small batches share a piece"
        assert len(pump.intake.state("marks/")) == 8 * 2 + 1
    async with (
        Simulator(clock=clock, app_key="other", secret_key="sk-north") as second,
        site(second, tmp_path, clock, queues=["alarm"], app_key="other") as pump,
    ):
        await pump.polls()
        assert pump.intake.state("uploads/") == pump.intake.state("marks/") == {}
