"""What issue 3 wants shown: a stream cut a thousand times, and a day of heartbeats."""

from __future__ import annotations

import asyncio
import random
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path

import pytest

from pump.vendors.hik_gateway.simulator.messages import identity
from pump.vendors.hik_gateway.simulator.server import Quirks
from tests.unit.vendors.hik_gateway.site import site


@pytest.mark.parametrize(
    ("seed", "quirks"),
    [
        (1, Quirks()),
        (2, Quirks(transfer="chunked")),
        (3, Quirks(line_end="\n", length="absent")),
        (4, Quirks(transfer="chunked", length="one more", commas="trailing")),
    ],
    ids=["unchunked", "chunked", "without lengths", "one more"],
)
@pytest.mark.parametrize(
    "count", [60, pytest.param(250, id="thousand in all", marks=[pytest.mark.long, pytest.mark.timeout(600)])]
)
async def test_a_stream_cut_at_random_bytes(tmp_path: Path, seed: int, quirks: Quirks, count: int) -> None:
    chance = random.Random(seed)
    async with site(tmp_path, quirks=quirks) as one:
        one.pace = 0.2
        vendor = one.vendor
        vendor.faults.cuts = [chance.randint(1, 6000) for _ in range(count)]
        devices = list(vendor.devices)
        mix = vendor.messages.mix(devices)
        known: set[str] = set()
        cuts: list[datetime] = []
        while vendor.account.cuts < count:
            before = vendor.account.cuts
            if vendor.subscriptions and not any(len(sub._queue) > 20 for sub in vendor.subscriptions.values()):
                # Two reports of one device's state within a second are one event: such twins prove nothing here.
                for message in islice(mix, chance.randint(1, 6)):
                    if identity(message) not in known:
                        known.update(vendor.put(message))
            one.pass_by()
            await asyncio.sleep(0.0005)
            cuts += [one.clock.now()] * (vendor.account.cuts - before)
        await one.until(lambda: vendor.account.streams > count and one.intake.component.state == "up")
        sent = vendor.put(vendor.messages.cid(devices[0]))
        async with asyncio.timeout(60.0):
            while sent[0] not in (found := await one.identities()):
                one.pass_by()
                await asyncio.sleep(0.002)
        whole = vendor.account.whole
        assert len(whole) == len(set(whole))
        if quirks.length == "absent":
            # Without a length nobody knows a part to be whole before the next delimiter, or the stream's end.
            assert len(found) == len(set(found))
            assert set(whole) <= set(found) <= set(whole) | set(vendor.account.cut)
        else:
            assert found == whole
        gaps = [(datetime.fromisoformat(gap["from"]), datetime.fromisoformat(gap["to"])) for gap in await one.gaps()]
        # The clock runs on while bytes are on their way, so a cut is noticed a little late in its time.
        late = timedelta(seconds=10.0)
        for cut in cuts:
            assert any(begin - late <= cut <= end + late for begin, end in gaps)
        records = await one.records()
        assert not [event for event in records if event["type"] == "pump.record.unparsed"]


@pytest.mark.parametrize("hours", [2, pytest.param(24, marks=[pytest.mark.long, pytest.mark.timeout(900)])])
async def test_a_day_of_heartbeats(tmp_path: Path, hours: int) -> None:
    async with site(tmp_path, quirks=Quirks(nonce_seconds=1e9)) as one:
        await one.up()
        await one.until(lambda: one.vendor.account.heartbeats >= 2)
        before, tasks, sleepers = await one.records(), len(asyncio.all_tasks()), one.clock.sleepers
        begin, streams, beats = one.clock.monotonic(), one.vendor.account.streams, one.vendor.account.heartbeats
        lapse = one.source.stream.store.outage
        for _ in range(hours * 360):
            one.clock.advance(10.0)
            now = one.clock.now()
            async with asyncio.timeout(30.0):
                while lapse.alive is None or lapse.alive < now:
                    await asyncio.sleep(0.0005)
        # No drift: each heartbeat was heard in its turn, and the link was never rebuilt.
        assert one.clock.monotonic() - begin == pytest.approx(hours * 3600.0)
        assert one.vendor.account.heartbeats - beats == hours * 360
        assert one.vendor.account.streams == streams
        assert one.intake.component.state == "up"
        # No leak, and no event.
        assert len(asyncio.all_tasks()) <= tasks + 6  # a call beside the stream, perhaps
        assert one.clock.sleepers <= sleepers + 6
        assert await one.records() == before
