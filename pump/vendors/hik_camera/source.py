"""The alertStream of one device: the life of the source."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from pump.commands.calls import RawAnswer, RawCall
from pump.commands.contract import Command, CommandResult, Target
from pump.commands.trial import Trial
from pump.core.clock import Clock
from pump.core.errors import Refusal, Unavailable
from pump.ingest.fetch.access import PictureAccess
from pump.ingest.fetch.device import DeviceLogin, DeviceParts
from pump.ingest.gaps import SourceGaps
from pump.ingest.intake import Intake
from pump.ingest.recording.fields import RecordedFields
from pump.ingest.stream.client import device_client
from pump.ingest.stream.connection import StreamOptions
from pump.ingest.stream.intake import StreamIntake
from pump.ingest.stream.lockout import LoginLockout
from pump.ingest.stream.multipart.parts import Limits
from pump.ingest.stream.stream import Stream
from pump.source import Source
from pump.vendors.common import hik_cid
from pump.vendors.hik_camera import access, codes, device, fields, readings
from pump.vendors.hik_camera.backfill.filler import Filler
from pump.vendors.hik_camera.backfill.rows import TYPE
from pump.vendors.hik_camera.backfill.search import AcsSearch
from pump.vendors.hik_camera.control import CALLS, Commanded, Control
from pump.vendors.hik_camera.device import advise
from pump.vendors.hik_camera.document import read_document
from pump.vendors.hik_camera.handler import CameraHandler
from pump.vendors.hik_camera.settings import HikCameraSettings
from pump.vendors.hik_camera.trial import try_out

_PART: Final = 1 << 20
"""Bytes of a message: they are a few KB."""
_JUDGED: Final = (
    "application/json", "application/xml", "text/xml", "text/json", "text/plain", "text/html", "",
)  # fmt: skip


@dataclass(slots=True, frozen=True)
class _Parts:
    """What the first run makes of the settings, and later ones take up."""

    stream: Stream
    control: Control
    search: AcsSearch
    filler: Filler | None
    """None where the settings keep no access events."""


_PERSONAL: Final = "employeenostring useridstring"
_KEPT: Final = "serialno frontserialno activepostcount eventdescription detectiontarget signalstrength"

FIELDS: Final = RecordedFields(
    personal=frozenset(_PERSONAL.split()),
    kept=frozenset(_KEPT.split()),
    tables=(codes, hik_cid, access, device, fields, readings),
)
"""Fields that a recording replaces or keeps where the general rule cannot know (pump/ingest/recording/fields.py)."""


class HikCamera(Source[HikCameraSettings]):
    """Reads GET /ISAPI/Event/notification/alertStream for as long as the device has it.

    Its state in the spool: `device`, what the device says of itself; `matter/...`, what has begun and not ended;
    `ended/...`, what has; `record/...`, what came with a UUID; `alarm/...`, a panel's newest alarms, for their clips;
    `stream/rejected`, after a rejected password; `search/form`, how it writes times of access events; `search/gap/...`,
    how far a gap's search has come.
    """

    Settings = HikCameraSettings
    recorded = FIELDS
    numbers_itself = True

    def __init__(self, name: str, settings: HikCameraSettings, clock: Clock) -> None:
        super().__init__(name, settings, clock)
        self._parts: _Parts | None = None
        self._device: DeviceParts | None = None
        self._gaps: SourceGaps | None = None

    def pictures(self) -> PictureAccess:
        """Links to the device itself (`bkgUrl` and its like), opened with its login."""
        login = DeviceLogin(lambda: self._device, self.clock)
        return PictureAccess(own=self.settings.url, login=login.open)

    async def run(self, intake: Intake) -> None:
        """As Source.run. Raises Misconfigured for a rejected password and an unusable `ca`."""
        if self._parts is None:
            self._parts = self._make(intake)
        self._gaps = intake.gaps
        if (filler := self._parts.filler) is None:
            await self._parts.stream.run()
            return
        intake.gaps.fills()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(filler.run(), name=f"source {self.name} backfill")
                group.create_task(self._parts.stream.run(), name=f"source {self.name} stream")
        except ExceptionGroup as failures:
            if len(failures.exceptions) == 1:
                raise failures.exceptions[0] from None
            raise

    def hurry(self) -> None:
        """A password that was rejected may be tried again now."""
        if self._parts is not None:
            self._parts.stream.hurry()
            self._parts.control.hurry()
            self._parts.search.hurry()

    async def backfill(
        self, since: datetime, until: datetime, report: Callable[[dict[str, Any]], Awaitable[None]]
    ) -> dict[str, Any]:
        """See `pump.ops.backfill.Backfillable`; a device without a search leaves the record unfillable."""
        if self._parts is None or self._gaps is None:
            raise Refusal(f"the source {self.name} has not run yet: pump status")
        if (filler := self._parts.filler) is None:
            raise Refusal(
                f"`events` of the source {self.name} leaves out AccessControllerEvent, which alone is searched"
            )
        return await self._gaps.by_hand(since, until, filler.looked, report)

    def targets(self) -> Iterable[Target]:
        """As Source.targets, by the device's own lists."""
        return self._commanded.targets()

    def verbs(self, target: str) -> Collection[str]:
        """As Source.verbs; also of parts that no list names, where the device gave none."""
        part = self._commanded.part(target)
        return CALLS[part[0]] if part is not None else ()

    async def command(self, command: Command) -> CommandResult:
        """As Source.command; "done" is a ResponseStatus that says so, and a picture that is stored."""
        part = self._commanded.part(command.target)
        if part is None or command.verb not in CALLS[part[0]]:
            raise Refusal("the device has no such part")
        if self._parts is None:
            raise Unavailable("the source does not run yet; ask again when it does")
        return await self._parts.control.do(command, part)

    async def call(self, command: Command, call: RawCall) -> RawAnswer:
        """As Source.call, with the device's digest login."""
        if self._parts is None:
            raise Unavailable("the source does not run yet; ask again when it does")
        return await self._parts.control.call(command, call)

    @property
    def _commanded(self) -> Commanded:
        return Commanded({}, self.qualifier) if self._parts is None else self._parts.control.commanded(self.qualifier)

    async def try_out(self, trial: Trial) -> None:
        """As Source.try_out."""
        await try_out(device_client(self.settings), self.settings, self.clock, trial)

    def _make(self, intake: Intake) -> _Parts:
        settings = self.settings
        password = settings.password.get_secret_value()
        link = device_client(settings, intake.count, intake.tap)
        lockout = LoginLockout(self.clock, (settings.url, settings.username, password))
        self._device = DeviceParts(link, lockout, lambda answer: advise(answer).reason)
        store = StreamIntake(intake, self.clock)
        handler = CameraHandler(
            store,
            link,
            clock=self.clock,
            zone=settings.time_zone or ZoneInfo("UTC"),
            event_timeout=settings.event_timeout,
            wanted=frozenset(kind.lower() for kind in settings.events),
            url=settings.url,
            qualifier=self.qualifier,
        )
        stream = Stream(
            store,
            link,
            handler,
            clock=self.clock,
            lockout=lockout,
            options=StreamOptions(
                heartbeat_timeout=settings.heartbeat_timeout,
                judges=dict.fromkeys(_JUDGED, read_document),
                limits=Limits(part=_PART, picture=settings.max_picture),
            ),
        )
        search = AcsSearch(link, lockout, store, self.clock)
        kept = not settings.events or TYPE.lower() in {kind.lower() for kind in settings.events}
        filler = Filler(store, search, handler, clock=self.clock, zone=settings.time_zone or ZoneInfo("UTC"))
        return _Parts(stream, Control(link, lockout, store, self.clock), search, filler if kept else None)
