"""What the vendor checks of a request, as tables (5.1.1, 5.3.1, 5.3.2, 5.4.1), and the words of its refusals (A.4)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

LOGIN: Final = "/api/hccgw/platform/v1/token/get"
BATCH_SIZES: Final = (100, 200, 300, 400, 500)
DEFAULT_BATCH_SIZE: Final = 300

MESSAGES: Final[dict[str, str]] = {
    "OPEN000000": "System internal errors.",
    "OPEN000001": "The AK does not exist.",
    "OPEN000002": "Incorrect SK.",
    "OPEN300002": "SECRET_KEY_NOT_EQUALS",
    "OPEN000003": "The user does not exists.",
    "OPEN000004": "The system does not exist.",
    "OPEN000005": "Linking the HCC account with the AK and SK failed.",
    "OPEN000006": "Token expired.",
    "OPEN000007": "Token exception.",
    "OPEN000008": "Parameter conversion exception.",
    "OPEN000009": "Network exception.",
    "OPEN000010": "Parameter verification exception.",
    "OPEN000012": "The message submission ID (batchId) does not exist.",
    "OPEN000015": "Alarm message conversion failed.",
    "OPEN000016": "The alarm information is not subscribed.",
    "OPEN000018": "Hik-Connect server error.",
    "OPEN000019": "Hik-Connect server response error.",
    "OPEN000021": "No permission for viewing the resource",
    "OPEN000023": "Reading Dynamo failed.",
    "OPEN000024": "Number of resources for request exceeded limit.",
    "OPEN000025": "Number of records on each page exceeded limit.",
    "OPEN000026": "Incorrect time format.",
    "OPEN000027": "The time range set for search exceeded limit.",
    "OPEN000028": "Area ID is empty.",
    "OPEN000029": "Incorrect request volume.",
    "VMS000003": "Resource does not exist.",
    "VMS000009": "Concurrent requests (distributed lock is enabled).",
    "VMS001000": "Gateway error.",
    "VMS001001": "Service instance unavailable. Service is overloaded.",
    "VMS004005": "No permission.",
    "LAP000004": "Service calling blow exception.",
}


NO_SPELLING: Final[Mapping[str, str]] = {}


class Refused(Exception):
    """The vendor's refusal: `code` of A.4, and in words what was wrong, for the account's count."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(f"{code}: {reason}")
        self.code = code
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Rule:
    """One body parameter: its JSON types, whether it must be there, its values, its longest text, its items.

    `code` is the vendor's for a value that is none of `values`.
    """

    types: tuple[type, ...]
    required: bool = True
    values: tuple[int, ...] = ()
    longest: int | None = None
    items: type | None = None
    code: str = "OPEN000010"


_ON_OFF = Rule((int,), values=(0, 1))
_MESSAGES = {"maxNumberPerTime": Rule((int,), required=False, values=BATCH_SIZES, code="OPEN000029")}
_COMPLETE = {"batchId": Rule((str,), longest=256)}

