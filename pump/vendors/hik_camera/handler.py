"""The stream's parts to events: pictures joined, repeats counted, what lasts ended."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import tzinfo
from typing import Any, Final

import structlog

from pump.core.clock import Clock
from pump.core.event import Event, Unparsed, event_id
from pump.ingest.stream.client import Answer, ConnectionLost, DigestClient, UnexpectedStatus
from pump.ingest.stream.handler import Batch, RetryAdvice, StreamHandler, StreamRequest
from pump.ingest.stream.intake import StreamIntake
from pump.ingest.stream.multipart.parts import Part, Skipped
from pump.vendors.hik_camera import device
from pump.vendors.hik_camera.backfill.rows import FORM, STREAM, TYPE, form_of, sightings
from pump.vendors.hik_camera.codes import SILENT_WHEN_INACTIVE
from pump.vendors.hik_camera.document import Tree
from pump.vendors.hik_camera.fields import text
from pump.vendors.hik_camera.incidents import OpenIncidents, State
from pump.vendors.hik_camera.parse import VENDOR, Alert, Facts, parse
from pump.vendors.hik_camera.uploads import Upload, Uploads

log = structlog.get_logger()

COUNTED_WAIT: Final = 10.0
"""Seconds for the pictures that a message has announced."""
UNCOUNTED_WAIT: Final = 0.5
"""Seconds for the first, or the next, of pictures that nobody has announced."""
SHORT: Final = 0.1
"""Seconds of storing that make no difference."""
FACTS_SECONDS: Final = 3600.0
"""How long the device's lists are believed before a new connection asks again."""
ASK_SECONDS: Final = 5.0
ASK_AGAIN_SECONDS: Final = 300.0
"""After lists that did not come: asking holds up the stream."""

_ACCESS: Final = TYPE.lower()
_MAGIC: Final = (
    (b"\xff\xd8\xff", "image/jpeg"), (b"\x89PNG", "image/png"), (b"GIF8", "image/gif"), (b"BM", "image/bmp"),
)  # fmt: skip


@dataclass(slots=True)
class _Waiting:
    """An event whose pictures are on their way, with the state that belongs to it."""

    events: list[Event]
    state: State
    need: int | None
    deadline: float
    upload: Upload | None = None
    """Where the event is of a record that may come again."""
    media: list[dict[str, Any]] = field(default_factory=list)

    @property
    def next_id(self) -> str:
        """Of the next medium, behind those that the message names by an address."""
        first = self.events[0]
        return f"{first.id}/{len(first.data.get('media', ())) + len(self.media)}"


