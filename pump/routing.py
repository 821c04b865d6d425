"""Which events a sink takes: its settings' globs and severity, compiled once, the answers remembered.

What a record is judged by (its type, its source, its severity) has few values, so the globs are matched once for each
combination and a dictionary answers from then on.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from fnmatch import translate
from typing import Final

from pump.settings import SinkSettings
from pump.sink import Record
from pump.taxonomy import SEVERITIES

_REMEMBERED: Final = 4096
"""Combinations kept; a vendor that makes up types must not make the answers grow for ever."""


class Routing:
    """A sink's `types`, `exclude_types`, `sources` and `min_severity`.

    A record is taken when its type matches one of `types` and none of `exclude_types`, its source's name one of
    `sources`, and its severity is at least `min_severity`. In globs `*` crosses dots; upper and lower case differ.
    """

    def __init__(self, settings: SinkSettings) -> None:
        self._types = _any_of(settings.types)
        self._excluded = _any_of(settings.exclude_types)
        self._sources = _any_of(settings.sources)
        self._severity = SEVERITIES[settings.min_severity]
        self._known: dict[tuple[str, str, int], bool] = {}

    def takes(self, record: Record) -> bool:
        """Whether the sink is to get this record."""
        key = (record.type, record.source, record.severity)
        known = self._known.get(key)
        return self._judge(key) if known is None else known

    def select(self, records: Sequence[Record]) -> list[Record]:
        """Those of `records` that the sink is to get, in their order."""
        get, judge = self._known.get, self._judge
        chosen = []
        for record in records:
            key = (record.type, record.source, record.severity)
            known = get(key)
            if judge(key) if known is None else known:
                chosen.append(record)
        return chosen

    def _judge(self, key: tuple[str, str, int]) -> bool:
        type_, source, severity = key
        answer = (
            severity >= self._severity
            and self._types.match(type_) is not None
            and self._sources.match(source) is not None
            and self._excluded.match(type_) is None
        )
        if len(self._known) >= _REMEMBERED:
            self._known.clear()
        self._known[key] = answer
        return answer


def _any_of(globs: Iterable[str]) -> re.Pattern[str]:
    """One pattern for all the globs; of none, one that matches nothing."""
    return re.compile("|".join(translate(glob) for glob in globs) or r"(?!)")
