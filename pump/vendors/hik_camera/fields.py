"""Readers of single fields of a message: none raises for any value; what cannot be read is None."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, tzinfo
from typing import Any, Final

from pump.core.text import bounded
from pump.vendors.common import fields, timestamps, values
from pump.vendors.common.timestamps import located
from pump.vendors.hik_camera.document import Tree

_TRUE: Final = frozenset({"true", "1", "yes"})
_FALSE: Final = frozenset({"false", "0", "no"})
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
            if (found := values.text(tree.get(name))) is not None:
                return found
    return None


def link(tree: Tree | None, *names: str) -> str | None:
    """As `text`, of an address."""
    return fields.link(tree, *names) if tree else None


def number(tree: Tree | None, *names: str) -> float | None:
    """The first of the fields that holds a finite number, also one written as text; 5.0 is 5."""
    return values.compact(fields.number(tree, *names)) if tree else None


def whole(tree: Tree | None, *names: str) -> int | None:
    """As `number`, where it is a whole one."""
    found = number(tree, *names)
    return found if isinstance(found, int) else None


def flag(tree: Tree | None, name: str) -> bool | None:
    """A boolean: true, "true" and 1 are the same."""
    return values.flag(tree.get(name)) if tree else None


def stored(named: Sequence[tuple[str, Any]]) -> bool:
    """Whether a mark among a message's leaves says that the device had stored it and sends it later."""
    return any(
        str(value).strip().lower() in late for name, value in named if (late := _LATE.get(name.lower())) is not None
    )


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
    """The first of the fields that holds an object; of a list of them the first."""
    return fields.child(tree, *names) if tree else None


def children(tree: Tree | None, *names: str) -> list[Tree]:
    """The objects of the first of the fields that has any, whether it holds one or a list."""
    return fields.children(tree, *names) if tree else []


def moment(value: object, zone: tzinfo) -> datetime | None:
    """An aware time; one without an offset is in `zone`."""
    return located(timestamps.moment(value), zone) if isinstance(value, str) else None


def leaves(value: Any, depth: int = 0) -> Iterator[tuple[str, Any]]:
    """(name, value) of every leaf below, in the document's order."""
    if depth > 64:
        return
    if isinstance(value, dict):
        for name, inner in value.items():
            if isinstance(inner, dict | list):
                yield from leaves(inner, depth + 1)
            else:
                yield str(name), inner
    elif isinstance(value, list):
        for inner in value:
            if isinstance(inner, dict | list):
                yield from leaves(inner, depth + 1)
            else:
                yield "", inner
