"""Where gateways differ from their document, as switches, and what can go wrong on demand (docs/field.md)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True)
class Quirks:
    """One gateway's habits. The defaults are the document's samples, in their framing."""

    transfer: Literal["unchunked", "chunked"] = "unchunked"
    boundary: Literal["boundary", '"boundary"', "--boundary", "<boundary>", "elsewhere"] = "boundary"
    """What the Content-Type header says; the body's delimiter is always "--boundary"."""
    line_end: Literal["\r\n", "\n"] = "\r\n"
    glued: Literal["no", "yes"] = "no"  # the delimiter follows the body without a line end
    length: Literal["exact", "one more", "one less", "absent"] = "exact"
    commas: Literal["strict", "trailing"] = "strict"
    date_key: Literal["dateTime", "dataTime"] = "dateTime"
    heartbeat: Literal["heartBeat", "heartBeat "] = "heartBeat"
    cid_event_type: Literal["CIDAlarm", "videoReview"] = "CIDAlarm"
    cid_uuid: Literal["unique", "0"] = "unique"
    zone_index: Literal["16", "0"] = "16"  # timeZoneIdx: GMT+1, or none
    error_code: Literal["hexadecimal", "number"] = "hexadecimal"
    subscription_id: Literal["number", "text"] = "number"
    answer: Literal["first", "absent"] = "first"  # whether a SubscribeDeviceMgmtRsp leads the stream
    stale: Literal["FALSE", "false", "absent"] = "FALSE"
    challenge: Literal["close", "keep-alive"] = "close"  # the connection behind a 401
    qop: Literal["auth", "absent"] = "auth"
    offers: Literal["digest", "basic first", "basic first, one header"] = "digest"
    expired_counts: Literal["yes", "no"] = "yes"  # an expired nonce is a failed login
    serials: Literal["asked apart", "in the list", "unknown"] = "asked apart"
    nonce_seconds: float = 3.0
    heartbeat_seconds: float = 10.0
    attempts: int = 5
    lock_seconds: float = 1800.0
    subscriptions: int = 8
    """How many may be open; one more is refused as deployExceedMax."""
    page: int = 3
    """Devices a page of the device list has at most."""


@dataclass(slots=True)
class Faults:
    """What goes wrong, from the moment it is set. Counters count down; lists are used up from their beginning."""

    cuts: list[int] = field(default_factory=list)
    """For each next stream the number of its bytes after which it is closed, in the middle of whatever it is."""
    stall: bool = False
    """Streams stay open and silent: no events, no heartbeats."""
    half_open: int = 0
    """So many next streams are left to lie after their first part: never written, read or closed again."""
    close_after_one: int = 0
    """So many next streams end after the part that follows the answer."""
    replay: int = 0
    """A new stream begins with so many of the last parts again."""
    refuse: list[tuple[int, str, str]] = field(default_factory=list)
    """For each next subscription an HTTP status, statusString and subStatusCode instead of a stream."""
    fail: dict[str, str] = field(default_factory=dict)
    """Devices that cannot be subscribed: devIndex to subStatusCode, which queryStatus tells as `fail`."""
    deny: set[str] = field(default_factory=set)
    """Devices whose subscription may not be changed one by one."""
    garbage: list[bytes] = field(default_factory=list)
    """Written into the running streams, each once, before the next part."""
    commands: list[str] = field(default_factory=list)
    """Of each next command: "refuse" (inside HTTP 200), "busy"; and after acting "drop" (no answer), "error" (502),
    "garbage" (200 and no ResponseStatus)."""
    hang: int = 0
    """So many next requests are read and never answered."""
    zones_by_post: bool = False
    """GET of the zones is refused; a POST of ZoneCond gives them in pages of two."""
    no_panels: bool = False
    """The status of panels is refused as not supported."""
    no_refresh: bool = False
    """refreshDevInfo is refused as not supported."""
    answers: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    """HTTP status and body by the last word of a call's path ("deviceList"), instead of what the call gives: a gateway
    may refuse inside HTTP 200, in JSON or in XML."""
