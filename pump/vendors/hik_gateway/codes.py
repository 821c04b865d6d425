"""The gateway's smaller dictionaries, as tables (document, 9.11, 9.14, A.2; docs/field.md)."""

from __future__ import annotations

from datetime import timedelta, timezone
from typing import Final, Literal, NamedTuple

KINDS: Final = {1: "zone", 2: "video", 3: "virtual zone", 4: "duress", 5: "exception", 6: "operation"}
"""CIDType (9.11)."""

USER_TYPES: Final = {1: "keyboard user", 2: "network user"}
"""userType of CIDParam (9.11); the others are invalid."""

Parameter = Literal["user_type", "user_number", "zone", "keypad", "channel", "disk", "module", "user"]

_LASTING: Final = (
    "videoloss vmd shelteralarm linedetection fielddetection regionentrance regionexiting loitering group rapidmove "
    "parking unattendedbaggage attendedbaggage scenechangedetection defocus audioexception audiodetection "
    "facedetection io pir diskfull diskerror nicbroken ipconflict badvideo videomismatch storagedetection "
    "firedetection smokedetection thermometry temperature tma tmpa peopledetection recordexception hotspare "
    "raidabnormal"
)
LASTING: Final = frozenset(_LASTING.split())
"""Event types, in lower case, that devices repeat until they are inactive, with other numbers each time (9.10)."""

_ONCE: Final = (
    "accesscontrollerevent idcardinfoevent qrcodeevent identityinfo voicetalkevent anpr vehicledetection "
    "vehiclematchresult facecapture facesnap facematch alarmresult humanbodyrecognition targetcapture "
    "mixedtargetdetection peoplecounting framespeoplecounting regiontargetnumbercounting illaccess gpsupload"
)
ONCE: Final = frozenset(_ONCE.split())
"""Event types, in lower case, that happen once each time though eventState says "active"."""

SUBSCRIBED: Final = ("CIDAlarm", "videoReview", *_LASTING.split(), *_ONCE.split())
"""What may be subscribed to: the document's two (9.27), and types that devices are known to send; the list is open."""