class CameraHandler(StreamHandler):
    """One device's stream. `wanted`: the event types to keep, in lower case; all where empty.

    `store` keeps pictures and counts; `client` asks the device for its lists.
    """

    def __init__(
        self,
        store: StreamIntake,
        client: DigestClient,
        *,
        clock: Clock,
        zone: tzinfo,
        event_timeout: float,
        wanted: frozenset[str],
        url: str | None = None,
        qualifier: str = "",
    ) -> None:
        super().__init__()
        self._store = store
        self._intake = store.intake
        self._client = client
        self._clock = clock
        self._zone = zone
        self._wanted = wanted
        self._url = url
        self._matters = OpenIncidents(event_timeout)
        self._uploads = Uploads()
        self._qualifier = qualifier
        self._facts = Facts(url=url, qualifier=qualifier)
        self.connections = 0  # links that came about
        self._asked: float | None = None
        self._waiting: _Waiting | None = None
        self._last: Event | None = None
        """The event that the newest message belongs to: pictures that come late are its."""
        self._unwanted = False
        """The newest message was not wanted, and neither are its pictures."""
        self._quiet: tuple[Tree, bool] | None = None
        """The fields, but for the time, of a message that said nothing; True where it might have ended something."""

    @property
    def facts(self) -> Facts:
        """The content of the device's own lists."""
        return self._facts

    def found(self, alert: Alert) -> tuple[list[Event], State]:
        """The events of what a search has found beside the stream, and the state to be stored with them."""
        return self._matters.found(alert, self._clock.monotonic())

    async def opening(self) -> StreamRequest:
        """The stream's one request."""
        return StreamRequest("GET", device.STREAM)

    def refused(self, answer: Answer) -> RetryAdvice:
        """The device's refusal in words."""
        return device.advise(answer)

    async def opened(self) -> Sequence[Batch]:
        """Take up what the spool has; ask the device who it is, where that is not known or an hour old."""
        now = self._clock.monotonic()
        state = self._intake.state()
        self._matters.load(state, now)
        self._uploads.load(state)
        self._waiting, self._last, self._unwanted, self._quiet = None, None, False, None
        kept = state.get("device")
        known = kept if isinstance(kept, dict) else {}
        batch = Batch()
        if self._asked is None or now - self._asked >= FACTS_SECONDS:
            fresh = device.merged(known, await self._ask())
            if fresh != known:
                batch.state["device"] = fresh
            known = fresh
        self._facts = device.facts(known, self._url, self._qualifier)
        self.connections += 1
        return [batch]

    async def received(self, items: Sequence[Part | Skipped]) -> Sequence[Batch]:
        """What the parts bring, for one transaction."""
        batch = Batch()
        for item in items:
            if isinstance(item, Skipped):
                self._skipped(item)
            elif isinstance(item.value, dict):
                self._message(item.value, batch)
            elif item.head.content_type.startswith("image/") or _mime(item) is not None:
                await self._picture(item, batch)
            elif item.body.strip():
                self._intake.count("part_unparsed")
                batch.events.append(
                    Unparsed(item.body, f"a part of the stream is no event: {item.fault or 'its type'}")
                )
        return [batch]

    async def closed(self) -> Sequence[Batch]:
        """Store what waits for pictures, and the counts."""
        batch = Batch()
        self._flush(batch)
        batch.state |= {key: value for key, value in self._matters.counts().items() if key not in batch.state}
        return [batch]

    def stored(self, seconds: float) -> None:
        """Nobody listened meanwhile: that is no silence of the device's."""
        if seconds >= SHORT:
            self._matters.paused(seconds)
            if self._waiting is not None:
                self._waiting.deadline += seconds

    def due(self) -> float | None:
        """The next silence or missing picture."""
        times = [self._matters.due(), self._waiting.deadline if self._waiting else None]
        return min((time for time in times if time is not None), default=None)

    async def tick(self) -> Sequence[Batch]:
        """End what has been silent; wait no longer for pictures."""
        now = self._clock.monotonic()
        batch = Batch()
        if self._waiting is not None and self._waiting.deadline <= now:
            self._flush(batch)
        if self._waiting is None:
            events, state = self._matters.expire(now)
            batch.events += events
            batch.state |= state
        elif (due := self._matters.due()) is not None and due <= now:
            self._waiting.deadline = now  # the end must not overtake its start
        return [batch]

    # --- messages -------------------------------------------------------------------------------------------------

    def _message(self, tree: Tree, batch: Batch) -> None:
        self._flush(batch)
        if self._says_nothing_again(tree):
            return
        root = tree.get("")
        try:
            alert = parse(dict(tree), self._facts, self._zone)
        except ValueError as error:
            raw = {name: value for name, value in tree.items() if name}
            batch.events.append(Unparsed({str(root): raw} if root else raw, str(error)))
            return
        if alert.heartbeat:
            self._intake.count("heartbeat")
            self._quiet = _timeless(tree), False
            return
        now = self._clock.monotonic()
        if alert.kind == _ACCESS:
            alert.event.sightings = sightings(alert, STREAM)
            batch.state |= _form(text(tree, "dateTime", "dataTime", "time"), self._intake.state(FORM))
        if alert.prolongs:
            alert.event.believe(self._clock.now(), self._intake.ahead)
            batch.state |= self._matters.take(alert, now)[1]
            self._intake.count("repeat")
            return
        self._unwanted = bool(self._wanted) and alert.kind not in self._wanted
        if self._unwanted:
            self._intake.count("unwanted")
            return
        events: list[Event] = []
        state: State = {}
        for one in (alert, *alert.others):
            one.event.believe(self._clock.now(), self._intake.ahead)  # what begins and ends goes by it
            found, change = self._matters.take(one, now)
            events += found
            state |= change
        if not events:
            self._repetition(alert, state, batch)
            if _is_quiet(alert) and not state:
                self._quiet = _timeless(tree), True
            return
        upload = self._uploads.take(alert) if alert.record is not None else Upload(events)
        events, state = upload.events, state | upload.state
        self._last = upload.first or events[0]
        if (
            "updates" in events[0].data
            and events[0] is not alert.event
            and (start := self._matters.start_of(alert)) is not None
        ):
            alert.event.id = start
            self._last = alert.event
        wait = _wait(alert, events[0])
        if wait is not None or upload.same:
            need = 0 if wait is None else alert.pictures
            self._waiting = _Waiting(events, state, need, now + (wait or 0.0), upload)
            if wait is None:
                self._flush(batch)
            return
        batch.events += events
        batch.state |= state

    def _says_nothing_again(self, tree: Tree) -> bool:
        """True for the heartbeat that a device sends all day, once more: nothing need be made of it to know that."""
        if self._quiet is None:
            return False
        fields, ends = self._quiet
        if (ends and self._matters.open) or _timeless(tree) != fields:
            return False
        if ends:
            self._matters.repeats += 1
            self._unwanted = False
        self._intake.count("heartbeat")
        return True

    def _repetition(self, alert: Alert, state: State, batch: Batch) -> None:
        self._intake.count("heartbeat" if _is_quiet(alert) else "repeat")
        batch.state |= state
        if (start := self._matters.start_of(alert)) is not None:
            alert.event.id = start
            self._last = alert.event

    def _flush(self, batch: Batch) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is None:
            return
        first = waiting.events[0]
        if waiting.media:
            first.data["media"] = [*first.data.get("media", ()), *waiting.media]
        if waiting.upload is not None:
            more = waiting.upload.pictured(len(first.data.get("media", ())))
            if waiting.upload.same and not more:
                self._intake.count("repeat")
                return
        batch.events += waiting.events
        batch.state |= waiting.state

    # --- pictures -------------------------------------------------------------------------------------------------

    async def _picture(self, part: Part, batch: Batch) -> None:
        intake, waiting = self._intake, self._waiting
        if self._unwanted and waiting is None:
            return
        if part.fault is not None:
            intake.count("picture_cut")
            self._missing("cut")
            return
        begin = self._clock.monotonic()
        stored = await self._store.keep(part.body)
        self.stored(self._clock.monotonic() - begin)
        mime = _mime(part) or part.head.content_type
        reference = {
            "kind": "picture", "mime": mime, "bytes": stored.bytes, "sha256": stored.sha256, "path": stored.path,
            "state": "stored",
        }  # fmt: skip
        if waiting is not None:
            waiting.media.append({"id": waiting.next_id, **reference})
            if waiting.need is None:
                waiting.deadline = self._clock.monotonic() + UNCOUNTED_WAIT
            elif len(waiting.media) >= waiting.need:
                self._flush(batch)
            return
        intake.count("picture_late")
        batch.events.append(self._second_upload(reference))

    def _second_upload(self, reference: dict[str, Any]) -> Event:
        """A picture that came when its event was stored already, or whose event nobody knows."""
        last = self._last
        data: dict[str, Any] = {"vendor": VENDOR, "late": False, "reconciled": False, "phase": "update"}
        if last is None:
            data |= {"code": "picture", "name": "Picture of an unknown event", "severity": "info", "update": False}
            identity = event_id(VENDOR, "picture", self._facts.serial or "", reference["sha256"])
            data["media"] = [{"id": f"{identity}/0", **reference}]
            return Event("media.unknown", identity, data)
        identity = event_id(VENDOR, "picture", last.id, reference["sha256"])
        groups = ("code", "name", "severity", "incident", "device", "place", "vehicle", "access")
        data |= {name: last.data[name] for name in groups if name in last.data}
        data |= {"update": True, "updates": last.id, "media": [{"id": f"{identity}/0", **reference}]}
        return Event(last.type, identity, data, time=last.time, subject=last.subject, dedup_time_ms=last.dedup_time_ms)

    def _skipped(self, skipped: Skipped) -> None:
        self._intake.count(skipped.reason.replace(" ", "_"))
        log.warning(
            "Bytes of the stream were skipped",
            source=self._intake.name,
            reason=skipped.reason,
            bytes=skipped.size,
        )
        if skipped.reason == "part over its limit":
            self._missing("too large")

    def _missing(self, state: str) -> None:
        if (waiting := self._waiting) is not None:
            waiting.media.append({"id": waiting.next_id, "kind": "picture", "state": state})

    # --- the device -----------------------------------------------------------------------------------------------

    async def _ask(self) -> dict[str, Any]:
        """Name, model, serial, channel names; what is not offered is left out, what did not come is asked again.

        After a 401 nothing more is asked for an hour: each may count as a failed login.
        """
        found: dict[str, Any] = {}
        names: dict[str, str] = {}
        try:
            async with asyncio.timeout(3 * ASK_SECONDS):
                if (info := await self._read(device.INFO)) is not None:
                    found |= device.read_facts(info)
                for path in device.LISTS:
                    if (listed := await self._read(path)) is not None:
                        names |= device.read_names(path, listed)
                if (ports := await self._read(device.OUTPUTS)) is not None:
                    found["outputs"] = device.read_outputs(ports)
                if (able := await self._read(device.DOORS)) is not None:
                    found["doors"] = device.read_doors(able)
            self._asked = self._clock.monotonic()
        except UnexpectedStatus as refused:
            # The stream's login was accepted just now: it is the right that is missing, or a challenge that was late.
            self._intake.count("inventory_failed")
            log.warning(
                "The device's lists may not be read; events may be without names, give the user the right to read them",
                source=self._intake.name,
                status=refused.answer.status,
            )
            self._asked = self._clock.monotonic()
        except (ConnectionLost, TimeoutError):
            self._intake.count("inventory_failed")
            self._asked = self._clock.monotonic() - FACTS_SECONDS + ASK_AGAIN_SECONDS
        if names:
            found["names"] = names
        return found

    async def _read(self, path: str) -> Tree | None:
        return device.read_answer(await self._client.request("GET", path, timeout=ASK_SECONDS))


