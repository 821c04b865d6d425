"""Cameras that nobody knows: what they push counts as strangers', in the spool and in media."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest

from pump.vendors.common.images import MAGIC
from tests.unit.vendors.avaeye.site import AvaEyeSite, avaeye_site, capture

NAMED = {"cameras": {"10000/1001": {"name": "Gate"}}}
_JPEG = MAGIC[0][0] + b"picture" * 100


def with_picture(record: str = "r1", content: bytes = _JPEG, device: str = "1001") -> dict[str, Any]:
    body = capture(record, picInfo=[{"type": 1, "data": base64.b64encode(content).decode()}])
    return {**body, "deviceId": device}


async def shares(site: AvaEyeSite) -> tuple[int, int]:
    """Bytes of strangers in the spool, and files of theirs in media."""
    site.media.prune()
    return site.spool.strangers, int(site.media.figures()["strangers"]["files"])


async def test_a_camera_that_the_configuration_names_is_no_stranger(tmp_path: Path) -> None:
    async with avaeye_site(tmp_path, NAMED) as site:
        for path, body in (("capture", with_picture()), ("keepalive", capture()), ("barrier", capture("r2"))):
            assert (await site.post(path, body)).status in (200, 503)
        assert await shares(site) == (0, 0)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("capture", with_picture(device="made-up")),
        ("capture", {"version": "1.0", "params": {"recordId": "r1", "plateNo": "A1"}}),
        ("keepalive", {**capture(), "deviceId": "made-up"}),
        ("nobody/knows/this/path", {**capture(), "deviceId": "made-up"}),
        ("capture", b"{no json"),
    ],
    ids=["a capture", "nobody at all", "a sign of life", "an unknown path", "what cannot be read"],
)
async def test_what_others_push_is_a_stranger_s(tmp_path: Path, path: str, body: object) -> None:
    async with avaeye_site(tmp_path, NAMED) as site:
        await site.post(path, body)
        assert (await shares(site))[0] > 0


async def test_pictures_follow_their_camera(tmp_path: Path) -> None:
    async with avaeye_site(tmp_path, NAMED) as site:
        await site.post("capture", with_picture(device="made-up"))
        await site.post("capture", with_picture("r2", _JPEG + b"2"))
        assert (await shares(site))[1] == 1
        await site.post("capture", with_picture("r3"))
        assert (await shares(site))[1] == 0, "what a known camera sends too is its own"


async def test_a_camera_that_an_operator_accepts_is_no_stranger_from_then_on(tmp_path: Path) -> None:
    async with avaeye_site(tmp_path, NAMED) as site:
        await site.post("capture", with_picture(device="1002"))
        before = await shares(site)
        await site.intakes[0].accept(["10000/1002"])
        await site.post("capture", with_picture("r2", _JPEG + b"2", device="1002"))
        assert await shares(site) == before


async def test_the_source_s_own_news_is_never_a_stranger_s(tmp_path: Path) -> None:
    async with avaeye_site(tmp_path, NAMED) as site:
        site.intakes[0].up()
        await site.post("capture", {**capture(), "deviceId": "made-up"})
        assert [event["type"] for event in await site.events(whole=True)] == ["device.online", "vehicle.passed"]
        await site.post("capture", capture("r2"))
        assert "pump.source.up" in [event["type"] for event in await site.events(whole=True)]
