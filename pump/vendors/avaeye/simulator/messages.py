"""What cameras see: vehicles by the hour of the day, and the messages that tell of them; one seed, one traffic."""

from __future__ import annotations

import base64
import random
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from pump.simulation.pictures import picture as drawn

ENTRY: Final = (1, 1, 1, 1, 1, 2, 8, 22, 30, 18, 10, 9, 11, 12, 9, 8, 7, 7, 8, 6, 4, 3, 2, 1)
EXIT: Final = (1, 1, 1, 1, 1, 1, 2, 4, 5, 6, 8, 10, 13, 11, 9, 11, 19, 30, 24, 14, 9, 6, 4, 2)
"""Vehicles in each hour of a day, relative: offices fill in the morning and empty in the evening."""
STEADY: Final = (1,) * 24
"""A day whose hours are alike."""

_LETTERS: Final = "ABCDEFGHJKLMNPQRSTUVWXYZ"
_CARS: Final = 400
"""Vehicles that come again and again."""
_BRANDS: Final = ("AODI-A6-2004", "BMW-3-2018", "FORD-FOCUS-2012", "")


def weight(curve: Sequence[int], moment: datetime) -> float:
    """How busy a lane is at a moment, 1.0 being its day's average; between two full hours it changes steadily."""
    hour, part = moment.hour, (moment.minute * 60 + moment.second) / 3600
    busy = curve[hour] * (1 - part) + curve[(hour + 1) % 24] * part
    return busy * len(curve) / sum(curve)


class Scene:
    """What one camera sees."""

    def __init__(self, seed: object) -> None:
        self._random = random.Random(f"scene/{seed}")
        self._count = 0

    def wait(self, per_second: float) -> float:
        """Seconds to the next vehicle, at so many a second on average."""
        return self._random.expovariate(per_second)

    def chance(self, part: float) -> bool:
        """True in such a part of all cases."""
        return self._random.random() < part

    def message(
        self, park: str, device: str, now: datetime, *, picture: int = 0, beside: bool = False
    ) -> dict[str, Any]:
        """A capture (document, Vehicle Capture), with two pictures of so many bytes; `now` in the camera's own zone.

        `beside`: the pictures stand beside params.
        Some plates are dressed or unknown, some numbers are texts, as the field knows them.
        """
        draw = self._random
        self._count += 1
        car = draw.randrange(_CARS)
        fixed = random.Random(f"car/{car}")
        plate = f"{fixed.choice(_LETTERS)}{fixed.randrange(10_000, 99_999)}"
        plate = draw.choices((plate, f"{plate[:3]} {plate[3:]}", f"{{{plate}}}", "Unknown"), (94, 2, 2, 2))[0]
        confidence: int | str = draw.randrange(70, 100)
        params: dict[str, Any] = {
            "recordId": f"{draw.getrandbits(128):032x}",
            "picTime": now.strftime("%Y-%m-%dT%H:%M:%S"),
            "plateNo": plate,
            "confidence": str(confidence) if self._count % 7 == 0 else confidence,
            "vehicleType": fixed.choice((3, 9, 10, 14, 16, 17)),
            "vehicleColor": fixed.choice((0, 1, 2, 3, 4, 13)),
            "plateType": 1,
            "plateColor": fixed.choice((1, 4, 5)),
            "vehicleLogoType": "A0",
            "vehicleBrandType": fixed.choice(_BRANDS),
            "shootPosition": 1,
            "captureMode": draw.choices(("1", "2", "3"), (90, 8, 2))[0],
            "carListType": draw.choices(("0", "1", "2"), (90, 9, 1))[0],
            "picNum": 0,
        }
        message: dict[str, Any] = {"version": "1.0", "parkId": park, "deviceId": device, "params": params}
        if picture:
            data = base64.b64encode(drawn(car, draw.randbytes(picture)[2:])).decode()
            params["picNum"] = 2
            place = message if beside else params
            place["picInfo"] = [{"type": kind, "size": picture, "data": data} for kind in (1, 2)]
        return message
