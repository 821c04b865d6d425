"""The trials of all parts of a configuration, for `pump check --online`: a row each, whatever becomes of the others."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import asdict, dataclass
from typing import Any, Final

import structlog

from pump.commands.trial import NOTHING, Trial
from pump.config import Config
from pump.core.clock import Clock
from pump.core.failure import diagnose
from pump.core.text import printable
from pump.registry import Registry
from pump.runtime.build import build

log = structlog.get_logger()

PATIENCE: Final = 60.0
"""Seconds of one part's trial at the most."""
AT_ONCE: Final = 16
"""Trials at a time: a fleet has hundreds of devices."""


@dataclass(slots=True, frozen=True)
class Tried:
    """What came of one part."""

    part: str
    """ "source gate", "sink out"."""
    type: str
    ok: bool
    reason: str
    """Why it failed, and what the operator can do; "" where it did not."""
    found: list[str]
    not_tried: list[str]
    skew_s: float | None
    seconds: float

    @property
    def nothing(self) -> bool:
        """True where there was nothing to try."""
        return self.ok and not self.found and self.not_tried == [NOTHING]

    def json(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self)


async def try_all(
    config: Config, kinds: Registry, clock: Clock, report: Callable[[Tried], object] = lambda one: None
) -> list[Tried]:
    """Try every enabled part; `report` gets each as it ends. Raises NoParts where one cannot be made of its settings.

    The parts are objects of their own, which never run; nothing is stored.
    """
    parts = build(config, kinds, clock)
    places = asyncio.Semaphore(AT_ONCE)

    async def one(part: str, type_: str, trying: Callable[[Trial], Coroutine[Any, Any, None]]) -> Tried:
        async with places:
            tried = await _try(part, type_, trying, clock)
        report(tried)
        return tried

    waiting = [
        one(f"source {name}", config.sources[name].type, source.try_out) for name, source in parts.sources.items()
    ]
    for name, kind in parts.sinks.items():
        sink = kind(name, config.sinks[name], state=None, clock=clock, site=config.site)
        waiting.append(one(f"sink {name}", config.sinks[name].type, sink.try_out))
    return list(await asyncio.gather(*waiting))


async def _try(part: str, type_: str, trying: Callable[[Trial], Coroutine[Any, Any, None]], clock: Clock) -> Tried:
    trial, begun, reason = Trial(), clock.monotonic(), ""
    try:
        async with asyncio.timeout(PATIENCE):
            await trying(trial)
    except TimeoutError:
        reason = f"no end after {PATIENCE:g} s: is something between that lets nothing through?"
    except Exception as error:  # a bug in one part's trial must not take the others' rows
        failure = diagnose(error)
        reason = failure.reason
        if failure.error is not None:
            log.error("A trial failed unexpectedly", part=part, exc_info=failure.error)
    return Tried(
        part, type_, not reason, printable(reason), [printable(fact) for fact in trial.found],
        [printable(what) for what in trial.not_tried], trial.skew_s, round(clock.monotonic() - begun, 3),
    )  # fmt: skip
