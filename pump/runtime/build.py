"""The sources and sinks that a configuration asks for, made before anything is opened."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from pump.config import Config
from pump.core.clock import Clock
from pump.core.errors import Misconfigured
from pump.core.text import words_of
from pump.registry import MissingDependency, Registry
from pump.sink import Sink
from pump.source import Source


class NoStart(Exception):
    """The daemon could not start; the log has the reason."""


class NoParts(Exception):
    """What cannot be made of its settings: (dotted key, why) of each."""

    def __init__(self, reasons: Sequence[tuple[tuple[str, str], str]]) -> None:
        super().__init__("; ".join(f"{'.'.join(keys)}: {why}" for keys, why in reasons))
        self.reasons = reasons


@dataclass(slots=True)
class Parts:
    """By name, in the configuration's order; disabled ones are not among them."""

    sources: dict[str, Source[Any]] = field(default_factory=dict)
    sinks: dict[str, type[Sink[Any]]] = field(default_factory=dict)


def build(config: Config, kinds: Registry, clock: Clock) -> Parts:
    """Every enabled part; no I/O. Raises NoParts with all that cannot be made."""
    parts = Parts()
    failed: list[tuple[tuple[str, str], str]] = []
    for name, source in config.sources.items():
        if source.enabled:
            try:
                parts.sources[name] = kinds.source(source.type)(name, source, clock)
            except (LookupError, MissingDependency, Misconfigured, ValueError) as error:
                failed.append((("sources", name), words_of(error)))
    for name, sink in config.sinks.items():
        if sink.enabled:
            try:
                parts.sinks[name] = kinds.sink(sink.type)
            except (LookupError, MissingDependency) as error:
                failed.append((("sinks", name), words_of(error)))
    if failed:
        raise NoParts(failed)
    return parts
