"""What each refusal means: its advice, its own wait, and whether it is the password (document, A.2; docs/field.md)."""

from __future__ import annotations

import pytest

from pump.ingest.stream.client import Answer
from pump.vendors.hik_gateway.answers import Rejected, Waits, trouble


def answered(status: int, sub: str = "", *, code: int = 4, text: str = "", challenge: str = "") -> Answer:
    body = b'{"statusCode": %d, "statusString": "%s", "subStatusCode": "%s", "errorCode": 0x40000003}'
    return Answer(status, "application/json", body % (code, text.encode(), sub.encode()), challenge)


ROWS: list[tuple[Answer, str, tuple[float, float, float]]] = [
    # the answer; a word of the advice; the least of the first, the second and of all later waits, in seconds
    (answered(403, "deployExceedMax"), "close other clients", (60, 60, 60)),
    (answered(403, "maxSessionUserLink"), "close other clients", (60, 60, 60)),
    (answered(403, "lowPrivilege"), "no permission", (600, 600, 600)),
    (answered(403, "notActivated"), "activate it", (600, 600, 600)),
    (answered(403, "notSupport"), "is it a Device Gateway", (60, 120, 300)),
    (answered(405, "methodNotAllowed"), "is it a Device Gateway", (60, 120, 300)),
    (answered(403, "invalidOperation"), "Private", (30, 60, 300)),
    (answered(403, text="Invalid Operation"), "Private", (30, 60, 300)),
    (answered(200, "deviceBusy", code=2), "busy", (5, 10, 60)),
    (answered(500, "noMemory"), "busy", (5, 10, 60)),
    (answered(503), "busy", (5, 10, 60)),
    (answered(429), "busy", (5, 10, 60)),
    (answered(500, code=2), "busy", (5, 10, 60)),
    (answered(500, "upgrading"), "upgraded", (10, 20, 60)),
    (answered(500, "setArmingError"), "arming", (5, 10, 60)),
    (answered(500, "rebootRequired"), "rebooted", (30, 60, 300)),
    (answered(404), "not a Device Gateway", (60, 120, 300)),
]


@pytest.mark.parametrize(("answer", "word", "least"), ROWS, ids=lambda value: value if isinstance(value, str) else "")
def test_a_refusal_has_its_advice_and_a_backoff_of_its_own(
    answer: Answer, word: str, least: tuple[float, float, float]
) -> None:
    waits = Waits()
    found = trouble(answer, "the subscription")
    assert word in found.reason
    assert found.reason.startswith("the subscription was refused: HTTP ")
    retries = [waits.retry(trouble(answer, "the subscription")) for _ in range(9)]
    for retry, wanted in zip(retries, (*least[:2], *[None] * 6, least[2]), strict=True):
        assert not retry.rejected
        assert retry.wait is not None
        if wanted is not None:
            assert wanted <= retry.wait <= 1.1 * wanted
    # Another trouble's wait is its own, and a stream that carried something begins them all anew.
    waits.reset()
    again = waits.retry(trouble(answer, "the subscription")).wait
    assert again is not None
    assert least[0] <= again <= 1.1 * least[0]


def test_backoffs_do_not_grow_by_one_another() -> None:
    waits = Waits()
    for _ in range(5):
        waits.retry(trouble(answered(503), "it"))
    wait = waits.retry(trouble(answered(500, "upgrading"), "it")).wait
    assert wait is not None
    assert 10.0 <= wait <= 11.0


@pytest.mark.parametrize("sub", ["badAuthorization", "loginPasswordError", "pwdErrorLoginFailed"])
@pytest.mark.parametrize("status", [200, 403])
def test_a_rejected_password_is_known_by_its_word_whatever_the_status(status: int, sub: str) -> None:
    found = trouble(answered(status, sub), "the subscription")
    retry = Waits().retry(found)
    assert isinstance(found, Rejected)
    assert retry.rejected
    assert retry.wait == 600.0


def test_what_no_table_knows_has_no_wait_of_its_own() -> None:
    found = trouble(answered(500, "neverHeardOf"), "the subscription")
    assert Waits().retry(found).wait is None
    assert found.reason == "the subscription was refused: HTTP 500, neverHeardOf"
    assert trouble(Answer(502, "text/html", b"<html>"), "it").reason == "it was refused: HTTP 502"


@pytest.mark.parametrize(
    ("challenge", "left", "rejected", "word"),
    [
        ('Basic realm="x"', "5", False, "another login than digest"),
        ('Basic realm="x", Digest realm="x", nonce="1", stale="FALSE"', "5", True, "attempts left: 5"),
        # None: the stream counts them, and believes no third in a row.
        ('Digest realm="x", nonce="1", stale="TRUE"', "3", None, "expired"),
        ('Basic realm="x", Digest realm="x", nonce="1", stale=true', "3", None, "expired"),
        # With few attempts left an expired challenge is not risked again.
        ('Digest realm="x", nonce="1", stale="TRUE"', "2", True, "attempts left: 2"),
        ("", "4", True, "attempts left: 4"),
    ],
)
def test_a_401(challenge: str, left: str, rejected: bool | None, word: str) -> None:
    body = b'{"userCheck": {"statusValue": 401, "retryTimes": %s, "lockStatus": "unlock"}}' % left.encode()
    retry = Waits().retry(trouble(Answer(401, "application/json", body, challenge), "the login"))
    assert retry.rejected is rejected
    assert word in retry.reason


@pytest.mark.parametrize(
    ("lock", "wait"), [("unlock", 600.0), ("Unlock", 600.0), ("unlocked", 600.0), ("lock", 1700.0), ("LOCKED", 1700.0)]
)
def test_an_account_that_is_not_locked_is_not_waited_for_as_a_locked_one(lock: str, wait: float) -> None:
    body = b'{"statusCode": 4, "retryTimes": 5, "lockStatus": "%s", "resLockTime": 1700}' % lock.encode()
    found = trouble(Answer(401, "application/json", body), "the login")
    assert found.wait == wait
    assert ("locked for 1700 s" in found.reason) == (wait == 1700.0)


@pytest.mark.parametrize(("locked", "wait"), [("1700", 1700.0), ('"1700"', 1700.0), ("20", 600.0), ('"soon"', 600.0)])
def test_the_lock_s_time_is_waited_out_ten_minutes_at_the_least(locked: str, wait: float) -> None:
    body = b'{"statusCode": 4, "retryTimes": 0, "lockStatus": "lock", "resLockTime": %s}' % locked.encode()
    assert trouble(Answer(401, "application/json", body), "the login").wait == wait
