"""The daemon's commands `devices.accept` and `devices.forget`: whom it knows though no configuration names them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import structlog

from pump.core.errors import Refusal, Unavailable
from pump.core.groups import BOUNDS
from pump.core.text import bounded
from pump.ingest.devices import PREFIX
from pump.ingest.intake import Intake
from pump.ops.control import Handler, Tell

log = structlog.get_logger()


class Accept:
    """The commands over the daemon's sources, by the intakes where their tables are stored."""

    def __init__(self, intakes: Mapping[str, Intake]) -> None:
        self._intakes = intakes

    def commands(self) -> dict[str, Handler]:
        """What the control socket offers."""
        return {"devices.accept": self.accept, "devices.forget": self.forget}

    async def accept(self, arguments: Mapping[str, Any], tell: Tell) -> dict[str, Any]:
        """`keys` of devices, as `pump devices` shows them, and `source`, which may be left out for those that were
        heard of; {"accepted": [{"source": …, "device": …}, …]} once it is on disk.

        Raises Refusal before anything is stored where one of them is of no source, or of several.
        """
        return {"accepted": await self._done(self._wanted(arguments), Intake.accept, "Devices were accepted, as asked")}

    async def forget(self, arguments: Mapping[str, Any], tell: Tell) -> dict[str, Any]:
        """`keys` and `source` as `accept` takes them; {"forgotten": [{"source": …, "device": …}, …]} once on disk.

        Heard again they are strangers. Raises Refusal before anything is stored, also where the configuration names
        one of them.
        """
        wanted = self._wanted(arguments)
        for name, devices in wanted.items():
            table = self._intakes[name].table
            for key in devices:
                if table is not None and table.names(key):
                    raise Refusal(f"pump.toml names {key} of {name}: take it out there, and it is known no more")
        return {"forgotten": await self._done(wanted, Intake.disown, "Devices were forgotten, as asked")}

    async def _done(
        self, wanted: Mapping[str, list[str]], do: Callable[[Intake, list[str]], Awaitable[object]], words: str
    ) -> list[dict[str, str]]:
        """Have it done to these devices, source by source; all of them. Raises Refusal."""
        for name, devices in wanted.items():
            try:
                await do(self._intakes[name], devices)
            except Unavailable as error:
                raise Refusal(f"it cannot be stored now, try again: {error.reason}") from error
            log.info(words, source=name, devices=devices)
        return [{"source": name, "device": key} for name, devices in wanted.items() for key in devices]

    def _wanted(self, arguments: Mapping[str, Any]) -> dict[str, list[str]]:
        """The devices by their source. Raises Refusal."""
        keys, source = arguments.get("keys"), arguments.get("source")
        if not isinstance(keys, list) or not keys or not all(isinstance(key, str) and key for key in keys):
            raise Refusal("which? Name devices as pump devices shows them")
        if source is not None and source not in [*self._intakes]:
            raise Refusal(f"there is no source {source}; there are: {', '.join(self._intakes) or 'none'}")
        wanted: dict[str, list[str]] = {}
        for key in keys:
            name = self._source_of(key) if source is None else source
            wanted.setdefault(name, []).append(bounded(key, BOUNDS["key"]))
        return wanted

    def _source_of(self, key: str) -> str:
        """The source that has heard of the device."""
        known = bounded(key, BOUNDS["key"])
        row = PREFIX + known
        found = [name for name, intake in self._intakes.items() if row in intake.state(row) or known in intake.accepted]
        if not found:
            sources = ", ".join(self._intakes) or "none"
            raise Refusal(f"no source has heard of {key}; name the one that it will come to: --source, of {sources}")
        if len(found) > 1:
            raise Refusal(f"several sources have heard of {key}: --source {' or --source '.join(found)}")
        return found[0]
