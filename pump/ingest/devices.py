"""The device table: what each device says of itself, and whether it is there. Above the spool's state.

A source keeps one. A sign of life is stored with the put that answers it; one that comes alone and changes nothing is
kept in memory and stored with the others' once a minute (`signs`). A device from which none comes for three of its own
intervals is offline. Only time spent listening counts: a pump that was down has missed nothing.
Devices that nobody knows (`strangers`) have a share of the table, and are forgotten after a day of silence.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Collection, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final

import orjson

from pump.core.clock import Clock
from pump.core.errors import Unavailable
from pump.core.event import Event, event_id
from pump.core.groups import BOUNDS
from pump.core.text import bounded
from pump.ingest import bounds
from pump.ingest.intake import Intake
from pump.ingest.listening import Listening
from pump.ingest.signs import GRACE, LoneSigns, Sign
from pump.ingest.strangers import AGE, DAY, FORGOTTEN, FULL, Acquaintances, Rows, Share

PREFIX: Final = "device/"
MISSED: Final = 3
"""Intervals without a sign of life, after which a device is offline."""
_KEY: Final = BOUNDS["key"]
_FRESH: Final = 0.5
"""Seconds of listening within which a device's next sign need not be stored again."""
MOST: Final = 20_000
"""Devices of one source that are known by their time alone; more stay strangers, for whoever sends may wait a day."""
MOST_BYTES: Final = 32 << 20
"""Of their rows, as they are stored."""


@dataclass(slots=True)
class Device:
    """A row of the table; JSON in the spool. `facts` are the source's: name, serial, version, address, spaces …"""

    key: str
    """Unique within its source, such as "10000/1001"."""
    interval: float | None = None
    """Seconds between two signs of life; None: its silence means nothing."""
    online: bool = False
    turns: int = 0
    """The number of its turns, online and offline: it makes each turn's event id, and a lost answer harmless."""
    heard: float = 0.0
    """The table's listening time at its last sign of life, seconds."""
    seen: str = ""
    """That moment, ISO 8601 in UTC."""
    facts: dict[str, Any] = field(default_factory=dict)
    since: float | None = None
    """A stranger's first sign of life, in the table's listening time; None: it is known."""
    life: int = 0
    """Devices that had been forgotten before it was met, where this one may have been among them."""

    def json(self) -> dict[str, Any]:
        """As it is stored; versions before strangers read it too."""
        row = {
            "interval": self.interval,
            "online": self.online,
            "turns": self.turns,
            "heard": round(self.heard, 3),
            "seen": self.seen,
            "facts": self.facts,
        }
        if self.since is not None:
            row["since"] = round(self.since, 3)
        if self.life:
            row["life"] = self.life
        return row

    @classmethod
    def of(cls, key: str, stored: Mapping[str, Any]) -> Device:
        """As `json` gave it; what an older version did not store has its default: it knew no strangers."""
        since = stored.get("since")
        return cls(
            key,
            interval=stored.get("interval"),
            online=bool(stored.get("online")),
            turns=int(stored.get("turns", 0)),
            heard=float(stored.get("heard", 0.0)),
            seen=str(stored.get("seen", "")),
            facts=dict(stored.get("facts", {})),
            since=None if since is None else float(since),
            life=int(stored.get("life", 0)),
        )

    @property
    def due(self) -> float:
        """The listening time at which it is offline, or forgotten, unless it is heard before."""
        aged = math.inf if self.since is None else self.heard + AGE
        return min(aged, self.heard + MISSED * self.interval) if self.online and self.interval is not None else aged

    @property
    def bytes(self) -> int:
        """Of its row, about."""
        return 2 * len(self.key) + len(orjson.dumps(self.json(), default=str))


@dataclass(slots=True)
class SignOfLife:
    """A sign of life, to be put with what it came with: `put(*sign.events, …, state=sign.state)`."""

    device: Device
    """As it will be once stored."""
    events: tuple[Event, ...] = ()
    state: dict[str, Any] | None = None


