"""The source of a type that may leave its name out of its subjects: unique within a site, and the same for ever."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pump.config import Config
from pump.source import Source
from pump.spool import Spool

STATE: Final = "bare/"
"""Leads keys of the daemon's own state; a type of source follows, and the value is a source's name, or empty."""


def qualify(sources: Mapping[str, Source[Any]], config: Config, spool: Spool) -> None:
    """Free the one source of each type that needs none from its qualifier.

    A type whose devices number their parts for themselves gives "camera/1" to the source that was the first of its
    type and alone then, also among the disabled; every other one says "camera/gate/1". Noted in the spool with the
    next commit: a camera that is added later renames nobody, and the place of one that has gone is not inherited.
    """
    types = [source.type for source in config.sources.values()]
    for name, source in sources.items():
        if not source.numbers_itself:
            continue
        key = STATE + config.sources[name].type
        first = spool.state("pump", key).get(key)
        if first is None:
            first = name if types.count(config.sources[name].type) == 1 else ""
            spool.remember("pump", key, first)
        if first == name:
            source.qualifier = ""
