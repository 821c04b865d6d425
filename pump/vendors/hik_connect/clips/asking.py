"""Clips of cameras' own recordings, asked for by rule (document, 5.5.1: video/save, video/download/url).

A clip that is wanted is a piece of state, stored in the put of its event. One task asks for it, behind the queues and
the logs; the vendor's answer becomes a second upload of the event, whose link the fetcher takes.

The document does not say that a second save of the same time is harmless. So it is noted on disk before a save is sent,
and one whose end nobody knows is not sent again: its clip is `media.failed`. Asking for the link may be repeated.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Any, Final
from zoneinfo import ZoneInfo

import structlog

from pump.core.backoff import Backoff
from pump.core.clock import Clock
from pump.core.errors import Unavailable
from pump.core.event import Event, Unparsed, event_id
from pump.core.failure import MISCONFIGURED_WAIT
from pump.core.groups import BOUNDS, Medium
from pump.core.text import bounded
from pump.ingest.fetch.results import failed
from pump.ingest.intake import Intake
from pump.spool import Fetch
from pump.vendors.common.api import UNREACHABLE, UNTRUSTED, Action, CallFailed
from pump.vendors.common.fields import text
from pump.vendors.common.values import member, whole
from pump.vendors.hik_connect.answers import ANSWERS
from pump.vendors.hik_connect.client import Client
from pump.vendors.hik_connect.clips.clip import Clip
from pump.vendors.hik_connect.limiter import CLIPS
from pump.vendors.hik_connect.settings import HikConnectSettings

log = structlog.get_logger()

PREFIX: Final = "clip/"
"""Begins the state keys of clips: `clip/<digest>/<event id>`."""
LOOK: Final = 1.0
"""Seconds, at the least, from one call to the next."""
SETTLE: Final = 15.0
"""Seconds that a device is given to record the end of a clip, before it is asked for."""
UPLOAD: Final = 5.0
"""Seconds from the save, or so, until its link is asked for the first time."""
LIFE: Final = 86400.0
"""Seconds after the event until a clip is given up."""
KEPT: Final = 3 * 86400.0
"""Seconds that a clip is remembered after its event: the vendor may give its message again (document, 1.2.2)."""
WAITING: Final = 500
"""Clips that may wait; beyond it events get none."""
_HOUR: Final = 3600.0
_CAMERA: Final = "camera/"
_SAVE: Final = "/api/hccgw/video/v1/video/save"
_LINK: Final = "/api/hccgw/video/v1/video/download/url"
_REFUSALS: Final = frozenset(
    ("OPEN000008", "OPEN000010", "OPEN000026", "OPEN000027", "CCF000001", "LAP000001", "VMS000001", "VMS000003")
)
"""Codes that speak of this one clip, its camera or its time: they will hardly change."""
_PATIENCE: Final = 3
"""Such refusals after which a clip is given up."""
_UPLOADED, _UPLOADING = 0, 1
_LOST: Final = {
    2: "the device could not upload it (is it on line, and does it record at that time?)",
    3: "it expired at the vendor before it was asked for",
    4: "it was deleted at the vendor",
}
"""By `status` of download/url (table 5-48)."""
_LATE: Final = 600_000
"""Milliseconds between a clip's end and its event's arrival beyond which it waits behind those of what happens now."""
_MOST_LINKS: Final = 8
_REPEATED: Final = ("code", "name", "severity", "incident", "device", "place")
"""What the second upload repeats of its event's data."""


