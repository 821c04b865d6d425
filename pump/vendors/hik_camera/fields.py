"""Readers of single fields of a message: none raises for any value; what cannot be read is None."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, tzinfo
from typing import Any, Final

from pump.core.text import bounded
from pump.vendors.common import fields, timestamps, values
from pump.vendors.common.timestamps import located
from pump.vendors.hik_camera.document import Leaf, Tree

_TRUE: Final = frozenset({"true", "1", "yes"})
_FALSE: Final = frozenset({"false", "0", "no"})
_SHORT: Final = values.NAME // 4
"""Characters that fit whatever they are."""
_HISTORY: Final = frozenset({"1", "1.0", "true", "history", "historical", "historydata"})
_LATE: Final[dict[str, frozenset[str]]] = {
    "isdataretransmission": _TRUE, "isretransmission": _TRUE, "dataretransmission": _TRUE, "alarmdatatype": _HISTORY,
    "currentevent": _FALSE | {"2"},
}  # fmt: skip
"""Marks of what the device had stored and sends later, by their name in lower case, with what they then say."""


def text(tree: Tree | None, *names: str) -> str | None:
    """The first of the fields that holds a text or a number, stripped; blank counts as absent."""
    if tree:
        for name in names:
            value = tree.get(name)
            if type(value) is str:  # nearly always where it is there at all, and this is called twenty times an event
                if value := value.strip():
                    return value if len(value) <= _SHORT else bounded(value, values.NAME)
            elif value is not None and (found := values.text(value)) is not None:
                return found
    return None


def link(tree: Tree | None, *names: str) -> str | None:
    """As `text`, of an address."""
    return fields.link(tree, *names) if tree else None


def number(tree: Tree | None, *names: str) -> float | None:
    """The first of the fields that holds a finite number, also one written as text; 5.0 is 5."""
    if tree:
        for name in names:
            value = tree.get(name)
            if value is not None and (found := values.number(value)) is not None:
                return values.compact(found)
    return None


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


def child(tree: Tree | None, *names: str) -> Tree | None:
    """The first of the fields that holds an object that is not empty; of a list of them the first."""
    if tree:
        for name in names:
            value = tree.get(name)
            if value and (type(value) is dict or type(value) is list):
                found: Any = value if type(value) is dict else value[0]
                if found and type(found) is dict:
                    return found
    return None


def children(tree: Tree | None, *names: str) -> list[Tree]:
    """The objects of the first of the fields that has any, whether it holds one or a list."""
    if tree:
        for name in names:
            value = tree.get(name)
            if type(value) is dict:
                return [value]
            if type(value) is list and (found := [item for item in value if type(item) is dict]):
                return found
    return []


def moment(value: object, zone: tzinfo) -> datetime | None:
    """An aware time; one without an offset is in `zone`."""
    return located(timestamps.moment(value), zone) if isinstance(value, str) else None
