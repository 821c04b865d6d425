"""GET /search, its exports, and the page of an event that only an archive has."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

from aiohttp import web

from pump.core.taxonomy import SEVERITIES
from pump.core.text import printable_json, spreadsheet_cell
from pump.ops.page.access.visits import Route, Visit
from pump.ops.page.behind import Behind
from pump.ops.page.filters import Filter
from pump.ops.page.live.pages import LISTED, listed, shown
from pump.ops.page.reading import Hits, Unreadable
from pump.ops.page.reading import search as search_spool
from pump.ops.page.render import HEADERS, Renderer, threads
from pump.ops.page.rows import Words, row_of
from pump.ops.page.searching.archive import event_in
from pump.ops.page.searching.archive import search as search_archive

EXPORTED: Final = 10_000
"""Events of an export."""
_COLUMNS: Final = (
    "time", "severity", "type", "what", "said", "phase", "where", "place", "plate", "person", "note", "source", "id",
)  # fmt: skip


@dataclass(slots=True, frozen=True)
class _Asked:
    """A search as the address has it."""

    wanted: Filter
    place: str
    """The name of an archive's sink, "" for the spool."""
    before: str

    @property
    def query(self) -> str:
        more = urlencode({"in": self.place}) if self.place else ""
        return "&".join(filter(None, (self.wanted.query, more)))


class SearchPages:
    """The handlers."""

    def __init__(self, behind: Behind, renderer: Renderer) -> None:
        self._behind = behind
        self._renderer = renderer

    @property
    def _archives(self) -> dict[str, str | Path]:
        """The files of the sinks that keep one which can be searched."""
        return {
            name: path
            for name, sink in self._behind.config.sinks.items()
            if sink.enabled and sink.type == "sqlite" and isinstance(path := getattr(sink, "path", None), str | Path)
        }

    def routes(self) -> list[Route]:
        """The pages that it has."""
        return [
            ("GET", "/search", "look", self.search),
            ("GET", "/search.csv", "look", self.as_csv),
            ("GET", "/search.json", "look", self.as_json),
            ("GET", "/event", "look", self.archived),
        ]

    async def search(self, request: web.Request, visit: Visit) -> web.Response:
        """The form, and what fits it; nothing is looked for before something is asked."""
        asked, hits, said = self._asked(request), Hits(), ""
        looked = bool(asked.wanted.query) or "in" in request.query
        if looked:
            try:
                hits = await self._look(asked, visit, 2 * LISTED)
            except Unreadable as error:
                said = str(error)
        rows = listed(hits, visit, media_too=bool(asked.wanted.type))
        for row, event in zip(rows, self._kept(hits, rows), strict=True):
            if row["n"] is None:
                named = {"in": asked.place, "source": event.get("source", ""), "id": event.get("id", "")}
                row["link"] = f"/event?{urlencode(named)}"
        older: object = hits.reached if hits.reached is not None else hits.place
        return await self._renderer.page(
            "search", visit=visit, t=visit.texts, nav="search", reasons=self._behind.reasons(), wanted=asked.wanted,
            place=asked.place, archives=[*self._archives], rows=rows, older=older, cut=hits.cut, said=said,
            looked=looked, query=asked.query, severities=[*SEVERITIES], most=EXPORTED,
            next=urlencode({"before": older}) if older else "",
        )  # fmt: skip

    async def as_csv(self, request: web.Request, visit: Visit) -> web.Response:
        """The rows of a search, newest first, as a spreadsheet takes them."""
        hits = await self._found(request, visit)
        return _file(await threads.run(_as_csv, hits, visit.words), "text/csv", "events.csv")

    async def as_json(self, request: web.Request, visit: Visit) -> web.Response:
        """Each event of a search whole, a line each, newest first."""
        hits = await self._found(request, visit)
        return _file(await threads.run(_as_json, hits), "application/x-ndjson", "events.json")

    async def archived(self, request: web.Request, visit: Visit) -> web.Response:
        """One event of an archive."""
        path = self._archives.get(request.query.get("in", ""))
        event = None
        if path is not None:
            source, id_ = request.query.get("source", ""), request.query.get("id", "")
            try:
                event = await threads.run(event_in, Path(path), source, id_)
            except Unreadable:
                event = None
        around: dict[str, Any] = {"visit": visit, "t": visit.texts, "nav": "search", "reasons": self._behind.reasons()}
        if event is None:
            title, why = visit.texts("event.gone"), visit.texts("event.gone_why")
            return await self._renderer.page("message", 404, title=title, said=why, **around)
        return await self._renderer.page("event", others=[], commands=[], **shown(event, visit, None), **around)

    async def _found(self, request: web.Request, visit: Visit) -> Hits:
        try:
            return await self._look(self._asked(request), visit, EXPORTED)
        except Unreadable as error:
            raise web.HTTPServiceUnavailable(text=f"{error}\n", headers=HEADERS) from error

    async def _look(self, asked: _Asked, visit: Visit, limit: int) -> Hits:
        zone = visit.words.zone
        if asked.place:
            return await threads.run(
                search_archive, Path(self._archives[asked.place]), asked.wanted, zone, limit, asked.before
            )
        spool = self._behind.spool()
        if spool is None:
            return Hits()
        before = int(asked.before) if asked.before.isascii() and asked.before.isdigit() else None
        return await threads.run(search_spool, spool.folder, asked.wanted, zone, limit, before)

    def _asked(self, request: web.Request) -> _Asked:
        place = request.query.get("in", "")
        return _Asked(
            Filter.of(request.query), place if place in self._archives else "", request.query.get("before", "")[:60]
        )

    def _kept(self, hits: Hits, rows: list[dict[str, Any]]) -> Iterator[Mapping[str, Any]]:
        """The events of the rows: `listed` leaves some out."""
        ids = {row["id"] for row in rows}
        by_id = {str(event.get("id")): event for _, event, _ in hits.events if str(event.get("id")) in ids}
        for row in rows:
            yield by_id.get(row["id"], {})


def _as_csv(hits: Hits, words: Words) -> str:
    """In a thread. With the mark by which spreadsheets know UTF-8."""
    out = io.StringIO()
    out.write("\ufeff")
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(_COLUMNS)
    for number, event, _ in hits.events:
        row = row_of(event, words, number)
        writer.writerow([spreadsheet_cell(str(row[name])) for name in _COLUMNS])
    return out.getvalue()


def _as_json(hits: Hits) -> str:
    """In a thread."""
    lines = (printable_json(body.decode("utf-8", "replace")) for _, _, body in hits.events)
    return "".join(f"{line}\n" for line in lines)


def _file(text: str, kind: str, name: str) -> web.Response:
    headers = {**HEADERS, "Content-Disposition": f'attachment; filename="{name}"'}
    return web.Response(text=text, content_type=kind, charset="utf-8", headers=headers)
