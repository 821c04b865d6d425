"""What a device says of itself, and what its refusals mean: answers of ISAPI, read; no I/O."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pump.ingest.stream.client import Answer
from pump.ingest.stream.handler import RetryAdvice
from pump.vendors.common.fields import child, children
from pump.vendors.common.hik_status import refused, status_fields
from pump.vendors.hik_camera.document import Tree, read_document
from pump.vendors.hik_camera.fields import number, text, whole
from pump.vendors.hik_camera.parse import Facts

STREAM: Final = "/ISAPI/Event/notification/alertStream"
INFO: Final = "/ISAPI/System/deviceInfo"
INPUTS: Final = "/ISAPI/System/Video/inputs/channels"
PROXIES: Final = "/ISAPI/ContentMgmt/InputProxy/channels"
LISTS: Final[dict[str, tuple[str, int]]] = {INPUTS: ("VideoInputChannel", 0), PROXIES: ("InputProxyChannel", 32)}
"""The lists of channels: each one's element, and what is added to its ids to get the numbers that events carry."""

OUTPUTS: Final = "/ISAPI/System/IO/outputs"
DOORS: Final = "/ISAPI/AccessControl/RemoteControl/door/capabilities"
_RECORDER: Final = 32
"""Channels of recorders behind this are cameras of the network."""

_CHANNELS: Final = 4096
"""Channels of one list that have names; recorders have 256."""
_ADVICE: Final[dict[int, str]] = {
    200: "the device answered with a document, not with a stream; check the address and whether ISAPI is enabled",
    401: "the device rejects the user name or the password; correct them, the next try comes in 10 minutes",
    403: "the user lacks the right to be notified (on the device: remote permission 'Notify Surveillance Center / "
    "Trigger Alarm Output')",
    404: "the device offers no alertStream at this address; check the address and whether ISAPI is enabled",
    503: "the device is busy or has as many event connections as it allows; close others",
}


def read_answer(answer: Answer) -> Tree | None:
    """An answer's document, None where it has none or was refused, by its status or by a ResponseStatus in it."""
    if answer.status != 200:
        return None
    try:
        tree = read_document(answer.body)
    except ValueError:
        return None
    return None if refused(status_fields(tree)) else tree


def read_facts(info: Tree) -> dict[str, Any]:
    """deviceInfo as it is kept in the spool."""
    tree = child(info, "DeviceInfo") or info
    found = {
        "serial": text(tree, "serialNumber", "subSerialNumber"), "name": text(tree, "deviceName"),
        "model": text(tree, "model"), "category": text(tree, "deviceType"),
    }  # fmt: skip
    return {name: value for name, value in found.items() if value is not None}


def merged(known: Mapping[str, Any], found: Mapping[str, Any]) -> dict[str, Any]:
    """All that is known of the device, with its newest word; names of a list that it refused stay."""
    before, now = ({} if not isinstance(names := each.get("names"), dict) else names for each in (known, found))
    names = {**before, **now}
    return {**known, **found} | ({"names": names} if names else {})


def read_names(path: str, listed: Tree) -> dict[str, str]:
    """Channel numbers as events carry them, to names."""
    element, offset = LISTS[path]
    tree = child(listed, f"{element}List") or listed
    found: dict[str, str] = {}
    for channel in children(tree, element):
        identity = number(channel, "id")
        name = text(channel, "name", "channelName")
        if identity is not None and name is not None:
            found[str(int(identity) + offset)] = name
            if len(found) >= _CHANNELS:
                break
    return found


def read_outputs(listed: Tree) -> dict[str, Any]:
    """The outputs as they are kept in the spool: numbers, with names or None."""
    tree = child(listed, "IOOutputPortList") or listed
    ports = children(tree, "IOOutputPort")
    found = {text(port, "id"): text(port, "outputName", "name") for port in ports}
    return {number: name for number, name in list(found.items())[:_CHANNELS] if number and number.isdecimal()}


def read_doors(able: Tree) -> int:
    """The number of doors that can be controlled; 0 where the device does not say."""
    tree = child(able, "RemoteControlDoor") or able
    bounds = child(tree, "doorNo")
    return max(0, min(whole(bounds, "@max", "max") or 0, _CHANNELS))


def picture(channel: int, names: Mapping[str, Any]) -> str:
    """The path of a channel's picture, main stream; `names` is of the channels. A recorder's IP channel 1 is 33."""
    if channel > _RECORDER and str(channel) in names:
        return f"/ISAPI/ContentMgmt/StreamingProxy/channels/{channel - _RECORDER}01/picture"
    return f"/ISAPI/Streaming/channels/{channel}01/picture"


def facts(kept: Mapping[str, Any], url: str | None = None, qualifier: str = "") -> Facts:
    """The spool's knowledge of the device at this address; `qualifier` as in `Facts`."""
    names = kept.get("names")
    return Facts(
        serial=kept.get("serial"),
        name=kept.get("name"),
        model=kept.get("model"),
        category=kept.get("category"),
        names=names if isinstance(names, dict) else {},
        url=url,
        qualifier=qualifier,
    )


def advise(answer: Answer) -> RetryAdvice:
    """What a refusal means: for a person, with the attempts that are left and how long an account is locked."""
    reason = _ADVICE.get(answer.status, f"the device answered HTTP {answer.status}")
    try:
        tree = read_document(answer.body)
    except ValueError:
        tree = {}
    tree = child(tree, "userCheck", "ResponseStatus") or tree
    sub = text(tree, "subStatusCode")
    lock = (text(tree, "lockStatus") or "").lower()
    left = number(tree, "retryTimes", "retryLoginTime")
    locked = number(tree, "resLockTime", "unlockTime")
    said = [
        f"the device says {sub}" if sub and sub.isalnum() else "",
        f"the account is {lock}ed" if lock in ("lock", "unlock") else "",
        f"{left:.0f} attempts left" if left is not None else "",
        f"locked for {locked:.0f} s more" if locked and lock == "lock" else "",
    ]
    more = "; ".join(part for part in said if part)
    wait = locked if answer.status == 401 and lock == "lock" and locked else 60.0 if answer.status == 503 else None
    return RetryAdvice(f"{reason} ({more})" if more else reason, wait)
