"""In what devices differ, as switches, and the bytes that come of them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

BOUNDARY: Final = "boundary"


@dataclass(frozen=True)
class Quirks:
    """docs/field.md, "Cameras, recorders, terminals and panels"; the defaults are a well-behaved device's."""

    chunked: bool = True
    boundary: Literal["same", "differs", "dashes", "angle", "quoted", "none"] = "same"
    """What the header says of the body's delimiter."""
    line_feed: bool = False
    """Bare line feeds in framing."""
    glued: bool = False
    """The delimiter follows the body without a line end."""
    length: Literal["right", "none", "one more", "one less"] = "right"
    namespace: Literal["fixed", "changing", "prefixed"] = "fixed"
    empty_elements: bool = False
    """<activePostCount/> and <channelID/>, the channel in dynChannelID."""
    bare_ampersand: bool = False
    time: Literal["iso", "short offset", "no sign", "local", "1970"] = "iso"
    heartbeat: Literal["videoloss", "heartBeat", "other", "cidEvent", "none"] = "videoloss"
    heartbeat_interval: float = 10.0
    serial_numbers: bool = True
    recorder: bool = False
    """Channels of a recorder: IP channel 1 is 33."""
    replay: int = 0
    """How many of the newest events are sent again to a new connection."""
    keep_offline: bool = False
    """Events that nobody listened to are kept and sent to the next connection."""
    close_after: int | None = None
    """Parts after which the device ends a stream."""
    marks: bool = False
    """isDataRetransmission behind every message, heartbeats included."""
    pictures_by_address: bool = False
    """Messages name their pictures by an address; no part follows."""
    duration: bool = False
    """What a camera sees is reported once; from then on `duration` says that it goes on."""
    record: Literal["once", "again", "in two"] = "once"
    """A plate's record comes twice under one UUID: with the mark of a retransmission, or the plate first, then all."""
    search: bool = False
    """It remembers access events, and lets them be searched."""
    search_refusal: int = 404
    """The status with which a device without a search refuses one."""
    search_page: int = 30
    """The most rows of a page."""
    search_keeps: int = 100_000
    """Records that it remembers."""
    search_time: Literal["same", "utc", "local", "other offset"] = "same"
    """The time of a row: as the stream has it, in UTC, without an offset, with another one."""
    search_numbers: bool = True
    """Rows have serialNo."""
    withheld: tuple[str, ...] = ()
    """Paths that the user may not read, which is answered as a wrong password is."""
    forbidden: tuple[str, ...] = ()
    """Paths that the user may not read, which is answered 403."""
    most_streams: int = 8
    nonce_life: float = 3.0
    stale_word: str = '"FALSE"'
    close_challenge: bool = True
    """The challenge comes with Connection: close."""


ODDITIES: Final[dict[str, Quirks]] = {
    "as documented": Quirks(),
    "unchunked": Quirks(chunked=False),
    "boundary differs": Quirks(boundary="differs"),
    "boundary with dashes": Quirks(boundary="dashes"),
    "boundary in angle brackets": Quirks(boundary="angle"),
    "boundary quoted": Quirks(boundary="quoted"),
    "no boundary": Quirks(boundary="none"),
    "bare line feeds": Quirks(line_feed=True),
    "delimiter glued": Quirks(glued=True),
    "no length": Quirks(length="none"),
    "length one more": Quirks(length="one more"),
    "length one less": Quirks(length="one less"),
    "namespaces change": Quirks(namespace="changing"),
    "namespace prefixes": Quirks(namespace="prefixed"),
    "empty elements": Quirks(empty_elements=True, recorder=True),
    "bare ampersand": Quirks(bare_ampersand=True),
    "short offset": Quirks(time="short offset"),
    "offset without sign": Quirks(time="no sign"),
    "no offset": Quirks(time="local"),
    "heartBeat": Quirks(heartbeat="heartBeat"),
    "other as heartbeat": Quirks(heartbeat="other"),
    "empty cidEvent": Quirks(heartbeat="cidEvent"),
    "no serial numbers": Quirks(serial_numbers=False),
    "marks": Quirks(marks=True, heartbeat="other"),
    "marks on an empty cidEvent": Quirks(marks=True, heartbeat="cidEvent"),
    "pictures by address": Quirks(pictures_by_address=True),
    "duration": Quirks(duration=True),
    "record sent again": Quirks(record="again", serial_numbers=False),
    "record in two": Quirks(record="in two", serial_numbers=False),
    "everything at once": Quirks(
        chunked=False, boundary="angle", line_feed=True, length="none", namespace="changing", empty_elements=True,
        bare_ampersand=True, time="short offset", heartbeat="cidEvent", serial_numbers=False, recorder=True,
    ),
}  # fmt: skip
"""Each switch by itself, by name, and a device with nearly all of them."""

_NAMESPACES: Final = (
    "http://www.hikvision.com/ver20/XMLSchema", "http://www.isapi.org/ver20/XMLSchema", "urn:psialliance-org",
)  # fmt: skip
_TAG: Final = re.compile(r"<(/?)([A-Za-z])")


def content_type(quirks: Quirks) -> str:
    """The response's header."""
    said = {
        "same": f"; boundary={BOUNDARY}", "differs": "; boundary=MIME_boundary", "dashes": f"; boundary=--{BOUNDARY}",
        "angle": f"; boundary=<{BOUNDARY}>", "quoted": f'; boundary="{BOUNDARY}"', "none": "",
    }  # fmt: skip
    return f"multipart/mixed{said[quirks.boundary]}"


def frame(quirks: Quirks, kind: str, body: bytes, extra: str = "") -> bytes:
    """One part, from its delimiter to its body's end; the next part's delimiter follows."""
    end = "\n" if quirks.line_feed else "\r\n"
    given = {"right": len(body), "one more": len(body) + 1, "one less": len(body) - 1}.get(quirks.length)
    picture = kind.startswith("image/")
    if given is not None and picture:
        given = len(body)  # what devices get wrong is the length of their texts
    lines = [f"--{BOUNDARY}", f"Content-Type: {kind}", *([extra] if extra else [])]
    if given is not None:
        lines.append(f"Content-Length: {given}")
    head = end.join([*lines, "", ""]).encode()
    return head + body + (b"" if quirks.glued and not picture else end.encode())


def dress(quirks: Quirks, number: int, xml: str) -> str:
    """An EventNotificationAlert with the device's habits; `number` counts the messages of one connection."""
    namespace = _NAMESPACES[number % 3] if quirks.namespace == "changing" else _NAMESPACES[0]
    if quirks.empty_elements:
        xml = re.sub(r"<activePostCount>\d+</activePostCount>", "<activePostCount/>", xml)
        xml = re.sub(r"<channelID>(\d+)</channelID>", r"<channelID/><dynChannelID>\1</dynChannelID>", xml)
    if quirks.bare_ampersand:
        xml = xml.replace("</eventDescription>", " & more</eventDescription>")
    if quirks.namespace == "prefixed":
        xml = _TAG.sub(r"<\1ns:\2", xml)
        return xml.replace("<ns:EventNotificationAlert", f'<ns:EventNotificationAlert xmlns:ns="{namespace}"', 1)
    return xml.replace("<EventNotificationAlert", f'<EventNotificationAlert version="2.0" xmlns="{namespace}"', 1)
