"""The daemon's command `backfill`: a source asks its vendor for what may be missing of a time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Protocol, runtime_checkable

import structlog

from pump.core.clock import Clock
from pump.core.errors import Refusal, Unavailable
from pump.ops.control import Handler, Tell
from pump.source import Source

log = structlog.get_logger()

LONGEST: Final = timedelta(days=92)
"""The longest time that one command asks for."""

Report = Callable[[dict[str, Any]], Awaitable[None]]


@runtime_checkable
class Backfillable(Protocol):
    """A source whose vendor keeps a log that can be searched."""

    async def backfill(self, since: datetime, until: datetime, report: Report) -> dict[str, Any]:
        """Search the vendor's log for what is missing from `since` to `until` (aware), and store it.

        Progress goes to `report`: "looked" and "of" (seconds of log), "filled" (events so far). The result has `gap`
        (the record's number in the ledger), `state`, `filled` and `notes`. Cancelled, the search goes on all the same,
        over restarts too. Raises Refusal, with advice, and Unavailable.
        """


class Backfill:
    """The command over the daemon's sources."""

    def __init__(self, sources: Mapping[str, Source[Any]], clock: Clock) -> None:
        self._sources = sources
        self._clock = clock

    def commands(self) -> dict[str, Handler]:
        """The commands that the control socket offers."""
        return {"backfill": self.backfill}

    async def backfill(self, arguments: Mapping[str, Any], tell: Tell) -> dict[str, Any]:
        """`source`, `since` and `until` (milliseconds since 1970; until now where it is left out)."""
        name, since, until = arguments.get("source"), arguments.get("since"), arguments.get("until")
        source = self._sources.get(name) if isinstance(name, str) else None
        if source is None:
            raise Refusal(f"there is no source {name}; there are: {', '.join(self._sources) or 'none'}")
        if not isinstance(source, Backfillable):
            raise Refusal(f"a source of type {source.settings.type} has no log that could be searched")
        if not isinstance(since, int) or not (until is None or isinstance(until, int)):
            raise Refusal("since and until are milliseconds since 1970")
        now = self._clock.now_ms()
        last = now if until is None else min(until, now)
        if since >= now:
            raise Refusal("since lies in the future: there is no log of it yet")
        if since >= last:
            raise Refusal("since does not lie before until")
        if last - since > LONGEST / timedelta(milliseconds=1):
            raise Refusal(f"at most {LONGEST.days} days can be searched at a time")
        begin, end = (datetime.fromtimestamp(moment / 1000, UTC) for moment in (since, last))
        log.info("A backfill is asked for", source=name, begin=str(begin), end=str(end))
        try:
            return await source.backfill(begin, end, tell)
        except Unavailable as error:
            raise Refusal(error.reason) from error
