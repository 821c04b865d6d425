"""Messages to events: the document's examples as printed, the field's habits, and no secret anywhere."""

from __future__ import annotations

import base64
import tracemalloc
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import orjson
import pytest

from pump.core.event import Event
from pump.vendors.avaeye import parse, pictures
from pump.vendors.avaeye.parse import Camera, loads
from pump.vendors.avaeye.pictures import Picture
from pump.vendors.avaeye.secrets import strip, strip_ruin
from tests.unit.vendors.avaeye.site import avaeye_site, capture

_SAMPLES = Path(parse.__file__).parent / "samples"
_SECRET = "xxxxxx-secret"


def parsed(path: str, message: Any, camera: Camera | None = None) -> list[Event]:
    """The events of a message without pictures."""
    body = message if isinstance(message, bytes) else orjson.dumps(message)
    read = parse.read(path, strip(loads(body)), body)
    identity = parse.record_id(read) if path != "transchannel" else parse.content_id(read)
    return parse.events(read, camera or Camera(), [], identity)


@pytest.mark.parametrize("sample", sorted(_SAMPLES.glob("*.txt")), ids=lambda path: path.stem)
async def test_an_example_of_the_document_gives_the_expected_event(sample: Path, tmp_path: Path) -> None:
    head, _, body = sample.read_bytes().partition(b"\n")
    expected = orjson.loads(sample.with_suffix(".json").read_bytes())

    async with avaeye_site(tmp_path) as site:
        answer = await site.post(head.decode().strip(), body)
        assert answer.status == 200
        assert answer.json["code"] == 200
        events = await site.events(whole=True)
        found = [
            {
                "type": event["type"],
                "subject": event.get("subject"),
                "time": "arrival" if "time_source" in event["data"] else event["time"],
                "data": {name: value for name, value in event["data"].items() if name not in ("raw", "time_source")},
            }
            for event in events
            if event["type"] != "pump.source.up"
        ]
        for event in found:
            if event["type"] == "device.online":
                event["time"] = "arrival"
            for number, entry in enumerate(event["data"].get("media", ())):
                entry["id"] = f"<id>/{number}"
        assert found == expected


def test_a_capture_has_its_place_direction_and_zone_from_the_configuration() -> None:
    camera = Camera(zone=ZoneInfo("Europe/Paris"), name="North", lane=2, direction="in", area="P1")
    (event,) = parsed("capture", capture(picTime="2026-07-01T12:00:00"), camera)
    assert event.time == datetime(2026, 7, 1, 10, tzinfo=UTC)
    assert event.data["place"] == {"lot": "10000", "area": "P1", "lane": 2}
    assert event.data["device"] == {"id": "1001", "name": "North"}
    assert event.data["vehicle"]["direction"] == "in"
    assert event.subject == "camera/10000/1001"


def test_a_record_is_known_by_park_device_and_record_id() -> None:
    first, again, other_park = (
        parsed("capture", capture("1"))[0].id,
        parsed("capture", capture("1", plateNo="B"))[0].id,
        parsed("capture", {**capture("1"), "parkId": "2"})[0].id,
    )
    assert first == again != other_park


def test_manual_captures_are_no_passes() -> None:
    (event,) = parsed("capture", capture(captureMode="3"))
    assert (event.type, event.data["vehicle"]["trigger"]) == ("vehicle.captured", "manual")
    record = {"recordId": "7", "plateNo": "A1", "confidence": "52"}
    result = {"requestId": "r", "parkId": "1", "deviceId": "2", "code": 200, "message": "success", "data": record}
    captured, told = parsed("notifyresult/manualcapture/common", result)
    assert (captured.type, told.type) == ("vehicle.captured", "command.result")
    assert told.data["command"] == {"request_id": "r", "status": "success", "reason": "success"}
    (failed,) = parsed("notifyresult/manualcapture/common", {**result, "code": 101, "data": {}})
    assert (failed.type, failed.data["command"]["status"], failed.data["severity"]) == (
        "command.result", "common error", "notice",
    )  # fmt: skip


def test_a_blocked_vehicle_is_a_warning() -> None:
    (event,) = parsed("capture", capture(carListType="2"))
    assert (event.data["vehicle"]["list"], event.data["severity"]) == ("blocklist", "warning")


