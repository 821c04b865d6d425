"""What a sink remembers by key over its openings and the pump's restarts, beside the cursor's small state."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from typing import Any, Final

from pump.spool import Spool

OWNER: Final = "sink/"
"""In the spool's state, followed by the sink's name; no source has a name with a slash."""


class SinkMemory(MutableMapping[str, Any]):
    """One sink's keyed memory in the spool's state. What is set is stored within a second, without waiting for it.

    It is noted at once, as cursors are, and one commit takes all that is noted: after a crash it may be newer than the
    cursor, and never older than the cursor that was set after it.
    """

    def __init__(self, spool: Spool, name: str) -> None:
        self._spool = spool
        self._owner = OWNER + name
        stored = spool.state(self._owner)
        self._values = {key: value for key, value in stored.items() if value is not None}

    def __getitem__(self, key: str) -> Any:
        return self._values[key]

    def __setitem__(self, key: str, value: Any) -> None:
        if value is None:
            raise ValueError("a value is wanted; what is forgotten is deleted")
        self._values[key] = value
        self._spool.remember(self._owner, key, value)

    def __delitem__(self, key: str) -> None:
        del self._values[key]
        self._spool.remember(self._owner, key, None)

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)
