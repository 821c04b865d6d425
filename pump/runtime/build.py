"""The sources and sinks that a configuration asks for, made before anything is opened."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import structlog

from pump.config import Config
from pump.config.lines import Path as Keys
from pump.config.model import MediaSettings
from pump.config.probe import unusable
from pump.config.problems import dotted
from pump.core.clock import Clock
from pump.core.errors import Misconfigured
from pump.core.text import words_of
from pump.ingest.media import Media
from pump.ops.control import Control
from pump.registry import MissingDependency, Registry
from pump.sink import Sink
from pump.source import Source
from pump.telemetry.metrics import Metrics

log = structlog.get_logger()


FAILED: Final = 1
LASTING: Final = 78
"""Exit statuses of a daemon. After the first another start may help, and systemd makes one; after the second only a
person does, and systemd makes none (RestartPreventExitStatus of the units)."""


class NoStart(Exception):
    """The daemon could not start; the log has the reason.

    `lasting`: no other start helps, for a person must change the configuration, or the version of the pump.
    """

    def __init__(self, *, lasting: bool = False) -> None:
        super().__init__()
        self.status = LASTING if lasting else FAILED
        """The daemon's exit status."""


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
    lacking: list[tuple[Keys, str]] = list(unusable(config, kinds))
    wrong: Sequence[tuple[Keys, str]] = ()
    parts = Parts()
    try:
        parts = build(config, kinds, clock)
    except NoParts as error:
        wrong = error.reasons
    for keys, reason in wrong:
        log.error("The configuration cannot be used", key=dotted(keys), reason=reason)
    for keys, reason in lacking:
        log.error(
            "This machine does not give what the configuration names, or not yet", key=dotted(keys), reason=reason
        )
    if wrong or lacking:
        raise NoStart(lasting=bool(wrong))
    return parts


def media_of(settings: MediaSettings, clock: Clock, metrics: Metrics) -> Media:
    """The store for binaries of this configuration; makes nothing yet."""
    return Media(settings.dir, clock=clock, max_bytes=settings.max_bytes, retention=settings.retention, metrics=metrics)


def control_of(config: Config, environ: Mapping[str, str]) -> Control:
    """The control socket of this configuration, with a second one where systemd gave a folder for it; not yet open."""
    folder = environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]
    return Control(config.state_dir, runtime=Path(folder) if folder else None, group=config.control_group)
