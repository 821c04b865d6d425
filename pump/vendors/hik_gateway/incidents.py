"""The open matters and the newest alarms, so that events that belong together share one `incident`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from pump.core.event import event_id
from pump.vendors.common.hik_alarms import Alarm, RecentAlarms
from pump.vendors.common.hik_cid import Spot, likeliest
from pump.vendors.hik_gateway.parse import Parsed, renamed

PREFIX: Final = "incident/"
_MOST: Final = 4096
"""Open matters kept; the oldest go first. A panel that never restores must not fill the spool."""
_HEARD: Final = 1024
_REPEAT: Final = timedelta(seconds=60)
"""Time after the last one in which the same message is a repetition, where its event type is not known to last."""


@dataclass(slots=True, frozen=True)
class _Open:
    """A matter that has begun and has not ended."""

    incident: str
    spot: Spot | None = None

    def state(self) -> Any:
        return self.incident if self.spot is None else {"incident": self.incident, "spot": [*self.spot]}

    @classmethod
    def of(cls, stored: Any) -> _Open | None:
        """The one that `state` gave; versions before this one stored a text."""
        if isinstance(stored, str):
            return cls(stored)
        try:
            return cls(stored["incident"], Spot(*stored["spot"]))
        except (TypeError, KeyError):
            return None


class Incidents:
    """The open matters and the newest alarms. They live in the source's state, in the same commits as their events.

    `stored` is the state under `PREFIX` and `ALARM`. Of `before`, that of the last link, only what was heard counts:
    the rest may not have been stored.
    """

    def __init__(self, stored: dict[str, Any], before: Incidents | None = None) -> None:
        self._open: dict[str, _Open] = {}
        self._near: dict[tuple[str | None, str], dict[str, Spot]] = {}
        """Of those open the alarms', by device and code."""
        for key, value in stored.items():
            if key.startswith(PREFIX) and (one := _Open.of(value)) is not None:
                self._add(key.removeprefix(PREFIX), one)
        self._alarms = RecentAlarms(stored)
        self._heard: dict[str, tuple[bool, str, Any]] = before._heard if before is not None else {}
        """By matter, of what is repeated while it lasts: whether it was active, the content, the time."""

    def __len__(self) -> int:
        return len(self._open)

    def note(self, parsed: Parsed, changes: dict[str, Any]) -> bool:
        """Give the event its incident, and add to `changes` the state that goes with it. False: it is a repetition.

        A second start of an open matter belongs to it. An end without a known start is given its matter's own
        name. A clip is its alarm's by the UUID, else by code, zone and the alarm's time, else nobody's.
        """
        data = parsed.event.data
        alarm = self._alarms.find(parsed.names)
        if parsed.clip:
            if alarm is not None:
                data |= {"updates": alarm.id, "incident": alarm.matter}
            self._film(parsed, changes)
            return True
        if (known := self._alarms.known(parsed.event.id)) is not None:
            # Sent again, perhaps after its end: it begins and ends nothing anew.
            data |= {} if known.incident is None else {"incident": known.incident}
            return True
        if parsed.content is not None and self._repeated(parsed, parsed.content):
            return False
        if data["phase"] == "start" and parsed.matter is not None:
            if alarm is not None and self._same(alarm, parsed) and parsed.matter in self._open:
                return False  # one UUID is one alarm, however often it is sent while it lasts
            data["incident"] = self._begin(parsed, parsed.matter, changes)
        elif data["phase"] == "end" and (incident := self._end(parsed, alarm, changes)) is not None:
            data["incident"] = incident
        if parsed.spot is not None:
            self._remember(parsed, changes, parsed.names, str(data["code"]))
        return True

    # --- what begins and ends -------------------------------------------------------------------------------------

    def _begin(self, parsed: Parsed, matter: str, changes: dict[str, Any]) -> str:
        one = self._open.get(matter)
        if one is None:
            one = _Open(parsed.event.id, parsed.spot)
            self._add(matter, one)
            changes[PREFIX + matter] = one.state()
            while len(self._open) > _MOST:
                oldest = next(iter(self._open))
                self._drop(oldest)
                changes[PREFIX + oldest] = None
        return one.incident

    def _add(self, matter: str, one: _Open) -> None:
        self._open[matter] = one
        if one.spot is not None:
            self._near.setdefault(one.spot[:2], {})[matter] = one.spot

    def _drop(self, matter: str) -> _Open | None:
        one = self._open.pop(matter, None)
        if one is not None and one.spot is not None and (near := self._near.get(one.spot[:2])) is not None:
            near.pop(matter, None)
            if not near:
                del self._near[one.spot[:2]]
        return one

    def _end(self, parsed: Parsed, alarm: Alarm | None, changes: dict[str, Any]) -> str | None:
        if parsed.matter is None:  # of what begins nothing by its code, and yet is said to have ended
            return None if alarm is None else alarm.matter
        matter = parsed.matter
        if matter not in self._open and parsed.spot is not None and (other := self._nearest(parsed.spot)) is not None:
            matter = other
            parsed.event.data.setdefault("alarm", {})["rule"] = parsed.spot.rule
        one = self._drop(matter)
        changes[PREFIX + matter] = None
        return matter if one is None else one.incident

    def _nearest(self, spot: Spot) -> str | None:
        """The open matter that a restore of this place ends though it differs."""
        return likeliest(spot, self._near.get(spot[:2], {}).items())

    def _repeated(self, parsed: Parsed, content: str) -> bool:
        """True for a message that says no more than that a matter is open, or has ended, as is known already."""
        matter, active, time = str(parsed.matter), parsed.event.data["phase"] == "start", parsed.event.time
        was, before, at = self._heard.pop(matter, (not active, "", None))
        self._heard[matter] = (active, content, time)
        if len(self._heard) > _HEARD:
            del self._heard[next(iter(self._heard))]
        if active != (matter in self._open):
            return False
        if active and parsed.lasting:
            return True
        return was == active and before == content and None not in (at, time) and abs(time - at) <= _REPEAT

    # --- alarms and their clips -----------------------------------------------------------------------------------

    def _film(self, parsed: Parsed, changes: dict[str, Any]) -> None:
        """Keep the clips of one alarm apart by their cameras: the alarm's identity is the first one's alone."""
        known = self._alarms.known(parsed.event.id)
        if known is None:
            self._remember(parsed, changes, (None, None), parsed.channel or "")
        elif parsed.channel is not None and known.code != parsed.channel:
            renamed(parsed.event, event_id(parsed.event.id, parsed.channel))

    def _same(self, alarm: Alarm, parsed: Parsed) -> bool:
        data = parsed.event.data
        said = parsed.names[0], str(data["code"]), data["phase"]
        return alarm.uuid is not None and (alarm.uuid, alarm.code, alarm.phase) == said

    def _remember(
        self, parsed: Parsed, changes: dict[str, Any], names: tuple[str | None, str | None], code: str
    ) -> None:
        data = parsed.event.data
        alarm = Alarm(*names, parsed.event.id, data.get("incident"), code, data["phase"])
        self._alarms.remember(alarm, changes)
