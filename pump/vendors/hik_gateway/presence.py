"""Devices online and offline, by the stream's last word and by the gateway's list after each connection.

The gateway keeps no event for a client that is away, but it knows each device's devStatus (document, 9.26). What
differs from what is stored has happened unseen, and becomes an event with `reconciled: true`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pump.vendors.hik_gateway.parse import Context, Parsed, reconciled, status_word

PREFIX: Final = "status/"
"""Of the state's keys: the last known status by devIndex, "online" or "offline"."""
CODE: Final = "devStatusChanged"
_STATES: Final = frozenset(("online", "offline"))
_MOST: Final = 20_000
"""Devices that are remembered, as many as the list is read for."""


class Presence:
    """One gateway's devices. It lives in the source's state; `load` at each link's beginning, for what was noted then
    may not have been stored.
    """

    def __init__(self) -> None:
        self._known: dict[str, str] = {}
        self._heard: dict[str, int] = {}
        """By device: which of the stream's words on devices was the last on it."""
        self.words = 0
        """The number of those words: a list that was asked for before one may be older than it."""

    def load(self, stored: Mapping[str, Any]) -> None:
        """Take up the state under `PREFIX`."""
        self._known = {key.removeprefix(PREFIX): value for key, value in stored.items() if value in _STATES}

    def heard(self, parsed: Parsed, changes: dict[str, Any]) -> None:
        """Note what an event of the stream says of its device, and add to `changes` the state that goes with it."""
        data = parsed.event.data
        index = data.get("device", {}).get("id")
        status = parsed.event.type.removeprefix("device.")
        if data["code"] != CODE or status not in _STATES or index is None:
            return
        if index not in self._known and len(self._known) >= _MOST:
            return
        self.words += 1
        self._heard[index] = self.words
        if self._known.get(index) != status:
            self._known[index] = changes[PREFIX + index] = status

    def compare(
        self, rows: Mapping[str, Mapping[str, Any]], words: int, context: Context, moment: str
    ) -> tuple[list[Parsed], dict[str, Any]]:
        """Take the list's word: the events of what it knows better, and the state to be stored with them.

        `words` is the count before the list was asked for: a device that the stream spoke of since is left alone. A
        device that nobody has spoken of yet is taken for online.
        """
        found: list[Parsed] = []
        changes: dict[str, Any] = {PREFIX + index: None for index in self._known.keys() - rows.keys()}
        for index in self._known.keys() - rows.keys():
            del self._known[index]
        for index, row in rows.items():
            status = status_word(row.get("devStatus"))
            if status not in _STATES or self._heard.get(index, 0) > words or self._known.get(index) == status:
                continue
            before = self._known.get(index, "online")
            self._known[index] = changes[PREFIX + index] = status
            if before != status:
                found.append(reconciled(index, status, row, context, moment))
        return found, changes
