"""The vendor's JSON, read as far as it can be read. Pure."""

from __future__ import annotations

import json
import re
from typing import Any, Final

import orjson

_BATCH: Final = re.compile(rb'"batchId"\s*:\s*"([^"\\\x00-\x1f]{1,256})"')
_SUCCESS: Final = re.compile(rb'"errorCode"\s*:\s*"?0"?\s*[,}]')


def decode(content: bytes) -> Any:
    """What the bytes say; None where they say nothing.

    Bytes that are no UTF-8, control characters within texts and halves of surrogate pairs come with devices' own
    names now and then. They must cost a character, not the batch they are in, which would come again for ever.
    """
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError:
        pass
    try:
        whole = [json.loads(content.decode("utf-8", "replace"), strict=False)]
    except (ValueError, RecursionError):
        return None
    _mend(whole)
    return whole[0]


def pick(value: object, name: str) -> Any:
    """A member of what ought to be an object; None where it is none or lacks it."""
    return value.get(name) if isinstance(value, dict) else None


def batch_id(value: object) -> str | None:
    """The id to complete a batch with; None where there is none: "0" and the empty text stand for an empty queue."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    return value if isinstance(value, str) and value.strip() not in ("", "0") else None


def find_batch_id(content: bytes) -> str | None:
    """The batch id in an answer that is no JSON and yet seems whole; None where there is none, or more than one.

    Half an answer must never do, for its batch would be completed with the other half unread: it lacks the braces
    that close it.
    """
    whole = content.rstrip().endswith(b"}") and content.count(b"{") == content.count(b"}") and _SUCCESS.search(content)
    found = set(_BATCH.findall(content)) if whole else set()
    return batch_id(found.pop().decode("utf-8", "replace")) if len(found) == 1 else None


def whole_number(value: object) -> int | None:
    """A number, or its text; None for anything else."""
    if isinstance(value, bool):
        return None
    try:
        return int(value) if isinstance(value, (int, str)) else None
    except ValueError:
        return None


def _mend(tree: list[Any]) -> None:
    """Replace halves of surrogate pairs everywhere in `tree`, in place. No recursion: a record may be nested deep."""
    waiting: list[list[Any] | dict[Any, Any]] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            items = [(_text(name), value) for name, value in node.items()]
            node.clear()
            node.update(items)
        for place, value in list(node.items() if isinstance(node, dict) else enumerate(node)):
            if isinstance(value, str):
                node[place] = _text(value)
            elif isinstance(value, (list, dict)):
                waiting.append(value)


def _text(text: str) -> str:
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
