"""A device that refuses a question inside HTTP 200: what is known of it stays."""

from __future__ import annotations

from typing import Any

import pytest

from pump.ingest.stream.client import Answer
from pump.vendors.hik_camera.device import PROXIES, advise, merged, read_answer, read_facts, read_names

XML = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<ResponseStatus version="2.0" xmlns="http://www.hikvision.com/ver20/'
    'XMLSchema"><requestURL>/ISAPI/System/deviceInfo</requestURL><statusCode>{}</statusCode><statusString>{}'
    "</statusString><subStatusCode>{}</subStatusCode></ResponseStatus>"
)
LIST = (
    "<InputProxyChannelList><InputProxyChannel><id>1</id><name>Gate</name></InputProxyChannel></InputProxyChannelList>"
)


@pytest.mark.parametrize(
    "body",
    [
        XML.format(4, "Invalid Operation", "notSupport"),
        XML.format(2, "Device Busy", "deviceBusy"),
        XML.format(" 6 ", "Invalid Content", "badParameters"),
        '{"statusCode": 4, "statusString": "Invalid Operation", "subStatusCode": "notSupport"}',
        '{"statusCode": "4", "errorCode": 0x40000001}',
        '{"ResponseStatus": {"statusCode": "3", "statusString": "Device Error"}}',
        "<html>",
        "",
    ],
)
def test_a_refusal_inside_200_is_no_document(body: str) -> None:
    assert read_answer(Answer(200, "", body.encode())) is None


@pytest.mark.parametrize(
    "body", [LIST, XML.format(1, "OK", "ok"), "<DeviceInfo><deviceName>a</deviceName></DeviceInfo>"]
)
def test_what_is_no_refusal_is_read(body: str) -> None:
    assert read_answer(Answer(200, "", body.encode())) is not None
    assert read_answer(Answer(403, "", body.encode())) is None


def test_names_of_a_list_that_is_refused_stay() -> None:
    listed = read_answer(Answer(200, "", LIST.encode()))
    assert listed is not None
    known = {**read_facts({"serialNumber": "S"}), "names": {"1": "Door", **read_names(PROXIES, listed)}}
    assert known["names"] == {"1": "Door", "33": "Gate"}
    assert merged(known, {"names": {"1": "Front door"}}) == {"serial": "S", "names": {"1": "Front door", "33": "Gate"}}
    assert merged(known, {}) == known
    nothing: list[dict[str, Any]] = [{}, {"names": None}]
    assert [merged(each, {"serial": "S"}) for each in nothing] == [{"serial": "S"}, {"serial": "S", "names": None}]


@pytest.mark.parametrize(("lock", "wait"), [("lock", 1700.0), ("LOCK", 1700.0), ("unlock", None), ("Unlock", None)])
def test_only_an_account_that_is_locked_is_waited_for(lock: str, wait: float | None) -> None:
    body = f"<userCheck><statusValue>401</statusValue><lockStatus>{lock}</lockStatus><unlockTime>1700</unlockTime>"
    retry = advise(Answer(401, "", f"{body}</userCheck>".encode()))
    assert retry.wait == wait
    assert ("locked for 1700 s" in retry.reason) == (wait is not None)
