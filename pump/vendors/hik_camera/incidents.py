"""What lasts: a message repeated many times a second becomes one start and, later, one end with a count.

Kept in the spool with the events, so that a restart neither repeats a start nor forgets an end. Pure: the time comes
in, events and state come out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any, Final

from pump.core.event import Event, event_id
from pump.vendors.common.hik_alarms import Alarm, RecentAlarms
from pump.vendors.common.hik_cid import Spot, likeliest
from pump.vendors.hik_camera.codes import EVENTS, UNKNOWN
from pump.vendors.hik_camera.panel import Panel
from pump.vendors.hik_camera.parse import VENDOR, Alert

PREFIX: Final = "matter/"
"""Of the state's keys."""
LATE: Final = "|late"
"""Behind the key of a matter that the device had stored: it is another than the one that is going on now."""
ENDED: Final = "ended/"
"""Of the keys of what has ended: its last message's time and number, by which a repetition of it is known."""
REPLAY_SECONDS: Final = 30.0
"""After a connection was made: how long a message may be a repetition of what was sent before it. Later a time that
is older than the last one means that the device's clock was set back."""
STORE_SECONDS: Final = 10.0
"""Between two stores of a count that grows."""
RECENT: Final = 1024
"""Contents of unknown messages, and ended matters, that are remembered."""
MOST: Final = 4096
"""Open matters kept; the oldest go first. A panel that never restores must not fill the spool."""

State = dict[str, Any]


@dataclass(slots=True, frozen=True)
class Incident:
    """One that has begun and has not ended."""

    id: str
    """The start's event id, and the incident's."""
    type: str
    """Of the end."""
    code: str
    name: str
    subject: str | None
    began: str | None
    """The device's time of the first message."""
    seen: str | None
    """The device's time of the last message."""
    serial: int | None
    """The device's number of the last message."""
    device: dict[str, Any] | None
    place: dict[str, Any] | None
    lasting: bool
    """Ends with an explicit message alone, never by silence."""
    count: int = 1
    late: bool = False
    """The device had stored it and sent it later."""
    spot: list[Any] | None = None
    """Of a panel's alarm: a `Spot`."""

    def state(self) -> dict[str, Any]:
        """As the spool has it. Versions before panels' spots read those that have none."""
        kept = asdict(self)
        if self.spot is None:
            del kept["spot"]
        return kept


@dataclass(slots=True)
class Open:
    """A matter, and what the process alone knows of it."""

    matter: Incident
    heard: float
    """Monotonic time of the last message."""
    stored: float
    pictured: bool = True
    """A message named its pictures by an address already, or nobody knows."""


