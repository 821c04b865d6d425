"""Raw calls of a camera's own interface with its digest login: the documented ones that have no verb, and refusals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.unit.ops.commands.calling import Found, called
from tests.unit.vendors.avaeye.commanded import TARGET, Commanded, commanded

_LAPI = "/LAPI/V1.0"
_ADD = {"Num": "1", "AllowListInfo": [{"AllowID": 7, "PlateNo": "A1", "BeginTime": 1, "EndTime": 2}]}
_BLOCK = {"Num": 1, "BlockListInfo": [{"BlockID": 7, "PlateNo": "A1", "BeginTime": 1, "EndTime": 2}]}


async def made(there: Commanded, method: str, path: str, body: object = None, **more: Any) -> Found:
    return await called("gate", there.source, there.desk, method, f"{_LAPI}{path}", body, **more)


@pytest.mark.parametrize(
    ("first", "method", "path", "body", "action"),
    [
        (None, "GET", "/Channel/0/Media/LivingStream", None, ("stream", None)),
        (None, "POST", "/Channel/0/Media/OSD/0", {"AreaNum": 1, "InfoOSD": [{"Index": 1}]}, ("live osd", 1)),
        (None, "PUT", "/Media/PicOSD?BaseCfgType=0",
         {"OSDBaseCFG": {"OSDArea": []}, "OSDNum": 1, "PicOSDCFG": [{"OSDType": 0}]}, ("photo osd", 1)),
        (("/ParkingLots/Vehicles/AllowList", _ADD), "PUT", "/ParkingLots/Vehicles/AllowList/7",
         {"PlateNo": "B2", "AllowID": 7}, ("edit Allow", "B2")),
        (("/ParkingLots/Vehicles/BlockList", _BLOCK), "PUT", "/ParkingLots/Vehicles/BlockList/7",
         {"PlateNo": "B2"}, ("edit Block", "B2")),
    ],
)  # fmt: skip
async def test_every_documented_call_without_a_verb_can_be_made(
    tmp_path: Path, first: Any, method: str, path: str, body: Any, action: tuple[str, Any]
) -> None:
    async with commanded(tmp_path) as there:
        if first is not None:
            assert (await made(there, "POST", *first)).status == "done"
        found = await made(there, method, path, body, device=TARGET)
        assert (found.status, found.http, b'"StatusCode": 0' in found.body) == ("done", 200, True)
        assert there.camera.account.actions[-1][:2] == action
        assert (b"rtsp://" in found.body) is (method == "GET")
        assert there.camera.account.rejected == 0


async def test_the_cameras_no_is_a_refusal_and_a_lost_answer_is_not_asked_for_again(tmp_path: Path) -> None:
    async with commanded(tmp_path) as there:
        found = await made(there, "GET", "/No/Such/Call")
        assert (found.status, found.http, "StatusCode 5" in found.reason) == ("refused", 200, True)
        there.camera.quirks.drop = True
        assert (await made(there, "PUT", "/System/Reboot", {})).status == "unknown"
        assert there.camera.account.names == ["reboot"]


async def test_a_camera_is_named_where_there_are_several_and_must_have_an_address(tmp_path: Path) -> None:
    cameras = {"10000/1001": {"url": "http://192.0.2.1"}, "10000/1002": {"url": "http://192.0.2.2"}, "10000/1003": {}}
    async with commanded(tmp_path, cameras=cameras) as there:
        for device in (None, "camera/10000/1003", "camera/10000/1004", "camera/10000/1ton", "other"):
            found = await made(there, "GET", "/Channel/0/Media/LivingStream", **({"device": device} if device else {}))
            assert (found.status, found.http) == ("refused", None), device
        assert there.camera.account.actions == []


async def test_a_wrong_password_is_not_tried_again_and_stands_nowhere(tmp_path: Path) -> None:
    async with commanded(tmp_path, password="wrong-secret") as there:
        found = [await made(there, "GET", "/Channel/0/Media/LivingStream") for _ in range(2)]
        assert [one.status for one in found] == ["refused", "failed"]
        assert there.camera.account.rejected == 1
        assert "wrong-secret" not in repr(found) + repr(await there.site.events())
