"""From what a source gives to the rows that the spool stores: each event encoded once, and none left out.

What cannot be parsed, encoded or held is kept in another form: as an unparsed record, in the media store, or as a
sample with a count.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import orjson
import structlog

from pump.core.clock import Clock
from pump.core.errors import Unavailable
from pump.core.event import Event, Unparsed, encode, event_id
from pump.core.groups import BOUNDS
from pump.core.tasks import Threads
from pump.core.taxonomy import SEVERITIES
from pump.core.text import bounded
from pump.ingest import deep_json
from pump.ingest.bounds import bound
from pump.ingest.fetch.results import links_of
from pump.ingest.media import Media
from pump.spool import Row, Spool
from pump.telemetry.metrics import Metrics

log = structlog.get_logger()

LARGEST = 256 << 10
"""Bytes of an event's whole line; a larger raw goes to media, and texts that have no place there are `bound`."""
QUARANTINE_LIMIT = 64 << 20
"""Bytes that a source may keep in the spool of what it does not understand."""
_QUARANTINE_PART = 4
"""Of a small spool it is a quarter at the most."""
SAMPLE_SECONDS = 60.0
"""Beyond that limit one record in this time is kept, cut short, with the number of those that were not."""
SAMPLE_BYTES = 1024
UNWRITABLE = (TypeError, ValueError, OverflowError)
"""Raised by `encode` for what JSON or the calendar cannot hold."""
SLICE = 64
"""Events encoded between two looks at the event loop."""
ENCODING = Threads("encoding", 1)
"""For what is too large to be hashed and encoded on the event loop; one at a time, for each takes several times its
size."""


