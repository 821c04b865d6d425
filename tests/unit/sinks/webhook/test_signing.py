from __future__ import annotations

import base64
import time

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from pump.sinks.common.throttle import OPENS_AFTER, Throttle
from pump.sinks.webhook.client import Verdict, meaning
from pump.sinks.webhook.signing import Signer, key_of

OLD, NEW = (f"whsec_{base64.b64encode(bytes([number]) * 32).decode()}" for number in (1, 2))


def test_each_key_verifies_by_the_published_library() -> None:
    body = '{"plate": "Ä 1"}'.encode()
    headers = Signer([NEW, OLD]).headers("abc", int(time.time()), body)
    assert headers["webhook-id"] == "abc"
    for secret in (OLD, NEW):
        assert Webhook(secret).verify(body, headers) == {"plate": "Ä 1"}
    with pytest.raises(WebhookVerificationError):
        Webhook(OLD).verify(body + b" ", headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(OLD).verify(body, Signer([NEW]).headers("abc", int(time.time()), body))
    assert "webhook-signature" not in Signer([]).headers("abc", 0, body)


def test_the_specification_s_own_example() -> None:
    signer = Signer(["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"])
    headers = signer.headers("msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize(
    "secret", ["", "abc", "whsec_", "whsec_!!!!", "whsec_c2hvcnQ=", "whsec_" + "A" * 100, "x" * 44]
)
def test_what_is_no_secret_is_not_told(secret: str) -> None:
    with pytest.raises(ValueError, match="whsec_") as refused:
        key_of(secret)
    assert len(secret) < 7 or secret not in str(refused.value)


def test_a_key_may_come_without_its_padding() -> None:
    assert key_of(OLD.rstrip("=")) == key_of(OLD) == bytes([1]) * 32


@pytest.mark.parametrize(
    ("status", "wanted"),
    [
        (200, Verdict.TAKEN), (204, Verdict.TAKEN), (299, Verdict.TAKEN),
        (301, Verdict.WRONG), (302, Verdict.WRONG), (308, Verdict.WRONG), (304, Verdict.WRONG),
        (400, Verdict.REFUSED), (413, Verdict.REFUSED), (422, Verdict.REFUSED), (418, Verdict.REFUSED),
        (401, Verdict.WRONG), (403, Verdict.WRONG), (404, Verdict.WRONG), (410, Verdict.GONE),
        (408, Verdict.LATER), (425, Verdict.LATER), (500, Verdict.LATER), (507, Verdict.LATER), (999, Verdict.LATER),
        (429, Verdict.SLOWER), (502, Verdict.SLOWER), (503, Verdict.SLOWER), (504, Verdict.SLOWER),
    ],
)  # fmt: skip
def test_statuses(status: int, wanted: Verdict) -> None:
    assert meaning(status) is wanted


def test_pressure_falls_when_the_peer_asks_for_it_and_rises_again() -> None:
    pressure = Throttle(8)
    assert (pressure.window, pressure.gap) == (8, 0)
    pressure.failed(slower=False)
    assert (pressure.window, pressure.gap) == (8, 0)
    pressure.failed(slower=True)
    assert (pressure.window, pressure.gap) == (4, 0.1)
    pressure.failed(slower=True)
    assert (pressure.window, pressure.gap) == (2, 0.2)
    for _ in range(100):
        pressure.succeeded()
    assert (pressure.window, pressure.gap) == (8, 0)
    for _ in range(20):
        pressure.failed(slower=True)
    assert pressure.gap == Throttle.LONGEST_GAP
    assert pressure.circuit_open
    assert pressure.window == 1
    pressure.succeeded()
    assert not pressure.circuit_open
    for _ in range(OPENS_AFTER):
        assert not pressure.circuit_open
        pressure.failed(slower=False)
    assert pressure.circuit_open
