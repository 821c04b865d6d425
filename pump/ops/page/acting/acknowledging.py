"""POST /do/acknowledge: somebody has taken note of an alarm. It is an event of its own, `alarm.acknowledged`, on disk
before the page says so; the alarm's own event stays as it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from aiohttp import web

from pump.core.errors import Unavailable
from pump.core.event import Event, event_id
from pump.core.groups import BOUNDS
from pump.core.text import bounded
from pump.ops.page.access.visits import Route, Visit, is_own_form
from pump.ops.page.acting.noted import Noted
from pump.ops.page.acting.pages import form_of, led_to, refused
from pump.ops.page.behind import Behind
from pump.ops.page.reading import Unreadable, whole
from pump.ops.page.render import Renderer, threads
from pump.ops.page.rows import mapping

_LONGEST: Final = 2000
"""Characters of a note, before it is bounded."""
_REPEATED: Final = ("device", "place")


class AcknowledgingPages:
    """The handler."""

    def __init__(self, behind: Behind, renderer: Renderer, noted: Noted) -> None:
        self._behind = behind
        self._renderer = renderer
        self._noted = noted

    def routes(self) -> list[Route]:
        """The pages that it has."""
        return [("POST", "/do/acknowledge", "act", self.acknowledge)]

    async def acknowledge(self, request: web.Request, visit: Visit) -> web.StreamResponse:
        """Store the event and go back to the alarm's page; sent twice, it is stored once."""
        form = await form_of(request)
        if not is_own_form(request, visit, form.get("token", "")):
            return await refused(self._behind, self._renderer, visit, visit.texts("error.form"), 403)
        spool, intake, number = self._behind.spool(), self._behind.intake(), form.get("number", "")
        if spool is None or intake is None or not (number.isascii() and number.isdigit() and len(number) < 19):
            return await refused(self._behind, self._renderer, visit, visit.texts("sign.starting"), 503)
        try:
            found = await threads.run(whole, spool.folder, int(number))
            if found is None:
                return await refused(self._behind, self._renderer, visit, visit.texts("event.gone_why"), 404)
            note = bounded(form.get("note", "").strip()[:_LONGEST], BOUNDS["sentence"])
            await intake.put_own(acknowledgement(found.event, str(visit.name), note))
            self._noted.add(spool, str(found.event.get("id")), str(visit.name), self._behind.clock.now_ms())
        except (Unreadable, Unavailable) as error:
            return await refused(self._behind, self._renderer, visit, str(error), 503)
        return led_to(f"/event/{number}#h-others")


def acknowledgement(event: Mapping[str, Any], user: str, note: str) -> Event:
    """The event that says so; `event` is the alarm's."""
    of = mapping(event.get("data"))
    data: dict[str, Any] = {
        "vendor": "pump",
        "code": "acknowledged",
        "name": "Alarm acknowledged",
        "phase": "update",
        "severity": "info",
        "updates": event.get("id"),
        "alarm": {"acknowledged": True, "user": user},
    }
    data |= {name: of[name] for name in _REPEATED if isinstance(of.get(name), dict)}
    data |= {"incident": of["incident"]} if isinstance(of.get("incident"), str) else {}
    data |= {"note": note} if note else {}
    identity = event_id("alarm.acknowledged", event.get("source"), event.get("id"), user, note)
    subject = event.get("subject")
    return Event(
        "alarm.acknowledged", identity, data, subject=subject if isinstance(subject, str) else None, clocked=False
    )
