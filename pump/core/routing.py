"""The choice of the events that a sink takes: its settings' globs and severity, compiled once, the answers remembered.

What a record is judged by (its type, its source, its severity, for some its site) has few values, so the globs are
matched once for each combination and a dictionary answers from then on.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatchcase, translate
from typing import Final

from pump.core.record import Record
from pump.core.settings import SinkSettings
from pump.core.taxonomy import SEVERITIES

_REMEMBERED: Final = 4096
"""Combinations kept; a vendor that makes up types must not make the answers grow for ever."""
_ALL: Final = ("*",)
_SOURCE: Final = b'"source":"/'

_Key = tuple[str, str, int, str]
"""Source's name, type, severity, site ("" where sites are not asked for)."""


class Routing:
    """A sink's `types`, `exclude_types`, `sources`, `exclude_sources`, `sites` and `min_severity`.

    A record is taken when its type matches one of `types` and none of `exclude_types`, its source's name one of
    `sources` and none of `exclude_sources`, its site one of `sites`, and its severity is at least `min_severity`.
    In globs `*` crosses dots; upper and lower case differ.
    """

    def __init__(self, settings: SinkSettings) -> None:
        self._settings = settings
        self._types = _any_of(settings.types)
        self._excluded_types = _any_of(settings.exclude_types)
        self._sources = _any_of(settings.sources)
        self._excluded_sources = _any_of(settings.exclude_sources)
        self._sites = _any_of(settings.sites)
        self._by_site = settings.sites != _ALL
        self._severity = SEVERITIES[settings.min_severity]
        self._known: dict[tuple[str, str, int], bool] = {}
        """By source's name, type and severity, where sites are not asked for."""
        self._known_sites: dict[_Key, bool] = {}
        self._all = (
            settings.types == settings.sources == settings.sites == _ALL
            and not (settings.exclude_types or settings.exclude_sources or self._severity)
        )  # fmt: skip

    def takes(self, record: Record) -> bool:
        """True where the sink is to get this record."""
        return bool(self.select((record,)))

    def select(self, records: Sequence[Record]) -> list[Record]:
        """Those of `records` that the sink is to get, in their order."""
        if self._all:
            return list(records)
        if self._by_site:
            return [record for record in records if self._takes_of_site(record)]
        get, judge = self._known.get, self._judge
        # A slice of a record is what it is judged by: source, type, severity.
        return [record for record in records if (judge(record[1:4]) if (known := get(record[1:4])) is None else known)]

    def _takes_of_site(self, record: Record) -> bool:
        key = (record.source, record.type, record.severity, site_of(record.body))
        known = self._known_sites.get(key)
        if known is None:
            if len(self._known_sites) >= _REMEMBERED:
                self._known_sites.clear()
            known = self._sites.match(key[3]) is not None and self._fits(*key[:3])
            self._known_sites[key] = known
        return known

    def why_not(self, record: Record) -> list[str]:
        """Each setting that keeps this record from the sink, with what decides; empty where the sink takes it."""
        return list(self._objections(record, site_of(record.body)))

    def why(self, record: Record) -> list[str]:
        """Each setting that lets this record in where it might not, with what decides; for one that the sink takes."""
        settings, site = self._settings, site_of(record.body)
        told = [
            f'"{value}" matches "{next(glob for glob in wanted if fnmatchcase(value, glob))}" of {name}'
            for name, value, wanted in (
                ("types", record.type, settings.types),
                ("sources", record.source, settings.sources),
                ("sites", site, settings.sites),
            )
            if wanted != _ALL
        ]
        if self._severity:
            told.append(f'the severity "{_NAMES[record.severity]}" is at least "{settings.min_severity}"')
        return told

    def _objections(self, record: Record, site: str) -> Iterator[str]:
        settings = self._settings
        for name, value, wanted in (
            ("types", record.type, settings.types),
            ("sources", record.source, settings.sources),
            ("sites", site, settings.sites),
        ):
            if wanted != _ALL and not any(fnmatchcase(value, glob) for glob in wanted):
                yield f'"{value}" matches none of {name} = [{_listed(wanted)}]'
        for name, value, unwanted in (
            ("exclude_types", record.type, settings.exclude_types),
            ("exclude_sources", record.source, settings.exclude_sources),
        ):
            if glob := next((glob for glob in unwanted if fnmatchcase(value, glob)), None):
                yield f'"{value}" matches "{glob}" of {name}'
        if record.severity < self._severity:
            yield f'the severity "{_NAMES[record.severity]}" is below min_severity = "{settings.min_severity}"'

    def _judge(self, key: tuple[str, str, int]) -> bool:
        if len(self._known) >= _REMEMBERED:
            self._known.clear()
        answer = self._known[key] = self._fits(*key)
        return answer

    def _fits(self, source: str, type_: str, severity: int) -> bool:
        return (
            severity >= self._severity
            and self._types.match(type_) is not None
            and self._sources.match(source) is not None
            and self._excluded_types.match(type_) is None
            and self._excluded_sources.match(source) is None
        )


_NAMES: Final = {rank: name for name, rank in SEVERITIES.items()}


def site_of(body: bytes) -> str:
    """The site of an event's source, "/<site>/<name>"; found without decoding the event.

    A quotation mark inside a text is escaped, so the first of these is the envelope's own.
    """
    begin = body.find(_SOURCE)
    if begin < 0:
        return ""
    begin += len(_SOURCE)
    source = body[begin : body.find(b'"', begin)]
    return source.partition(b"/")[0].decode("utf-8", "replace")


def _listed(globs: Iterable[str]) -> str:
    return ", ".join(f'"{glob}"' for glob in globs)


def _any_of(globs: Iterable[str]) -> re.Pattern[str]:
    """One pattern for all the globs; of none, one that matches nothing."""
    return re.compile("|".join(translate(glob) for glob in globs) or r"(?!)")