RULES: Final[dict[str, Mapping[str, Rule]]] = {
    # The table says that secretKey is a number, the example shows a text.
    LOGIN: {"appKey": Rule((str,), longest=64), "secretKey": Rule((str, int), longest=64)},
    "/api/hccgw/alarm/v1/mq/subscribe": {
        "subscribeType": _ON_OFF,
        "subscribeMode": _ON_OFF,
        "eventType": Rule((list,), required=False, items=int),
    },
    "/api/hccgw/combine/v1/mq/subscribe": {
        "subscribeType": _ON_OFF,
        "msgType": Rule((list,), required=False, items=str),
    },
    "/api/hccgw/rawmsg/v1/mq/subscribe": {
        "subscribeType": _ON_OFF,
        "msgType": Rule((list,), items=str),  # present, if empty
    },
    "/api/hccgw/alarm/v1/mq/messages": _MESSAGES,
    "/api/hccgw/combine/v1/mq/messages": _MESSAGES,
    "/api/hccgw/rawmsg/v1/mq/messages": {},
    "/api/hccgw/alarm/v1/mq/messages/complete": _COMPLETE,
    "/api/hccgw/combine/v1/mq/messages/complete": _COMPLETE,
    "/api/hccgw/rawmsg/v1/mq/messages/complete": _COMPLETE,
    "/api/hccgw/alarm/v1/alarmlog": {
        "pageIndex": Rule((int,)),
        "pageSize": Rule((int,)),
        "timeRange": Rule((dict,)),
        "areaID": Rule((list, str)),  # the table says a list, the example shows a text
        "eventTypeList": Rule((list,), required=False, items=str),
    },
    "/api/hccgw/acs/v1/event/certificaterecords/search": {
        "pageIndex": Rule((int,), required=False),
        "pageSize": Rule((int,), required=False),
        "searchCriteria": Rule((dict,), required=False),
    },
    "/api/hccgw/resource/v1/areas/get": {
        "pageIndex": Rule((int, str)),  # the table says a number, the example shows a text
        "pageSize": Rule((int, str)),
        "filter": Rule((dict,), required=False),
    },
    "/api/hccgw/resource/v1/devices/get": {
        "pageIndex": Rule((int,)),
        "pageSize": Rule((int,)),
        "areaID": Rule((str,), required=False),
        "deviceCategory": Rule((str,), required=False, longest=32),
        "filter": Rule((dict,), required=False),
    },
    "/api/hccgw/maintenance/v1/list/device/detail": {
        "page": Rule((int,)),
        "pageSize": Rule((int,), required=False),
        "areaId": Rule((str,), required=False),
        "includeSubArea": Rule((str,), required=False),
        "exceptions": Rule((list,), required=False, items=int),
        "filterName": Rule((str,), required=False),
        "deviceCategory": Rule((int,)),
    },
    "/api/hccgw/acs/v1/remote/control": {"remoteControl": Rule((dict,))},
    "/api/hccgw/devcall/v1/call/receive": {
        "recordId": Rule((str,), longest=64),
        "status": Rule((int,), values=(1, 2, 3)),
        "userId": Rule((str,)),
    },
    "/api/hccgw/resource/v1/areas/alarmoutputs/control": {"alarmOutputOperation": Rule((list,), items=dict)},
    "/api/hccgw/resource/v1/device/capturePic": {"deviceSerial": Rule((str,)), "channelNo": Rule((int,))},
    "/api/hccgw/video/v1/video/save": {
        "cameraId": Rule((str,), longest=64),
        "beginTime": Rule((str,)),
        "endTime": Rule((str,)),
        "voiceSwitch": Rule((int,), required=False, values=(0, 1, 2)),
    },
    "/api/hccgw/video/v1/video/download/url": {"taskId": Rule((str,))},
}


def media_type(content_type: str | None) -> None:
    """Raises Refused (OPEN000010) for any Content-Type but application/json, whatever its parameters."""
    if (content_type or "").partition(";")[0].strip().lower() != "application/json":
        raise Refused("OPEN000010", "Content-Type is not application/json")


def body(path: str, content: bytes, *, strict: bool, spelled: Mapping[str, str] = NO_SPELLING) -> dict[str, Any]:
    """The parameters in a request's body; an empty one has none.

    Raises Refused: OPEN000010 for a missing or impossible parameter, and with `strict` for an unknown one; OPEN000029
    for an impossible size; OPEN000008 for what is no JSON object or has the wrong type. `spelled` holds parameters
    that a tenant spells in another way than the document.
    """
    given = decode(content)
    rules = {spelled.get(name, name): rule for name, rule in RULES[path].items()}
    if strict and (unknown := sorted(given.keys() - rules.keys())):
        raise Refused("OPEN000010", f"unknown parameter {unknown[0]}")
    for name, rule in rules.items():
        _check(name, given.get(name), rule)
    return given


def decode(content: bytes) -> dict[str, Any]:
    """The object of a body, {} of an empty one. Raises Refused."""
    try:
        given = orjson.loads(content.strip() or b"{}")
    except orjson.JSONDecodeError:
        raise Refused("OPEN000008", "the body is not JSON") from None
    if not isinstance(given, dict):
        raise Refused("OPEN000008", "the body is not an object")
    return given


def _check(name: str, value: Any, rule: Rule) -> None:
    if value is None:
        if rule.required:
            raise Refused("OPEN000010", f"{name} is missing")
        return
    if not _is(value, rule.types) or (rule.items and not all(_is(item, (rule.items,)) for item in value)):
        raise Refused("OPEN000008", f"{name} has the wrong type")
    if rule.values and value not in rule.values:
        raise Refused(rule.code, f"{name} is not one of its values")
    if rule.longest is not None and len(str(value)) > rule.longest:
        raise Refused("OPEN000010", f"{name} is too long")


def _is(value: Any, types: tuple[type, ...]) -> bool:
    return isinstance(value, types) and not isinstance(value, bool)
