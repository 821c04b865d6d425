"""GET /: the newest events as a list, which flows where scripts run. GET /event/NUMBER: all that is known of one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import quote

import orjson
from aiohttp import web

from pump.core.routing import Routing
from pump.core.taxonomy import SEVERITIES
from pump.ops.page.access.visits import Route, Visit
from pump.ops.page.acting.noted import Noted
from pump.ops.page.behind import Behind
from pump.ops.page.filters import Filter
from pump.ops.page.reading import Hits, Unreadable, Whole, search, whole
from pump.ops.page.render import Renderer, threads
from pump.ops.page.rows import address, mapping, media, noted_by, row_of, text

LISTED: Final = 60
"""Rows of a list."""
_READ: Final = 120
"""Events that are read for it: pictures that came later have events of their own, and show in their event's row."""


class Pages:
    """The two handlers."""

    def __init__(self, behind: Behind, renderer: Renderer, noted: Noted) -> None:
        self._behind = behind
        self._renderer = renderer
        self._noted = noted

    def routes(self) -> list[Route]:
        """The pages that it has."""
        return [("GET", "/", "look", self.events), ("GET", "/event/{number:[0-9]{1,18}}", "look", self.event)]

    async def events(self, request: web.Request, visit: Visit) -> web.Response:
        """The list, filtered as the address says."""
        wanted, hits, head, said = Filter.of(request.query), Hits(), 0, ""
        before = request.query.get("before", "")
        if (spool := self._behind.spool()) is not None:
            head = spool.head
            try:
                hits = await threads.run(
                    search, spool.folder, wanted, visit.words.zone, _READ,
                    int(before) if before.isascii() and before.isdigit() and len(before) < 19 else head + 1,
                )  # fmt: skip
            except Unreadable as error:
                said = str(error)
        rows = listed(hits, visit, media_too=bool(wanted.type))
        for row in rows:
            if spool is not None and not row["notes"] and (user := self._noted.by(spool, row["id"])):
                row["noted"] = noted_by(user, visit.texts)
        older = rows[LISTED - 1]["n"] if len(rows) > LISTED else hits.reached
        return await self._renderer.page(
            "events", visit=visit, t=visit.texts, nav="events", reasons=self._behind.reasons(), wanted=wanted,
            rows=rows[:LISTED], head=head, older=older, before=before, said=said, severities=[*SEVERITIES],
            sources=[*self._behind.config.sources, "pump"], blank=row_of({}, visit.words),
        )  # fmt: skip

    async def event(self, request: web.Request, visit: Visit) -> web.Response:
        """One event: its groups, its pictures, the others of its incident, its deliveries, the message as it came."""
        spool = self._behind.spool()
        number = int(request.match_info["number"])
        try:
            found = None if spool is None else await threads.run(whole, spool.folder, number)
        except Unreadable:
            found = None
        if found is None:
            return await self._renderer.page(
                "message", 404, visit=visit, t=visit.texts, nav="events", reasons=self._behind.reasons(),
                title=visit.texts("event.gone"), said=visit.texts("event.gone_why"),
            )  # fmt: skip
        sinks = mapping((await self._behind.status()).get("sinks"))
        return await self._renderer.page(
            "event", visit=visit, t=visit.texts, nav="events", reasons=self._behind.reasons(),
            deliveries=list(self._deliveries(found, visit, sinks)), **shown(found.event, visit, number),
            others=[row_of(event, visit.words, one) for one, event in found.others],
            commands=self._commands(found, visit),
        )  # fmt: skip

    def _commands(self, found: Whole, visit: Visit) -> list[str]:
        """The verbs that whoever looks may give to the event's device."""
        desk = self._behind.desk()
        if desk is None or not visit.may_act:
            return []
        of = (found.record.source, found.event.get("subject"))
        return sorted({v for name, one in desk.allowed(visit.caller) if (name, one.subject) == of for v in one.verbs})

    def _deliveries(self, found: Whole, visit: Visit, sinks: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """Of each sink: has it had the event, does it wait, was it left out, did it become a dead letter."""
        dead = {letter.sink: letter for letter in found.letters}
        for name, sink in self._behind.config.sinks.items():
            if not sink.enabled:
                continue
            routing = Routing(sink)
            letter, position = dead.get(name), mapping(sinks.get(name)).get("position", 0)
            why_not = routing.why_not(found.record)
            state = "left_out" if why_not else "had" if position >= found.record.seq else "waits"
            reason = "; ".join(why_not)
            if letter is not None:
                state, reason = "dead", letter.reason
            said = visit.texts(f"delivery.{state}")
            yield {"sink": name, "state": state, "said": said, "why": reason, "letter": letter and letter.id}


def listed(hits: Hits, visit: Visit, *, media_too: bool) -> list[dict[str, Any]]:
    """The hits as rows, newest first. A picture that came later stands in its event's row, not in one of its own,
    unless `media_too`."""
    rows = [row_of(event, visit.words, number) for number, event, _ in hits.events]
    if media_too:
        return rows
    pictures = {row["updates"]: row["picture"] for row in rows if row["updates"]}
    kept = [row for row in rows if not row["updates"]]
    for row in kept:
        row["picture"] = row["picture"] or pictures.get(row["id"], "")
    return kept


def shown(event: Mapping[str, Any], visit: Visit, number: int | None) -> dict[str, Any]:
    """What the template of one event wants of it."""
    data = mapping(event.get("data"))
    plain = {name: value for name, value in data.items() if not isinstance(value, dict | list) and name != "raw"}
    groups = {name: value for name, value in data.items() if isinstance(value, dict) and name != "raw"}
    return {
        "row": row_of(event, visit.words, number),
        "arrived": visit.words.time(text(event.get("recordedtime"))),
        "facts": {"type": event.get("type"), "subject": event.get("subject"), "id": event.get("id"), **plain},
        "groups": groups,
        "media": [
            {**entry, "address": address(entry) or (_by_id(entry) if entry.get("state") != "stored" else "")}
            for entry in media(data)
        ],
        "raw": "" if "raw" not in data else orjson.dumps(data["raw"], option=orjson.OPT_INDENT_2).decode(),
        "whole": orjson.dumps(dict(event), option=orjson.OPT_INDENT_2).decode(),
    }


def _by_id(medium: Mapping[str, Any]) -> str:
    """A picture that was only linked may have been fetched since: the listener finds it by its id."""
    id_ = medium.get("id")
    return f"/media/{quote(id_)}" if isinstance(id_, str) and "/" in id_ else ""
