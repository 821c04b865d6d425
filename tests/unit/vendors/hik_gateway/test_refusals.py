"""Each code of the document's table A.2 in its own words, in each form that a gateway may write it in."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from pump.ingest.stream.client import Answer
from pump.vendors.common.hik_status import refused, status_class, status_fields, status_of_xml
from pump.vendors.hik_gateway.answers import failed, trouble
from pump.vendors.hik_gateway.codes import ADVICE, PRIVATE
from pump.vendors.hik_gateway.simulator.server import Quirks
from pump.vendors.hik_gateway.subscription import why
from tests.unit.vendors.hik_gateway.site import site

ROOT = Path(__file__).parents[4]
DOCUMENT = ROOT.parent / "shared" / "vendor" / "hik-device-gateway-1.3.txt"
LIST = ROOT / "tests" / "data" / "hik_gateway_refusals.txt"
CODES: list[tuple[int, str, str]] = [
    (int(code), sub, error)
    for code, sub, error in (line.split() for line in LIST.read_text(encoding="utf-8").splitlines() if line[0] != "#")
]
PASSWORDS = {"badAuthorization", "loginPasswordError", "pwdErrorLoginFailed"}
STRING = {1: "OK", 2: "Device Busy", 3: "Device Error", 4: "Invalid Operation", 7: "Reboot Required"}

FORMS = {
    "number": '{"requestURL": "", "statusCode": %s, "statusString": "%s", "subStatusCode": "%s", "errorCode": %s}',
    "text": '{"requestURL": "", "statusCode": "%s", "statusString": "%s", "subStatusCode": "%s", "errorCode": "%s"}',
    "wrapped": '{"ResponseStatus": {"statusCode": %s, "statusString": "%s", "subStatusCode": "%s", "errorCode": %s}}',
    "beside": '{"ResponseStatus": {"statusCode": %s, "statusString": "%s", "subStatusCode": "%s", "errorCode": %s,}, '
    '"SearchResult": {"MatchList": []}}',
    "xml": '<?xml version="1.0" encoding="UTF-8"?>\r\n'
    '<ResponseStatus version="2.0" xmlns="http://www.isapi.org/ver20/XMLSchema">\r\n<requestURL></requestURL>\r\n'
    "<statusCode>%s</statusCode>\r\n<statusString>%s</statusString>\r\n<subStatusCode>%s</subStatusCode>\r\n"
    "<errorCode>%s</errorCode>\r\n</ResponseStatus>",
    "xml with a prefix": "\n<h:ResponseStatus><h:statusCode> %s </h:statusCode><h:statusString>%s</h:statusString>"
    "<h:subStatusCode>%s</h:subStatusCode><h:errorCode>%s</h:errorCode></h:ResponseStatus>",
}


def body(form: str, code: int, sub: str, error: str) -> bytes:
    return (FORMS[form] % (code, STRING.get(code, "Invalid Content"), sub, error)).encode()


@pytest.mark.skipif(not DOCUMENT.exists(), reason="the vendor's document is not beside this checkout")
def test_the_list_is_the_document_s() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    table = text[text.rindex("A.2 Error Codes") : text.rindex("A.3 Hikvision CID Code")]
    table = table.replace("Informati\nonFailed\n", "InformationFailed")  # broken over two lines of the page
    printed = re.findall(r"(?m)^([A-Za-z]\w+)\s+(0x[0-9A-F]+) ", table)
    assert printed == [(sub, error) for _, sub, error in CODES]
    assert [status_class(int(error, 16)) for _, _, error in CODES[1:]] == [code for code, _, _ in CODES[1:]]


def test_each_code_has_a_row_with_words_that_no_other_has() -> None:
    assert len(CODES) == 59
    assert {sub.lower() for _, sub, _ in CODES} <= ADVICE.keys()
    words = [ADVICE[sub.lower()].text for _, sub, _ in CODES if sub not in PASSWORDS]
    assert len(set(words)) == len(words)
    assert all(words)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("code", "sub", "error"), CODES, ids=[sub for _, sub, _ in CODES])
def test_a_403_says_its_code_s_own_words_and_none_of_the_protocol(code: int, sub: str, error: str, form: str) -> None:
    found = trouble(Answer(403, "", body(form, code, sub, error)), "the subscription")
    assert found.advice is ADVICE[sub.lower()]
    assert "Private" not in found.reason
    assert found.advice.text in found.reason
    if sub not in PASSWORDS:
        assert sub in found.reason


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("code", "sub", "error"), CODES, ids=[sub for _, sub, _ in CODES])
def test_inside_http_200_all_but_class_1_are_refusals(code: int, sub: str, error: str, form: str) -> None:
    answer = Answer(200, "", body(form, code, sub, error))
    assert failed(answer) == (code != 1)
    assert trouble(answer, "it").advice is ADVICE[sub.lower()]


@pytest.mark.parametrize(
    ("told", "private"),
    [
        ("", True),
        ('{"statusCode": 4, "statusString": "Invalid Operation"}', True),
        ('{"statusCode": "4", "statusString": "invalid operation", "subStatusCode": ""}', True),
        ('{"statusCode": 4, "statusString": "Invalid Operation", "subStatusCode": "invalidOperation"}', True),
        ('{"statusCode": 4, "statusString": "Invalid Operation", "errorCode": 0x40000001}', True),
        ("<ResponseStatus><statusCode>4</statusCode><statusString>Invalid Operation</statusString>", True),
        ('{"statusCode": 4, "statusString": "Invalid Operation", "subStatusCode": "neverHeardOf"}', False),
        ('{"statusCode": 6, "statusString": "Invalid Content"}', False),
        ('{"statusCode": 2, "statusString": "Device Busy"}', False),
        ('{"statusCode": "2"}', False),
        ('{"statusCode": 3}', False),
    ],
)
def test_only_an_invalid_operation_is_the_protocol_s_advice(told: str, private: bool) -> None:
    assert (trouble(Answer(403, "", told.encode()), "it").advice is PRIVATE) == private


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({}, False),
        ({"statusCode": 1}, False),
        ({"statusCode": "1"}, False),
        ({"statusCode": 0}, False),
        ({"statusCode": 1.0}, False),
        ({"StatusCode": 1, "SubStatusCode": "OK"}, False),
        ({"subStatusCode": "OK"}, False),
        ({"errorCode": 1}, False),
        ({"errorCode": "0x1"}, False),
        ({"statusCode": True}, False),  # no code at all
        ({"statusCode": 4}, True),
        ({"statusCode": " 4 "}, True),
        ({"statusCode": "04"}, True),
        ({"statuscode": 6.0}, True),
        ({"statusCode": "0x4"}, True),
        ({"subStatusCode": "lowPrivilege"}, True),
        ({"errorCode": 0x40000003}, True),
        ({"errorCode": "0x40000003"}, True),
        ({"errorCode": "1073741827"}, True),
        ({"errorCode": 0x600000040}, True),
        ({"ResponseStatus": {"statusCode": 4}}, True),
        ({"responseStatus": {"statusCode": "4"}, "DeviceOutList": []}, True),
        ({"SearchResult": {"totalMatches": 4}}, False),
        ({"SubscribeDeviceMgmtRsp": {"id": 4, "FailList": [{"Dev": {"subStatusCode": "x"}}]}}, False),
    ],
)
def test_what_is_a_refusal(fields: dict[str, Any], wrong: bool) -> None:
    assert refused(status_fields(fields)) == wrong


def test_anything_else_is_no_status() -> None:
    others: list[Any] = [None, [], 4, "x", {"a": 1}, {"EventNotificationAlert": {"status": "offline"}}]
    for other in others:
        assert status_fields(other) == {}
    assert status_of_xml(b"<html><statusCode>4</statusCode></html>") == {}
    assert status_of_xml(b"\xff<") == {}
    assert status_class("soon") is status_class(-1) is status_class(None) is None


def test_a_device_s_failure_has_the_same_words() -> None:
    for _, sub, _ in CODES:
        assert why(sub).endswith(f" ({sub})")


@pytest.mark.parametrize("form", FORMS)
async def test_a_subscription_refused_inside_200_is_refused(tmp_path: Path, form: str) -> None:
    async with site(tmp_path) as one:
        one.vendor.faults.answers["subscribeDeviceMgmt"] = (200, body(form, 4, "lowPrivilege", "0x40000002"))
        await one.until(lambda: one.intake.component.state == "down")
        assert "no permission" in one.intake.component.reason
        one.pace = 5.0
        one.vendor.faults.answers.clear()
        await one.up()


@pytest.mark.parametrize(
    "answer",
    [
        *((200, body(form, 4, "lowPrivilege", "0x40000002")) for form in FORMS),
        (200, b""),
        (200, b"{}"),
        (200, b"[]"),
        (200, b"<html>"),
        (200, b'{"SearchResult": {"totalMatches": "5"}}'),
        (200, b'{"SearchResult": {"totalMatches": 5, "MatchList": []}}'),
        (302, b""),
        (403, body("xml", 4, "lowPrivilege", "0x40000002")),
    ],
    ids=lambda value: value[1].decode()[:40],
)
async def test_a_list_that_is_none_leaves_the_inventory_and_the_subscriptions(
    tmp_path: Path, answer: tuple[int, bytes]
) -> None:
    settings = {"event_mode": "device", "inventory_interval": "61s"}
    async with site(tmp_path, settings=settings) as one:
        await one.up()
        keeper = one.source.keeper
        devices = dict(keeper.context.devices)
        assert len(devices) == 5
        one.vendor.faults.answers["deviceList"] = answer
        before = one.vendor.account.requests.count("POST /ISAPI/ContentMgmt/DeviceMgmt/deviceList")
        one.pace = 0.5
        await one.until(
            lambda: one.vendor.account.requests.count("POST /ISAPI/ContentMgmt/DeviceMgmt/deviceList") > before + 3
        )
        assert keeper.context.devices == devices
        assert one.intake.state("inventory")["inventory"].keys() == devices.keys()
        (stream,) = one.vendor.subscriptions.values()
        assert stream.devices.keys() == devices.keys()
        assert not one.vendor.account.closed
        assert one.vendor.account.streams == 1


@pytest.mark.parametrize(
    "answer",
    [(200, body("number", 4, "theSessionIdDoesNotExist", "0x40001135")), (200, b"{}"), (200, body("xml", 2, "x", "1"))],
    ids=["json", "nothing", "xml"],
)
async def test_a_status_that_is_refused_ends_no_gap(tmp_path: Path, answer: tuple[int, bytes]) -> None:
    failing = "2cd6716d-767f-4756-ac55-50276a5e3b01"
    async with site(tmp_path, settings={"devices": {failing: []}}) as one:
        one.vendor.faults.fail = {failing: "networkError"}
        await one.up()
        assert failing in one.intake.component.details["devices"]
        one.vendor.faults.answers["queryStatus"] = answer
        one.pace = 1.0
        await one.until(lambda: str(one.vendor.account.requests).count("queryStatus") > 3)
        assert failing in one.intake.component.details["devices"]
        assert len(await one.gaps()) == 1


async def test_a_device_whose_subscription_is_refused_inside_200_stays_as_it_was(tmp_path: Path) -> None:
    first, second = (f"2cd6716d-767f-4756-ac55-50276a5e3b{n:02x}" for n in (1, 2))
    async with site(tmp_path, settings={"devices": {first: []}}) as one:
        await one.up()
        one.vendor.faults.answers[second] = (200, body("text", 6, "badParameters", "0x60000001"))
        with pytest.raises(Exception, match="a parameter is incorrect"):
            await one.source.change(devices={first: (), second: ()})
        assert one.source.keeper.wanted.devices == {first: ()}


@pytest.mark.parametrize(
    ("first", "word"),
    [
        (b'{"statusCode": 1, "statusString": "OK", "subStatusCode": "ok"}', None),
        (b"<ResponseStatus><statusCode>1</statusCode><statusString>OK</statusString></ResponseStatus>", None),
        (b'{"statusCode": "4", "subStatusCode": "lowPrivilege", "errorCode": 0x40000002}', "no permission"),
        (b"<ResponseStatus><statusCode>2</statusCode><subStatusCode>upgrading</subStatusCode>", "upgraded"),
    ],
)
async def test_a_status_for_the_stream_s_first_part_is_no_event(tmp_path: Path, first: bytes, word: str | None) -> None:
    part = b"--boundary\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s\r\n" % (len(first), first)
    async with site(tmp_path, quirks=Quirks(answer="absent")) as one:
        one.vendor.faults.garbage = [part]
        index = next(iter(one.vendor.devices))
        await one.until(lambda: one.vendor.subscriptions)
        one.vendor.put(one.vendor.messages.cid(index))
        if word is None:
            await one.stored(1)
            assert one.intake.component.state == "up"
        else:
            await one.until(lambda: word in (one.intake.component.reason or ""))
        assert not [event for event in await one.records() if event["type"] == "pump.record.unparsed"]


@pytest.mark.parametrize("begin", [b"<ResponseStatus><", b"<ResponseStatus>", b"<ResponseStatus><a:"])
@pytest.mark.parametrize("rest", [b"<a ", b"a", b"<a>", b" ", b"<a:a", b"&amp;", b"<statusCode>4</"])
def test_no_status_takes_longer_than_its_length(begin: bytes, rest: bytes) -> None:
    # In proportion to the square of it this would take minutes: the suite's time-out would tell.
    failed(Answer(200, "", begin + rest * 500_000))
