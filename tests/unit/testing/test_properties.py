"""Tests of properties: none fails by luck, nor where the checkout may not be written to."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st


def test_a_run_has_the_examples_of_the_one_before_it_and_keeps_none() -> None:
    profile, drawn = settings.get_profile("pump"), list[tuple[int, str]]()

    @settings(profile)
    @given(st.integers(), st.text())
    def draw(number: int, text: str) -> None:
        drawn.append((number, text))

    draw()
    before = drawn.copy()
    drawn.clear()
    draw()
    assert drawn == before
    assert profile.database is None, "its folder would lie in the checkout"
