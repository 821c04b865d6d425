"""The sources and sinks that a configuration asks for, made before anything is opened."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog

from pump.config import Config
from pump.config.lines import Path as Keys
from pump.config.probe import unusable
from pump.config.problems import dotted
from pump.core.clock import Clock
from pump.core.errors import Misconfigured
from pump.core.text import words_of
from pump.ops.control import Control
from pump.registry import MissingDependency, Registry
from pump.sink import Sink
from pump.source import Source

log = structlog.get_logger()


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


def build_usable(config: Config, kinds: Registry, clock: Clock) -> Parts:
    """As `build`, for a daemon that begins on this machine. Raises NoStart after all that is wrong is in the log."""
    wrong: list[tuple[Keys, str]] = list(unusable(config, kinds))
    parts = Parts()
    try:
        parts = build(config, kinds, clock)
    except NoParts as error:
        wrong += error.reasons
    for keys, reason in wrong:
        log.error("The configuration cannot be used", key=dotted(keys), reason=reason)
    if wrong:
        raise NoStart
    return parts


def control_of(config: Config, environ: Mapping[str, str]) -> Control:
    """The control socket of this configuration, with a second one where systemd gave a folder for it; not yet open."""
    folder = environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]
    return Control(config.state_dir, runtime=Path(folder) if folder else None, group=config.control_group)
