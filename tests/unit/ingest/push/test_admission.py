"""What may be held of bodies, and who may how often."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from pump.ingest.push.admission import HELD, SHARE, SMALL, Admission, BodyBudget, HeldBody
from pump.ingest.push.request import Refused
from pump.testing import ManualClock


def test_one_address_holds_a_share_and_the_others_theirs() -> None:
    budget = BodyBudget(1 << 20)
    mine, more, other = HeldBody(budget, "10.0.0.1"), HeldBody(budget, "10.0.0.1"), HeldBody(budget, "10.0.0.2")
    mine.hold(HELD // SHARE)
    more.hold(SMALL)  # a small one always finds room
    with pytest.raises(Refused) as refused:
        more.hold(1)
    assert refused.value.status == 503
    assert refused.value.retry_after
    other.hold(HELD // SHARE)
    for each in (mine, more, other):
        each.release()
        each.release()
    assert budget.held == 0


def test_who_holds_nothing_is_forgotten() -> None:
    budget = BodyBudget(1 << 20)
    held = HeldBody(budget, "10.0.0.1")
    held.hold(1 << 20)
    held.hold(-(1 << 20))  # unpacked it was empty
    held.release()
    assert not budget._by_address


def test_a_device_is_admitted_so_often_and_an_address_only_where_it_may() -> None:
    clock = ManualClock()
    admission = Admission(clock, device_rate=1 / 60, allow=[ip_network("10.0.0.0/8")])
    admission.admit(("gate", "1"))
    admission.admit(("gate", "2"))
    with pytest.raises(Refused) as refused:
        admission.admit(("gate", "1"))
    assert (refused.value.status, refused.value.retry_after) == (429, 60.0)
    clock.advance(60.0)
    admission.admit(("gate", "1"))
    admission.check_address("10.1.1.1")
    with pytest.raises(Refused) as refused:
        admission.check_address("192.0.2.1")
    assert refused.value.status == 403


def test_without_limits_everybody_may() -> None:
    admission = Admission(ManualClock())
    for _ in range(1000):
        admission.admit("one")
    admission.check_address("192.0.2.1")