class Devices:
    """One source's devices. All its methods belong to one event loop.

    `describe(key, facts)` gives the groups of `data` that a device's own events carry (`device`, `place`), and
    `subject(key)` their subject: the vendor's matters.
    """

    def __init__(
        self, intake: Intake, clock: Clock, *, vendor: str, kind: str = "device", named: Collection[str] = frozenset()
    ) -> None:
        """`vendor` stands in the events' data, `kind` ("camera") leads their subjects: "camera/10000/1001".

        `named` are the devices that the configuration names, "10000/1001", or "1001" where it says no park.
        """
        self._intake = intake
        self._clock = clock
        self._vendor = vendor
        self._kind = kind
        self._acquaintances = Acquaintances(named, intake.accepted)
        self._share, self._settled = Share(), Rows()
        """Rows of strangers, and of those that are known."""
        self._known: dict[str, Device] = {}
        """All of them, by key."""
        self._lone = LoneSigns(intake)
        self._listening = Listening(intake.beat, intake.name)
        forgotten = intake.state(FORGOTTEN).get(FORGOTTEN)
        self._forgotten = forgotten if isinstance(forgotten, int) else 0
        self._load(intake.state(PREFIX))
        intake.remembers, intake.table = self._known.__contains__, self
        self._disowned: set[str] = set()
        """Forgotten by an operator's word: a sign that was being stored meanwhile must not bring them back."""
        self._listening.reached(max((device.heard for device in self._known.values()), default=0.0))
        if not self._lone.in_order:  # nobody is offline for signs that a kill took
            for device in self._known.values():
                device.heard = min(device.heard + GRACE, max(device.heard, self._listening.looked))

    def _load(self, stored: Mapping[str, Any]) -> None:
        rows = [Device.of(key.removeprefix(PREFIX), row) for key, row in stored.items() if isinstance(row, dict)]
        for device in sorted(rows, key=lambda one: one.heard):
            if device.key != bounded(device.key, _KEY):  # a version before took it in; nobody is called that now
                self._intake.remember(PREFIX + device.key, None)
                continue
            device.facts = {name: said for name, said in bounds.facts(device.facts).items() if said is not None}
            if device.since is not None and device.key in self._acquaintances:
                device.since = None
            if device.since is None:
                self._acquaintances.met(device.key)
            if (sign := self._lone.get(device.key)) is not None and device.online and device.heard < sign.heard:
                device.heard, device.seen = sign
            self._keep(device)

    def __len__(self) -> int:
        return len(self._known)

    def __iter__(self) -> Iterator[Device]:
        return iter(self._known.values())

    def get(self, key: str) -> Device | None:
        """The device as it was last stored."""
        return self._known.get(bounded(key, _KEY))

    def stranger(self, key: str | None) -> bool:
        """True for a device that nobody knows (`strangers`), be it heard of or not, and for a sender without a key."""
        if key is None:
            return True
        known = self._known.get(key := bounded(key, _KEY))
        return (known is None or known.since is not None) and key not in self._acquaintances

    @property
    def full(self) -> bool:
        """True where one more stranger makes another one be forgotten."""
        return self._share.full

    @property
    def listened(self) -> float:
        """Seconds spent listening, over all runs."""
        return self._listening.now

    def heard(
        self,
        key: str,
        *,
        interval: float | None = None,
        facts: Mapping[str, Any] | None = None,
        groups: Mapping[str, Any] | None = None,
    ) -> AbstractAsyncContextManager[SignOfLife]:
        """A sign of life of the device, to be stored inside: it is online once that was left without an error.

        Left with one, the device was heard all the same: a refusing spool makes nobody offline.

        `interval` and `facts` replace what was known where they are given; facts that are None are forgotten.
        `groups` are the groups of `data` (`device`, `place`) for a device.online event.
        """
        return _Hearing(self, self._sign(bounded(key, _KEY), interval, facts, groups or {}))

    def alone(self, key: str) -> bool:
        """A sign of life with which nothing comes: True where it is taken, for it changes nothing; else use `heard`."""
        known, now = self._known.get(key := bounded(key, _KEY)), self._listening.now
        if known is None or not known.online or self._since(known, now) != known.since:
            return False
        self._share.heard(key)
        known.heard, known.seen = now, _stamp(self._clock.now())
        if self._lone.came(key, Sign(now, known.seen)):
            self._listening.expect(self._lone.due)
        return True

    def _sign(
        self, key: str, interval: float | None, facts: Mapping[str, Any] | None, groups: Mapping[str, Any]
    ) -> SignOfLife:
        known, now = self._known.get(key), self._listening.now
        if known is not None and known.online and interval is None and facts is None:
            self._share.heard(key)
            if now - known.heard < _FRESH:
                return SignOfLife(known)
            device = self._again(known, now)  # the path of nearly all
            return SignOfLife(device, (), {PREFIX + key: device.json()})
        if known is None:
            known = self._meet(key, now)
        # What it says of itself is taken in at once: a sign that is stored beside this one must not bring back the old.
        if interval is not None:
            known.interval = interval
            self._listening.expect(known.due)
        if facts is not None:
            said = {**known.facts, **bounds.facts(facts)}
            known.facts = {name: value for name, value in said.items() if value is not None}
        device = self._again(known, now)
        events = () if known.online else (self._turn(device, groups, first=known.turns == 0),)
        return SignOfLife(device, events, {PREFIX + key: device.json()})

    def _again(self, known: Device, now: float) -> Device:
        """The device with one more sign of life, online."""
        turns, seen = known.turns + (not known.online), _stamp(self._clock.now())
        since = self._since(known, now)
        return Device(known.key, known.interval, True, turns, now, seen, known.facts, since, known.life)

    def noted(self, sign: SignOfLife) -> None:
        """The sign was stored; `heard` calls it."""
        if sign.state is None:
            return
        key = sign.device.key
        self._lone.drop(key, sign.device.heard)
        known = self._known.get(key)
        if known is None and key in self._disowned:
            self._intake.forget(PREFIX + key, key)
            return
        if known is not None and known.since is not None and sign.device.since is None:
            sign.device.since = self._since(known, sign.device.heard)
        if known is None or known.turns < sign.device.turns or known.heard <= sign.device.heard:
            self._keep(sign.device)

    def unstored(self, sign: SignOfLife) -> None:
        """The device was heard, and the spool refused to store it; `heard` calls it."""
        known = self._known.get(sign.device.key)
        if known is not None and known.heard < sign.device.heard:
            known.heard, known.seen = sign.device.heard, sign.device.seen

    @asynccontextmanager
    async def lost(self, key: str, groups: Mapping[str, Any] | None = None) -> AsyncIterator[SignOfLife]:
        """The device is known to be offline, whatever its interval; used as `heard`. Without events where it was."""
        sign = self._loss(bounded(key, _KEY), groups or {})
        yield sign
        self.noted(sign)

    def _loss(self, key: str, groups: Mapping[str, Any]) -> SignOfLife:
        known = self._known.get(key)
        if known is None or not known.online:
            return SignOfLife(known or Device(key))
        device = replace(known, online=False, turns=known.turns + 1)
        return SignOfLife(device, (self._turn(device, groups),), {PREFIX + key: device.json()})

    async def watch(self, groups: Any = None) -> None:
        """Report who falls silent, for as long as the task lives: the time it runs is the time spent listening.

        `groups(device)` gives the groups of `data` for a device.offline event.
        """
        try:
            with self._listening.going_on():
                while True:
                    await self._listening.until_due()
                    self._age()
                    self._lone.look(self._listening.looked)
                    self._listening.due = self._next()
                    for device in self.silent():
                        await self._tell(device, groups(device) if groups else {})
        finally:
            self._lone.end(self._listening.looked)

    def _next(self) -> float:
        """The listening time at which the first of them may be due, or signs of life are to be stored."""
        return min([self._lone.due, *(device.due for device in self._known.values())])

    def silent(self) -> list[Device]:
        """Who is online by the table and has given no sign for too long."""
        now = self._listening.looked
        return [
            device
            for device in self._known.values()
            if device.online and device.interval is not None and now - device.heard >= MISSED * device.interval
        ]

    # --- who is known -----------------------------------------------------------------------------------------------

    def _meet(self, key: str, now: float) -> Device:
        """A device that was never heard of, or was forgotten, has its row."""
        device = Device(key, heard=now, life=self._forgotten)
        self._disowned.discard(key)
        if key in self._acquaintances:
            self._acquaintances.met(key)
        else:
            device.since = now
        self._keep(device)
        return device

    def _since(self, known: Device, now: float) -> float | None:
        """The stranger's first sign of life, None from the one on that makes it known."""
        if known.since is None or known.key in self._acquaintances:
            return None
        if now - known.since < DAY:
            return known.since
        if len(self._settled) < MOST and self._settled.bytes < MOST_BYTES:
            return None
        self._report_full("more devices were heard over more than a day than can be known")
        return known.since

    def _keep(self, device: Device) -> None:
        """Have this row in memory; where it is one stranger's too many, others are forgotten."""
        self._known[device.key] = device
        self._listening.expect(min(device.due, self._lone.due))
        if device.since is None:
            self._share.drop(device.key)
            self._settled.count(device.key, device.bytes)
            return
        self._share.count(device.key, device.bytes)
        while (key := self._share.surplus()) is not None:
            self._forget(key)
            self._intake.count("stranger_forgotten")
            self._report_full(FULL)

    def _forget(self, key: str) -> None:
        """Remove a stranger from the table and from the stored state, unless it was accepted meanwhile."""
        self._share.drop(key)
        if key in self._acquaintances:
            self._keep(replace(self._known[key], since=None))
            return
        self._lone.drop(key)
        self._listening.expect(self._lone.due)
        if self._known.pop(key).turns:  # else it was never stored
            self._forgotten += 1
            self._intake.remember(FORGOTTEN, self._forgotten)
            self._intake.forget(PREFIX + key, key)

    def names(self, key: str) -> bool:
        """See `Table`."""
        return self._acquaintances.named(bounded(key, _KEY))

    async def forget(self, key: str) -> None:
        """See `Table`."""
        key = bounded(key, _KEY)
        if key in self._known:
            self._settled.drop(key)
            self._disowned.add(key)
            self._forget(key)

    def _age(self) -> None:
        """Forget the strangers that have been silent for too long."""
        while (key := self._share.oldest) is not None and self._listening.looked - self._known[key].heard >= AGE:
            self._forget(key)
            self._intake.count("stranger_aged")

    def _report_full(self, reason: str) -> None:
        self._intake.devices_full(reason, known=len(self._settled), strangers=len(self._share))

    async def _tell(self, device: Device, groups: Mapping[str, Any]) -> None:
        sign = self._loss(device.key, groups)
        self._known[device.key] = sign.device  # before it is stored: a sign that comes meanwhile must turn it back
        try:
            await self._intake.put(*sign.events, state=sign.state, stranger=self.stranger(device.key))
        except BaseException as error:
            if self._known.get(device.key) is sign.device:
                self._known[device.key] = device  # the next look finds it again; its id makes a second telling harmless
            if not isinstance(error, Unavailable):
                raise

    def _turn(self, device: Device, groups: Mapping[str, Any], *, first: bool = False) -> Event:
        """The event of coming or going; a going and the coming after it share their incident."""
        come = device.online
        of_offline = device.turns - 1 if come else device.turns
        data: dict[str, Any] = {
            "vendor": self._vendor,
            "code": "online" if come else "offline",
            "name": "Device online" if come else "Device offline",
            "phase": "pulse" if first else "end" if come else "start",
            "severity": "info" if come else "warning",
            "late": False,
            "update": False,
            "reconciled": False,
        }
        life = (device.life,) if device.life else ()
        if not first:
            data["incident"] = event_id("offline", self._vendor, device.key, of_offline, *life)
        data.update(groups)
        kind = "device.online" if come else "device.offline"
        identity = event_id("turn", self._vendor, device.key, device.turns, *life)
        time, subject = self._clock.now(), f"{self._kind}/{device.key}"
        return Event(kind, identity, data, time=time, subject=subject, clocked=False)


class _Hearing(AbstractAsyncContextManager[SignOfLife]):
    """What `heard` returns. A generator in its place would cost as much as all that the table does with a sign."""

    __slots__ = ("_sign", "_table")

    def __init__(self, table: Devices, sign: SignOfLife) -> None:
        self._table = table
        self._sign = sign

    async def __aenter__(self) -> SignOfLife:
        return self._sign

    async def __aexit__(self, kind: type[BaseException] | None, error: object, traceback: object) -> None:
        if kind is None:
            self._table.noted(self._sign)
        else:
            self._table.unstored(self._sign)


def _stamp(time: datetime) -> str:
    """`time` is in UTC, as a clock's `now` is."""
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")
