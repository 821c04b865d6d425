"""Each switch of a simulator is turned by itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import pytest

from pump.simulation.quirks import switches, variants
from pump.vendors.hik_camera.simulator.quirks import Quirks as Camera
from pump.vendors.hik_connect.simulator.quirks import Quirks as Connect
from pump.vendors.hik_gateway.simulator.quirks import Quirks as Gateway
from pump.vendors.kinot.simulator.server import Quirks as Kinot


@dataclass(frozen=True)
class Habits:
    """A device's."""

    colour: Literal["red", "green", "blue"] = "green"
    end: Literal["\r\n", "\n"] = "\r\n"
    loud: bool = False
    seconds: float = 3.0


def test_each_other_value_of_each_switch_is_one_variant() -> None:
    assert dict(variants(Habits())) == {
        "colour=red": Habits(colour="red"),
        "colour=blue": Habits(colour="blue"),
        "end='\\n'": Habits(end="\n"),
        "loud=True": Habits(loud=True),
    }


def test_the_base_is_where_they_begin() -> None:
    found = dict(variants(Habits(colour="red", seconds=9.0)))
    assert found["loud=True"] == Habits(colour="red", loud=True, seconds=9.0)
    assert "colour=red" not in found


@pytest.mark.parametrize("quirks", [Camera, Connect, Gateway, Kinot])
def test_every_vendor_s_habits_can_be_turned(quirks: type[Connect]) -> None:
    wanted = sum(len(values) - 1 for _, values in switches(quirks))
    names = [name for name, _ in variants(quirks())]
    assert len(names) == len(set(names)) == wanted > 3