@dataclass(slots=True)
class OpenIncidents:
    """All open matters of one device. `timeout`: seconds of silence that end one."""

    timeout: float
    open: dict[str, Open] = field(default_factory=dict)
    ended: dict[str, tuple[str | None, int | None]] = field(default_factory=dict)
    repeats: int = 0
    """Messages that became no event."""
    _opened: float = 0.0
    _recent: dict[str, float] = field(default_factory=dict)
    _alarms: RecentAlarms = field(default_factory=lambda: RecentAlarms({}))
    """A panel's."""

    def load(self, state: Mapping[str, Any], now: float) -> None:
        """What the spool has; the silence of each begins now, for nobody could be heard before."""
        self.open, self.ended, self._opened = {}, {}, now
        self._alarms = RecentAlarms(state)
        for key, value in state.items():
            if key.startswith(ENDED) and isinstance(value, list) and len(value) == 2:
                self.ended[PREFIX + key.removeprefix(ENDED)] = (value[0], value[1])
        for key, value in state.items():
            if key.startswith(PREFIX) and isinstance(value, dict):
                try:
                    matter = Incident(**value)
                    _ = matter.spot and Spot(*matter.spot)
                    self.open[key] = Open(matter, now, now)
                except TypeError:
                    continue  # a form of another version: its end is lost, its start is not repeated for ever

    def take(self, alert: Alert, now: float) -> tuple[list[Event], State]:
        """The message's events, and the state to be stored with them; both empty for a repeat."""
        if alert.prolongs:
            return self._prolonged(alert, now)
        if alert.panel is not None:
            return self._alarm(alert, alert.panel, now)
        if alert.phase != "pulse":
            return self._explicit(alert, now)
        if alert.row.durative:
            return self._ended(alert, now) if alert.state == "inactive" else self._active(alert, now)
        if alert.row is UNKNOWN and self._repeated(alert.fingerprint, now):
            return [], {}
        return alert.events, {}

    def found(self, alert: Alert, now: float) -> tuple[list[Event], State]:
        """As `take`, of what was found by a search and is new; nothing that has begun after it is touched."""
        if alert.phase == "pulse":
            return alert.events, {}
        begin = f"{PREFIX}{alert.matter[0]}|{alert.matter[1]}|"
        opened = [one.matter.began for key, one in self.open.items() if key.startswith(begin)]
        if all(_earlier(began, alert.event.time) for began in opened):
            return self._explicit(alert, now)
        alert.event.data |= {"phase": alert.phase} | ({"incident": alert.event.id} if alert.phase == "start" else {})
        return alert.events, {}

    def start_of(self, alert: Alert) -> str | None:
        """The id of the start that the message repeats, None where it repeats none."""
        one = self.open.get(self._lasting_key(alert) if alert.row.durative else _key(alert))
        return one.matter.id if one is not None else None

    def paused(self, seconds: float) -> None:
        """For so long nobody listened."""
        for one in self.open.values():
            one.heard += seconds

    def due(self) -> float | None:
        """When the next one ends by silence."""
        return min((one.heard + self.timeout for one in self.open.values() if not one.matter.lasting), default=None)

    def expire(self, now: float) -> tuple[list[Event], State]:
        """The ends of those that have been silent for too long."""
        events: list[Event] = []
        state: State = {}
        for key, one in list(self.open.items()):
            if one.matter.lasting or one.heard + self.timeout > now:  # as `due` has it, to the last bit
                continue
            matter = one.matter
            data: dict[str, Any] = {"vendor": VENDOR, "code": matter.code, "name": matter.name}
            data |= {"late": matter.late, "update": False, "reconciled": False}
            data |= {name: value for name, value in (("device", matter.device), ("place", matter.place)) if value}
            time = datetime.fromisoformat(matter.seen) if matter.seen else None
            end = Event(matter.type, "", data, time=time, subject=matter.subject, clocked=False)
            events.append(_as_end(end, matter))
            state |= self._close(key, matter.seen, matter.serial)
        return events, state

    def counts(self) -> State:
        """The counts that have grown since they were stored."""
        return {key: one.matter.state() for key, one in self.open.items() if one.matter.count > 1}

    def _active(self, alert: Alert, now: float) -> tuple[list[Event], State]:
        key = self._lasting_key(alert)
        one = self.open.get(key)
        if one is None:
            if self._old(alert, *self.ended.get(key, (None, None)), now=now):
                self.repeats += 1
                return [], {}
            return self._begun(alert, key, now, lasting=False)
        one.heard = now
        self.repeats += 1
        if self._old(alert, one.matter.seen, one.matter.serial, now=now):
            return [], {}
        one.matter = _again(one.matter, alert)
        pictures = [] if one.pictured or "media" not in alert.event.data else [_pictured(alert.event, one.matter)]
        one.pictured |= bool(pictures)
        if now - one.stored < STORE_SECONDS and not pictures:
            return [], {}
        one.stored = now
        return pictures, {key: one.matter.state()}

    def _begun(self, alert: Alert, key: str, now: float, *, lasting: bool) -> tuple[list[Event], State]:
        event = alert.event
        event.data["phase"] = "start"
        event.data["incident"] = event.id
        matter = Incident(
            event.id, alert.row.end or event.type, str(event.data["code"]), str(event.data["name"]), event.subject,
            _time(alert), _time(alert), alert.serial, event.data.get("device"), event.data.get("place"), lasting,
            late=alert.late, spot=[*alert.panel.spot] if alert.panel is not None else None,
        )  # fmt: skip
        self.open[key] = Open(matter, now, now, "media" in event.data)
        state: State = {key: matter.state()}
        if len(self.open) > MOST:
            oldest = next(iter(self.open))
            del self.open[oldest]
            state[oldest] = None
        return [event], state

    def _prolonged(self, alert: Alert, now: float) -> tuple[list[Event], State]:
        """The message is no event: what it says goes on is not silent."""
        self.repeats += 1
        state: State = {}
        for kind, place, region in alert.prolongs:
            for key in self._going_on(kind, place, region):
                one = self.open[key]
                if one.matter.lasting:
                    continue
                one.heard = now
                time = _time(alert)
                if time is not None and (one.matter.seen is None or _earlier(one.matter.seen, alert.event.time)):
                    one.matter = replace(one.matter, seen=time)
                if now - one.stored >= STORE_SECONDS:
                    one.stored = now
                    state[key] = one.matter.state()
        return [], state

    def _going_on(self, kind: str, place: str, region: str) -> list[str]:
        """The open matters of the type, however the device spells it, in the region, or anywhere at the place."""
        row = EVENTS.get(kind)
        kinds = {kind, *(name for name, other in EVENTS.items() if row is not None and other.type == row.type)} - {""}
        begins = [f"{PREFIX}{name}|{place}|" for name in kinds]
        found = [key for begin in begins for key in self._fitting(begin, region)]
        return found or [key for begin in begins for key in self._fitting(begin, "")]

    def _close(self, key: str, time: str | None, serial: int | None) -> State:
        """Forget an open matter, but not when it ended."""
        del self.open[key]
        self.ended.pop(key, None)
        self.ended[key] = (time, serial)
        state: State = {key: None, ENDED + key.removeprefix(PREFIX): [time, serial]}
        if len(self.ended) > RECENT:
            oldest = next(iter(self.ended))
            del self.ended[oldest]
            state[ENDED + oldest.removeprefix(PREFIX)] = None
        return state

    def _old(self, alert: Alert, time: str | None, serial: int | None, *, now: float) -> bool:
        """Whether the message repeats something that was sent before that moment, as devices do after a reconnect."""
        if time is None or alert.event.time is None or now - self._opened > REPLAY_SECONDS:
            return False
        last = datetime.fromisoformat(time)
        if alert.serial is not None and serial is not None:
            return alert.serial <= serial and alert.event.time <= last
        # Of one second may be both the last message before the link was lost and the first after it. What lasts is
        # said again a moment later; an end is said but once.
        return alert.event.time < last or (alert.event.time == last and alert.state != "inactive")

    def _ended(self, alert: Alert, now: float) -> tuple[list[Event], State]:
        events: list[Event] = []
        state: State = {}
        for key in () if self._said(alert, now) else self._ending(alert):
            matter = self.open[key].matter
            if self._old(alert, matter.seen, matter.serial, now=now):
                continue  # of one before it, which has ended already
            event = alert.event
            events.append(
                _as_end(Event(matter.type, "", {**event.data}, event.time, event.subject, event.dedup_time_ms), matter)
            )
            state |= self._close(key, _time(alert) or matter.seen, alert.serial)
        self.repeats += not events
        return events, state

    def _said(self, alert: Alert, now: float) -> bool:
        """Whether it repeats the end of what has ended: it must not end what its place alone would fit."""
        time, serial = self.ended.get(key := self._lasting_key(alert), (None, None))
        if key in self.open or time is None or alert.event.time is None or now - self._opened > REPLAY_SECONDS:
            return False
        newer = alert.serial is not None and serial is not None and alert.serial > serial
        return not newer and alert.event.time <= datetime.fromisoformat(time)

    def _explicit(self, alert: Alert, now: float) -> tuple[list[Event], State]:
        """What the device's codes begin and end in so many words: each message is an event."""
        event, key = alert.event, _key(alert)
        if alert.phase == "start":
            one = self.open.get(key)
            resent = alert.late or now - self._opened <= REPLAY_SECONDS
            if one is None and resent and self._over(key, event.time):
                event.data |= {"phase": "start", "incident": event.id}
                return [event], {}
            if one is None or alert.anew:
                return self._begun(alert, key, now, lasting=True)
            one.matter = _again(one.matter, alert)  # a second start of what is open belongs to it
            event.data |= {"phase": "start", "incident": one.matter.id}
            return [event], {key: one.matter.state()}
        event.data["phase"] = "end"
        state: State = {}
        _, place, region = alert.matter
        family = self._fitting(f"{PREFIX}{alert.family}|{place}|", region) if alert.family else []
        for key in self._matching(alert) or family or self._nearest(alert):
            event.data["incident"] = self.open[key].matter.id
            state |= self._close(key, _time(alert), alert.serial)
        return [event], state

    def _over(self, key: str, time: datetime | None) -> bool:
        """Whether what began then has ended already: the device sends its start again, or late."""
        ended, _ = self.ended.get(key, (None, None))
        return ended is not None and time is not None and time < datetime.fromisoformat(ended)

    def _alarm(self, alert: Alert, panel: Panel, now: float) -> tuple[list[Event], State]:
        """A panel's message: what begins, ends, or is done once, and the second report of an alarm."""
        data = alert.event.data
        alarm = self._alarms.find(panel.names)
        if panel.again:
            data["phase"] = "update"
            if alarm is not None:
                data |= {"updates": alarm.id, "incident": alarm.matter}
            return [alert.event], {}
        if (known := self._alarms.known(alert.event.id)) is not None:
            # Sent again, perhaps after its end: it begins and ends nothing anew.
            data |= {"phase": alert.phase} | ({} if known.incident is None else {"incident": known.incident})
            return [alert.event], {}
        if alert.phase == "start" and alarm is not None and self._same(alarm, alert, panel):
            self.repeats += 1  # one UUID is one alarm, however often it is sent while it lasts
            return [], {}
        events, state = (alert.events, {}) if alert.phase == "pulse" else self._explicit(alert, now)
        if alert.phase == "end" and "incident" not in data and alarm is not None and alarm.phase == "pulse":
            data["incident"] = alarm.matter
        named = Alarm(*panel.names, alert.event.id, data.get("incident"), str(data["code"]), alert.phase)
        self._alarms.remember(named, state)
        return events, state

    def _same(self, alarm: Alarm, alert: Alert, panel: Panel) -> bool:
        said = (panel.names[0], str(alert.event.data["code"]), "start")
        return alarm.uuid is not None and (alarm.uuid, alarm.code, alarm.phase) == said and _key(alert) in self.open

    def _nearest(self, alert: Alert) -> list[str]:
        """The open alarm that a panel's end means though it differs; the event says by which rule."""
        if alert.panel is None:
            return []
        spot = alert.panel.spot
        spots = [(key, Spot(*one.matter.spot)) for key, one in self.open.items() if one.matter.spot is not None]
        found = likeliest(spot, [(key, each) for key, each in spots if each.code == spot.code])
        if found is None:
            return []
        alert.event.data.setdefault("alarm", {})["rule"] = spot.rule
        return [found]

    def _matching(self, alert: Alert, mark: str = "") -> list[str]:
        """The open matters that the message ends: of its region, or all of its place where it names none."""
        kind, place, region = alert.matter
        return self._fitting(f"{PREFIX}{kind}|{place}|", region, mark)

    def _fitting(self, begin: str, region: str, mark: str = "") -> list[str]:
        exact = begin + region + mark
        if region and exact in self.open:
            return [exact]
        if "," in region and (each := [key for one in region.split(",") if (key := begin + one + mark) in self.open]):
            return each
        return [
            key
            for key in self.open
            if key.startswith(begin) and key.endswith(LATE) == bool(mark) and (not region or key == begin + mark)
        ]

    def _ending(self, alert: Alert) -> list[str]:
        """As `_matching`, of what lasts: a stored end is of a stored start, or of one that came before it."""
        if not alert.late:
            return self._matching(alert) or self._matching(alert, LATE)
        return self._matching(alert, LATE) or [
            key for key in self._matching(alert) if _earlier(self.open[key].matter.began, alert.event.time)
        ]

    def _lasting_key(self, alert: Alert) -> str:
        """What the device had stored is of a matter of its own, unless it repeats the one that is open."""
        key = _key(alert)
        one = self.open.get(key)
        if not alert.late or (one is not None and _earlier(one.matter.began, alert.event.time)):
            return key
        return key + LATE

    def _repeated(self, fingerprint: str, now: float) -> bool:
        """Whether an unknown message of this content came less than a time-out ago."""
        before = self._recent.pop(fingerprint, None)
        if len(self._recent) >= RECENT:
            del self._recent[next(iter(self._recent))]
        self._recent[fingerprint] = now
        repeated = before is not None and now - before < self.timeout
        self.repeats += repeated
        return repeated


