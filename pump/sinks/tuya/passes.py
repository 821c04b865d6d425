"""The meaning of an event for the counts: a vehicle in, a vehicle out, a temporary bill, or nothing. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from fnmatch import translate
from re import compile as compiled
from typing import Final, NamedTuple

import orjson

from pump.core.naming import names_of
from pump.core.record import Record
from pump.sinks.tuya.settings import PASSED
from pump.sinks.tuya.windows import Kind

_EPOCH: Final = datetime.fromtimestamp(0, UTC)
_WAYS: Final[dict[object, Kind]] = {"in": "in", "out": "out"}


class Counted(NamedTuple):
    """An event that belongs into the ledger."""

    kind: Kind
    at: int
    """When it happened, milliseconds since 1970."""


class Nameless(NamedTuple):
    """A pass of which nobody has said which way it went."""

    camera: str


class Meaning:
    """The direction table and the filter of bills, as the configuration has them."""

    def __init__(self, directions: Mapping[str, Kind], bills: Sequence[str]) -> None:
        self._directions = directions
        self._bills = compiled("|".join(translate(glob) for glob in bills) or r"(?!)")

    def of(self, record: Record) -> Counted | Nameless | None:
        """The event's part in the counts; None where it has none.

        A second upload of a pass, its mark or the like is no further pass.
        """
        bill = self._bills.match(record.type) is not None
        if record.type != PASSED and not bill:
            return None
        event = orjson.loads(record.body)
        data = event["data"]
        if data.get("update") or data.get("phase") in ("update", "end"):
            return None
        at = (datetime.fromisoformat(event["time"]) - _EPOCH) // timedelta(milliseconds=1)
        if bill:
            return Counted("bill", at)
        names = [*names_of(record.source, event)]
        way: Kind | None = next((self._directions[name] for name in names if name in self._directions), None)
        if way is None:
            # a source's own setting may say it (AvaEye's cameras); other words are about the picture, not the lot
            way = _WAYS.get((data.get("vehicle") or {}).get("direction"))
        return Nameless(names[0]) if way is None else Counted(way, at)
