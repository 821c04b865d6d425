"""The subscription that stands: its number, its devices, and the gateway's list of them, kept beside the stream."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

import anyio
import structlog

from pump.core.clock import Clock
from pump.core.errors import anew, bare
from pump.core.tasks import first_of
from pump.ingest.stream.handler import Batch
from pump.ingest.stream.intake import StreamIntake
from pump.ingest.stream.lockout import LoginLockout
from pump.spool import Gap
from pump.vendors.common.hik_alarms import ALARM
from pump.vendors.hik_gateway import inventory
from pump.vendors.hik_gateway.answers import Away, Rejected, Trouble
from pump.vendors.hik_gateway.client import Client
from pump.vendors.hik_gateway.incidents import PREFIX, Incidents
from pump.vendors.hik_gateway.panels import PREFIX as PANELS
from pump.vendors.hik_gateway.panels import PanelStates
from pump.vendors.hik_gateway.panels import read as read_panel
from pump.vendors.hik_gateway.parse import Context
from pump.vendors.hik_gateway.presence import PREFIX as STATUS
from pump.vendors.hik_gateway.presence import Presence
from pump.vendors.hik_gateway.settings import HikGatewaySettings
from pump.vendors.hik_gateway.subscription import Granted, Wanted

log = structlog.get_logger()

_SETTLED: Final = 20.0
"""Seconds of a link after which the panels are read: what they send of themselves comes first."""
_BEHIND: Final = 10.0
"""Seconds after which a panel that has sent something is read again."""
ALARM_DEVICE: Final = "alarm device"
"""The category of a device that is a panel."""
_AGAIN: Final = 60.0
"""Seconds after which a failed inventory is asked for again."""


class Subscriber:
    """One gateway's. What is known and wanted outlives the link; `number` does not.

    What it learns beside the stream it stores itself, and waits, as the stream does, for a spool that refuses.
    """

    def __init__(
        self,
        settings: HikGatewaySettings,
        wanted: Wanted,
        client: Client,
        *,
        clock: Clock,
        lockout: LoginLockout,
        store: StreamIntake,
    ) -> None:
        self.wanted = wanted
        self.renewal = asyncio.Event()
        """Set where another subscription is needed, and so another link."""
        self.context = Context(zone=settings.time_zone or UTC, url=settings.url)
        self.incidents = Incidents({})
        self.presence = Presence()
        self.panels = PanelStates()
        self.number: str | None = None
        """The subscription's at the gateway, which closing and changing it needs; None: there is none, or none told."""
        self.strange = asyncio.Event()
        """An event named a device that the inventory does not know."""
        self._settings = settings
        self._clock = clock
        self._client = client
        self._lockout = lockout
        self._store = store
        self._intake = store.intake
        self._failed: dict[str, datetime] = {}
        """Devices that the gateway could not subscribe, and since when that is known."""
        self._changing = asyncio.Lock()

    @property
    def follows(self) -> bool:
        """Whether the devices to subscribe to are those of the gateway's list."""
        return self._settings.by_device and not self._settings.devices

    def load(self) -> None:
        """Take up what the spool has, and show in /status what is wanted. Called at the start of each run."""
        intake = self._intake
        intake.component.details = {"mode": self.wanted.told()["mode"], "devices": {}}
        self.context.devices = inventory.from_state(intake.state("inventory").get("inventory", {}))

    def begin(self) -> None:
        """Take up, for a new link, what is stored of open matters and of who is online."""
        intake = self._intake
        self.incidents = Incidents(intake.state(PREFIX) | intake.state(ALARM), self.incidents)
        self.presence.load(intake.state(STATUS))
        self.panels.load(intake.state(PANELS))

    async def prepare(self) -> None:
        """Know the devices, where a subscription needs their names. Raises Trouble."""
        if self.follows and not self.wanted.devices:
            try:
                await self._refresh()
            except (Away, Rejected):
                raise
            except Trouble as trouble:
                if not self.context.devices:
                    raise
                self._beside_failed("The device list could not be read; the stored one serves", trouble)
            self.wanted.devices = self.wanted.of(self.context.devices)

    async def granted(self, answer: Granted) -> None:
        """The gateway has subscribed us, all devices but those of its FailList."""
        self._intake.component.details["subscription"] = answer.id
        await self._tell_failed(dict(answer.failed))
        if not self.context.devices:
            # The first events would be without names; they wait in the socket meanwhile.
            try:
                await self._refresh()
            except Trouble as trouble:
                self._beside_failed("The device list could not be read", trouble)

    async def leave(self) -> None:
        """Close the subscription: the gateway would keep its place until it notices. What fails is logged."""
        number, self.number = self.number, None
        if number is None:
            return
        try:
            await self._client.unsubscribe(number)
        except Trouble as trouble:
            log.warning("The subscription could not be closed", source=self._intake.name, why=trouble.reason)

    async def run(self) -> None:
        """Keep the inventory and, with eventMode device, the devices' subscriptions; for ever."""
        async with anyio.create_task_group() as group:
            group.start_soon(self._keep_inventory, name="inventory of the gateway")
            group.start_soon(self._keep_panels, name="panels of the gateway")
            if self.wanted.devices is not None and self.number is not None:
                group.start_soon(self._keep_status, self.number, name="status of the subscription")

    # --- what is wanted -------------------------------------------------------------------------------------------

    async def change(
        self, *, events: tuple[str, ...] | None = None, devices: Mapping[str, tuple[str, ...]] | None = None
    ) -> bool:
        """Want other events from now on; whether that takes a new subscription. Raises Trouble.

        With eventMode device a changed list of devices is told device by device, for as long as the link stands;
        what the gateway refuses to add stays as it was. Anything else makes a new subscription, with a gap of the
        time between.
        """
        async with self._changing:
            wanted, number = self.wanted, self.number
            again = (devices is not None and wanted.devices is None) or (events is not None and events != wanted.events)
            if events is not None:
                wanted.events = events
            if again or (devices is not None and number is None):
                if devices is not None:
                    wanted.devices = dict(devices)
                self.renewal.set()
                return True
            if devices is not None and number is not None:
                try:
                    await self._change_devices(number, devices)
                except Trouble:
                    if self.number == number:
                        raise
                    # The link was lost meanwhile: who knows what the next one's order said.
                    wanted.devices = dict(devices)
                    self.renewal.set()
                    return True
            return False

    async def _change_devices(self, number: str, devices: Mapping[str, tuple[str, ...]]) -> None:
        before = self.wanted.devices or {}
        now = self.wanted.devices = dict(before)
        troubles: list[Trouble] = []

        async def told(call: Awaitable[None]) -> bool:
            try:
                await call
            except Trouble as trouble:
                troubles.append(bare(trouble))  # the other devices are none the worse for it
                return False
            return True

        for index in before.keys() - devices.keys():
            del now[index]
            await told(self._client.drop(number, index))
        for index, types in devices.items():
            if before.get(index) == types:
                continue
            now[index] = types
            if not await told(self._client.add(number, index, self.wanted)):
                del now[index]
                now |= {index: before[index]} if index in before else {}
        if troubles:
            raise anew(troubles[0])

    async def _follow(self) -> None:
        """Subscribe to what the inventory gained, and let go what it lost, where no list is configured."""
        devices = self.wanted.of(self.context.devices)
        if devices.keys() != (self.wanted.devices or {}).keys():
            try:
                await self.change(devices=devices)
            except Trouble as trouble:
                self._beside_failed("A device's subscription could not be changed", trouble)

    # --- beside the stream ----------------------------------------------------------------------------------------

    async def _keep_inventory(self) -> None:
        while True:
            fresh = await self._try("The device list could not be read", self._refresh)
            if fresh and self.follows:
                await self._follow()
            await self._clock.sleep(_AGAIN)
            if fresh:
                rest = max(0.0, self._settings.inventory_interval - _AGAIN)
                await first_of(self._clock.sleep(rest), self.strange.wait())
            self.strange.clear()

    async def _keep_status(self, number: str) -> None:
        async def ask() -> None:
            await self._tell_failed(await self._client.broken(number))

        while True:
            await self._clock.sleep(self._settings.status_interval)
            await self._try("The subscription's status is not known", ask)

    async def _keep_panels(self) -> None:
        """Read every panel once the link has stood for a moment, and from then on those that have sent something."""
        await self._clock.sleep(_SETTLED)
        gaps = await self._intake.gaps.open() if self._intake.gaps.waiting else []
        panels = [index for index, device in self.context.devices.items() if device.category == ALARM_DEVICE]
        unread = await self._read_panels(panels, gaps[0] if gaps else None, unseen=True)
        await self._store.fill(None, (), self.panels.forget(panels))
        read = len(panels) - unread
        notes = f"by the states of {read} panels and the device list; what came and went between is not known"
        if unread:
            notes = f"{notes}; {unread} of the {len(panels)} panels could not be read"
        for gap in gaps:
            await self._store.fill(gap, (), become="filled" if read and not unread else "unfillable", notes=notes)
        while True:
            await self._clock.sleep(_BEHIND)
            await self._read_panels([index for index in panels if index in self.panels.dirty], None, unseen=False)

    async def _read_panels(self, indexes: Sequence[str], gap: Gap | None, *, unseen: bool) -> int:
        """Read these; what nobody reported is an event, where `unseen`. How many could not be read."""
        failed = 0
        for index in indexes:

            async def ask(index: str = index) -> None:
                reading = await read_panel(self._client, index)
                moment = self._clock.now().isoformat()
                events, state = self.panels.compare(index, reading, self.context, moment, unseen=unseen)
                if events:
                    self._intake.count("reconciled", len(events))
                if events or state:
                    await self._store.fill(gap, events, state)

            if not await self._try("A panel's state could not be read", ask):
                self.panels.dirty.discard(index)
                failed += 1
        return failed

    async def _try(self, what: str, call: Callable[[], Awaitable[None]]) -> bool:
        """Call when the password may be tried; `what` is said where it fails."""
        while (left := self._lockout.left) > 0:
            await self._clock.sleep(left)
        try:
            await call()
        except Trouble as trouble:
            self._beside_failed(what, trouble)
            return False
        return True

    def _beside_failed(self, what: str, trouble: Trouble) -> None:
        """A call beside the stream failed: the stream is left alone."""
        self._intake.count("retry")
        log.warning(what, source=self._intake.name, why=trouble.reason)

    async def _refresh(self) -> None:
        """Ask for the devices; what changed is stored, and a status that nobody reported is an event. Raises Trouble.

        Where the spool refuses it waits, as the stream does.
        """
        known, words = dict(self.context.devices), self.presence.words
        found, rows = await inventory.fetch(self._client, known)
        self.context.devices = found
        unseen, state = self.presence.compare(rows, words, self.context, self._clock.now().isoformat())
        for parsed in unseen:
            self.incidents.note(parsed, state)
            self._intake.count("reconciled")
        if found != known:
            state["inventory"] = inventory.to_state(found)
        if state:
            await self._store.store(Batch([parsed.event for parsed in unseen], state))

    async def _tell_failed(self, failed: dict[str, str]) -> None:
        """Each device that is not subscribed is a gap that begins, and again one that has ended when it is back."""
        intake, now = self._intake, self._clock.now()
        told = intake.component.details["devices"] = {}
        for index, since in list(self._failed.items()):
            if index not in failed:
                del self._failed[index]
                await self._store.gap(since, now, f"the device {index} was not subscribed")
        for index, why in failed.items():
            told[index] = f"not subscribed: {why}"
            if index in self._failed:
                continue
            self._failed[index] = now
            intake.count("device_failed")
            await self._store.gap(now, now, f"the device {index} is not subscribed: {why}")
