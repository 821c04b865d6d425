"""JSON of what orjson refuses: nested deeper than it writes, lone surrogates, keys and values of odd types.

The bytes are those of `json.dumps(value, default=repr)`, which recurses once a level: a deep record would need the
interpreter's recursion limit raised, which all threads share. Here the levels are a list.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_Members = Iterator[tuple[str, Any]]
"""The rest of a list or an object: the text before each value, and the value."""


def dump(value: Any) -> bytes:
    """The value as JSON in ASCII, however deep. What JSON has no form for is written as the text of its `repr`.

    Raises ValueError for a value that holds itself.
    """
    pieces: list[str] = []
    within: set[int] = set()
    levels: list[tuple[_Members, str, int]] = [(iter((("", value),)), "", 0)]
    while levels:
        members, end, own = levels[-1]
        for before, each in members:
            pieces.append(before)
            if not isinstance(each, dict | list | tuple):
                pieces.append(json.dumps(each, default=repr))
                continue
            if id(each) in within:
                raise ValueError("it holds itself")
            within.add(id(each))
            if isinstance(each, dict):
                pieces.append("{")
                levels.append((_of_object(each), "}", id(each)))
            else:
                pieces.append("[")
                levels.append((_of_list(each), "]", id(each)))
            break
        else:
            pieces.append(end)
            within.discard(own)
            levels.pop()
    return "".join(pieces).encode("ascii")


def _of_object(members: Mapping[Any, Any]) -> _Members:
    between = ""
    for key, value in members.items():
        yield f"{between}{_key(key)}: ", value
        between = ", "


def _of_list(members: Sequence[Any]) -> _Members:
    between = ""
    for value in members:
        yield between, value
        between = ", "


def _key(key: Any) -> str:
    if isinstance(key, str):
        return json.dumps(key)
    if key is None or isinstance(key, int | float):
        return f'"{json.dumps(key)}"'
    return json.dumps(repr(key))
