"""The house keeps its shape: few modules in the root, folders, files, classes and constructors that can be grasped.

The limits stand at the top of `tests/house.py`, with those that are let off: simulators, the simulation, and testing.
"""

from __future__ import annotations

from pathlib import Path

import pump
from tests.house import violations


def test_nothing_is_larger_than_the_limits_allow() -> None:
    found = violations(Path(pump.__file__).parent)
    assert not found, "\n".join(found)
