"""A rejected password waits over restarts, until an operator says that it is mended."""

from __future__ import annotations

import pytest

from pump.core.errors import Misconfigured
from pump.ingest.stream.lockout import LoginLockout
from pump.testing import ManualClock


def test_an_operators_word_ends_the_wait_and_the_next_rejection_begins_another() -> None:
    lockout = LoginLockout(ManualClock(), ("http://192.0.2.1", "admin", "x"))
    stored = lockout.note("wrong password", None)
    with pytest.raises(Misconfigured):
        lockout.check()
    lockout.hurry()
    lockout.load(stored)  # as the next run does
    lockout.check()
    lockout.note("wrong password", None)
    with pytest.raises(Misconfigured):
        lockout.check()
