"""The daemon's command `subscribe`: what a source asks its vendor for, changed while it runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import structlog

from pump.core.errors import Refusal
from pump.ops.control import Handler, Tell
from pump.source import Source

log = structlog.get_logger()


@runtime_checkable
class Subscribable(Protocol):
    """A source that can ask its vendor for other events without a restart."""

    async def subscribe(
        self,
        device: str | None,
        *,
        types: Sequence[str] | None = None,
        add: Sequence[str] = (),
        drop: Sequence[str] = (),
        leave: bool = False,
    ) -> dict[str, Any]:
        """Want other event types, in the vendor's words, from now on; what is wanted then, for JSON and people.

        Of one device, or of all where `device` is None. `types` takes the place of what was wanted (empty means
        all); `add` and `drop` change it; `leave`: nothing is wanted of the device. Without any of them nothing
        changes. The result has `mode` ("all" or "device"), `events`, `devices` where they are named (types by
        device), `anew` (a new subscription is being made) and `connected`. It holds until the process ends.

        Called at any time, by several at once. Raises Refusal, with advice.
        """


class Subscribe:
    """The command over the daemon's sources."""

    def __init__(self, sources: Mapping[str, Source[Any]]) -> None:
        self._sources = sources

    def commands(self) -> dict[str, Handler]:
        """The commands that the control socket offers."""
        return {"subscribe": self.subscribe}

    async def subscribe(self, arguments: Mapping[str, Any], tell: Tell) -> dict[str, Any]:
        """`source`, and what `Subscribable.subscribe` takes; its result."""
        name = arguments.get("source")
        source = self._sources.get(name) if isinstance(name, str) else None
        if source is None:
            raise Refusal(f"there is no source {name}; there are: {', '.join(self._sources) or 'none'}")
        if not isinstance(source, Subscribable):
            raise Refusal(f"a source of type {source.settings.type} has no subscription that can be changed")
        device, leave = arguments.get("device"), arguments.get("leave", False)
        if not (device is None or (isinstance(device, str) and device)) or not isinstance(leave, bool):
            raise Refusal("device is a name, leave is true or false")
        types, add, drop = (_words(arguments, key) for key in ("types", "add", "drop"))
        result = await source.subscribe(device, types=types, add=add or (), drop=drop or (), leave=leave)
        if types is not None or add or drop or leave:
            log.info("A subscription was changed, as asked", source=name, device=device, anew=result["anew"])
        return result


def _words(arguments: Mapping[str, Any], key: str) -> list[str] | None:
    found = arguments.get(key)
    if found is None:
        return None
    if not isinstance(found, list) or not all(isinstance(one, str) and one.strip() for one in found):
        raise Refusal(f"{key} is a list of event types")
    return [one.strip() for one in found]
