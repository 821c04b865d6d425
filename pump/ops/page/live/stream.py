"""GET /live: rows as server-sent events, from where the browser last was."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import orjson
from aiohttp import hdrs, web

from pump.ops.page.access.visits import Access, Route, Visit
from pump.ops.page.acting.noted import Noted
from pump.ops.page.behind import Behind
from pump.ops.page.filters import Filter
from pump.ops.page.live.feed import WAITING, Feed, Row, Viewer
from pump.ops.page.reading import Unreadable, search
from pump.ops.page.render import HEADERS, threads
from pump.ops.page.rows import noted_by, row_of
from pump.spool import Spool

RETRY: Final = 1000
"""Milliseconds after which a browser connects again."""
_TICK: Final = 1.0
"""Seconds between two looks at whether all is well, and whether the viewer may still look."""
_QUIET: Final = 15
"""Ticks without a word, after which one is sent: so a connection that is gone is found."""


class Stream:
    """The handler. A browser names its place by Last-Event-ID, or by ?after= where it opens a new stream."""

    def __init__(self, behind: Behind, access: Access, feed: Feed, noted: Noted) -> None:
        self._behind = behind
        self._access = access
        self._feed = feed
        self._noted = noted

    def routes(self) -> list[Route]:
        """The pages that it has."""
        return [("GET", "/live", "look", self.answer)]

    async def answer(self, request: web.Request, visit: Visit) -> web.StreamResponse:
        """The stream, until the browser leaves, the daemon stops or the viewer may look no more; 503 before it runs."""
        spool = self._behind.spool()
        if spool is None or self._feed.full or self._feed.over.is_set():
            return web.Response(status=503, text="not now\n", headers={**HEADERS, "Retry-After": "2"})
        with self._feed.viewer(spool, Filter.of(request.query), visit.words) as viewer:
            last = _number(request.headers.get("Last-Event-ID")) or _number(request.query.get("after"))
            response = web.StreamResponse(headers={**HEADERS, "X-Accel-Buffering": "no"})
            response.content_type = "text/event-stream"
            response.headers[hdrs.CACHE_CONTROL] = "no-store"
            await response.prepare(request)
            try:
                await response.write(b"retry: %d\n\n" % RETRY)
                if last is not None and last < viewer.position:
                    await self._catch_up(response, viewer, spool, last)
                await self._flow(request, response, viewer, visit)
            except ConnectionError:
                pass  # the browser has gone
        return response

    async def _catch_up(self, response: web.StreamResponse, viewer: Viewer, spool: Spool, last: int) -> None:
        """Give it what came since it was here; the feed has what comes after `viewer.position` as it was."""
        begin = viewer.position
        texts = viewer.words.texts
        # from memory: what its filter leaves out is not read from the file
        noted = [{"notes": id_, "noted": noted_by(user, texts)} for id_, user in self._noted.newest(spool, WAITING)]
        try:
            hits = await threads.run(_since, spool, viewer, last, begin)
        except Unreadable:
            await response.write(_said("skipped", {"count": begin - last}, begin))
            return
        rows, skipped = hits
        if skipped:
            await response.write(_said("skipped", {"count": skipped}, None))
        await response.write(_rows(rows, begin))
        if noted:
            await response.write(_said("marks", noted, None))

    async def _flow(self, request: web.Request, response: web.StreamResponse, viewer: Viewer, visit: Visit) -> None:
        quiet, well = 0, None
        position = 0
        while not self._feed.over.is_set() and (visit.session is None or self._access.session(request) is not None):
            reasons = len(self._behind.reasons())
            if reasons != well:
                well, quiet = reasons, 0
                await response.write(_said("well", {"reasons": reasons}, None))
            try:
                async with asyncio.timeout(_TICK):
                    await viewer.news.wait()
            except TimeoutError:
                quiet += 1
                if quiet >= _QUIET:
                    quiet = 0
                    await response.write(b":\n\n")
                continue
            (rows, skipped, through), marks = viewer.take(), viewer.take_marks()
            if skipped:
                await response.write(_said("skipped", {"count": skipped}, None))
            if rows:
                quiet = 0
                await response.write(_rows(rows, through))
            elif through != position:
                await response.write(b"id: %d\n\n" % through)  # so that it need not look through them again
            if marks:
                quiet = 0
                await response.write(b"event: marks\ndata: [%s]\n\n" % b",".join(mark for _, mark in marks))
            position = through


def _since(spool: Spool, viewer: Viewer, last: int, through: int) -> tuple[list[Row], int]:
    """In a thread: the rows above `last`, oldest first, and how many could not be looked at."""
    zone = viewer.words.zone
    hits = search(spool.folder, viewer.wanted, zone, WAITING, through + 1, floor=last)
    rows = [
        (number, orjson.dumps(row_of(event, viewer.words, number)))
        for number, event, _ in hits.events
        if number is not None
    ]
    left = 0 if hits.reached is None else max(0, hits.reached - last - 1)
    return rows[::-1], left


def _said(kind: str, value: Any, number: int | None) -> bytes:
    begin = b"" if number is None else b"id: %d\n" % number
    return b"%sevent: %s\ndata: %s\n\n" % (begin, kind.encode(), orjson.dumps(value))


def _rows(rows: list[Row], number: int) -> bytes:
    return b"id: %d\nevent: rows\ndata: [%s]\n\n" % (number, b",".join(row for _, row in rows))


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 19 else None
