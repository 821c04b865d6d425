"""Raw calls signed for the API gateway, which refuses any other signature: every call of the document, and refusals."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pump.vendors.kinot.simulator.server import Fault
from tests.unit.ops.commands.calling import called
from tests.unit.vendors.kinot.site import APP_SECRET
from tests.unit.vendors.kinot.test_commands import CODE, LOCK, SENSOR, desk

_ROOT = "/open/lora/v1"
CALLS: list[tuple[str, str, Any]] = [
    ("GET", "lockers?offset=0&limit=10", None), ("GET", f"lockers/{LOCK}", None),
    ("GET", "sensors?offset=0&limit=10", None), ("GET", f"sensors/{SENSOR}", None),
    ("GET", "dtu_devices/644219880", None),
    ("POST", "commands", {"sn": LOCK, "command": 1, "parameter": {"key": "handle", "value": 1}}),
    ("GET", "commands?guid={guid}", None),
    ("POST", "notifications",
     {"device_type": 18, "status_changed_callback_url": "http://192.0.2.1/a",
      "command_resp_callback_url": "http://192.0.2.1/b"}),
    ("GET", "notifications?device_type=18", None),
    ("POST", "test/notifications", {"sn": LOCK, "callback_type": "status_changed"}),
]  # fmt: skip


async def test_every_documented_call_can_be_made_and_no_unlocking_code_comes_out(tmp_path: Path) -> None:
    async with desk(tmp_path, register_callbacks=False) as (site, there):
        seen = ""
        for method, path, body in CALLS:
            guid = next(iter(site.kinot.orders.orders), "")
            found = await called("bays", site.source, there, method, f"{_ROOT}/{path.replace('{guid}', guid)}", body)
            assert (found.status, found.http, json.loads(found.body)["code"]) == ("done", 200, 0), (path, found)
            seen += found.body.decode()
        assert [action.did for action in site.kinot.actions] == ["reset code"]
        assert "bt_match_code" in seen
        assert CODE not in seen + json.dumps(await site.events())
        assert APP_SECRET not in seen


async def test_a_querys_fields_are_signed_in_order_however_they_are_written(tmp_path: Path) -> None:
    async with desk(tmp_path) as (site, there):
        found = await called("bays", site.source, there, "GET", f"{_ROOT}/lockers?offset=0&limit=10&x=a%20b")
        assert found.status == "done"


@pytest.mark.parametrize(("path", "code"), [("lockers/1", "10111"), ("no/such", "10016")])
async def test_the_platforms_no_is_a_refusal_with_its_answer(tmp_path: Path, path: str, code: str) -> None:
    async with desk(tmp_path) as (site, there):
        found = await called("bays", site.source, there, "GET", f"{_ROOT}/{path}")
        assert (found.status, code in found.body.decode()) == ("refused", True), found


async def test_a_lost_answer_is_not_asked_for_again(tmp_path: Path) -> None:
    async with desk(tmp_path, register_callbacks=False) as (site, there):
        for method, path, body in (CALLS[5], ("GET", f"lockers/{LOCK}", None)):
            site.kinot.faults.append(Fault("lost"))
            before = len(site.kinot.asked)
            found = await called("bays", site.source, there, method, f"{_ROOT}/{path}", body)
            assert (found.status, len(site.kinot.asked)) == ("unknown", before + 1), found


async def test_only_json_can_be_signed(tmp_path: Path) -> None:
    async with desk(tmp_path) as (site, there):
        before = len(site.kinot.asked)
        found = await called("bays", site.source, there, "POST", f"{_ROOT}/commands", b"<x/>", content_type="text/xml")
        assert (found.status, len(site.kinot.asked)) == ("refused", before)