PARAMETERS: Final[tuple[Parameter, ...]] = (
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


class _Wait(NamedTuple):
    """The wait before the next try: `first` seconds, doubled up to `cap`."""

    first: float
    cap: float


class Advice(NamedTuple):
    """The meaning of an answer, what a person can do, and the wait: `first` seconds, doubled up to `cap`."""

    text: str
    first: float = 1.0
    cap: float = 60.0


class _Refusal(NamedTuple):
    """A row of table A.2."""

    code: str
    """subStatusCode."""
    text: str
    """The code's own words, and what a person can do."""
    wait: _Wait


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
_LONG: Final = _Wait(600.0, 600.0)
_CALL: Final = _Wait(60.0, 300.0)
"""The waits of what only a person or another version of the pump mends."""
_TRIES: Final = _Wait(5.0, 60.0)
"""The waits of what may pass by itself."""

_WORDS: Final = (
    _Refusal("ok", "the gateway says that it is done, and refuses all the same", _TRIES),
    _Refusal("riskPassword", "the password is a risky one: give the gateway's user a stronger one", _CALL),
    _Refusal("networkError", "the gateway reports a network error", _TRIES),
    _Refusal("deviceError", "the device's hardware reports an error", _TRIES),
    _Refusal("createSocketError", "creating a socket failed on the gateway", _TRIES),
    _Refusal("sendRequestError", "the gateway's sending of the request failed", _TRIES),
    _Refusal(
        "passwordDecodeError", "decrypting the password failed: set the password of the gateway's user anew",
        _CALL,
    ),
    _Refusal(
        "passwordEncryptError", "encrypting the password failed: set the password of the gateway's user anew",
        _CALL,
    ),
    _Refusal("pictureUploadFailed", "uploading a picture failed", _TRIES),
    _Refusal("connecteDatabaseError", "connecting to the gateway's database failed: is its database running?", _TRIES),
    _Refusal("internalError", "the gateway has an internal error", _TRIES),
    _Refusal("uninitialized", "the gateway is uninitialized: it is still starting, or was never set up", _TRIES),
    _Refusal("notSupport", "not supported: the gateway does not know this call; is it a Device Gateway?", _CALL),
    _Refusal("lowPrivilege", "the gateway's user has no permission to subscribe: give it one", _LONG),
    _Refusal(
        "methodNotAllowed", "an invalid HTTP method: the gateway does not know this call; is it a Device Gateway?",
        _CALL,
    ),
    _Refusal("notActivated", "the gateway is inactivated: activate it, and set its password", _LONG),
    _Refusal("hasActivated", "the gateway is activated already", _CALL),
    _Refusal("invalidContent", "the gateway finds the message's content invalid", _CALL),
    _Refusal(
        "maxSessionUserLink", "no more user can log in: the gateway lets no further one in; close other clients",
        _Wait(60.0, 60.0),
    ),
    _Refusal("interfaceOperationError", "the operation failed on the gateway", _TRIES),
    _Refusal("openFileError", "opening a file failed on the gateway", _TRIES),
    _Refusal("taskPacking", "the resource is already occupied by another client", _TRIES),
    _Refusal("taskNoRecFile", "the video file does not exist", _CALL),
    _Refusal("updateLangUnmatched", "the upgrade packet has another language than the device", _CALL),
    _Refusal("userMaxNum", "no more user can be added to the gateway", _CALL),
    _Refusal("monitorNodeOverLimit", "no more camera can be added to the gateway", _CALL),
    _Refusal("deviceExist", "the device is already added", _CALL),
    _Refusal("setArmingError", "setting the arming information of a device failed", _TRIES),
    _Refusal("taskModifyFailed", "editing the task failed", _TRIES),
    _Refusal("getDeviceInfoFailed", "getting a device's information failed", _TRIES),
    _Refusal("noDiskSpace", "the gateway has insufficient disk space: free some", _CALL),
    _Refusal("cannotSameAsOldPassword", "the new password and the old one must be different", _CALL),
    _Refusal("originalPassError", "the old password is incorrect", _CALL),
    _Refusal("writeFileError", "writing a file failed on the gateway: is its disk full?", _TRIES),
    _Refusal("accessFileDirectoryFailed", "accessing a file's path failed on the gateway", _TRIES),
    _Refusal("unKnownErrorCode", "the gateway met an error code that is unknown to it", _TRIES),
    _Refusal("deviceVervisionNotMatch", "the device's version mismatches: is its firmware too old?", _CALL),
    _Refusal("theSessionIdDoesNotExist", "the session does not exist: the gateway has ended the subscription", _TRIES),
    _Refusal("theCameraIdDoesNotExist", "the camera does not exist on the gateway", _CALL),
    _Refusal("theDeviceIdDoesNotExist", "the device does not exist on the gateway", _CALL),
    _Refusal("gettingResourceNodeInformationFailed", "getting a resource node's information failed", _TRIES),
    _Refusal("noMoreTasksCanBeAdded", "no more task can be added: the gateway runs as many as it may", _TRIES),
    _Refusal("badJsonFormat", "the gateway finds the JSON invalid", _CALL),
    _Refusal("badURLFormat", "the gateway finds the URL invalid: is it a Device Gateway?", _CALL),
    _Refusal("badParameters", "a parameter is incorrect: check events and devices in pump.toml", _CALL),
    _Refusal("badXmlContent", "the gateway finds the XML content incorrect", _CALL),
    _Refusal("badPort", "the port number is conflicted: another service has it", _CALL),
    _Refusal("portError", "the port number is invalid", _CALL),
    _Refusal("badVersion", "the versions of the gateway and of what it was sent mismatch", _CALL),
    _Refusal("requestMemoryNULL", "the gateway could not allot the memory requested", _TRIES),
    _Refusal("tokenTimeout", "the token timed out", _TRIES),
    _Refusal("passworLlenNoMoreThan16", "up to 16 characters are allowed in the password", _CALL),
    _Refusal("diskError", "the gateway's disk reports an error", _TRIES),
)  # fmt: skip

ADVICE: Final[dict[str, Advice]] = {row.code.lower(): Advice(row.text, *row.wait) for row in _WORDS} | {
    "badauthorization": Advice("authentication failed", *_LONG),
    "loginpassworderror": Advice("incorrect password", *_LONG),
    "pwderrorloginfailed": Advice("login failed, check the user name and the password", *_LONG),
    "nomemory": Advice("the gateway is busy: insufficient memory; it is asked again, more and more rarely", *_TRIES),
    "upgrading": Advice("the gateway is being upgraded", 10.0, 60.0),
    "rebootrequired": Advice("the gateway wants to be rebooted for it to take effect", 30.0, 300.0),
    # what the field adds
    "deployexceedmax": DEPLOY,
    "invalidoperation": PRIVATE,
    "devicebusy": BUSY,
}
"""By subStatusCode in lower case: each of table A.2 has its row."""

REJECTED: Final = frozenset(("badauthorization", "loginpassworderror", "pwderrorloginfailed"))
"""Those that do not take the password, whatever the call and its HTTP status."""

CLASSES: Final[dict[int, Advice]] = {2: BUSY, 7: ADVICE["rebootrequired"]}
"""By statusCode, where the body has no subStatusCode that has a row."""

OTHER: Final = Advice("")
NOT_FOUND: Final = Advice("the address is not a Device Gateway's: it knows no subscriptions", 60.0, 300.0)

STATUS: Final[dict[int, Advice]] = {403: PRIVATE, 404: NOT_FOUND, 503: BUSY, 429: BUSY}
"""By HTTP status, where the body says nothing that has a row."""

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
