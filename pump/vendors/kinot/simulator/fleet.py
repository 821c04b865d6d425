"""The simulator's bays, sensors and locks, and gateways, and how a day goes by in them."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any, Final

from pump.vendors.kinot.numbers import Number

VENDOR_ZONE: Final = timezone(timedelta(hours=8))
"""Kinot's own: every `updated_at` of the document carries it."""

OCCUPANCY: Final = (
    0.10, 0.08, 0.07, 0.06, 0.07, 0.10, 0.22, 0.45, 0.72, 0.86, 0.90, 0.92,
    0.88, 0.86, 0.90, 0.91, 0.88, 0.76, 0.58, 0.44, 0.34, 0.26, 0.20, 0.14,
)  # fmt: skip
"""The share of bays that are taken, by the hour of the day: a garage below offices."""
TURNOVER: Final = (
    0.10, 0.06, 0.04, 0.04, 0.08, 0.30, 1.10, 2.20, 2.60, 1.70, 1.10, 1.20,
    1.70, 1.50, 1.00, 1.00, 1.40, 2.30, 2.00, 1.20, 0.80, 0.50, 0.30, 0.20,
)  # fmt: skip
"""How lively each hour is; the mean of a day is about 1."""
LOCK_TYPE, SENSOR_TYPE = 18, 34
_FAULTS: Final = ("coil_fault", "bar_position_error", "motor_fail", "shell_opened")
_RARE: Final = 0.03
"""The share of changes that are a battery's or a fault's."""


@dataclass
class Bay:
    """One bay with a sensor or a lock in it."""

    sn: int
    lock: bool
    flags: dict[str, int]
    volts: float = 3.65
    frequency: float = 38.0
    rssi: float = -90.0
    millivolts: bool = False
    """Its voltage is sent in the unit that the document's table names, not in that of its samples."""
    updated: datetime = datetime(2019, 3, 13, tzinfo=VENDOR_ZONE)
    sent: list[str] = field(default_factory=list)
    """The last bodies of its callbacks, newest last."""

    @property
    def device_type(self) -> int:
        return LOCK_TYPE if self.lock else SENSOR_TYPE

    def set(self, now: datetime, **flags: int) -> None:
        """Change flags, `active` among them, which the lists alone show.

        `updated_at` has whole seconds and grows with each change.
        """
        self.flags |= flags
        at = now.astimezone(VENDOR_ZONE).replace(microsecond=0)
        self.updated = max(at, self.updated + timedelta(seconds=1))

    def fields(self) -> dict[str, Any]:
        """A status as the callbacks have it, numbers as Kinot writes them."""
        return {
            "sn": Number(self.sn),
            "voltage": Number(f"{self.volts * 1000:.0f}" if self.millivolts else f"{self.volts:.3f}"),
            "frequency": Number(f"{self.frequency:.3f}"),
            **{name: Number(value) for name, value in self.flags.items() if name != "active"},
            "rs_si": Number(f"{self.rssi:.1f}"),
            "updated_at": self.updated.isoformat(),
        }

    def listed(self) -> dict[str, Any]:
        """The same as the lists have it: locks show the code that opens them, sensors whether they are active."""
        if not self.lock:
            return {**self.fields(), "active": Number(self.flags.get("active", 1))}
        return {**self.fields(), "bt_match_code": "61518-59257-29505-55487-10411-15740", "bt_mac": "aa0018382001"}


@dataclass
class Gateway:
    """A gateway, "dtu"."""

    sn: int
    online: bool = True
    updated: datetime = datetime(2019, 3, 24, 17, 3, 44, tzinfo=VENDOR_ZONE)

    def listed(self) -> dict[str, Any]:
        """As `dtu_devices` has it."""
        return {
            "sn": Number(self.sn),
            "hw": Number(4097),
            "sw": Number(8193),
            "firmware": Number(17),
            "host": "192.0.2.18:44062",
            "online": "online" if self.online else "offline",
            "updated_at": self.updated.isoformat(),
        }


class Fleet:
    """N bays, a third of them with locks; the same seed makes the same days."""

    def __init__(self, bays: int = 30, gateways: int = 1, seed: int = 0) -> None:
        self.rng = random.Random(seed)
        self.bays: dict[int, Bay] = {}
        for number in range(bays):
            lock = number % 3 == 0
            sn = (419631107 if lock else 419635201) + number
            flags = {"locked": 0, "car_detected": 0, "shell_opened": 0} if lock else {"car_detected": 0}
            flags |= {"low_battery": 0, "coil_fault": 0}
            if lock:
                flags |= {"bar_position_error": 0, "motor_fail": 0}
            rng = self.rng
            self.bays[sn] = Bay(
                sn, lock, flags, rng.uniform(3.4, 3.7), rng.uniform(36.0, 40.0), -rng.uniform(60.0, 115.0)
            )
        self.gateways = {644219880 + number: Gateway(644219880 + number) for number in range(gateways)}

    @property
    def locks(self) -> list[Bay]:
        return [bay for bay in self.bays.values() if bay.lock]

    @property
    def sensors(self) -> list[Bay]:
        return [bay for bay in self.bays.values() if not bay.lock]

    def turn(self, now: datetime) -> Bay:
        """Let something happen in some bay, as the hour makes likely; the bay."""
        rng = self.rng
        bay = rng.choice(list(self.bays.values()))
        bay.volts = max(2.9, bay.volts - rng.uniform(0.0, 0.0005))
        bay.frequency += rng.gauss(0.0, 0.02)
        bay.rssi = min(-40.0, max(-120.0, bay.rssi + rng.gauss(0.0, 1.0)))
        if rng.random() < _RARE:
            flag = rng.choice([name for name in ("low_battery", *_FAULTS) if name in bay.flags])
            bay.set(now, **{flag: 1 - bay.flags[flag]})
            return bay
        taken = sum(each.flags["car_detected"] for each in self.bays.values()) / len(self.bays)
        wanted = OCCUPANCY[now.hour]
        # drawn towards the hour's occupancy, yet cars come and go at any
        arrives = rng.random() < 0.5 + max(-0.45, min(0.45, 2.0 * (wanted - taken)))
        for _ in range(len(self.bays)):
            if bay.flags["car_detected"] != arrives:
                break
            bay = rng.choice(list(self.bays.values()))
        car = 1 - bay.flags["car_detected"]
        bay.set(now, car_detected=car, **({"locked": 1 - car} if bay.lock else {}))
        return bay


def written(fields: Mapping[str, Any], *, trailing_comma: bool = False) -> str:
    """JSON whose numbers stand as they are meant to be sent; with the comma of the document's samples if wanted."""
    return "".join(_parts(fields, ",\n" if trailing_comma else ""))


def _parts(value: Any, comma: str) -> list[str]:
    if isinstance(value, Mapping):
        inner = ",".join(f"{json.dumps(name)}:{''.join(_parts(each, ''))}" for name, each in value.items())
        return ["{", inner, comma if inner else "", "}"]
    if isinstance(value, list):
        return ["[", ",".join("".join(_parts(each, "")) for each in value), "]"]
    if isinstance(value, Number):
        return [str(value)]
    return [json.dumps(value, ensure_ascii=False)]