class Clips:
    """One run's of the source. `run` is a task beside the queues'."""

    def __init__(
        self, settings: HikConnectSettings, *, account: str, intake: Intake, client: Client, clock: Clock
    ) -> None:
        """`account` is the digest that begins its state keys."""
        self._globs = settings.clips
        self._before = round(settings.clip_before * 1000)
        self._after = round(settings.clip_after * 1000)
        self._hourly = settings.clips_per_hour
        self._zone = settings.time_zone or ZoneInfo("UTC")
        self._prefix = f"{PREFIX}{account}/"
        self._intake = intake
        self._client = client
        self._clock = clock
        self._log = log.bind(source=intake.name)
        self._rng = random.Random()
        self._full = False
        self._paused = clock.monotonic()
        """No call before it."""
        self._known: dict[str, Clip] = {}
        self.take(intake.state(self._prefix))

    @property
    def needed(self) -> bool:
        """True where some event may want a clip, or one that was asked for is still remembered."""
        return bool(self._globs or self._known)

    # --- the queues' side ---------------------------------------------------------------------------------------------

    def wanted(self, items: Iterable[Event | Unparsed], *, late: bool = False) -> dict[str, Any]:
        """The state of the clips that these want, to be stored in their put and given to `take` after it.

        `late`: they were filled from a log; half of the places are left to what happens now.
        """
        found: dict[str, Any] = {}
        if not self._globs:
            return found
        room = (WAITING // 2 if late else WAITING) - self._waiting()
        for item in items:
            if not isinstance(item, Event) or item.data.get("phase") not in ("start", "pulse"):
                continue
            if item.id in self._known or not any(fnmatchcase(item.type, glob) for glob in self._globs):
                continue
            if item.subject is None or not item.subject.startswith(_CAMERA) or item.time is None:
                self._intake.count("clip without camera")
            elif len(found) >= room:
                self._intake.count("clip not asked")
                if not self._full:
                    self._full = True
                    self._log.warning("Too many clips wait; events get none until some have come", waiting=WAITING)
            else:
                found[self._prefix + item.id] = self._clip(item, item.subject, item.time).json()
        return found

    def _clip(self, event: Event, subject: str, time: datetime) -> Clip:
        at = int(time.timestamp() * 1000)
        data: dict[str, Any] = {name: event.data[name] for name in _REPEATED if name in event.data}
        return Clip(
            event.id, self._clock.now_ms(), camera=subject.removeprefix(_CAMERA), begin=at - self._before,
            end=at + self._after, lead=event.dedup_time_ms, type=event.type, time=time.isoformat(), data=data,
        )  # fmt: skip

    def take(self, stored: Mapping[str, Any]) -> None:
        """These are on disk: look after them from now on."""
        for key, value in stored.items():
            if not key.startswith(self._prefix):
                continue
            clip = Clip.load(key.removeprefix(self._prefix), value)
            if clip is not None:
                # Where the clock jumped it may lie far ahead: no clip is later than its own length and the pause.
                wait = (clip.end - self._clock.now_ms()) / 1000 + SETTLE
                clip.due = self._clock.monotonic() + min(max(wait, 0.0), self._after / 1000 + SETTLE)
                self._known[clip.id] = clip

    def _waiting(self) -> int:
        return sum(not clip.done for clip in self._known.values())

    # --- the vendor's side --------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """For ever: ask for what is due, one call at a time. Its own failures wait, and never stop a queue."""
        refused = Backoff(rng=self._rng)
        while True:
            try:
                await self._next()
                refused.reset()
                pause = LOOK
            except Unavailable as error:  # the spool: nothing that was not stored is taken for done
                self._intake.count("refused")
                pause = max(LOOK, refused.next(), error.retry_after or 0.0)
            except Exception:  # noqa: BLE001  # logged whole; it must not take the queues with it
                self._log.exception("The asking for clips met a bug; the queues go on")
                pause = MISCONFIGURED_WAIT
            await self._clock.sleep(pause)

    async def _next(self) -> None:
        now = self._clock.monotonic()
        due = [clip for clip in self._known.values() if not clip.done and clip.due <= now]
        waiting = self._waiting()
        self._full = self._full and waiting >= WAITING
        if self._globs or waiting:
            self._intake.component.details["clips"] = {"waiting": waiting}
        if not due or now < self._paused:
            return
        clip = min(due, key=lambda one: (one.recorded - one.end > _LATE, one.due))
        if self._age(clip.recorded) > LIFE:
            await self._give_up(clip, "the vendor did not give it within a day")
        elif clip.task:
            await self._ask_link(clip)
        elif clip.asked:
            await self._give_up(
                clip, "the vendor did not answer the request for it; look for it in the portal's playback"
            )
        elif sum(one.asked > 0 and self._age(one.asked) < _HOUR for one in self._known.values()) >= self._hourly:
            clip.due = now + _HOUR / 60
        else:
            await self._save(clip)

    def _age(self, ms: int) -> float:
        return self._clock.ages.age(ms) or 0.0

    async def _save(self, clip: Clip) -> None:
        async def sending() -> None:
            clip.asked = self._clock.now_ms()
            try:
                await self._keep(clip)
            except Unavailable:
                clip.asked = 0
                raise

        times = {"beginTime": self._stamp(clip.begin), "endTime": self._stamp(clip.end)}
        try:
            data = await self._client.call(CLIPS, _SAVE, {"cameraId": clip.camera, **times}, sending=sending)
        except CallFailed as failure:
            if clip.asked and not _not_taken(failure):
                clip.due = self._clock.monotonic()  # it is given up by the next look
                return
            clip.asked = 0
            await self._failed(clip, failure)
            if not clip.done:
                await self._keep(clip)
            return
        clip.task = (
            bounded(text(data, "taskId", "taskid", "taskID") or "", BOUNDS["link"]) if isinstance(data, dict) else ""
        )
        clip.due = self._clock.monotonic() + UPLOAD
        self._intake.count("clip asked")
        await self._keep(clip)

    async def _ask_link(self, clip: Clip) -> None:
        try:
            data = await self._client.call(CLIPS, _LINK, {"taskId": clip.task})
        except CallFailed as failure:
            await self._failed(clip, failure)
            return
        status = whole(member(data, "status"))
        if status in _LOST:
            await self._give_up(clip, _LOST[status])
            return
        urls = member(data, "urls")
        links = [url for url in urls if isinstance(url, str) and url] if isinstance(urls, list) else []
        if status != _UPLOADED or not links:
            if status != _UPLOADING:
                self._intake.count("clip retry")
            self._later(clip)
            return
        await self._settle(clip, self._upload(clip, data, links[:_MOST_LINKS]))
        self._intake.count("clip")

    def _upload(self, clip: Clip, data: Any, links: list[str]) -> Event:
        """The second upload of the event, with the clip's links."""
        identity = event_id("clip", clip.id)
        expires = whole(member(data, "expireTime"))
        media: list[Medium] = []
        for url in links:
            entry: Medium = {"id": f"{identity}/{len(media)}", "kind": "video", "mime": "video/mp4"}
            entry["url"], entry["state"] = bounded(url, BOUNDS["link"]), "remote"
            if expires is not None and 0 < expires < 1 << 42:
                entry["expires"] = datetime.fromtimestamp(expires / 1000, UTC).isoformat(timespec="seconds")
            media.append(entry)
        whole_data = {
            "vendor": "hik-connect", **clip.data, "phase": "update", "late": False, "update": True, "reconciled": False,
            "updates": clip.id, "media": media, "raw": data,
        }  # fmt: skip
        time = datetime.fromisoformat(clip.time) if clip.time else None
        return Event(
            clip.type, identity, whole_data, time, f"{_CAMERA}{clip.camera}", clip.lead, clocked=False, vouched=True
        )

    async def _give_up(self, clip: Clip, reason: str) -> None:
        facts: dict[str, Any] = {name: clip.data[name] for name in ("incident", "device", "place") if name in clip.data}
        facts |= {"subject": f"{_CAMERA}{clip.camera}", "medium": {"kind": "video"}}
        medium = f"{event_id('clip', clip.id)}/0"
        fetch = Fetch.of(self._intake.name, medium, clip.id, clip.lead, clip.recorded, facts)
        await self._settle(clip, failed(fetch, f"no clip of it: {reason}", self._clock.now()))
        self._intake.count("clip lost")
        self._log.warning(
            "A clip is lost; media.failed says so to whoever has its event", event_id=clip.id, reason=reason
        )

    async def _settle(self, clip: Clip, event: Event) -> None:
        """The clip's end and its event in one transaction, with what need not be remembered any longer."""
        old = [one for one in self._known.values() if one.done and self._age(one.recorded) > KEPT]
        after = Clip(clip.id, clip.recorded, asked=clip.asked, done=True)
        state = {self._prefix + one.id: None for one in old}
        await self._intake.put(event, state={**state, self._prefix + clip.id: after.json()})
        for one in old:
            del self._known[one.id]
        self._known[clip.id] = after
        clip.done = True

    async def _failed(self, clip: Clip, failure: CallFailed) -> None:
        """A call that came to nothing and may be repeated."""
        self._intake.count("clip retry")
        if failure.code in _REFUSALS:
            clip.refusals += 1
            if clip.refusals >= _PATIENCE:
                await self._give_up(clip, str(failure))
                return
        self._later(clip)
        if failure.answer.action is Action.MISCONFIGURED:  # so it is for every camera's clips
            self._paused = self._clock.monotonic() + MISCONFIGURED_WAIT
            self._log.error("Clips need a person's help", reason=str(failure), wait_s=MISCONFIGURED_WAIT)
            return
        clip.due = max(clip.due, self._clock.monotonic() + (failure.retry_after or 0.0))
        self._log.warning("A clip could not be asked for and will be again", reason=str(failure), event_id=clip.id)

    def _later(self, clip: Clip) -> None:
        clip.backoff = clip.backoff or Backoff(UPLOAD, 600.0, self._rng)
        clip.due = self._clock.monotonic() + max(UPLOAD, clip.backoff.next())

    async def _keep(self, clip: Clip) -> None:
        await self._intake.put(state={self._prefix + clip.id: clip.json()})

    def _stamp(self, ms: int) -> str:
        return datetime.fromtimestamp(ms / 1000, UTC).astimezone(self._zone).isoformat(timespec="seconds")


def _not_taken(failure: CallFailed) -> bool:
    """True where the vendor has refused the call, or never had it."""
    return failure.code in ANSWERS or failure.code.startswith("HTTP 4") or failure.answer in (UNREACHABLE, UNTRUSTED)
