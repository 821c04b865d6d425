"""Both signatures against vectors that are computed here, from the rules and with nothing of the code under test."""

from __future__ import annotations

import base64
import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pump.vendors.kinot.numbers import decode, plain
from pump.vendors.kinot.sign import callback_sign, callback_signed, resource, signed_headers, string_to_sign

SECRET = "a-secret"
BODY = (
    '{"sn":419631107,"voltage":3.650,"frequency":37.90,"car_detected":1,"rs_si":-1.0e2,"reason":"NULL",'
    '"updated_at":"2019-03-13T10:42:39+08:00","device_type":34,"Zone":"é"}'
)
PLAIN = (
    "Zone=é&car_detected=1&device_type=34&frequency=37.90&reason=NULL&rs_si=-1.0e2&sn=419631107"
    "&updated_at=2019-03-13T10:42:39+08:00&voltage=3.650"
)


def md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest().upper()


@pytest.mark.parametrize("suffix", ["secret", "key"])
def test_a_callback_is_signed_over_its_sorted_fields_with_numbers_as_sent(suffix: str) -> None:
    fields = decode(BODY)
    right = md5(f"{PLAIN}&{suffix}={SECRET}")
    assert callback_sign(fields, SECRET, suffix) == right
    assert callback_signed({**fields, "sign": right}, SECRET)
    assert callback_signed({"sign": right.lower(), **fields}, SECRET)
    assert not callback_signed({**fields, "sign": right}, "another secret")
    assert not callback_signed({**fields, "sign": right, "more": "1"}, SECRET)


@pytest.mark.parametrize("sign", [None, "", 7, ["x"], "é" * 32, "641EB269A46944D404EC6BEF902E7918"])
def test_a_sign_that_is_none_is_wrong(sign: object) -> None:
    assert not callback_signed({**decode(BODY), "sign": sign}, SECRET)
    assert not callback_signed(decode(BODY), SECRET)


def test_the_same_number_in_other_words_is_another_text() -> None:
    signs = {callback_sign(decode(f'{{"voltage":{text}}}'), SECRET) for text in ("3.65", "3.650", "365e-2", '"3.65"')}
    assert len(signs) == 3, "a number and a string of the same text sign alike"


@given(
    st.dictionaries(
        st.text(st.characters(codec="ascii", exclude_characters="&="), min_size=1, max_size=8).filter(
            lambda name: name != "sign"
        ),
        st.one_of(st.integers(), st.text(max_size=8)),
        min_size=1,
        max_size=6,
    )
)
def test_any_fields_sign_as_the_rule_says(fields: dict[str, int | str]) -> None:
    text = "&".join(f"{name}={fields[name]}" for name in sorted(fields)) + f"&secret={SECRET}"
    right = hashlib.md5(text.encode("utf-8", "surrogatepass"), usedforsecurity=False).hexdigest().upper()
    assert callback_sign(fields, SECRET) == right


def test_numbers_are_kept_as_numbers_once_the_sign_is_checked() -> None:
    found = plain(decode('{"a":1,"b":3.650,"c":[1e400,-0,123456789012345678901234567890],"d":NaN,"e":true,"f":null}'))
    assert found == {
        "a": 1,
        "b": 3.65,
        "c": ["1e400", 0, "123456789012345678901234567890"],
        "d": "NaN",
        "e": True,
        "f": None,
    }


def test_a_request_is_signed_line_by_line() -> None:
    body = b'{"device_type":34}'
    headers, text = signed_headers(
        "POST", "/open/lora/v1/notifications", body, key="ak", secret="sk", stamp_ms=1552444959000, nonce="n1"
    )
    digest = base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()
    expected = (
        f"POST\napplication/json\n{digest}\napplication/json\n\n"
        "x-ca-key:ak\nx-ca-nonce:n1\nx-ca-signature-method:HmacSHA256\nx-ca-timestamp:1552444959000\n"
        "/open/lora/v1/notifications"
    )
    assert text == expected
    right = base64.b64encode(hmac.new(b"sk", expected.encode(), hashlib.sha256).digest()).decode()
    assert headers["x-ca-signature"] == right
    assert headers["content-md5"] == digest
    named = headers["x-ca-signature-headers"].split(",")
    assert named == ["x-ca-key", "x-ca-nonce", "x-ca-signature-method", "x-ca-timestamp"]


def test_a_request_without_body_has_no_digest_and_its_query_is_sorted() -> None:
    target = resource("/open/lora/v1/lockers", {"offset": "0", "limit": "10", "empty": ""})
    assert target == "/open/lora/v1/lockers?empty&limit=10&offset=0"
    headers, text = signed_headers("GET", target, b"", key="ak", secret="sk", stamp_ms=1, nonce="n")
    assert "content-md5" not in headers
    assert text.startswith("GET\napplication/json\n\napplication/json\n\nx-ca-key:ak\n")
    assert text.endswith(f"\n{target}")
    assert string_to_sign("GET", target, headers) == text
