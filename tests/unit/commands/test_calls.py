"""Raw calls lead to their own server and nowhere else."""

from __future__ import annotations

import pytest

from pump.commands.calls import LARGEST_BODY, LONGEST_PATH, RawAnswer, RawCall, without


@pytest.mark.parametrize(
    "path",
    [
        "/ISAPI/System/deviceInfo?format=json&devIndex=1", "/a", "/a/", "/a%20b?x=%2e%2e", "/open/lora/v1/lockers/1",
        "/v1.0/iot?x=http://other.example/..", "/a/.well-known", "/a..b/c", "/a?", "/Smart/Capture?IA_TRIGGER_FORMAL",
    ],
)  # fmt: skip
def test_a_path_of_the_server_is_taken_as_it_is(path: str) -> None:
    assert RawCall("GET", path).path == path


@pytest.mark.parametrize(
    "path",
    [
        "", "/", "a", "http://other.example/a", "//other.example/a", "/a//b", "/..", "/a/..", "/a/../b", "/a/%2e%2e/b",
        "/a/%252e%252e/b", "/a/%2E./b", "/a/..%2fb", "/a/..;x/b", "/./a", "/a/%2e/b", "/a\\..\\b", "/a%5c..%5cb",
        "/a b", "/a\nHost: b", "/a%0d%0aHost:%20b", "/a#b", "/ä", "/a%00", "@other.example/", "/" + "a" * LONGEST_PATH,
        "/a/%2f/b",
    ],
)  # fmt: skip
def test_a_path_that_could_lead_elsewhere_is_none(path: str) -> None:
    with pytest.raises(ValueError, match="path"):
        RawCall("GET", path)


def test_method_body_and_type_are_bounded() -> None:
    for method in ("get", "CONNECT", "TRACE", "GET /b HTTP/1.1\r\n", ""):
        with pytest.raises(ValueError, match="method"):
            RawCall(method, "/a")
    assert len(RawCall("POST", "/a", b"x" * LARGEST_BODY).body) == LARGEST_BODY
    with pytest.raises(ValueError, match="body"):
        RawCall("POST", "/a", b"x" * (LARGEST_BODY + 1))
    for kind in ("", "text/plain\r\nHost: b", "ä", "x" * 101):
        with pytest.raises(ValueError, match="content type"):
            RawCall("POST", "/a", b"x", kind)


def test_a_call_below_a_path_is_found_however_it_is_written() -> None:
    own = ("/api/token", "/v1.0/token")
    for path in ("/api/token", "/API/Token/get", "/api/%74oken", "/api/%2574oken/", "/v1.0/token?grant_type=1"):
        assert RawCall("GET", path).below(own), path
    for path in ("/api/tokens", "/v1.0/tok", "/x/api/token"):
        assert not RawCall("GET", path).below(own), path


def test_a_query_is_ordered_as_it_is_signed() -> None:
    assert RawCall("GET", "/a?b=2&a=1&b=1").ordered == "/a?a=1&b=1&b=2"
    assert RawCall("GET", "/a?").ordered == "/a"
    assert RawCall("GET", "/a").ordered == "/a"


def test_an_answer_names_its_type_and_repeats_no_token() -> None:
    assert RawAnswer.of(200, {"Content-Type": "Text/XML; charset=utf-8"}, b"x").content_type == "text/xml"
    assert RawAnswer.of(204, {}, b"").content_type == ""
    assert without("hcc.1", b'{"a":"hcc.1"}') == b'{"a":"*****"}'
    assert without("", b"x") == b"x"
