"""Readers of single values, whatever was sent in their place: none raises for any JSON value; else it is None. Pure."""

from __future__ import annotations

from collections.abc import Callable
from math import isfinite
from typing import Any, Final, Protocol

from pump.core.groups import BOUNDS
from pump.core.text import bounded

NAME: Final[int] = BOUNDS["name"]
"""Bytes of a text that is no address."""
LINK: Final[int] = BOUNDS["link"]
"""Bytes of an address."""
_EXACT: Final = 2**53
"""Integers below it are exact as real numbers."""
_LONGEST: Final = 400
"""Characters of a text that may be a number."""
_TRUE: Final = frozenset({"true", "1", "yes"})
_FALSE: Final = frozenset({"false", "0", "no"})


def member(value: object, name: str) -> Any:
    """A member of what ought to be an object; None where it is none or lacks it."""
    return value.get(name) if isinstance(value, dict) else None


def text(value: object, most: int = NAME) -> str | None:
    """A text without the blanks around it, or a number's text; blank counts as absent.

    One of more than `most` bytes is cut (`bounded`): texts become keys of tables and caches, and devices may lie.
    """
    if isinstance(value, str):
        found = value.strip()
        return (found if len(found) * 4 <= most else bounded(found, most)) or None
    if isinstance(value, int | float) and not isinstance(value, bool):
        return bounded(str(value), most)
    return None


def link(value: object) -> str | None:
    """As `text`, of an address."""
    return text(value, LINK)


def spelled(value: object) -> str | None:
    """As `text`, where a vendor writes one value as a text, a number or a boolean: 1.0 is "1", true is "true"."""
    if type(value) is bool:
        return str(value).lower()
    if type(value) is float and value.is_integer():
        return str(int(value))
    return text(value)


def number(value: object) -> float | None:
    """A finite number; a text's as a real one."""
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return value if isfinite(value) else None
    except OverflowError:  # an integer of some hundred digits
        return None


class NumberReader(Protocol):
    """Reads the first of an object's fields that holds a finite number, also one written as text."""

    def __call__(self, group: dict[str, Any] | None, *names: str) -> float | None:
        """None where none of them holds any, or there is no object."""


def number_reader(read: Callable[[object], float | None]) -> NumberReader:
    """A reader of fields by a reader of their values.

    Here and not beside its likes in `fields`, which may be compiled: there an integer would become a real number.
    """

    def first(group: dict[str, Any] | None, *names: str) -> float | None:
        if group:
            for name in names:
                value = group.get(name)
                if value is not None and (found := read(value)) is not None:
                    return found
        return None

    return first


def compact(found: float | None) -> float | None:
    """The number as an integer where it is one: 5.0 is 5."""
    if isinstance(found, float) and found.is_integer() and abs(found) < _EXACT:
        return int(found)
    return found


def compacted(value: object) -> float | None:
    """As `number`; 5.0 and "5.0" are 5."""
    return compact(number(value))


def written(value: object) -> float | None:
    """As `number`; a text without a point is an integer where it is one: "5" is 5, "5.0" is 5.0."""
    found = number(value)
    return compact(found) if isinstance(value, str) and "." not in value else found


def whole(value: object) -> int | None:
    """An integer, also 1.0 and "1"; None for anything else."""
    if type(value) is str:
        try:
            return int(value) if len(value) <= _LONGEST else None
        except ValueError:
            pass
    found = number(value)
    if isinstance(found, float):
        return int(found) if found.is_integer() else None
    return found


def flag(value: object) -> bool | None:
    """A boolean: true, "true", "yes" and 1 are the same."""
    word = str(value).strip().lower()
    return True if word in _TRUE else False if word in _FALSE else None
