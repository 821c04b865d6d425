"""The events that say what became of a link: `media.stored` and `media.failed`, each once for a medium. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import orjson

from pump.core.event import Event
from pump.ingest.fetch.errors import FetchFailed
from pump.ingest.fetch.incoming import Arrived
from pump.ingest.media import Stored
from pump.spool import Fetch, Link
from pump.spool.tables.fetches import result_id

STORED: Final = "media.stored"
FAILED: Final = "media.failed"
WANTED: Final = ("remote",)
"""States of a medium whose link is worth asking; one that is still to be uploaded comes with a second upload."""
_REPEATED: Final = ("incident", "device", "place")
"""What the result repeats of its event's data."""
_KEPT: Final = ("id", "kind", "mime", "encrypted")
"""What it repeats of the medium's entry."""


def links_of(event: Event) -> list[Link]:
    """The links of an event that are to be fetched."""
    media = event.data.get("media")
    if not media:
        return []
    found: list[Link] = []
    facts: dict[str, Any] = {}
    for entry in media:
        url = entry.get("url")
        if url is None or entry.get("state") not in WANTED or not url.lower().startswith(("http://", "https://")):
            continue
        if not facts:
            facts = {name: event.data[name] for name in _REPEATED if name in event.data}
            if event.subject is not None:
                facts["subject"] = event.subject
            if event.vouched:
                facts["vouched"] = True
        medium = {name: entry[name] for name in _KEPT if name in entry}
        found.append(Link(entry["id"], url, _milliseconds(entry.get("expires")), {**facts, "medium": medium}))
    return found


def _milliseconds(text: object) -> int:
    try:
        return int(datetime.fromisoformat(text).timestamp() * 1000) if isinstance(text, str) else 0
    except ValueError:
        return 0


def kind_of(fetch: Fetch) -> str:
    """The event's word for the medium."""
    return str(_entry(fetch, _facts(fetch))["kind"])


def vouched(fetch: Fetch) -> bool:
    """True where the vendor's own API gave the link."""
    return _facts(fetch).get("vouched") is True


def of(fetch: Fetch, outcome: Arrived | FetchFailed, now: datetime) -> Event:
    """The event that says so."""
    if isinstance(outcome, FetchFailed):
        return failed(fetch, outcome.reason, now, outcome.kept)
    return stored(fetch, outcome, now)


def stored(fetch: Fetch, arrived: Arrived, now: datetime) -> Event:
    """The file is there."""
    facts = _facts(fetch)
    medium = {**_entry(fetch, facts), "mime": arrived.mime, **_file(arrived.stored), "state": "stored"}
    medium.pop("encrypted", None)  # the file is not, any more
    return _event(STORED, fetch, facts, {"code": "stored", "name": "Picture stored", "severity": "info"}, medium, now)


def failed(fetch: Fetch, reason: str, now: datetime, kept: Stored | None = None) -> Event:
    """It never will be; `kept` is what came all the same, which nobody here can read."""
    facts = _facts(fetch)
    medium = {**_entry(fetch, facts), "state": "failed"}
    if kept is not None:
        medium |= {**_file(kept), "mime": "application/octet-stream", "encrypted": True, "state": "encrypted"}
    data = {"code": "failed", "name": "Picture lost", "severity": "warning", "reason": reason}
    return _event(FAILED, fetch, facts, data, medium, now)


def _file(file: Stored) -> dict[str, Any]:
    return {"bytes": file.bytes, "sha256": file.sha256, "path": file.path}


def _event(
    type_: str, fetch: Fetch, facts: Mapping[str, Any], data: dict[str, Any], medium: dict[str, Any], now: datetime
) -> Event:
    # The vendor of the event is in the event: this one is the pump's own finding.
    whole: dict[str, Any] = {"vendor": "pump", "phase": "update", "updates": fetch.event, **data}
    whole |= {name: facts[name] for name in _REPEATED if name in facts}
    whole["media"] = [medium]
    return Event(
        type_, result_id(fetch.medium, stored=type_ == STORED), whole, time=now, subject=facts.get("subject"),
        dedup_time_ms=fetch.dedup_time_ms, clocked=False,
    )  # fmt: skip


def _facts(fetch: Fetch) -> dict[str, Any]:
    try:
        found = orjson.loads(fetch.facts)
    except ValueError:  # a flipped bit
        found = None
    return found if isinstance(found, dict) else {}


def _entry(fetch: Fetch, facts: Mapping[str, Any]) -> dict[str, Any]:
    found = facts.get("medium")
    return {"id": fetch.medium, "kind": "file", **(found if isinstance(found, dict) else {})}
