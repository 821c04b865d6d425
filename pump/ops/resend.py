"""The daemon's commands about sinks: `dead.retry`, `dead.drop`, `replay` and `sink.enable` of the control socket."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import structlog

from pump.core.clock import Clock
from pump.core.errors import Refusal, Unavailable
from pump.core.rate import EvenPacer
from pump.core.record import Record
from pump.core.routing import Routing
from pump.core.settings import SinkSettings
from pump.core.vocabulary import did_you_mean, matches_a_type, nearest_type
from pump.delivery.delivery import Delivery
from pump.delivery.resend_queue import ResendResult
from pump.ops.control import Handler, Tell
from pump.spool import DeadLetter, Spool
from pump.telemetry.metrics import Metrics

log = structlog.get_logger()

RATE: Final = 500.0
"""Events a second, if nothing else is asked for: what a peer gets beside its own stream."""
_SECOND: Final = 1.0


@dataclass(slots=True, frozen=True)
class Resend:
    """The commands over the daemon's parts. One of each may run for a sink at a time, and several for several sinks."""

    spool: Spool
    sinks: Mapping[str, Delivery]
    clock: Clock
    metrics: Metrics

    def commands(self) -> dict[str, Handler]:
        """The commands that the control socket offers."""
        return {"dead.retry": self.retry, "dead.drop": self.drop, "replay": self.replay, "sink.enable": self.enable}

    async def enable(self, arguments: Mapping[str, Any], tell: Tell) -> dict[str, Any]:
        """Switch a `sink` on whose receiver wanted no more; {"behind": numbers that wait for it}."""
        delivery = self._sink(arguments.get("sink"))
        if not delivery.shutoff.reason:
            raise Refusal(f"the sink {delivery.name} is not switched off")
        behind = delivery.lag
        try:
            await delivery.shutoff.turn_on()
        except Unavailable as error:
            raise Refusal(f"it is on until the daemon stops, but that could not be stored: {error.reason}") from error
        return {"behind": behind}

    def _sink(self, name: object) -> Delivery:
        found = self.sinks.get(name) if isinstance(name, str) else None
        if found is None:
            raise Refusal(f'no sink "{name}" runs; there are: {", ".join(sorted(self.sinks))}')
        return found

    # --- dead letters -------------------------------------------------------------------------------------------

    async def drop(self, arguments: Mapping[str, Any], tell: Tell) -> dict[str, Any]:
        """Remove dead letters of `sink` or of `ids`; {"dropped": n, "missing": ids that are none}."""
        sink, ids = _chosen(arguments)
        try:
            missing = await self._missing(sink, ids)
            count = await self.spool.dead_letters.drop(sink=sink, ids=ids)
        except Unavailable as error:
            raise Refusal(error.reason) from error
        log.info("Dead letters were dropped, as asked", sink=sink, count=count)
        return {"dropped": count, **missing}

    async def retry(self, arguments: Mapping[str, Any], tell: Tell) -> dict[str, Any]:
        """Send dead letters again, each to the sink that refused it; {"sent": n, "refused": n, "left": [names],
        "missing": ids that are none}.

        Those that are delivered are removed, those refused again stay, with the new reason and one attempt more. A
        letter of a sink that is not there any more is left as it is, and where none is named of one switched off.
        """
        sink, ids = _chosen(arguments)
        pace = EvenPacer(_rate(arguments), self.clock)
        counts = {"sent": 0, "refused": 0}
        left: list[str] = []
        try:
            missing = await self._missing(sink, ids)
            through = await self.spool.dead_letters.newest()  # what comes meanwhile must not go round and round
            for name in [sink] if sink else sorted(self.spool.dead_letters.counts):
                after = 0
                while found := await self.spool.dead_letters.read(sink=name, ids=ids, after=after, through=through):
                    if name not in self.sinks or (sink is None and self.sinks[name].shutoff.reason):
                        left.append(name)
                        break
                    alike = found[: pace.read_limit]
                    after = alike[-1].id
                    await pace.wait(len(alike))
                    await self._retry(self.sinks[name], alike, counts)
                    await tell(counts)
        except Unavailable as error:
            raise Refusal(f"{error.reason}; {counts['sent']} were delivered before") from error
        return {**counts, "left": left, **missing}

    async def _missing(self, sink: str | None, ids: list[int] | None) -> dict[str, list[int]]:
        """{"missing": those of `ids` that are no dead letter (of the sink), sorted}; nothing where all are."""
        missing, after = set(ids or ()), 0
        while missing and (found := await self.spool.dead_letters.read(sink=sink, ids=ids, after=after)):
            after = found[-1].id
            missing -= {letter.id for letter in found}
        return {"missing": sorted(missing)} if missing else {}

    async def _retry(self, delivery: Delivery, letters: Sequence[DeadLetter], counts: dict[str, int]) -> None:
        outcome = await delivery.resend_queue.deliver([letter.record for letter in letters])
        again = {
            letter.id: outcome.refused[letter.record.seq] for letter in letters if letter.record.seq in outcome.refused
        }
        await self.spool.dead_letters.drop(ids=[letter.id for letter in letters if letter.id not in again])
        if again:
            await self.spool.dead_letters.mark_refused_again(again)
        self._count(delivery.name, "dead", outcome)
        counts["sent"] += outcome.sent
        counts["refused"] += len(again)

    # --- replay -------------------------------------------------------------------------------------------------

    async def replay(self, arguments: Mapping[str, Any], tell: Tell) -> dict[str, Any]:
        """Send stored events to `sink` again: those that arrived from `since` to before `until` (milliseconds since
        1970), of `types` (globs), as far as the sink's own routing takes them; {"sent", "refused", "looked"}.

        In order, at `rate` events a second at the most; what is refused becomes dead letters. What the sink has not
        had yet is left to its own stream. The sink's cursor stays where it is.

        What the peer had already under its names, and therefore did not take again, is counted in "duplicates", which
        is there where it is not 0. `fresh_ids`: the peer gets names of this replay's own, and so takes the events.
        """
        name, since, until, types = _replay_arguments(arguments)
        delivery = self._sink(name)
        wanted = Routing(SinkSettings(type="replay", types=types))
        own = Routing(delivery.settings)
        fresh_ids = uuid.uuid4().hex if arguments.get("fresh_ids") is True else ""
        if fresh_ids and not delivery.names_events:
            raise Refusal(f"the sink {name} gives its receiver no ids that could be fresh: leave --fresh-ids out")

        def choose(records: Sequence[Record]) -> list[Record]:
            return [one for one in own.select(wanted.select(records)) if since <= one.recorded < until]

        log.info("A replay begins", sink=name, types=types)
        try:
            pace = EvenPacer(_rate(arguments), self.clock)
            result = await self._send_range(delivery, since, choose, pace, tell, fresh_ids=fresh_ids)
        except Unavailable as error:
            raise Refusal(error.reason) from error
        log.info("A replay has ended", sink=name, **result)
        return result

    async def _send_range(
        self,
        delivery: Delivery,
        since: int,
        choose: Callable[[Sequence[Record]], list[Record]],
        pace: EvenPacer,
        tell: Tell,
        *,
        fresh_ids: str,
    ) -> dict[str, Any]:
        end = delivery.position
        position = first = await self.spool.before(since)
        told = self.clock.monotonic() - _SECOND
        counts = {"sent": 0, "refused": 0}
        while position < end:
            records = await self.spool.read(position, limit=pace.read_limit)
            position = max(position, self.spool.floor) if not records else records[-1].seq
            chosen = choose([record for record in records if record.seq <= end])
            if chosen:
                await pace.wait(len(chosen))
                outcome = await delivery.resend_queue.deliver(chosen, fresh_ids=fresh_ids)
                await self._bury(delivery.name, chosen, outcome)
                self._count(delivery.name, "replay", outcome)
                counts["sent"] += outcome.sent
                counts["refused"] += len(outcome.refused)
                if outcome.duplicates:
                    counts["duplicates"] = counts.get("duplicates", 0) + outcome.duplicates
            if not records:
                break
            if self.clock.monotonic() - told >= _SECOND / 4:
                told = self.clock.monotonic()
                await tell({"looked": min(position, end) - first, "of": end - first, **counts})
            else:
                await self.clock.sleep(0)
        await tell({"looked": max(0, end - first), "of": max(0, end - first), **counts})
        return {"looked": max(0, end - first), **counts}

    async def _bury(self, sink: str, records: Sequence[Record], outcome: ResendResult) -> None:
        if refused := [record for record in records if record.seq in outcome.refused]:
            fresh = await self.spool.dead_letters.add(sink, refused, outcome.refused, 1)
            self.metrics.dead.labels(sink=sink).inc(fresh)

    def _count(self, sink: str, what: str, outcome: ResendResult) -> None:
        self.metrics.resent.labels(sink=sink, what=what).inc(outcome.sent)


