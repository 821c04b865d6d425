"""The messages of a camera's MQTT interface, types 1 to 8: pure. "ANPR APIs 2.1", Downstream Interfaces (MQTT)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pump.commands.contract import Command
from pump.core.errors import Refusal
from pump.vendors.avaeye import lapi
from pump.vendors.avaeye.carried import lamps
from pump.vendors.avaeye.settings import ListModes

EVERYBODY: Final = frozenset({"1ton", "all"})
"""Device ids that stand for every camera of a parking lot: nothing is ever sent to one, by whichever way."""
_LISTS: Final = {"allow": 1, "block": 2}
_MOST: Final = 1024
"""Bytes of a transparent channel's message."""
_PORTS: Final = 2
_HEX: Final = 2
"""Transmission type: "1-ASCII; 2-HEX"."""
_GATE: Final = "notifyresult/gatecontrol"


@dataclass(slots=True, frozen=True)
class Order:
    """What is asked of one camera."""

    type: int
    params: Mapping[str, Any]
    path: str | None
    """That of its result, which comes over HTTP; None: the document has none."""


@dataclass(slots=True, frozen=True)
class About:
    """What is known of the camera."""

    now: float
    """Seconds since 1970."""
    spaces: Sequence[str]
    modes: ListModes | None


def order(command: Command, about: About) -> Order:
    """The message of a verb of `VERBS`. Raises Refusal for what the camera cannot do."""
    return _ORDERS[command.verb](command.arguments, about)


def _capture(arguments: Mapping[str, Any], about: About) -> Order:
    """Trigger Capture; mode 1 captures and recognises."""
    if arguments.get("channel", 0) != 0:
        raise Refusal("a camera has channel 0 alone")
    return Order(1, {"mode": 1}, "notifyresult/manualcapture/common")


def _lamp(arguments: Mapping[str, Any], about: About) -> Order:
    """Type 3, of which the document has no more than the name: as in the answer to a keep-alive."""
    return Order(3, lamps(arguments, about.spaces), "notifyresult/lamp")


def _listed(which: str) -> Callable[[Mapping[str, Any], About], Order]:
    def build(arguments: Mapping[str, Any], about: About) -> Order:
        """Vehicle Blocklist/Allowlist; its times are texts."""
        if about.modes is None:
            raise Refusal("list_modes is not set, and a wrong one deletes what it was to add")
        begin, end = lapi.validity(arguments, about.now)
        row = {"plateNo": lapi.plate_of(arguments), "startTime": str(begin), "endTime": str(end)}
        mode = about.modes.add if which == "add" else about.modes.remove
        params = {"listType": _LISTS[arguments["list"]], "mode": mode, "num": 1, "listInfo": [row]}
        return Order(4, params, "notifyresult/list")

    return build


def _serial(arguments: Mapping[str, Any], about: About) -> Order:
    """Downstream Transparent Channel."""
    port = arguments.get("port", 1)
    if port > _PORTS:
        raise Refusal(f"the camera has the serial ports 1 to {_PORTS}")
    try:
        content = bytes.fromhex(arguments["hex"])
    except ValueError:
        raise Refusal("hex is pairs of hexadecimal digits") from None
    if not 0 < len(content) <= _MOST:
        raise Refusal(f"the camera takes 1 to {_MOST} bytes at a time")
    return Order(6, {"serialNo": port, "type": _HEX, "size": len(content), "data": content.hex()}, None)


_ORDERS: Final[dict[str, Callable[[Mapping[str, Any], About], Order]]] = {
    "camera.capture": _capture,
    "camera.reboot": lambda arguments, about: Order(2, {}, None),
    "lamp.set": _lamp,
    "list.add": _listed("add"),
    "list.remove": _listed("remove"),
    "gate.open": lambda arguments, about: Order(5, {}, _GATE),
    "serial.send": _serial,
    "display.show": lambda arguments, about: Order(7, lapi.display(arguments), "notifyresult/ledcontrol"),
    "gate.close": lambda arguments, about: Order(8, {}, _GATE),
}
VERBS: Final = frozenset(_ORDERS)
LISTING: Final = frozenset({"list.add", "list.remove"})
"""Those that want `list_modes`."""
