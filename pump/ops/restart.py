"""The daemon's command `restart`: a source, a sink or a way for commands begins anew now, whatever it waits for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any, Protocol, runtime_checkable

import structlog

from pump.core.errors import Refusal
from pump.delivery.delivery import Delivery
from pump.ops.control import Handler, Tell
from pump.source import Source

log = structlog.get_logger()

_SOURCE, _SINK = "source ", "sink "


@runtime_checkable
class Hurried(Protocol):
    """A source that waits over its own restarts, as after a rejected password."""

    def hurry(self) -> None:
        """An operator has mended it: the next run need not wait."""


class Restart:
    """The command over the daemon's parts; `again` restarts one by its whole name, False where it does not end."""

    def __init__(
        self,
        sources: Mapping[str, Source[Any]],
        sinks: Mapping[str, Delivery],
        again: Callable[[str], Awaitable[bool]],
        ways: Collection[str] = (),
    ) -> None:
        """`ways` are the whole names of parts by which commands come."""
        self._sources = sources
        self._sinks = sinks
        self._again = again
        self._ways = ways

    def commands(self) -> dict[str, Handler]:
        """What the control socket offers."""
        return {"restart": self.restart}

    async def restart(self, arguments: Mapping[str, Any], tell: Tell) -> dict[str, Any]:
        """`part`, a source's or a sink's name, with "source " or "sink " before it where both have it, with "commands "
        for a sink's way in; {"part": …, "waited": whether it was a sink between two tries: it keeps what it has open}.

        A sink that is sent to meanwhile may get a batch again.
        """
        part = self._whole(arguments.get("part"))
        log.info("A part is restarted, as asked", part=part)
        if part.startswith(_SINK):
            delivery = self._sinks[part.removeprefix(_SINK)]
            if delivery.shutoff.reason:
                raise Refusal(f"the {part} is switched off: pump enable {delivery.name}")
            if delivery.hurry():
                return {"part": part, "waited": True}
        elif part in self._ways:
            pass
        elif isinstance(source := self._sources[part.removeprefix(_SOURCE)], Hurried):
            source.hurry()
        if not await self._again(part):
            raise Refusal(f"the {part} does not end; only a restart of the daemon helps")
        return {"part": part, "waited": False}

    def _whole(self, name: object) -> str:
        whole = [*(_SOURCE + one for one in self._sources), *(_SINK + one for one in self._sinks)]
        found = [one for one in whole if isinstance(name, str) and name in (one, one.partition(" ")[2])]
        found += [one for one in self._ways if one == name]
        if not found:
            raise Refusal(f'no source and no sink "{name}" runs; there are: {", ".join(sorted(whole)) or "none"}')
        if len(found) > 1:
            raise Refusal(f"which? {' or '.join(found)}")
        return found[0]
