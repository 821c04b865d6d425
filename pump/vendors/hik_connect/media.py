"""Links to pictures and videos: their places in a record, their form in an event, their lives.

Nothing is fetched here.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final, NamedTuple

from pump.core.groups import BOUNDS, Medium
from pump.core.text import bounded
from pump.vendors.common.fields import Group, child, link, listed, text, word
from pump.vendors.common.images import kind_of, mime_of_address, mime_of_ending
from pump.vendors.hik_connect.words import FILE_KINDS, FILE_STATES, TRUE

FILES: Final = 15 * 60
"""Seconds that a link to an alarm file or an attachment lives (A.3.12, A.3.38)."""
PERSONS: Final = 60 * 60
"""Seconds that a link to a person's, a driver's or a licence's picture lives (docs/field.md)."""
DOORS: Final = 2 * 60 * 60
"""Seconds that a link to the picture of an access control point lives (A.3.134)."""
SNAPSHOTS: Final = 24 * 60 * 60
"""Seconds that a link to an access snapshot lives (A.3.7)."""

Shape = tuple[object, ...]

_SAVED: Final = ("0", "None", "")
"""An AlarmFile's saveState, as text, beside which a link is expected (A.3.12)."""

LINKS: Final = frozenset(
    (
        "URL", "url", "pictureURL", "pictureUrl", "driverFacePic", "imageUrl", "personPicUrl", "elementPicUrl",
        "snapPicUrl",
    )
)  # fmt: skip
"""The fields that hold links; they may be signed afresh at each delivery, so no identity knows them."""


class Carried(NamedTuple):
    """The files and links that a record carries, each read once."""

    files: list[tuple[Group, str | None]]
    """The entries of the file list, each with its link."""
    attached: list[tuple[str, list[str | None]]]
    """The lists of attachments by their names, with the link of each."""
    plates: list[str] | None
    """The links of a plate's pictures; None without a plate's information."""
    persons: list[tuple[str, int]]
    """The links of drivers' and licences' pictures, with their lives in seconds."""
    doors: list[tuple[str, tuple[str, int]]]
    """The links of an access event by the field that they stand in, with their lives."""


def carried(record: Group, groups: Group, plain: bool) -> Carried:
    """The record's files and links; of a `plain` one (`groups.plain`) they stand in its lists of files alone."""
    files = [(file, _url(file)) for file in _files(groups)] if groups.get("fileInfo") else []
    attached = [
        (name, [_attachment(one) for one in listed(record, name)]) for name in ("picture", "video") if record.get(name)
    ]
    if plain:
        return Carried(files, attached, None, [], [])
    anpr = child(groups, "anprinfo", "anprInfo", "ANPRInfo")
    return Carried(files, attached, None if anpr is None else _plates(anpr), _persons(groups), _doors(groups))


def shape(found: Carried, groups: Group) -> Shape:
    """The uploads that a record brings, without their links: a second upload has others than the first.

    Of each file type, source, capture index and saving state; of attachments and access snapshots how many; of a plate
    how many pictures, unless it is the usual one. A link that is there although the file is not saved, or is not there
    although it is, is noted too: a file may come without its link first. An empty list and none are the same.
    """
    parts: list[object] = []
    for file, url in found.files:
        extended = file.get("extendInfo")
        source = index = None
        if type(extended) is dict:
            source = extended.get("sourceID") or extended.get("sourceld") or extended.get("sourceId")
            index = extended.get("captureIndex")
        # As text, for a value that comes as a number once and as text then is the same.
        state = str(file.get("saveState"))
        part = (str(file.get("type")), str(source), str(index), state)
        linked = url is not None
        parts.append(part if linked == (state in _SAVED) else (*part, linked))
    for name, urls in found.attached:
        count = sum(1 for url in urls if url)
        parts.append((name, len(urls)) if count == len(urls) else (name, len(urls), count))
    if found.plates is not None and len(found.plates) != 1:
        parts.append(("pictureInfo", len(found.plates)))
    if found.doors and ("openDoorInfo" in groups or "acsSnapPicList" in groups):
        snapshots = sum(name == "acsSnapPicList" for name, _ in found.doors)
        if snapshots:
            parts.append(("acsSnapPicList", snapshots))
    return tuple(parts)


def links(found: Carried) -> int:
    """The number of links in a record."""
    count = len(found.plates or ()) + len(found.persons) + len(found.doors)
    for _, url in found.files:
        count += url is not None
    for _, urls in found.attached:
        count += sum(1 for url in urls if url)
    return count