class Encoder:
    """One source's: it knows what the source has in quarantine, and how much of it was left out."""

    def __init__(self, name: str, path: str, *, spool: Spool, media: Media, clock: Clock, metrics: Metrics) -> None:
        """`path` is the `source` of the events, "/site/name"."""
        self._name = name
        self._path = path
        self._spool = spool
        self._media = media
        self._clock = clock
        self._metrics = metrics
        self._unstored = 0
        self._sampled = -SAMPLE_SECONDS

    async def rows(self, items: Sequence[Event | Unparsed], recorded: datetime, *, stranger: bool = False) -> list[Row]:
        """The items' rows in their order; beyond the limit of the quarantine some have none.

        `stranger`: they, and what goes to media of them, count against the strangers' share. Raises `Unavailable` where
        the media store refuses what is too large for an event.
        """
        rows: list[Row] = []
        for place, item in enumerate(items):
            row, large = self._plain(item, recorded)
            if row is None:
                row = await self._special(item, recorded, large, stranger=stranger)
            if row is not None:
                row.stranger = stranger
                rows.append(row)
            if place % SLICE == SLICE - 1:
                await asyncio.sleep(0)  # a batch of 500 must not hold the loop
        return rows

    async def again(self, rows: Sequence[Row], reason: str, recorded: datetime) -> list[Row]:
        """Rows that SQLite would not take, as unparsed records."""
        kept: list[Row] = []
        for row in rows:
            # By the event's own identity: its body holds when it arrived, and would be another each time.
            item = Unparsed(row.body, reason, (row.type, row.dedup_time_ms, row.id))
            if (other := await self._special(item, recorded, stranger=row.stranger)) is not None:
                other.stranger, other.fills, other.settles = row.stranger, row.fills, row.settles
                kept.append(other)
        return kept

    def _plain(self, item: Event | Unparsed, recorded: datetime) -> tuple[Row | None, bool]:
        """The row of an ordinary event, None where anything about it is special: this is the path of nearly all.

        True where it is large.
        """
        if isinstance(item, Unparsed):
            return None, _large(item.raw)
        raw_json = item.raw_json
        large = _large(item.data.get("raw")) if raw_json is None else len(raw_json) > LARGEST
        if large or item.quarantined:
            return None, large
        bound(item)
        try:
            body = encode(item, self._path, recorded)
        except UNWRITABLE:
            return None, False
        return (self._pack(item, body, recorded), False) if len(body) <= LARGEST else (None, True)

    async def _special(
        self, item: Event | Unparsed, recorded: datetime, large: bool = False, *, stranger: bool
    ) -> Row | None:
        if not isinstance(item, Unparsed):
            event = item
        elif large:
            event = await ENCODING.run(self._keep, item, recorded)
        else:
            event = self._keep(item, recorded)
        bound(event)
        try:
            body = b"" if large else encode(event, self._path, recorded)
            if large or len(body) > LARGEST:
                del body  # it will be another, and is large
                body = await self._unload(event, recorded, stranger=stranger)
        except UNWRITABLE as error:
            if event.raw_json is not None:
                event.data["raw"] = orjson.loads(event.raw_json)  # it may be a fragment, which only orjson writes
            text = deep_json.dump(event.data)
            identity = (event.type, event.id)
            unparsed = Unparsed(text, f"cannot be written as JSON: {error}", identity)
            return await self._special(unparsed, recorded, stranger=stranger)
        return self._within(event, body, recorded, stranger=stranger)

    def _within(self, event: Event, body: bytes, recorded: datetime, *, stranger: bool) -> Row | None:
        """The row of it, or of a sample where its source has used up what it may keep."""
        if not event.quarantined or self._spool.quarantined(self._name) + len(body) <= self._limit(stranger=stranger):
            return self._pack(event, body, recorded)
        return self._sample(event, recorded)

    def _limit(self, *, stranger: bool) -> int:
        """Bytes of the quarantine; strangers leave half of it to devices that are known."""
        limit = min(QUARANTINE_LIMIT, self._spool.max_bytes // _QUARANTINE_PART)
        return limit // 2 if stranger else limit

    def _pack(self, event: Event, body: bytes, recorded: datetime) -> Row:
        stamp = int(recorded.timestamp() * 1000)
        severity = SEVERITIES.get(event.data.get("severity", "info"), 0)
        row = Row(self._name, event.type, severity, stamp, event.dedup_time_ms, event.id, body, event.quarantined)
        if "media" in event.data and self._spool.fetches.taking:
            row.links = links_of(event)
        if event.sightings:
            row.sightings = event.sightings
        return row

    def _sample(self, event: Event, recorded: datetime) -> Row | None:
        """Beyond its limit a source's strange records are counted; one a minute is kept, cut short."""
        self._unstored += 1
        self._metrics.unparsed_dropped.labels(self._name).inc()
        now = self._clock.monotonic()
        if now - self._sampled < SAMPLE_SECONDS:
            return None
        self._sampled, count, self._unstored = now, self._unstored, 0
        log.warning(
            "A source has used up what it may keep of records that are not understood", source=self._name, dropped=count
        )
        raw = _dump(event.data.get("raw", event.data.get("raw_base64")))[:SAMPLE_BYTES].decode("utf-8", "replace")
        kept = ("vendor", "code", "name", "phase", "severity")
        data = {key: value for key, value in event.data.items() if key in kept}
        data |= {"error": str(event.data.get("error", ""))[:SAMPLE_BYTES], "sampled": count, "raw": raw}
        sample = Event(event.type, event.id, data, time=event.time)
        return self._pack(sample, encode(sample, self._path, recorded), recorded)

    def _keep(self, item: Unparsed, recorded: datetime) -> Event:
        content = item.raw if isinstance(item.raw, bytes) else _dump(item.raw)
        data: dict[str, Any] = {
            "vendor": "pump", "code": "unparsed", "name": "Unparsed record", "phase": "pulse", "severity": "warning",
            "error": item.error,
        }  # fmt: skip
        if not isinstance(item.raw, bytes):
            data["raw"] = item.raw
        else:
            try:
                data["raw"] = content.decode()
            except UnicodeDecodeError:
                data["raw_base64"] = base64.b64encode(content).decode()
        identity = item.identity or (content,)
        return Event("pump.record.unparsed", event_id("unparsed", *identity), data, time=recorded, quarantined=True)

    async def _unload(self, event: Event, recorded: datetime, *, stranger: bool) -> bytes:
        """Move what makes an event too large into media: its raw, and if that is not enough, all of its data."""
        for part in ("raw", "raw_base64", None):
            data = event.data
            content = await ENCODING.run(_dump, data if part is None else data.get(part))
            if part is not None and len(content) < LARGEST // 4:
                continue
            reference = await self._to_media(event.id, content, stranger=stranger)
            if part is None:
                kept = ("vendor", "code", "name", "phase", "severity", "error", "cut")
                event.data = {key: value for key, value in data.items() if key in kept and len(str(value)) < 1024}
            else:
                del data[part]
            event.data["raw"], event.raw_json = {"$media": reference["id"]}, None
            event.data.setdefault("media", []).append(reference)
            del content
            body = await ENCODING.run(encode, event, self._path, recorded)
            if len(body) <= LARGEST:
                break
        return body

    async def _to_media(self, event: str, content: bytes, *, stranger: bool) -> dict[str, Any]:
        reference: dict[str, Any] = {
            "id": bounded(f"{event}/raw", BOUNDS["event"]),
            "kind": "raw",
            "mime": "application/json",
            "bytes": len(content),
        }
        try:
            stored = await self._media.store(content, stranger=stranger)
        except OSError as error:
            raise Unavailable(f"the media store refuses: {error.strerror}") from error
        return reference | {"sha256": stored.sha256, "path": stored.path, "state": "stored"}


def _large(raw: Any) -> bool:
    """True where one text of the raw message, of those that may be long, is more than an event may have."""
    if type(raw) is dict:
        for value in raw.values():
            if type(value) is str:
                if len(value) > LARGEST:
                    return True
            elif type(value) is dict:
                for inner in value.values():
                    if type(inner) is str and len(inner) > LARGEST:
                        return True
        return False
    return isinstance(raw, str | bytes) and len(raw) > LARGEST


def _dump(value: Any) -> bytes:
    try:
        return orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS)
    except TypeError:
        return deep_json.dump(value)
