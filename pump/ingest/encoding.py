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
from pump.core.taxonomy import SEVERITIES
from pump.ingest import deep_json
from pump.ingest.media import Media
from pump.spool import Row, Spool
from pump.telemetry.metrics import Metrics

log = structlog.get_logger()

LARGEST = 256 << 10
"""Bytes of an event; a larger raw goes to media."""
QUARANTINE_LIMIT = 64 << 20
"""Bytes that a source may keep in the spool of what it does not understand."""
SAMPLE_SECONDS = 60.0
"""Beyond that limit one record in this time is kept, cut short, with the number of those that were not."""
SAMPLE_BYTES = 1024
UNWRITABLE = (TypeError, ValueError, OverflowError)
"""Raised by `encode` for what JSON or the calendar cannot hold."""
SLICE = 64
"""Events encoded between two looks at the event loop."""


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

    async def rows(self, items: Sequence[Event | Unparsed], recorded: datetime) -> list[Row]:
        """The items' rows in their order; beyond the limit of the quarantine some have none.

        Raises `Unavailable` where the media store refuses what is too large for an event.
        """
        rows: list[Row] = []
        for place, item in enumerate(items):
            row = self._plain(item, recorded) or await self._special(item, recorded)
            if row is not None:
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
            if (other := await self._special(item, recorded)) is not None:
                kept.append(other)
        return kept

    def _plain(self, item: Event | Unparsed, recorded: datetime) -> Row | None:
        """The row of an ordinary event, None where anything about it is special: this is the path of nearly all."""
        if isinstance(item, Unparsed) or item.quarantined:
            return None
        try:
            body = encode(item, self._path, recorded)
        except UNWRITABLE:
            return None
        return self._pack(item, body, recorded) if len(body) <= LARGEST else None

    async def _special(self, item: Event | Unparsed, recorded: datetime) -> Row | None:
        event = self._keep(item, recorded) if isinstance(item, Unparsed) else item
        try:
            body = encode(event, self._path, recorded)
        except UNWRITABLE as error:
            text = deep_json.dump(event.data)
            identity = (event.type, event.id)
            return await self._special(Unparsed(text, f"cannot be written as JSON: {error}", identity), recorded)
        if len(body) > LARGEST:
            body = await self._unload(event, recorded)
        if not event.quarantined or self._spool.quarantined(self._name) + len(body) <= QUARANTINE_LIMIT:
            return self._pack(event, body, recorded)
        return self._sample(event, recorded)

    def _pack(self, event: Event, body: bytes, recorded: datetime) -> Row:
        stamp = int(recorded.timestamp() * 1000)
        severity = SEVERITIES.get(event.data.get("severity", "info"), 0)
        row = Row(self._name, event.type, severity, stamp, event.dedup_time_ms, event.id, body, event.quarantined)
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

    async def _unload(self, event: Event, recorded: datetime) -> bytes:
        """Move what makes an event too large into media: its raw, and if that is not enough, all of its data."""
        for part in ("raw", "raw_base64", None):
            data = event.data
            content = _dump(data if part is None else data.get(part))
            if part is not None and len(content) < LARGEST // 4:
                continue
            reference = await self._to_media(event.id, content)
            if part is None:
                kept = ("vendor", "code", "name", "phase", "severity", "error")
                event.data = {key: value for key, value in data.items() if key in kept and len(str(value)) < 1024}
            else:
                del data[part]
            event.data["raw"] = {"$media": reference["id"]}
            event.data.setdefault("media", []).append(reference)
            body = encode(event, self._path, recorded)
            if len(body) <= LARGEST:
                break
        return body

    async def _to_media(self, event: str, content: bytes) -> dict[str, Any]:
        reference: dict[str, Any] = {
            "id": f"{event}/raw",
            "kind": "raw",
            "mime": "application/json",
            "bytes": len(content),
        }
        try:
            stored = await self._media.store(content)
        except OSError as error:
            raise Unavailable(f"the media store refuses: {error.strerror}") from error
        return reference | {"sha256": stored.sha256, "path": stored.path, "state": "stored"}


def _dump(value: Any) -> bytes:
    try:
        return orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS)
    except TypeError:
        return deep_json.dump(value)
