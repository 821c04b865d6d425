"""Readers of the fields of an object, in every spelling: the first of the names that holds something counts. Pure.

None of them raises for any JSON value; what cannot be read is None.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

from pump.core.text import bounded
from pump.vendors.common import values

Group = dict[str, Any]
_WHOLE: Final = 1 << 53
"""Integers below it are short texts."""


class TextReader(Protocol):
    """Reads the first of an object's fields that holds something, as stripped text; blank counts as absent."""

    def __call__(self, group: Group | None, *names: str) -> str | None:
        """None where none of them holds any, or there is no object."""


def text_reader(most: int, other: Callable[[object], str | None]) -> TextReader:
    """A reader of texts of `most` bytes; `other` reads what is neither a text nor an integer.

    A function of its own for each kind: it is called twenty times an event, mostly for fields that are not there.
    """
    short = most // 4  # characters that fit whatever they are

    def read(group: Group | None, *names: str) -> str | None:
        if group:
            for name in names:
                value = group.get(name)
                if type(value) is str:  # nearly always where it is there at all
                    if value := value.strip():
                        return value if len(value) <= short else bounded(value, most)
                elif value is not None:
                    if type(value) is int and -_WHOLE < value < _WHOLE:
                        return str(value)
                    if (found := other(value)) is not None:
                        return found
        return None

    return read


text: Final = text_reader(values.NAME, values.spelled)
"""The first of the fields that holds a text, a number or a boolean."""
link: Final = text_reader(values.LINK, values.link)
"""The first of the fields that holds an address."""
number: Final = values.number_reader(values.number)
"""The first of the fields that holds a finite number, also one written as text."""


def child(group: Group | None, *names: str) -> Group | None:
    """The first of the fields that holds an object that is not empty; of a list of them the first."""
    if group:
        for name in names:
            value = group.get(name)
            if value and (type(value) is dict or type(value) is list):
                found: Any = value if type(value) is dict else value[0]
                if found and type(found) is dict:
                    return found
    return None


def listed(group: Group, *names: str) -> list[Any]:
    """The first of the fields that holds a list that is not empty; an object alone counts as a list of one."""
    for name in names:
        value = group.get(name)
        if value:
            if type(value) is list:
                return value
            if type(value) is dict:
                return [value]
    return []


def children(group: Group | None, *names: str) -> list[Group]:
    """The objects of the first of the fields that has any, whether it holds one or a list."""
    if group:
        for name in names:
            value = group.get(name)
            if type(value) is dict:
                return [value]
            if type(value) is list and (found := [item for item in value if type(item) is dict]):
                return found
    return []


def word(group: Group, words: Mapping[str, str], *names: str) -> str | float | None:
    """The dictionary's word for the first of the fields that is there; a value it does not know, as it came."""
    for name in names:
        value = group.get(name)
        if type(value) is str:
            found = words.get(value)
            if found is not None:
                return found
            stripped = value.strip()
            if stripped:
                return words.get(stripped, bounded(value, values.NAME))
        elif type(value) is int or type(value) is float:
            return words.get(str(value), value)
    return None
