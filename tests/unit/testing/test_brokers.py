"""Servers of tests: each finds a port that no other worker's takes meanwhile."""

from __future__ import annotations

import os
import random

import pytest

from pump.testing.brokers import free_port


def test_a_port_is_given_once_and_to_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between looking and listening lies the start of a process, and four workers look all the time."""
    state = random.getstate()
    try:
        random.seed(7)
        mine = [free_port() for _ in range(60)]
        here = os.getpid()
        monkeypatch.setattr(os, "getpid", lambda: here + 1)
        random.seed(7)  # as who shuffles tests has it in each worker
        others = [free_port() for _ in range(60)]
    finally:
        random.setstate(state)
    assert len({*mine, *others}) == 120