@pytest.mark.parametrize(
    ("size", "sent", "payload"),
    [
        (4, "77aa77aa", {"hex": "77aa77aa", "bytes": 4}),
        ("4", "77 AA 77 aa", {"hex": "77aa77aa", "bytes": 4}),
        (4, "77:AA-77 aa", {"hex": "77aa77aa", "bytes": 4}),
        (8, "77aa77aa", {"hex": "3737616137376161", "bytes": 8, "text": "77aa77aa"}),
        (8, "12345678", {"hex": "3132333435363738", "bytes": 8, "text": "12345678"}),
        (8, 12345678, {"hex": "3132333435363738", "bytes": 8, "text": "12345678"}),
        (4, "12345678", {"hex": "12345678", "bytes": 4}),
        (4, 12345678, {"hex": "12345678", "bytes": 4}),
        (6, "12345678", {"hex": "d76df8e7aefc", "bytes": 6}),  # base64
        (3, "qrvM", {"hex": "aabbcc", "bytes": 3}),
        (4, "d6qqdw==", {"hex": "77aaaa77", "bytes": 4}),
        (8, "d6qqdw==", {"hex": "643671716477 3d3d".replace(" ", ""), "bytes": 8, "text": "d6qqdw=="}),
        (1024, "77aa77aa", {"hex": "3737616137376161", "bytes": 8, "text": "77aa77aa"}),  # as the document prints it
        (None, "4142", {"hex": "34313432", "bytes": 4, "text": "4142"}),
        (2, "4142", {"hex": "4142", "bytes": 2, "text": "AB"}),
        (0, "4142", {"hex": "34313432", "bytes": 4, "text": "4142"}),
        ("many", "4142", {"hex": "34313432", "bytes": 4, "text": "4142"}),
        (5, "hello", {"hex": "68656c6c6f", "bytes": 5, "text": "hello"}),
        (2, "é", {"hex": "c3a9", "bytes": 2}),
        (4, "", None),
        (4, None, None),
    ],
)
def test_serial_bytes_are_decoded_only_where_the_size_says_so(size: object, sent: object, payload: object) -> None:
    (event,) = parsed("transchannel", {"parkId": "1", "deviceId": "2", "params": {"size": size, "data": sent}})
    assert event.type == "device.message"
    assert event.data.get("payload") == payload


@pytest.mark.parametrize(
    ("params", "brand"),
    [
        ({"vehicleBrandType": "AODI-A6-2004", "vehicleLogoType": "A0"}, "AODI-A6-2004"),
        ({"vehicleLogoType": "A0"}, None),
        ({"vehicleLogoType": "VOLVO"}, None),
        ({"vehicleLogoType": 12}, None),
        ({"vehicleBrandType": "A0"}, None),
        ({"vehicleBrandType": 12}, None),
        ({"vehicleBrandType": "0"}, None),
        ({"vehicleBrandType": "", "vehicleLogoType": "A0"}, None),
        ({"vehicleBrandType": "Unknown"}, None),
    ],
)
def test_a_code_is_no_brand(params: dict[str, Any], brand: str | None) -> None:
    (event,) = parsed("capture", capture(**params))
    assert event.data["vehicle"].get("brand") == brand


def test_equal_serial_messages_are_two_and_a_repeated_request_is_one() -> None:
    message = {"parkId": "1", "deviceId": "2", "params": {"data": "77aa"}}
    assert parsed("transchannel", message)[0].id != parsed("transchannel", message)[0].id
    result = {"requestId": "5", "code": 200}
    assert parsed("notifyresult/list", result)[0].id == parsed("notifyresult/list", result)[0].id


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-20T09:00:00", "2026-11-20 09:00:00", "2026/11/20 09:00:00", "2026-11-20T08:00:00Z",
        "2026-11-20T09:00:00+01:00", "1795161600", "1795161600000", 1795161600, 1795161600000,
    ],
)  # fmt: skip
def test_times_as_cameras_write_them(text: object) -> None:
    assert parse.moment(text, ZoneInfo("Europe/Paris")) == datetime(2026, 11, 20, 8, tzinfo=UTC)


@pytest.mark.parametrize("text", ["", "yesterday", "1970-01-01T00:00:00", "9999-01-01T00:00:00", None, True, 5, 1e300])
def test_times_that_cannot_be(text: object) -> None:
    assert parse.moment(text, UTC) is None


_JPEG = b"\xff\xd8\xff\xe0" + bytes(range(64))