def _wait(alert: Alert, first: Event) -> float | None:
    """The seconds to wait for the event's pictures; None where none follow."""
    if alert.pictures == 0:
        return None
    if alert.more:
        # The device is in a hurry, and will send the whole: the plate does not wait for its pictures.
        return UNCOUNTED_WAIT
    if alert.pictures:
        return COUNTED_WAIT
    if alert.pictures is None and alert.row.pictures and first.data["phase"] != "end":
        return UNCOUNTED_WAIT
    return None


def _form(sent: str | None, known: State) -> State:
    """The form of an access event's time, where it is another than the one that is known: a search goes by it."""
    form = form_of(sent)
    return {} if form is None or form == known.get(FORM) else {FORM: form}


def _timeless(tree: Tree) -> Tree:
    """The message but for its time."""
    return {**tree, "dateTime": None}


def _is_quiet(alert: Alert) -> bool:
    """True for the inactive form of what is a heartbeat where nothing active was before it."""
    return alert.kind in SILENT_WHEN_INACTIVE and alert.state == "inactive"


def _mime(part: Part) -> str | None:
    """What the bytes themselves say, else the header."""
    for magic, mime in _MAGIC:
        if part.body.startswith(magic):
            return mime
    kind = part.head.content_type
    return kind if kind.startswith("image/") else None
