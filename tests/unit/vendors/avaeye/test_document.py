"""Held against the vendor's document: its examples, its answers, the words of every value that it enumerates.

What is committed here is copied from the document; where the document itself lies beside the checkout, the copies are
held against it too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pump.testing import ManualClock
from pump.vendors.avaeye import codes, parse
from pump.vendors.avaeye.parse import loads
from tests.unit.vendors.avaeye.site import avaeye_site, capture
from tests.unit.vendors.avaeye.test_parse import parsed

DATA = Path(__file__).parents[3] / "data"
DOCUMENT = Path(__file__).parents[5] / "shared" / "vendor" / "avaeye-anpr-api-2.1.txt"
SAMPLES = Path(parse.__file__).parent / "samples"
MADE = {"manualcapture", "gatecontrol"}
"""Samples of interfaces of which the document prints no example: made from its tables."""

needs_document = pytest.mark.skipif(not DOCUMENT.exists(), reason="the vendor's document is not here")


def answers() -> dict[str, str]:
    """The printed answers by path."""
    parts = re.split(r"^--- (.+)\n", (DATA / "avaeye_answers.txt").read_text(), flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


def blocks(text: str) -> Iterator[str]:
    """The JSON bodies that begin and end with a line of one brace."""
    depth, kept = 0, list[str]()
    for line in text.splitlines():
        if depth or line == "{":
            kept.append(line)
            depth += line.count("{") - line.count("}")
            if not depth:
                yield "\n".join(kept)
                kept = []


# --- examples ---------------------------------------------------------------------------------------------------------


@needs_document
def test_each_example_of_what_cameras_send_is_a_sample_as_printed() -> None:
    text = DOCUMENT.read_text()
    upstream = text[text.index("\nUpstream Interfaces (HTTP)\n") : text.index("\nDownstream Interfaces (HTTP)\n")]
    mqtt = text[text.index("\nDownstream Interfaces (MQTT)\n") : text.index("\nData Dictionary\n")]
    printed = [*blocks(upstream), *blocks(mqtt)]
    assert len(printed) == 9
    samples = [sample.read_text().partition("\n")[2] for sample in SAMPLES.glob("*.txt") if sample.stem not in MADE]
    assert sorted(block.strip() for block in printed) == sorted(
        body.strip() for body in (*samples, *answers().values())
    )


def test_there_is_a_sample_of_every_interface_of_the_document() -> None:
    paths = {sample.read_text().partition("\n")[0] for sample in SAMPLES.glob("*.txt")}
    of_the_field = {"heartbeat", "notifyresult/lamp", "parkalarm", "commonalarm", "quickcapture"}
    assert paths == parse.KNOWN - of_the_field
    if DOCUMENT.exists():
        assert paths == set(re.findall(r"^Path: /api/upark/(\S+)$", DOCUMENT.read_text(), re.MULTILINE))


# --- answers ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", answers())
async def test_the_answer_is_the_documents(tmp_path: Path, path: str) -> None:
    printed = loads(answers()[path].encode())
    now = datetime.fromtimestamp(1589951640, UTC)

    async def main() -> Any:
        async with avaeye_site(tmp_path, clock=ManualClock(now)) as site:
            sent = {"parkId": "10001", "deviceId": "1002", "params": {"uploadTime": 1, "data": "00"}}
            return (await site.post(path, sent)).json

    answer = await main()
    if path != "keepalive":
        assert answer == printed
        return
    # "Except for server time, control parameters can carry only one type of data": we carry none, and open no gate
    assert answer == {**printed, "data": {name: printed["data"][name] for name in ("svrTime", "parkId", "deviceId")}}


async def test_a_capture_is_answered_with_data_of_the_documents_type(tmp_path: Path) -> None:
    async with avaeye_site(tmp_path) as site:
        assert (await site.post("capture", capture())).json == {"code": 200, "message": "success", "data": ""}


async def test_ids_are_not_echoed_where_that_is_not_wanted(tmp_path: Path) -> None:
    async with avaeye_site(tmp_path, {"echo_ids": False}) as site:
        assert set((await site.post("keepalive", capture())).json["data"]) == {"svrTime"}
    async with avaeye_site(tmp_path / "echo") as site:
        assert set((await site.post("keepalive", {"params": {}})).json["data"]) == {"svrTime"}


# --- values -----------------------------------------------------------------------------------------------------------

ROWS = [line for line in (DATA / "avaeye_fields.txt").read_text().splitlines() if not line.startswith("#")]
WORDS = {
    "not fill": "not filled", "base64-encoded data": "base64", "store on ucs": "on ucs",
    "store on aliyun oss": "on aliyun oss", "front of vehicle": "front", "rear of vehicle": "rear",
    "front/rear of vehicle": "front and rear", "vehicle photo": "picture", "plate photo": "plate picture",
}  # fmt: skip
"""The document's words where ours are others."""
TABLES: Mapping[str, Mapping[int, str]] = {
    "deviceType": codes.DEVICE_TYPES, "senceType": codes.SCENES, "picFillType": codes.PICTURE_MODES,
    "shootPosition": codes.POSITIONS, "captureMode": codes.CAPTURE_MODES, "carListType": codes.LISTS,
    "type": codes.PHOTOS,
}  # fmt: skip
ABLE = {
    "lamp": "parking space lamp", "gate": "gate control", "coil": "coil", "radar": "radar", "led": "LED display",
    "edge storage": "edge storage", "space detection": "parking space detection",
}  # fmt: skip


