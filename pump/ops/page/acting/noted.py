"""The alarms that somebody has taken note of, for their rows to say so: kept in the spool's state beside the events."""

from __future__ import annotations

from typing import Any, Final

from pump.spool import Spool

_SOURCE: Final = "pump"
_PREFIX: Final = "acknowledged/"
_MOST: Final = 2000
"""Alarms; of more the ones noted first are forgotten. Their events stay."""


class Noted:
    """By the alarm's event id: who took note of it first. Belongs to the event loop."""

    def __init__(self) -> None:
        self._known: dict[str, dict[str, Any]] | None = None
        """None until they were read."""

    def add(self, spool: Spool, id_: str, user: str, at: int) -> None:
        """Somebody has, at `at` (milliseconds since 1970)."""
        known = self._read(spool)
        if id_ not in known:
            known[id_] = {"user": user, "at": at}
            spool.remember(_SOURCE, _PREFIX + id_, known[id_])
        while len(known) > _MOST:
            first = min(known, key=lambda one: int(known[one]["at"]))
            spool.remember(_SOURCE, _PREFIX + first, None)
            del known[first]

    def by(self, spool: Spool, id_: str) -> str:
        """The user, "" where nobody has."""
        return str(self._read(spool).get(id_, {}).get("user", ""))

    def newest(self, spool: Spool, count: int) -> list[tuple[str, str]]:
        """The alarms noted last, by id, with their users."""
        known = self._read(spool)
        return [(id_, str(row["user"])) for id_, row in sorted(known.items(), key=lambda one: -one[1]["at"])[:count]]

    def _read(self, spool: Spool) -> dict[str, dict[str, Any]]:
        if self._known is None:
            rows = spool.state(_SOURCE, _PREFIX)
            self._known = {key.removeprefix(_PREFIX): row for key, row in rows.items() if _is_row(row)}
        return self._known


def _is_row(row: object) -> bool:
    return isinstance(row, dict) and isinstance(row.get("user"), str) and isinstance(row.get("at"), int)
