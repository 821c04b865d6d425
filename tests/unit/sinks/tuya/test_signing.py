"""Signatures against vectors of our own, made with `openssl dgst -sha256 -hmac` by the rule in docs/field.md."""

from __future__ import annotations

import pytest

from pump.sinks.tuya.signing import Request, headers, sign, string_to_sign, target

CLIENT = "vectorclient01"
SECRET = "vector-key-of-our-own"
TIME = 1795161600123
NONCE = "00112233445566778899aabbccddeeff"
TOKEN = "vectortoken02"
EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
BODY = (
    b'{"dataType":0,"recordSyncInfos":[{"totalCount":10,"startTime":1652777782808,"endTime":1652779976771,'
    b'"passDirection":0}]}'
)
SYNC = Request("POST", "/v1.0/parking-control/6ce01/records/sync", BODY)


@pytest.mark.parametrize(
    ("request_", "token", "secret", "expected"),
    [
        (
            Request("GET", "/v1.0/token?grant_type=1"), "", SECRET,
            "551627B8C4EE7F9875B87398C493D6DAEAA799DD73BEDAD03A5636B5DA2C67B8",
        ),
        (
            SYNC, TOKEN, SECRET,
            "9D2020976B940389FB9978B2C70F0560CC4DB2AF1631F2874AF94F7671496189",
        ),
        (
            Request("GET", "/v1.0/x?a%20b=c%2Fd&page_no=1&page_size=50"), TOKEN, SECRET,
            "84558D021774B4B178DDB055FCAD263462858C39B018AAA0703024E0AD4D93BA",
        ),
        (
            SYNC, TOKEN, "schlüssel",
            "17F9BA873FC3FE47575326B19B2F6D36CBA8D53D63B519D842AF87DFF9F94D73",
        ),
    ],
    ids=["token", "sync", "query", "a secret beyond ASCII"],
)  # fmt: skip
def test_a_signature_is_the_vector_s(request_: Request, token: str, secret: str, expected: str) -> None:
    assert sign(request_, client_id=CLIENT, secret=secret, token=token, time_ms=TIME, nonce=NONCE) == expected


def test_the_string_to_sign_is_four_lines_with_none_for_headers() -> None:
    assert string_to_sign(Request("GET", "/v1.0/token?grant_type=1")) == f"GET\n{EMPTY}\n\n/v1.0/token?grant_type=1"
    assert string_to_sign(SYNC).split("\n")[1] == ("1735f71ae9b1f4778b07eeee37f4dfb5ef58e12443aeec99f0f91c8a4aba9e4d")


def test_a_query_is_sorted_by_name_and_encoded() -> None:
    fields = {"page_size": "50", "a b": "c/d", "page_no": "1"}
    assert target("/v1.0/x", fields) == "/v1.0/x?a%20b=c%2Fd&page_no=1&page_size=50"
    assert target("/v1.0/x") == "/v1.0/x"


def test_one_byte_more_or_another_time_is_another_signature() -> None:
    known = sign(SYNC, client_id=CLIENT, secret=SECRET, token=TOKEN, time_ms=TIME, nonce=NONCE)
    others = [
        sign(SYNC._replace(body=BODY + b" "), client_id=CLIENT, secret=SECRET, token=TOKEN, time_ms=TIME, nonce=NONCE),
        sign(SYNC, client_id=CLIENT, secret=SECRET, token=TOKEN, time_ms=TIME + 1, nonce=NONCE),
        sign(SYNC, client_id=CLIENT, secret=SECRET, token="", time_ms=TIME, nonce=NONCE),
        sign(SYNC, client_id=CLIENT, secret=SECRET, token=TOKEN, time_ms=TIME, nonce=""),
    ]
    assert len({known, *others}) == 5


def test_the_headers_hold_no_secret_and_a_token_only_where_there_is_one() -> None:
    found = headers(SYNC, client_id=CLIENT, secret=SECRET, token=TOKEN, time_ms=TIME, nonce=NONCE)
    assert set(found) == {"client_id", "t", "nonce", "sign_method", "sign", "access_token"}
    assert SECRET not in str(found)
    assert "access_token" not in headers(SYNC, client_id=CLIENT, secret=SECRET, token="", time_ms=TIME, nonce=NONCE)
