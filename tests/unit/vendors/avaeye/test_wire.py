"""Hostile HTTP to the cameras' paths."""

from __future__ import annotations

from itertools import count
from pathlib import Path

import orjson

from tests.unit.ingest.push.wire import WIRE, Sent, wrong
from tests.unit.vendors.avaeye.site import avaeye_site, capture


async def test_what_a_stranger_may_send_over_a_connection_has_its_answer(tmp_path: Path) -> None:
    async with avaeye_site(tmp_path, device_rate=0) as site:
        odd = (Sent(b"/api/upark/capture", orjson.dumps(capture(f"odd{n}"))) for n in count())
        honest = (Sent(b"/api/upark/capture", orjson.dumps(capture(f"honest{n}"))) for n in count())
        found = await wrong(site.port, site.metrics.registry, odd, honest)
        assert not found, "\n".join(found)
        passed = [event for event in await site.events() if event["type"] == "vehicle.passed"]
        records = [event["data"]["raw"]["params"]["recordId"] for event in passed]
        taken = {f"odd{n}" for n, row in enumerate(WIRE) if row.stored}
        assert {record for record in records if record.startswith("odd")} == taken
        assert len(records) == len(set(records))
