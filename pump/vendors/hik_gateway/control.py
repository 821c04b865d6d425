"""Commands to the gateway's devices: partitions, zones, outputs, a new start (8.4.1 to 8.4.6, 8.5.3, 8.5.9)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from pump.commands.calls import PATIENCE, RawAnswer, RawCall
from pump.commands.contract import DONE, Command, CommandResult, Target
from pump.core.errors import Refusal, Unavailable
from pump.core.naming import Named
from pump.vendors.common.hik_status import done
from pump.vendors.hik_gateway.answers import Away, Trouble, said
from pump.vendors.hik_gateway.client import Client, address
from pump.vendors.hik_gateway.parse import Device

_ALL: Final = "0xffffffff"
"""The partition that is all of them (8.4.1, 8.4.4, 8.4.5)."""
_ALARM: Final = "alarm device"
"""The inventory's word for what has its outputs under SecurityCP; others have them under System/IO."""
_WAYS: Final = ("away", "stay")
OWN: Final = ("/isapi/event/notification",)
"""Calls that the source alone makes: they open and close the stream."""
_LARGEST: Final = 0xFFFF

_PARTITION: Final = ("partition.arm", "partition.disarm", "alarm.clear")
VERBS: Final[dict[str, tuple[str, ...]]] = {
    "device": (*_PARTITION, "camera.reboot"),
    "partition": _PARTITION,
    "zone": ("zone.bypass", "zone.restore"),
    "output": ("output.on", "output.off"),
}
"""By the kind of subject; a device's partitions are all of them."""


@dataclass(slots=True, frozen=True)
class Part:
    """A device, or one of its partitions, zones, outputs."""

    kind: str
    index: str
    number: int | None = None

    @classmethod
    def of(cls, subject: str) -> Part | None:
        """From "zone/<devIndex>/3"; None for what cannot be commanded."""
        kind, _, rest = subject.partition("/")
        if kind == "device":
            return cls(kind, rest) if rest else None
        index, _, number = rest.rpartition("/")
        if kind not in VERBS or not index or not number.isascii() or not number.isdecimal() or len(number) > 5:
            return None
        least = 0 if kind == "zone" else 1  # some panels count zones from 0
        found = int(number)
        return cls(kind, index, found) if str(found) == number and least <= found <= _LARGEST else None


@dataclass(slots=True, frozen=True)
class _Call:
    method: str
    path: str
    body: Any = None


def call_of(verb: str, part: Part, device: Device, arguments: Mapping[str, Any]) -> _Call:
    """The document's call. Raises Refusal for what it has none for."""
    if arguments.get("seconds") is not None:
        raise Refusal("the gateway has no call for a time: an output stays as it is until it is switched again")
    return _CALLS[verb](part, device, arguments)


def _arm(part: Part, _: Device, arguments: Mapping[str, Any]) -> _Call:
    way = arguments.get("mode", "away")
    if way not in _WAYS:
        raise Refusal(f"the gateway arms {' or '.join(_WAYS)}, and not {way}")
    return _Call("PUT", f"/ISAPI/SecurityCP/control/arm/{part.number or _ALL}?ways={way}")


def _partition(order: str) -> Callable[[Part, Device, Mapping[str, Any]], _Call]:
    return lambda part, *_: _Call("PUT", f"/ISAPI/SecurityCP/control/{order}/{part.number or _ALL}")


def _zone(order: str) -> Callable[[Part, Device, Mapping[str, Any]], _Call]:
    return lambda part, *_: _Call("PUT", f"/ISAPI/SecurityCP/control/{order}", {"List": [{"id": part.number}]})


def _output(switch: str, level: str) -> Callable[[Part, Device, Mapping[str, Any]], _Call]:
    def call(part: Part, device: Device, _: Mapping[str, Any]) -> _Call:
        if device.category in (None, _ALARM):
            order = {"OutputsCtrl": {"switch": switch, "List": [{"id": part.number}]}}
            return _Call("POST", "/ISAPI/SecurityCP/control/outputs", order)
        return _Call("PUT", f"/ISAPI/System/IO/outputs/{part.number}/trigger", {"IOPortData": {"outputState": level}})

    return call


_CALLS: Final[dict[str, Callable[[Part, Device, Mapping[str, Any]], _Call]]] = {
    "partition.arm": _arm,
    "partition.disarm": _partition("disarm"),
    "alarm.clear": _partition("clearAlarm"),
    "zone.bypass": _zone("bypass"),
    "zone.restore": _zone("bypassRecover"),
    "output.on": _output("open", "high"),
    "output.off": _output("close", "low"),
    "camera.reboot": lambda *_: _Call("PUT", "/ISAPI/System/reboot"),
}


async def do(command: Command, part: Part, device: Device, client: Client) -> CommandResult:
    """As `Source.command`. Raises Refusal, Expired, Unavailable."""
    call = call_of(command.verb, part, device, command.arguments)
    path = f"{address(call.path)}&devIndex={quote(part.index, safe='')}"
    timeout = command.remaining + PATIENCE
    try:
        answer = await client.once(
            call.method, path, call.body, what=command.verb, timeout=timeout, sending=command.sending
        )
    except Away as away:
        raise Unavailable(away.reason) from away
    except Trouble as trouble:
        if trouble.unsaid or not command.sent:
            raise Unavailable(trouble.reason) from trouble
        raise Refusal(trouble.reason) from trouble
    if not done(said(answer.body)):
        raise Unavailable(f"the gateway's answer to {command.verb} does not say that it was done")
    return DONE


async def call(command: Command, raw: RawCall, client: Client) -> RawAnswer:
    """As `Source.call`. Raises Refusal, Expired, Unavailable."""
    if raw.below(OWN):
        raise Refusal("the subscription is the source's own: see `pump subscribe`")
    try:
        answer = await client.raw(raw, command.remaining + PATIENCE, command.sending)
    except Trouble as trouble:
        if isinstance(trouble, Away) or not command.sent:
            raise Unavailable(trouble.reason) from trouble
        raise Refusal(trouble.reason) from trouble
    return RawAnswer(answer.status, answer.content_type, answer.body)


def targets(devices: Mapping[str, Device], names: Mapping[str, Named]) -> Iterator[Target]:
    """The inventory's devices, and the zones and partitions that the configuration names with their device."""
    for index, device in devices.items():
        if (verbs := verbs_of(Part("device", index), devices)) != ():
            yield Target(f"device/{index}", verbs, device.name)
    for key, row in names.items():
        index, _, rest = key.strip().partition("/")
        kind, _, number = rest.partition("/")
        part = Part.of(f"{kind}/{index}/{number}")
        if part is not None and (verbs := verbs_of(part, devices)):
            yield Target(f"{kind}/{index}/{number}", verbs, None if row.name is None else str(row.name))


def verbs_of(part: Part, devices: Mapping[str, Device]) -> tuple[str, ...]:
    """Those of a part; none of a device that the gateway's list does not have."""
    device = devices.get(part.index)
    if device is None:
        return ()
    if device.category in (None, _ALARM):
        return VERBS[part.kind]
    return {"device": ("camera.reboot",), "output": VERBS["output"]}.get(part.kind, ())
