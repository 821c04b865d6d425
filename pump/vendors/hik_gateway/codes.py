"""The gateway's smaller dictionaries, as tables (document, 9.11, 9.14, A.2; FIELD.md)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta, timezone
from typing import Final

KINDS: Final = {1: "zone", 2: "video", 3: "virtual zone", 4: "duress", 5: "exception", 6: "operation"}
"""CIDType (9.11)."""

USER_TYPES: Final = {1: "keyboard user", 2: "network user"}
"""userType of CIDParam (9.11); the others are invalid."""

PARAMETERS: Final = (
    "user_type", "user_number", "zone", "keypad", "channel", "disk", "module", "user",
)  # fmt: skip
"""The eight parts of CIDParam in their order: userType, userNo, zoneNo, keyboardNo, videoChanNo, dskNo, moduleAddr,
userName. -1 is none, and so is the user name NONE."""

_PRINTED: Final = (
    "-12:00 -11:00 -10:00 -09:00 -08:00 -07:00 -06:00 -05:00 -04:30 -04:00 -03:30 -03:00 -02:00 -01:00 "
    "+00:00 "
    "+01:00 +02:00 +03:00 +03:30 +04:00 +04:30 +05:00 +05:30 +05:45 +06:00 +06:30 +07:00 +08:00 +09:00 +09:30 "
    "+10:00 +11:00 +12:00 +13:00 +14:00"
)


def _zone(offset: str) -> timezone:
    hours, minutes = int(offset[1:3]), int(offset[4:])
    return timezone((-1 if offset[0] == "-" else 1) * timedelta(hours=hours, minutes=minutes))


ZONES: Final[dict[int, timezone]] = {place: _zone(offset) for place, offset in enumerate(_PRINTED.split(), start=1)}
"""timeZoneIdx. The document prints 1 to 3, 14 to 16, 34 (as "GMT-13:00") and 35; the usual half hours fill what lies
between exactly. 0, as in its samples, is none of them."""


@dataclass(frozen=True, slots=True)
class Advice:
    """What an answer means, what a person can do, and how long to wait: `first` seconds, doubled up to `cap`."""

    text: str
    first: float = 1.0
    cap: float = 60.0


PRIVATE: Final = Advice(
    "the gateway refuses the subscription as an invalid operation: set its Automation Output protocol to Private, or, "
    "where it is, close other clients, for the limit of connections is reached",
    30.0,
    300.0,
)
BUSY: Final = Advice("the gateway or its device is busy; it is asked again, more and more rarely", 5.0, 60.0)
DEPLOY: Final = Advice(
    "the gateway has no free subscription (deployExceedMax): close other clients; those that were left open free "
    "themselves in time",
    60.0,
    60.0,
)
_LONG: Final = 600.0
REJECTED: Final = Advice("the gateway rejects the user name or the password", _LONG, _LONG)

ADVICE: Final[dict[str, Advice]] = {
    "deployexceedmax": DEPLOY,
    "maxsessionuserlink": Advice("the gateway lets no further user log in: close other clients", 60.0, 60.0),
    "lowprivilege": Advice("the gateway's user has no permission to subscribe: give it one", _LONG, _LONG),
    "notactivated": Advice("the gateway is not activated: activate it, and set its password", _LONG, _LONG),
    "badauthorization": REJECTED,
    "loginpassworderror": REJECTED,
    "pwderrorloginfailed": REJECTED,
    "notsupport": Advice("the gateway does not know this call: is it a Device Gateway?", 60.0, 300.0),
    "methodnotallowed": Advice("the gateway does not know this call: is it a Device Gateway?", 60.0, 300.0),
    "invalidoperation": PRIVATE,
    "devicebusy": BUSY,
    "nomemory": BUSY,
    "upgrading": Advice("the gateway is being upgraded", 10.0, 60.0),
    "setarmingerror": Advice("the gateway could not set the arming of a device", 5.0, 60.0),
    "rebootrequired": Advice("the gateway wants to be rebooted", 30.0, 300.0),
}
"""By subStatusCode in lower case (A.2, and what the field adds)."""

OTHER: Final = Advice("")
NOT_FOUND: Final = Advice("the address is not a Device Gateway's: it knows no subscriptions", 60.0, 300.0)

STATUS: Final[dict[int, Advice]] = {403: PRIVATE, 404: NOT_FOUND, 503: BUSY, 429: BUSY}
"""By HTTP status, where the body's subStatusCode has no row."""

DEVICE_FAILURES: Final = {
    "abnormallink": "the gateway's link to it is broken",
    "fail": "the gateway could not subscribe it",
    "thedeviceiddoesnotexist": "the gateway does not have it",
    "deviceerror": "its hardware reports an error",
    "networkerror": "it is not reachable",
    "notsupport": "it does not know these events",
    "deployexceedmax": "it has no free subscription",
    "setarmingerror": "its arming could not be set",
    "badparameters": "the gateway refuses what was asked of it",
}
"""Why a device is not subscribed: subStatusCode of a FailList, status of queryStatus; in lower case."""

ARMED: Final = "continue"
"""The status (9.30) of a device whose subscription stands."""