def _chosen(arguments: Mapping[str, Any]) -> tuple[str | None, list[int] | None]:
    sink, ids = arguments.get("sink"), arguments.get("ids")
    if not (sink is None or isinstance(sink, str)) or not (
        ids is None or (isinstance(ids, list) and all(isinstance(id_, int) for id_ in ids))
    ):
        raise Refusal("sink is a text, ids are numbers")
    if sink is None and ids is None and arguments.get("all") is not True:
        raise Refusal("which? sink, ids or all")
    return sink, ids


def _rate(arguments: Mapping[str, Any]) -> float:
    rate = arguments.get("rate", RATE)
    if not isinstance(rate, int | float) or not 0 < rate <= 1e6:
        raise Refusal("rate is a number of events a second")
    return float(rate)


def _replay_arguments(arguments: Mapping[str, Any]) -> tuple[str, int, int, tuple[str, ...]]:
    sink, since, until = arguments.get("sink"), arguments.get("since", 0), arguments.get("until", 1 << 62)
    types = arguments.get("types") or ["*"]
    if not isinstance(sink, str) or not isinstance(since, int) or not isinstance(until, int):
        raise Refusal("sink is a text, since and until are milliseconds since 1970")
    if not isinstance(types, list) or not all(isinstance(glob, str) for glob in types):
        raise Refusal("types are globs")
    for glob in types:
        if not matches_a_type(glob):
            raise Refusal(f'"{glob}" matches no event type{did_you_mean(nearest_type(glob))}')
    return sink, since, until, tuple(types)
