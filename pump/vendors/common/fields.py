"""Readers of the fields of an object, in every spelling: the first of the names that holds something counts. Pure.

None of them raises for any JSON value; what cannot be read is None.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pump.core.text import bounded
from pump.vendors.common import values

Group = dict[str, Any]
_WHOLE: Final = 1 << 53
"""Integers below it are short texts."""
_SHORT: Final = values.NAME // 4
"""Characters that fit whatever they are."""
_SHORT_LINK: Final = values.LINK // 4
"""The same of an address."""


def text(group: Group, name: str, *others: str) -> str | None:
    """The first of the fields that holds a text, a number or a boolean, as stripped text; blank counts as absent."""
    value = group.get(name)
    if type(value) is str:  # nearly always, and this is called twenty times an event
        value = value.strip()
        if value:
            return value if len(value) <= _SHORT else bounded(value, values.NAME)
    elif type(value) is int and -_WHOLE < value < _WHOLE:
        return str(value)
    elif value is not None:
        found = values.spelled(value)
        if found is not None:
            return found
    return text(group, *others) if others else None


def link(group: Group, name: str, *others: str) -> str | None:
    """As `text`, of an address."""
    value = group.get(name)
    if type(value) is str:
        value = value.strip()
        if value:
            return value if len(value) <= _SHORT_LINK else bounded(value, values.LINK)
    elif value is not None:
        found = values.link(value)
        if found is not None:
            return found
    return link(group, *others) if others else None


number: Final = values.first_number
"""The first of the fields that holds a finite number, also one written as text."""


def child(group: Group, name: str, *others: str) -> Group | None:
    """The first of the fields that holds an object that is not empty; of a list of them the first."""
    value = group.get(name)
    if value:
        if type(value) is dict:
            return value
        if type(value) is list and type(value[0]) is dict and value[0]:
            found: Group = value[0]
            return found
    return child(group, *others) if others else None


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


def children(group: Group, *names: str) -> list[Group]:
    """The objects of the first of the fields that has any, whether it holds one or a list."""
    for name in names:
        value = group.get(name)
        found = [item for item in (value if isinstance(value, list) else [value]) if isinstance(item, dict)]
        if found:
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