def _time(alert: Alert) -> str | None:
    return alert.event.time.isoformat() if alert.event.time else None


def _earlier(time: str | None, than: datetime | None) -> bool:
    """Whether the moment is not after the other; False where one of them is not known."""
    return time is not None and than is not None and datetime.fromisoformat(time) <= than


def _again(matter: Incident, alert: Alert) -> Incident:
    return replace(matter, count=matter.count + 1, seen=_time(alert) or matter.seen, serial=alert.serial)


def _key(alert: Alert) -> str:
    kind, place, region = alert.matter
    return f"{PREFIX}{kind}|{place}|{region}"


def _pictured(event: Event, matter: Incident) -> Event:
    """The first repetition that has an address of a picture, as the start had none: its second upload."""
    identity = event_id(VENDOR, "picture", matter.id, "by address")
    data = {**event.data, "phase": "update", "incident": matter.id, "update": True, "updates": matter.id}
    data["media"] = [{**one, "id": f"{identity}/{n}"} for n, one in enumerate(data["media"])]
    return Event(event.type, identity, data, event.time, event.subject, event.dedup_time_ms)


def _as_end(event: Event, matter: Incident) -> Event:
    """One id for the end whoever finds it, the device's word or our patience."""
    event.id = event_id("end", matter.id)
    event.subject = matter.subject or event.subject  # a version before may have begun it under another
    event.data |= {"phase": "end", "severity": "info", "incident": matter.id, "count": matter.count}
    if "media" in event.data:
        event.data["media"] = [{**one, "id": f"{event.id}/{n}"} for n, one in enumerate(event.data["media"])]
    return event
