"""Commands on disk: what was asked for before the first byte leaves, and what became of it.

A command that is under way is a row of its source's state, stored with its `command.requested` and removed with its
`command.result`, each in one transaction: a row that a start finds is a command of which nobody knows the end.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Final

from pump.commands.contract import CommandResult
from pump.core.event import Event, event_id
from pump.ingest.intake import Intake

PREFIX: Final = "command/"
KEPT: Final = 1000
"""Ended commands with a key that are remembered for each source, so that the key asks for nothing anew."""
KEPT_FOR: Final = 86_400.0
"""Seconds that they are remembered, by time that the pump has seen pass (docs/clocks.md)."""
_TITLES: Final = {
    "done": "Command done",
    "refused": "Command refused",
    "failed": "Command failed",
    "timed-out": "Command without an answer",
    "expired": "Command expired",
    "unknown": "Command with an unknown end",
}


@dataclass(slots=True)
class Entry:
    """A command as it is written down; JSON in the spool."""

    request_id: str
    verb: str
    target: str
    caller: str
    asked: str
    """RFC 3339, in UTC."""
    expires: str
    """The same, by the clock of then: for people."""
    arguments: dict[str, Any] = field(default_factory=dict)
    """Without what must not be written down."""
    key: str | None = None
    dry_run: bool = False
    status: str | None = None
    """None while it is under way."""
    reason: str = ""

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> Entry:
        """As it was stored; fields of a later version are left out."""
        return cls(**{name: stored[name] for name in cls.__dataclass_fields__ if name in stored})


class Journal:
    """The commands of one source. `intake` is the source's own, so that they stand among its events."""

    def __init__(self, intake: Intake) -> None:
        self.intake = intake
        rows = intake.state(PREFIX).values()
        found = [Entry.of(row) for row in rows if isinstance(row, Mapping) and {"request_id", "verb"} <= row.keys()]
        self.left = [entry for entry in found if entry.status is None]
        """Those that the run before has left open."""
        ages = intake.clock.ages
        ended = [entry for entry in found if entry.status is not None]
        self._ended = {entry.request_id: entry for entry in sorted(ended, key=lambda one: ages.latest(_asked_ms(one)))}
        """The oldest first, whatever the wall clock has shown meanwhile."""
        self._open: dict[str, Entry] = {entry.request_id: entry for entry in self.left}

    def named(self, caller: str, key: str) -> Entry | None:
        """The caller's command of this key, under way or ended."""
        for entries in (self._open, self._ended):
            for entry in entries.values():
                if entry.key == key and entry.caller == caller:
                    return entry
        return None

    async def begin(self, entry: Entry) -> None:
        """Write down that it is about to be sent; returns after the fsync. Raises Unavailable where that cannot be."""
        await self.intake.put(self._event(entry), state={PREFIX + entry.request_id: asdict(entry)})
        self._open[entry.request_id] = entry

    async def end(self, entry: Entry, result: CommandResult) -> None:
        """Write down its end; returns after the fsync. Raises Unavailable. Twice, it is written once: ids see to it.

        Also while the spool refuses events, from its reserve: what was sent must not become unknown for want of room.
        """
        entry.status, entry.reason = result.status, result.reason
        state: dict[str, Any] = {PREFIX + entry.request_id: None if entry.key is None else asdict(entry)}
        forgotten = self._forgettable() if entry.key is not None else []
        state |= {PREFIX + one: None for one in forgotten}
        await self.intake.put_own(self._event(entry, result), state)
        self._open.pop(entry.request_id, None)
        for one in forgotten:
            self._ended.pop(one, None)
        if entry.key is not None:
            self._ended[entry.request_id] = entry

    async def refuse(self, entry: Entry, reason: str) -> None:
        """Write down a command that was not taken; it was never begun. Raises Unavailable."""
        entry.status, entry.reason = "refused", reason
        await self.intake.put(self._event(entry, CommandResult("refused", reason)))

    def _forgettable(self) -> list[str]:
        """Those beyond KEPT, and those that are older than KEPT_FOR by time that the pump has seen pass."""
        many, age = max(0, len(self._ended) + 1 - KEPT), self.intake.clock.ages.age
        found = []
        for number, one in enumerate(self._ended.values()):
            if number >= many and (age(_asked_ms(one)) or 0.0) <= KEPT_FOR:
                break
            found.append(one.request_id)
        return found

    def _event(self, entry: Entry, result: CommandResult | None = None) -> Event:
        """command.requested, or with a result command.result; they share their incident."""
        command: dict[str, Any] = {
            "request_id": entry.request_id, "verb": entry.verb, "target": entry.target, "caller": entry.caller,
            "expires": entry.expires,
        }  # fmt: skip
        command |= {"key": entry.key} if entry.key is not None else {}
        command |= {"arguments": entry.arguments} if entry.arguments else {}
        command |= {"dry_run": True} if entry.dry_run else {}
        good = result is None or result.status == "done"
        data: dict[str, Any] = {
            "vendor": "pump",
            "code": entry.verb,
            "name": "Command asked for" if result is None else _TITLES[result.status],
            "phase": "start" if result is None else "end",
            "severity": "info" if good else "warning",
            "incident": event_id("command", entry.request_id),
            "command": command,
        }
        if result is not None:
            command["status"] = result.status
            command |= {"reason": result.reason} if result.reason else {}
            command |= {"answer": dict(result.facts)} if result.facts else {}
            data |= {"media": [dict(medium) for medium in result.media]} if result.media else {}
        kind = "command.requested" if result is None else "command.result"
        identity, now = event_id(kind, entry.request_id), self.intake.clock.now()
        # A link in it is of the vendor's own answer to the call.
        return Event(kind, identity, data, time=now, subject=entry.target, clocked=False, vouched="media" in data)


def _asked_ms(entry: Entry) -> int:
    """Milliseconds since 1970."""
    try:
        return int(datetime.fromisoformat(entry.asked).timestamp() * 1000)
    except ValueError:
        return 0
