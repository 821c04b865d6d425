"""The table of the vendor's answers, beside the issue's list and the vendor's own tables."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from msgspec import Raw

from pump.vendors.common.api import Action
from pump.vendors.hik_connect.answers import (
    ANSWERS,
    answer_of,
    answer_of_status,
    decode,
    find_batch_id,
    read,
    said,
    sliced,
)  # fmt: skip
from pump.vendors.hik_connect.marks import Marks

DOCUMENT = Path(__file__).parents[5] / "shared" / "vendor" / "hik-connect-openapi-2.13.0.txt"

WANTED = {
    Action.RETRY: "OPEN000000 OPEN000009 OPEN000015 OPEN000018 OPEN000019 OPEN000023 "
    "VMS000009 VMS001000 VMS001001 LAP000004",
    Action.LOGIN: "OPEN000006 OPEN000007",
    Action.SUBSCRIBE: "OPEN000016",
    Action.POLL: "OPEN000012",
    Action.MISCONFIGURED: "OPEN000001 OPEN000002 OPEN000003 OPEN000004 OPEN000005 OPEN000021 OPEN300002 VMS004005",
}
ACCOUNT = {"OPEN000001", "OPEN000002", "OPEN000003", "OPEN000004", "OPEN000005", "OPEN300002"}

OTHER_SUBJECTS = re.compile(
    r"CCF0(38|21)|VMS0(2|38|4)|VMS003001|VMS004004|OPEN01|OPEN0005|OPEN000(601|55[456])|OPEN0000(1[47]|2[0678]|3[01])|EVZ|THD"
)
"""Persons, cards, areas, devices, e-mails, drivers, searches: no queue call answers with these."""


@pytest.mark.parametrize(
    ("code", "action"), [(code, action) for action, codes in WANTED.items() for code in codes.split()]
)
def test_each_code_of_the_issue_has_its_row(code: str, action: Action) -> None:
    assert ANSWERS[code].action is action
    assert ANSWERS[code].account == (code in ACCOUNT)


def test_who_must_help_is_told_how() -> None:
    for code, answer in ANSWERS.items():
        assert answer.meaning, code
        if answer.action is not Action.RETRY:
            assert answer.advice, code
        assert len(answer.text) < 160, code


def test_a_code_without_a_row_is_told_and_repeated() -> None:
    answer = answer_of("OPEN123456")
    assert answer.action is Action.RETRY
    assert "do not know" in answer.text


@pytest.mark.parametrize(
    ("status", "action"),
    [(401, Action.LOGIN), (429, Action.RETRY), (500, Action.RETRY), (503, Action.RETRY), (302, Action.RETRY),
     (404, Action.RETRY), (418, Action.RETRY), (204, Action.RETRY), (999, Action.RETRY)],
)  # fmt: skip
def test_statuses(status: int, action: Action) -> None:
    assert answer_of_status(status).action is action


@pytest.mark.skipif(not DOCUMENT.exists(), reason="the vendor's document is not at hand")
def test_every_code_of_the_document_has_a_row_or_another_subject() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    table = text[text.rindex("A.4 Status and Error Code") :]
    codes = set(re.findall(r"^((?:OPEN|CCF|LAP|VMS|EVZ)\d+|THD_\w+)\t", table, re.MULTILINE))
    assert len(codes) > 200
    assert sorted(code for code in codes if code not in ANSWERS and not OTHER_SUBJECTS.match(code)) == []
    assert sorted(ANSWERS.keys() - codes) == ["OPEN300002"], "that one stands in 3.3 alone"


# -- JSON --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "value"),
    [
        (b'{"a": 1}', {"a": 1}),
        (b'{"a": "caf\xe9"}', {"a": "caf\ufffd"}),
        (b'{"a": "one\ntwo\x01"}', {"a": "one\ntwo\x01"}),
        (rb'{"\ud800": ["\udfff", {"b": "\ud83d\ude00"}]}', {"\ufffd": ["\ufffd", {"b": "😀"}]}),
        (rb'"\ud800"', "\ufffd"),
        (b'{"a": 123456789012345678901234567890}', {"a": 1.2345678901234568e29}),
        (b'{"a": ', None),
        (b"", None),
        (b"[" * 5000, None),
        (b"\xff\xfe", None),
    ],
)
def test_json_is_read_as_far_as_it_can_be(content: bytes, value: object) -> None:
    assert decode(content) == value


_RECORDS = (
    b'{"guid":"a","msgType":"2","markState":1,"timeInfo":{"startTime":"t","more":[2]},"x":{"y":[{}]}}',
    b'{"guid":null,"msgType":2.0,"timeInfo":{},"startTime":" t ","alarmState":true}',
    b'{"msgType":["2"],"timeInfo":[{"startTime":"u"}],"guid":1152921504606846976,"affirmedState":"\\u0031"}',
    b"{}",
)


@pytest.mark.parametrize("name", ["alarmMsg", "events", "event"])
@pytest.mark.parametrize(
    "other",
    [
        b"{}",
        b"null",
        b"[[3]]",
        b'{"a":1e999}',
        b'{"guid":"\xff"}',
        rb'{"\ud800":"\udc00"}',
        b'{"a":"\x01"}',
        b'{"a":NaN}',
    ],
)
def test_records_that_are_read_one_by_one_are_what_they_are_together(name: str, other: bytes) -> None:
    listed = b",".join((*_RECORDS, other))
    content = b'{"errorCode":"0", "data":{"batchId":7,"more":[1],"%b":[%b],"remainingNumber":"3"}}' % (
        name.encode(),
        listed,
    )
    found, together = sliced(content), decode(content)
    records = found["data"][name]
    assert repr([read(record) for record in records]) == repr(together["data"][name])  # NaN is not NaN
    assert found["errorCode"] == together["errorCode"]
    assert all(found["data"][word] == together["data"][word] for word in ("batchId", "remainingNumber"))
    assert _numbered(said(records)) == _numbered(together["data"][name])


def _numbered(records: list[Any]) -> object:
    marks = Marks()
    marks.begin("batch", records, datetime(2026, 11, 29, tzinfo=UTC))
    return marks.state()


def test_no_record_of_a_usual_answer_is_read_before_its_turn() -> None:
    content = b'{"data":{"batchId":"5a32","alarmMsg":[%b]},"errorCode":"0"}' % b",".join(_RECORDS)
    assert {type(record) for record in sliced(content)["data"]["alarmMsg"]} == {Raw}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b'{"errorCode":"OPEN000016"}',
        b'{"errorCode":"0","data":null}',
        b'{"errorCode":"0","data":[{"a":1}]}',
        b'{"errorCode":"0","data":{"batchId":"0","alarmMsg":[],"events":null}}',
        b'{"errorCode":"0","data":{"batchId":"5a32","alarmMsg":{"guid":"a"}}}',
        b'{"errorCode":"0","data":{"batchId":"5a32","news":[{"guid":"a"}]}}',
        b'{"errorCode":"0","data":{"batchId":"5a32","events":[{"a":oops}]}}',
        b'\xef\xbb\xbf{"errorCode":"0","data":{"batchId":"5a32","events":[{"a":1}]}}\0',
    ],
)
def test_an_answer_of_another_form_is_read_at_once(content: bytes) -> None:
    assert sliced(content) == decode(content)


def test_a_record_that_nobody_can_read_costs_no_other_one() -> None:
    digits = b"9" * 5000
    records = sliced(b'{"errorCode":"0","data":{"event":[{"uuid":"a"},{"uuid":%b}]}}' % digits)["data"]["event"]
    assert [read(record) for record in records] == [{"uuid": "a"}, f'{{"uuid":{digits.decode()}}}']


@pytest.mark.parametrize(
    ("content", "batch"),
    [
        (b'{"data":{"batchId":"5a32","events":[{"a":oops}]},"errorCode":"0"}\n', "5a32"),
        (b'{"errorCode": 0, "data":{"batchId" : "5a32","events":[{"a":oops}]}}', "5a32"),
        (b'{"data":{"batchId":"5a32","batchId":"5a32","events":[{"a":oops}]},"errorCode":"0"}', "5a32"),
        (b'{"data":{"batchId":"5a32","events":[{"batchId":"b"} oops]},"errorCode":"0"}', None),
        (b'{"data":{"batchId":"0","events":[oops]},"errorCode":"0"}', None),
        (b'{"errorCode":"0","data":{"batchId":"5a32","events":[{"a":1}', None),
        (b'{"errorCode":"0","data":{"batchId":"5a32","events":[{"a":1},', None),
        (b'{"errorCode":"OPEN000016","data":{"batchId":"5a32" oops}}', None),
        (b'{"data":{"batchId":"5a32" oops}}', None),
        (b"<html>", None),
    ],
)
def test_the_batch_id_is_found_in_what_is_no_json(content: bytes, batch: str | None) -> None:
    assert find_batch_id(content) == batch