def enumerated() -> dict[str, dict[int, str]]:
    found = {}
    for row in ROWS:
        name = row.split("|")[1].strip(" ├─")
        told = re.findall(r"(\d+)-(.+?)(?:;| \|)", row)
        found[name] = {int(code): WORDS.get(word.strip().casefold(), word.strip().casefold()) for code, word in told}
    return found


def test_every_value_that_a_field_enumerates_has_its_word_and_no_other_has_one() -> None:
    for name, table in TABLES.items():
        assert {code: word.casefold() for code, word in table.items()} == enumerated()[name], name


def test_every_capability_of_the_document_has_its_word() -> None:
    told = {row.split("|")[1].strip(" ├─"): row for row in ROWS if "isSup" in row}
    assert told.keys() == codes.CAPABILITIES.keys() - {"isSupportCoil"}, "one is misspelled by the document alone"
    for name, row in told.items():
        assert f"Whether {ABLE[codes.CAPABILITIES[name]]} is supported. 0-No; 1-Yes" in row


@pytest.mark.parametrize(
    ("key", "name", "table"),
    [
        ("captureMode", "trigger", codes.CAPTURE_MODES),
        ("carListType", "list", codes.LISTS),
        ("shootPosition", "shot_from", codes.POSITIONS),
    ],
)
def test_an_enumerated_value_reaches_the_event(key: str, name: str, table: Mapping[int, str]) -> None:
    for code, word in table.items():
        for value in (code, str(code)):
            params: dict[str, Any] = {key: value}
            (event,) = parsed("capture", capture(**params))
            assert event.data["vehicle"][name] == word
            assert event.type == ("vehicle.captured" if (key, code) == ("captureMode", 3) else "vehicle.passed")


@needs_document
def test_the_copied_rows_are_the_documents() -> None:
    lines = DOCUMENT.read_text().splitlines()
    for row in ROWS:
        assert row in lines


@needs_document
def test_the_copied_dictionary_is_the_documents() -> None:
    sections = {"plate type": "/plateType", "status": "/errorCode", "vehicle type": "/vehicleType", "color": "/color"}
    text = DOCUMENT.read_text()
    found = []
    for name, path in sections.items():
        section = text.split(f"\nPath: {path}\n", 1)[1].split("\nBasic info\n", 1)[0]
        found += [f"{name}\t{code}\t{words}" for code, words in re.findall(r"^\| (\d+) \| (.+?) \|$", section, re.M)]
    assert found == (DATA / "avaeye_codes.txt").read_text().splitlines()


# --- what may never be kept -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["accessKeySecret", "access_key_secret", "Access-Key-Secret", "PWD", "register_code"])
async def test_a_secret_is_known_however_its_key_is_written(tmp_path: Path, name: str) -> None:
    async with avaeye_site(tmp_path) as site:
        for path in ("some/thing", "capture", "basicinfo"):
            body = capture(path)
            body["params"]["deep"] = [{"er": {name: "hush-hush", "kept": 1}}]
            assert (await site.post(path, body)).status == 200
        await site.spool.flush()
        for record in await site.spool.read(0, limit=100):
            assert b"hush-hush" not in record.body
        assert b'"kept":1' in record.body
        assert "hush-hush" not in str(site.intakes[0].state())


async def test_a_get_gives_up_its_secrets_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with avaeye_site(tmp_path) as site:
        query = "parkId=1&deviceId=2&softwareVersion=V7&pwd=hush-hush&registerCode=hush-hush"
        for path in ("basicinfo", "some/thing"):
            (answer,) = await site.send(f"GET /api/upark/{path}?{query} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            assert (answer.status, answer.json["code"]) == (200, 200)
        known = site.sources[0].devices(site.intakes[0]).get("1/2")
        assert known is not None
        assert known.facts["version"] == "V7"
        (event,) = await site.events()
        assert event["type"] == "device.message"
        assert event["data"]["raw"]["params"] == {
            "softwareVersion": "V7", "pwd": "*****", "registerCode": "*****",
        }  # fmt: skip
        assert "hush-hush" not in str(site.intakes[0].state())
    told = capsys.readouterr()
    assert "hush-hush" not in told.out + told.err


async def test_the_device_table_has_all_that_the_printed_example_says_but_its_secrets(tmp_path: Path) -> None:
    async with avaeye_site(tmp_path) as site:
        await site.post("basicinfo", (SAMPLES / "basicinfo.txt").read_bytes().partition(b"\n")[2])
        known = site.sources[0].devices(site.intakes[0]).get("park01/2102512")
        assert known is not None
        assert (known.online, known.interval) == (True, 30.0)
        assert known.facts == {
            "name": "HC121@MAC-08S",
            "serial": "210235000000000",
            "version": "PARK_1201-B0003",
            "address": "192.168.1.13",
            "resolution": "1920*1080",
            "protocol": "1.0",
            "category": "entrance & exit camera",
            "scene": "campus",
            "pictures": "base64",
            "shot_from": "front",
            "spaces": 2,
            "mqtt": True,
            "capabilities": ["coil", "edge storage", "lamp", "led", "radar", "space detection"],
            "space_ids": [{"area": "A12", "id": "001"}, {"area": "A12", "id": "001"}],
        }
