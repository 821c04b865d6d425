"""Readers of single fields of a message: none raises for any value; what cannot be read is None."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, tzinfo
from typing import Final

from pump.core.text import bounded
from pump.vendors.common import timestamps, values
from pump.vendors.common.fields import children, text_reader
from pump.vendors.common.timestamps import located
from pump.vendors.hik_camera.document import Leaf, Tree

_TRUE: Final = frozenset({"true", "1", "yes"})
_FALSE: Final = frozenset({"false", "0", "no"})
_HISTORY: Final = frozenset({"1", "1.0", "true", "history", "historical", "historydata"})
_LATE: Final[dict[str, frozenset[str]]] = {
    "isdataretransmission": _TRUE, "isretransmission": _TRUE, "dataretransmission": _TRUE, "alarmdatatype": _HISTORY,
    "currentevent": _FALSE | {"2"},
}  # fmt: skip
"""Marks of what the device had stored and sends later, by their name in lower case, with what they then say."""


text: Final = text_reader(values.NAME, values.text)
"""The first of the fields that holds a text or a number; a boolean is none."""
number: Final = values.number_reader(values.compacted)
"""The first of the fields that holds a finite number, also one written as text; 5.0 is 5."""


def whole(tree: Tree | None, *names: str) -> int | None:
    """As `number`, where it is a whole one."""
    found = number(tree, *names)
    return found if isinstance(found, int) else None


def flag(tree: Tree | None, name: str) -> bool | None:
    """A boolean: true, "true" and 1 are the same."""
    value = tree.get(name) if tree else None
    return None if value is None else values.flag(value)


def stored(named: Sequence[Leaf]) -> bool:
    """Whether a mark among a message's leaves says that the device had stored it and sends it later."""
    marks = [(late, value) for name, _, value in named if (late := _LATE.get(name.lower)) is not None]
    return any(str(value).strip().lower() in late for late, value in marks)


def joined(parts: Sequence[str]) -> str:
    """Numbers of regions as part of a key: a message may name as many as it likes."""
    return bounded(",".join(parts), values.NAME)


def entries(tree: Tree) -> list[Tree]:
    """The entries of the message's DetectionRegionList, whether it holds one or several, or they stand alone."""
    listed = [tree, *children(tree, "DetectionRegionList")]
    return [entry for one in listed for entry in children(one, "DetectionRegionEntry")] or [
        one for one in listed[1:] if "regionID" in one
    ]


def moment(value: object, zone: tzinfo) -> datetime | None:
    """An aware time; one without an offset is in `zone`."""
    return located(timestamps.moment(value), zone) if isinstance(value, str) else None
