"""The sources and sinks that a configuration asks for, made before anything is opened."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import structlog

from pump.config import Config
from pump.core.clock import Clock
from pump.core.errors import Misconfigured
from pump.registry import MissingDependency, Registry
from pump.sink import Sink
from pump.source import Source

log = structlog.get_logger()


class NoStart(Exception):
    """The daemon could not start; the log has the reason."""


@dataclass(slots=True)
class Parts:
    """By name, in the configuration's order; disabled ones are not among them."""

    sources: dict[str, Source[Any]] = field(default_factory=dict)
    sinks: dict[str, type[Sink[Any]]] = field(default_factory=dict)


def build(config: Config, kinds: Registry, clock: Clock) -> Parts:
    """Every enabled part; no I/O. Raises NoStart after all that cannot be made are in the log."""
    parts = Parts()
    failed = False
    for name, source in config.sources.items():
        if source.enabled:
            try:
                parts.sources[name] = kinds.source(source.type)(name, source, clock)
            except (LookupError, MissingDependency, Misconfigured, ValueError) as error:
                log.error("A source cannot be made of its settings", source=name, reason=str(error))
                failed = True
    for name, sink in config.sinks.items():
        if sink.enabled:
            try:
                parts.sinks[name] = kinds.sink(sink.type)
            except (LookupError, MissingDependency) as error:
                log.error("A sink cannot be made of its settings", sink=name, reason=str(error))
                failed = True
    if failed:
        raise NoStart
    return parts