@pytest.mark.parametrize(
    "data",
    [
        base64.b64encode(_JPEG).decode(),
        base64.b64encode(_JPEG).decode().rstrip("="),
        base64.urlsafe_b64encode(_JPEG).decode(),
        base64.encodebytes(_JPEG).decode(),
        "data:image/jpeg;base64," + base64.b64encode(_JPEG).decode(),
        base64.b64encode(base64.b64encode(_JPEG)).decode(),
    ],
)
def test_pictures_however_they_are_encoded(data: str) -> None:
    assert pictures.decoded(Picture("", 1, data, None)) == _JPEG


_DATA = base64.b64encode(_JPEG).decode()
_LINK = "http://192.0.2.7/1.jpg"


_NAMES = ("picInfo", "PicInfo", "picinfo", "pic_info", "picInfoList", "pictureInfo")


@pytest.mark.parametrize("where", ["params", "beside", "data"])
@pytest.mark.parametrize(
    ("info", "kinds", "links"),
    [
        ([{"type": 1, "size": 68, "data": _DATA}, {"type": 2, "data": _DATA}], ["picture", "plate picture"], []),
        ({"type": "2", "size": 68, "data": _DATA}, ["plate picture"], []),
        ({"Type": 2, "Size": 68, "Data": _DATA}, ["plate picture"], []),
        ({"picType": 2, "picData": _DATA}, ["plate picture"], []),
        ({"type": 1, "url": _LINK}, ["picture"], [_LINK]),
        ({"type": 1, "data": "", "picUrl": _LINK}, ["picture"], [_LINK]),
        ({"type": 1, "data": _LINK}, ["picture"], [_LINK]),
        ({"type": 1, "url": f"data:image/jpeg;base64,{_DATA}"}, ["picture"], []),
        ({"type": 1, "data": _DATA, "url": _LINK}, ["picture"], [_LINK]),
        ([_DATA, _LINK], ["picture", "picture"], [_LINK]),
        (_DATA, ["picture"], []),
    ],
)
async def test_pictures_are_media_wherever_they_stand(
    tmp_path: Path, where: str, info: Any, kinds: list[str], links: list[str]
) -> None:
    path = "notifyresult/manualcapture/common" if where == "data" else "capture"
    async with avaeye_site(tmp_path) as site:
        for name in _NAMES:
            body = capture(name)
            if where == "data":
                body["data"] = body.pop("params")
            (body if where == "beside" else body[where])[name] = info
            assert (await site.post(path, body)).status == 200, name
            (event,) = [one for one in await site.events() if one["type"].startswith("vehicle.")]
            media = event["data"]["media"]
            assert [entry["kind"] for entry in media] == kinds, name
            assert [entry["url"] for entry in media if "url" in entry] == links, name
            assert [entry["id"] for entry in media] == [f"{event['id']}/{number}" for number in range(len(kinds))], name
            for entry in media:
                assert entry["state"] == ("stored" if "sha256" in entry else "remote"), name
                assert entry.get("bytes", len(_JPEG)) == len(_JPEG), name
            assert _DATA not in orjson.dumps(event["data"]["raw"]).decode(), name


@pytest.mark.parametrize("info", [None, "", "none", 0, [], [None, 1, "no"], {}, {"type": 1}, {"data": 5, "url": ""}])
async def test_what_is_no_picture_stays_in_the_message(tmp_path: Path, info: Any) -> None:
    async with avaeye_site(tmp_path) as site:
        assert (await site.post("capture", {**capture(), "picInfo": info})).status == 200
        (event,) = await site.events()
        assert "media" not in event["data"]
        assert event["data"]["raw"]["picInfo"] == info


async def test_a_picture_leaves_the_message_and_is_stored_once(tmp_path: Path) -> None:
    async with avaeye_site(tmp_path) as site:
        picture = {"type": 1, "size": 68, "data": base64.b64encode(_JPEG).decode()}
        for record in ("1", "2"):
            body = capture(record, picNum=2, picInfo=[picture, picture])
            assert (await site.post("capture", body)).status == 200
        events = await site.events()
        for event in events:
            first, second = event["data"]["media"]
            assert first["id"] == f"{event['id']}/0"
            assert first["sha256"] == second["sha256"]
            assert (first["mime"], first["bytes"], first["state"]) == ("image/jpeg", len(_JPEG), "stored")
            assert (tmp_path / "media" / first["path"]).read_bytes() == _JPEG
            assert event["data"]["raw"]["params"]["picInfo"][1]["data"] == {"$media": second["id"]}
        assert len([path for path in (tmp_path / "media").rglob("*") if path.is_file()]) == 1


