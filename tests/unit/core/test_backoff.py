"""The waits between retries: capped, doubled, spread over the whole range."""

from __future__ import annotations

import random

import pytest

from pump.core.backoff import Backoff


class Extreme(random.Random):
    """Draws the end of the range, so that a test sees the limits themselves."""

    def uniform(self, a: float, b: float) -> float:
        return b


def test_limits_double_up_to_the_cap() -> None:
    backoff = Backoff(first=1.0, cap=10.0, rng=Extreme())
    assert [backoff.next() for _ in range(6)] == [1.0, 2.0, 4.0, 8.0, 10.0, 10.0]


def test_reset_starts_again() -> None:
    backoff = Backoff(first=0.5, cap=60.0, rng=Extreme())
    backoff.next()
    backoff.next()
    assert backoff.limit == 2.0
    backoff.reset()
    assert [backoff.next(), backoff.next()] == [0.5, 1.0]


def test_jitter_is_full() -> None:
    waits = []
    for seed in range(400):
        backoff = Backoff(first=8.0, rng=random.Random(seed))
        waits.append(backoff.next())
    assert min(waits) < 0.5
    assert max(waits) > 7.5
    assert 3.5 < sum(waits) / len(waits) < 4.5


def test_thousands_of_failures_stay_at_the_cap() -> None:
    backoff = Backoff(first=1.0, cap=60.0)
    assert all(0.0 <= backoff.next() <= 60.0 for _ in range(5000))
    assert backoff.limit == 60.0


@pytest.mark.parametrize(("first", "cap"), [(0.0, 1.0), (-1.0, 1.0), (2.0, 1.0)])
def test_nonsense_is_refused(first: float, cap: float) -> None:
    with pytest.raises(ValueError, match="wanted"):
        Backoff(first=first, cap=cap)