def media_of(identity: str, found: Carried, received: datetime) -> list[Medium]:
    """The event's `media`: an entry for each file and link, `<identity>/<n>` its id.

    Links are signed when the batch is handed out, so their lives are counted from `received`.
    """
    media: list[Medium] = []
    for file, url in found.files:
        media.append(_file(f"{identity}/{len(media)}", file, url, received))
    for name, urls in found.attached:
        for url in urls:
            if url:
                media.append(_link(f"{identity}/{len(media)}", name, url, FILES, received))
    for url in found.plates or ():
        media.append(_link(f"{identity}/{len(media)}", "picture", url, FILES, received))
    for url, life in found.persons:
        media.append(_link(f"{identity}/{len(media)}", "picture", url, life, received))
    for _, (url, life) in found.doors:
        media.append(_link(f"{identity}/{len(media)}", "picture", url, life, received))
    return media


def _files(groups: Group) -> list[Group]:
    info = groups.get("fileInfo")
    files = listed(info, "file", "files") if type(info) is dict else info
    return [file for file in files if type(file) is dict] if type(files) is list else []


def _url(value: object) -> str | None:
    return link(value, "url", "URL") if type(value) is dict else None


def _attachment(value: object) -> str | None:
    return bounded(value, BOUNDS["link"]) or None if type(value) is str else _url(value)


def _file(identity: str, file: Group, url: str | None, received: datetime) -> Medium:
    suffix = text(file, "suffixName")
    mime = mime_of_ending(suffix) if suffix else None
    if mime is None and url:
        mime = mime_of_address(url)
    kind = word(file, FILE_KINDS, "type") or (kind_of(mime) if mime else None) or "file"
    entry: Medium = {"id": identity, "kind": kind}
    if mime:
        entry["mime"] = mime
    if url:
        entry["url"] = url
        entry["expires"] = _expiry(received, FILES)
    entry["state"] = word(file, FILE_STATES, "saveState") or "remote"
    encrypted = file.get("encrypted")
    if encrypted is not None and encrypted != "":
        entry["encrypted"] = encrypted in TRUE
    return entry


def _link(identity: str, kind: str, url: str, life: int, received: datetime) -> Medium:
    entry: Medium = {"id": identity, "kind": kind}
    mime = mime_of_address(url)
    if mime:
        entry["mime"] = mime
    entry["url"] = url
    entry["expires"] = _expiry(received, life)
    entry["state"] = "remote"
    return entry


@lru_cache(maxsize=64)
def _expiry(received: datetime, life: int) -> str:
    return (received + timedelta(seconds=life)).astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


_DOOR_LINKS: Final = (
    ("personPicUrl", PERSONS, ("personPicUrl",)),
    ("elementPicUrl", DOORS, ("elementPicUrl",)),
    ("acsSnapPicList", SNAPSHOTS, ("snapPicUrl",)),
)


def _persons(groups: Group) -> list[tuple[str, int]]:
    found: list[tuple[str, int]] = []
    vehicle = child(groups, "vehicleRelatedInfo", "vehicleReletedInfo")
    info = child(vehicle, "vehicleInfo") if vehicle is not None else None
    if info is not None:
        for driver in (info, *listed(info, "driverInfos")):
            if type(driver) is dict:
                if "driverFacePic" in driver:
                    _each(found, PERSONS, (driver,), "driverFacePic")
                if "licenseInfo" in driver:
                    _each(found, PERSONS, (driver["licenseInfo"],), "imageUrl")
    return found


def _plates(anpr: Group) -> list[str]:
    """The links of ANPRInfo's pictures (A.3.31, A.3.127)."""
    found: list[tuple[str, int]] = []
    _each(found, FILES, listed(anpr, "pictureInfo"), "pictureURL", "pictureUrl")
    return [url for url, _ in found]


def _doors(groups: Group) -> list[tuple[str, tuple[str, int]]]:
    """The links of an access event with the field that they stand in, wherever in the event that is."""
    door = child(groups, "openDoorInfo") or {}
    event = child(door, "event") or {}
    found: list[tuple[str, tuple[str, int]]] = []
    inner = event or door
    for part in (inner, inner.get("basicInfo"), inner.get("intelliInfo"), door if event else None, groups):
        if type(part) is dict:
            for name, life, fields in _DOOR_LINKS:
                if name in part:
                    linked: list[tuple[str, int]] = []
                    _each(linked, life, listed(part, name) if name != fields[0] else (part,), *fields)
                    found += [(name, link) for link in linked]
    return found


def _each(found: list[tuple[str, int]], life: int, parts: Iterable[Any], *links: str) -> None:
    for part in parts:
        if type(part) is dict:
            url = link(part, *links)
            if url is not None:
                found.append((url, life))