def _basicinfo() -> dict[str, Any]:
    message: dict[str, Any] = loads((_SAMPLES / "basicinfo.txt").read_bytes().partition(b"\n")[2])
    for group in ("aliOssParam", "mqttParam"):
        message["params"][group] = dict.fromkeys(message["params"][group], _SECRET)
    message["params"]["registerCode"] = _SECRET
    return message


async def test_no_secret_is_kept_whatever_becomes_of_the_message(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    message = _basicinfo()
    body = orjson.dumps(message)
    curly = body.decode().replace('"', "”")
    async with avaeye_site(tmp_path) as site:
        for path in ("basicinfo", "keepalive", "capture", "transchannel", "some/thing", "notifyresult/list"):
            for sent in (
                body,
                curly.encode(),
                body[:-1],
                body[:-40],
                curly.encode()[:-1],
                curly.encode("gbk")[:-1],
            ):
                await site.post(path, sent)
        await site.spool.flush()
        for record in await site.spool.read(0, limit=1000):
            assert _SECRET.encode() not in record.body
        assert _SECRET not in str(site.intakes[0].state())
    for file in tmp_path.rglob("*"):
        assert not file.is_file() or _SECRET.encode() not in file.read_bytes(), file
    told = capsys.readouterr()
    assert _SECRET not in told.out + told.err


def test_ruins_lose_their_secrets_and_little_else() -> None:
    ruin = b'{"pwd": "a\\"b", "plateNo": "A1", "mqttParam": {"user":"u","pwd":"p"}, "accessKeySecret":"never ends'
    kept = strip_ruin(ruin)
    assert b'"plateNo": "A1"' in kept
    for secret in (b'a\\"b', b'"u"', b'"p"', b"never"):
        assert secret not in kept


async def test_a_camera_that_has_not_said_where_it_is_is_where_it_sends_from(tmp_path: Path) -> None:
    async with avaeye_site(tmp_path) as site:
        table = site.sources[0].devices(site.intakes[0])

        def facts() -> dict[str, Any]:
            device = table.get("park01/2102512")
            assert device is not None
            return device.facts

        body = {"parkId": "park01", "deviceId": "2102512", "params": {}}
        await site.post("keepalive", body)
        assert facts() == {"address": "127.0.0.1"}
        await site.post("basicinfo", _basicinfo())
        await site.post("keepalive", body)
        assert facts()["address"] == "192.168.1.13"


async def test_the_device_table_has_what_a_camera_says_of_itself(tmp_path: Path) -> None:
    async with avaeye_site(tmp_path) as site:
        assert (await site.post("basicinfo", _basicinfo())).json == {"code": 200, "message": "success"}
        known = site.sources[0].devices(site.intakes[0]).get("park01/2102512")
        assert known is not None
        assert known.interval == 30.0
        assert known.facts["version"] == "PARK_1201-B0003"
        assert known.facts["address"] == "192.168.1.13"
        assert known.facts["category"] == "entrance & exit camera"
        assert known.facts["spaces"] == 2
        assert known.facts["capabilities"] == ["coil", "edge storage", "lamp", "led", "radar", "space detection"]
        body = {"parkId": "park01", "deviceId": "2102512", "params": {"uploadTime": 1589951640000}}
        answer = (await site.post("keepalive", body)).json
        assert answer["data"]["svrTime"] > 1_700_000_000_000
        assert (answer["data"]["parkId"], answer["data"]["deviceId"]) == ("park01", "2102512")
        (event,) = (e for e in await site.events(whole=True) if e["type"] == "device.online")
        assert event["data"]["device"] == {
            "id": "2102512", "name": "HC121@MAC-08S", "serial": "210235000000000",
            "category": "entrance & exit camera",
        }  # fmt: skip


def test_nothing_is_kept_of_keys_as_long_as_a_body() -> None:
    long = "SecretKey" + "x" * (1 << 20)
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for number in range(8):
            message = {"params": {f"{number}{long}": 1, "accessKey": _SECRET}}
            assert _SECRET not in str(strip(message))
        del message
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < len(long)
