"""What an event says last of a vehicle or a partition: a value, where `states` has what is on or off. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import quote

PLATE: Final = "plate"
PICTURE: Final = "picture"
PARTITION: Final = "partition"

_UNREAD: Final = "None"
"""Home Assistant's word for a state that is not known: a vehicle without a plate that could be read."""
_MODES: Final = {"stay": "armed_home"}
"""`alarm.mode` to the state of an alarm_control_panel, where it is not the usual "armed_away"."""
_ARMING: Final = {"security.armed": "armed_away", "security.disarmed": "disarmed"}
_PARTS: Final = frozenset(("zone", "input", "door"))
"""Subjects that are armed by themselves, which says nothing of their partition."""


class Latest(NamedTuple):
    """The value that one aspect of the event's subject has from now on."""

    aspect: str
    """The last level of its topic."""
    value: str
    entity: str
    """PLATE, PICTURE or PARTITION: what shows it."""
    name: str


def latest(event: Mapping[str, Any], picture_url: str | None) -> Iterator[Latest]:
    """Last plate and picture of a plate camera, how a partition is armed; nothing of most events.

    `picture_url` is where the files of `[media] dir` can be read; None: only pictures at an address of the vendor's.
    """
    data = event["data"]
    if event["type"] == "vehicle.passed":
        vehicle = data.get("vehicle")
        if vehicle:
            yield Latest(PLATE, str(vehicle.get("plate") or _UNREAD), PLATE, "Last plate")
        picture = _picture(data.get("media") or (), picture_url)
        if picture is not None:
            yield Latest(PICTURE, picture, PICTURE, "Last vehicle")
    elif event["type"] in _ARMING:
        yield from _armed(event)


def _armed(event: Mapping[str, Any]) -> Iterator[Latest]:
    kind, _, _ = event["subject"].partition("/")
    alarm = event["data"].get("alarm") or {}
    number = alarm.get("partition")
    if kind in _PARTS or (kind != PARTITION and number is None):
        return
    state = _ARMING[event["type"]]
    if state != "disarmed":
        state = _MODES.get(str(alarm.get("mode")), state)
    if kind == PARTITION:
        yield Latest(PARTITION, state, PARTITION, "Alarm")
    else:  # a panel, with several
        yield Latest(f"{PARTITION}_{quote(str(number), safe='')}", state, PARTITION, f"Partition {number}")


def _picture(media: Iterator[Mapping[str, Any]] | Any, picture_url: str | None) -> str | None:
    """The address of the first picture that has one: of the vehicle rather than of its plate."""
    pictures = [one for one in media if "picture" in str(one.get("kind"))]
    for one in sorted(pictures, key=lambda each: each["kind"] != "picture"):
        path, url = one.get("path"), one.get("url")
        if path and picture_url is not None:
            return f"{picture_url.rstrip('/')}/{quote(str(path))}"
        if url and "://" in str(url) and not one.get("encrypted"):
            return str(url)
    return None
