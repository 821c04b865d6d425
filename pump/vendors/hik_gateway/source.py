"""The Device Gateway as a source: one subscription, kept alive (document, 6.1)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from hashlib import blake2b
from typing import Any, Final

import structlog

from pump.backoff import Backoff
from pump.clock import Clock
from pump.errors import Unavailable
from pump.intake import Intake
from pump.source import Source
from pump.vendors.hik_gateway import inventory
from pump.vendors.hik_gateway.answers import REJECTED_WAIT, Rejected, Trouble
from pump.vendors.hik_gateway.client import Client
from pump.vendors.hik_gateway.codes import OTHER, REFUSED, Advice
from pump.vendors.hik_gateway.incidents import PREFIX, Incidents
from pump.vendors.hik_gateway.link import Link, Renew
from pump.vendors.hik_gateway.parse import Context, Device
from pump.vendors.hik_gateway.settings import HikGatewaySettings
from pump.vendors.hik_gateway.subscription import Granted, Wanted

log = structlog.get_logger()

_STOPPING: Final = 3.0
"""Seconds that closing the subscription may take when the daemon stops."""
_CALL: Final = 10.0
"""Seconds that a call beside the stream, or a connection's making, may take."""
_AGAIN: Final = 60.0
"""Seconds after which a failed inventory is asked for again."""
_SLACK: Final = 60.0
"""Seconds of silence, above two time-outs, after which the source counts as stalled."""


class HikGateway(Source[HikGatewaySettings]):
    """Reads one gateway's stream for as long as the task lives.

    Its state in the spool: `incident/<matter>`, the open alarms; `inventory`, the devices' names; `rejected`, until
    when a password that was not taken is not tried again (with a digest of it, so that a new one is tried at once).
    """

    Settings = HikGatewaySettings

    def __init__(self, name: str, settings: HikGatewaySettings, clock: Clock) -> None:
        super().__init__(name, settings, clock)
        self.wanted = Wanted(settings.events, dict(settings.devices) if settings.by_device else None)
        self._link: Link | None = None
        self._context = Context(zone=settings.time_zone or UTC, url=settings.url)
        self._lost: datetime | None = None
        self._reason = ""
        self._ran = False
        self._failed: dict[str, datetime] = {}
        """Devices that the gateway could not subscribe, and since when that is known."""
        self._waits: dict[Advice, Backoff] = {}
        self._login_after = 0.0
        """Monotonic seconds before which a rejected password is not tried again, by whatever call."""

    async def run(self, intake: Intake) -> None:
        """As Source.run; returns only by cancellation, which closes the subscription: few are to be had."""
        if not self._ran:
            self._ran, self._lost, self._reason = True, intake.last_activity, "the pump was not running"
        intake.component.expects = 2 * self.settings.heartbeat_timeout + _SLACK
        intake.component.details = {"mode": "all" if self.wanted.devices is None else "device", "devices": {}}
        self._context.devices = inventory.from_state(intake.state("inventory").get("inventory", {}))
        incidents = Incidents(intake.state(PREFIX))
        await self._wait_rejected(intake)
        async with Client(self.settings, timeout=_CALL, count=intake.count) as client:
            while True:
                try:
                    await self._live(client, intake, incidents)
                except Trouble as trouble:
                    await self._wait(trouble, client, intake)

    async def change(
        self, *, events: tuple[str, ...] | None = None, devices: Mapping[str, tuple[str, ...]] | None = None
    ) -> None:
        """Want other events from now on. Raises Trouble where the gateway refuses.

        With eventMode device a changed list of devices is told device by device, for as long as the link stands;
        anything else makes a new subscription, with a gap of the time between.
        """
        before, link = self.wanted, self._link
        before_devices = dict(before.devices or {})
        again = (devices is not None and before.devices is None) or (events is not None and events != before.events)
        if events is not None:
            before.events = events
        if devices is not None:
            before.devices = dict(devices)
        if link is None or not link.up:
            return
        if again or link.subscription is None:
            link.renew()
            return
        for index in before_devices.keys() - (before.devices or {}).keys():
            await link.drop(index)
        for index, types in (before.devices or {}).items():
            if before_devices.get(index) != types:
                await link.add(index)

    # --- the link -------------------------------------------------------------------------------------------------

    async def _live(self, client: Client, intake: Intake, incidents: Incidents) -> None:
        if self.settings.by_device and not self.settings.devices and not self.wanted.devices:
            await self._refresh(client, intake)
        link: Link

        async def on_up(answer: Granted) -> None:
            await self._up(link, intake, answer)
            if not self._context.devices:
                # Its first events would be without names; they wait in the socket meanwhile.
                try:
                    await self._refresh(client, intake)
                except Trouble as trouble:
                    log.warning("The device list could not be read", source=self.name, why=trouble.reason)
                    if isinstance(trouble, Rejected):
                        await self._note_rejected(trouble, intake)

        async def upkeep() -> None:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._keep_inventory(client, intake, link))
                if self.wanted.devices is not None and link.subscription is not None:
                    group.create_task(self._keep_status(intake, link))

        link = self._link = Link(
            client,
            intake,
            self.clock,
            wanted=self.wanted,
            context=self._context,
            incidents=incidents,
            timeout=self.settings.heartbeat_timeout,
            on_up=on_up,
            upkeep=upkeep,
        )
        try:
            await link.live()
        except asyncio.CancelledError:
            # The gateway would keep the subscription's place until it notices; a stop has a deadline, so this too.
            await self._leave(link)
            raise
        except Exception as error:
            if link.alive is not None and self._lost is None:
                self._lost = link.alive
                self._reason = error.reason if isinstance(error, Trouble) else "the source failed"
            if isinstance(error, Renew):
                await self._leave(link)
            raise
        finally:
            self._link = None
            link.shut()
            if link.carried:
                self._waits.clear()

    async def _leave(self, link: Link) -> None:
        try:
            async with asyncio.timeout(_STOPPING):
                await link.close()
        except (Trouble, TimeoutError) as error:
            log.warning("The subscription could not be closed", source=self.name, why=str(error) or "it took too long")

    async def _up(self, link: Link, intake: Intake, answer: Granted) -> None:
        intake.up()
        now = self.clock.now()
        intake.component.details["subscription"] = answer.id
        if self._lost is not None:
            await link.store(partial(intake.gap, min(self._lost, now), now, self._reason))
            self._lost = None
        if intake.state("rejected"):
            await link.store(partial(intake.put, state={"rejected": None}))
        await self._tell_failed(link, intake, dict(answer.failed))

    async def _tell_failed(self, link: Link, intake: Intake, failed: dict[str, str]) -> None:
        """Each device that is not subscribed is a gap that begins, and again one that has ended when it is back."""
        now = self.clock.now()
        told = intake.component.details["devices"] = {}
        for index, since in list(self._failed.items()):
            if index not in failed:
                del self._failed[index]
                await link.store(partial(intake.gap, since, now, f"the device {index} was not subscribed"))
        for index, why in failed.items():
            told[index] = f"not subscribed: {why}"
            if index in self._failed:
                continue
            self._failed[index] = now
            intake.count("device_failed")
            await link.store(partial(intake.gap, now, now, f"the device {index} is not subscribed: {why}"))

    # --- beside the stream ----------------------------------------------------------------------------------------

    async def _keep_inventory(self, client: Client, intake: Intake, link: Link) -> None:
        while True:
            fresh = await self._try_refresh(client, intake)
            if fresh and self.settings.by_device and not self.settings.devices:
                await self._follow(link, intake)
            await self.clock.sleep(_AGAIN)
            if fresh:
                await self._until(link.strange, self.settings.inventory_interval - _AGAIN)
            link.strange.clear()

    async def _until(self, event: asyncio.Event, seconds: float) -> None:
        """Sleep, but wake when the event is set."""
        async with asyncio.TaskGroup() as group:
            sleep = group.create_task(self.clock.sleep(max(0.0, seconds)))
            wait = group.create_task(event.wait())
            await asyncio.wait((sleep, wait), return_when=asyncio.FIRST_COMPLETED)
            sleep.cancel()
            wait.cancel()

    async def _keep_status(self, intake: Intake, link: Link) -> None:
        while True:
            await self.clock.sleep(self.settings.status_interval)
            await self._until_login()
            try:
                failed = await link.broken()
            except Trouble as trouble:
                await self._beside_failed(intake, "The subscription's status is not known", trouble)
                continue
            await self._tell_failed(link, intake, failed)

    async def _follow(self, link: Link, intake: Intake) -> None:
        """Subscribe to what the inventory gained, and let go what it lost, where no list is configured."""
        known, wanted = self._context.devices, self.wanted.devices or {}
        if known.keys() == wanted.keys():
            return
        try:
            await self.change(devices=dict.fromkeys(known, ()))
        except Trouble as trouble:
            await self._beside_failed(intake, "A device's subscription could not be changed", trouble)

    async def _try_refresh(self, client: Client, intake: Intake) -> bool:
        await self._until_login()
        try:
            await self._refresh(client, intake)
        except Trouble as trouble:
            await self._beside_failed(intake, "The device list could not be read", trouble)
            return False
        return True

    async def _beside_failed(self, intake: Intake, what: str, trouble: Trouble) -> None:
        """A call beside the stream failed: the stream is left alone, and a password that is not taken any more too."""
        intake.count("retry")
        log.warning(what, source=self.name, why=trouble.reason)
        if isinstance(trouble, Rejected):
            await self._note_rejected(trouble, intake)

    async def _until_login(self) -> None:
        """Wait until a rejected password may be tried again."""
        while (rest := self._login_after - self.clock.monotonic()) > 0:
            await self.clock.sleep(rest)

    async def _refresh(self, client: Client, intake: Intake) -> None:
        known: dict[str, Device] = dict(self._context.devices)
        found = await inventory.fetch(client, known)
        if self.settings.by_device and not self.settings.devices and not self.wanted.devices:
            self.wanted.devices = dict.fromkeys(found, ())
        if found == known:
            return
        self._context.devices = found
        try:
            await intake.put(state={"inventory": inventory.to_state(found)})
        except Unavailable:
            log.warning("The spool refuses to keep the device list; it is asked for again", source=self.name)

    # --- waiting --------------------------------------------------------------------------------------------------

    async def _wait(self, trouble: Trouble, client: Client, intake: Intake) -> None:
        intake.count("reconnect")
        if isinstance(trouble, Renew):
            return
        wait = trouble.wait if trouble.wait is not None else self._next(trouble.advice)
        intake.down(trouble.reason)
        if isinstance(trouble, Rejected):
            await self._note_rejected(trouble, intake)
        await self.clock.sleep(max(wait, self._login_after - self.clock.monotonic()))

    async def _note_rejected(self, trouble: Rejected, intake: Intake) -> None:
        """Remember until when not to log in, over restarts too."""
        intake.count("rejected")
        wait = trouble.wait or REJECTED_WAIT
        self._login_after = self.clock.monotonic() + wait
        until = self.clock.now() + timedelta(seconds=wait)
        state = {"rejected": {"credentials": self._credentials(), "until": until.isoformat()}}
        try:
            await intake.put(state=state)
        except Unavailable:
            log.warning("The spool refuses to keep when the next login may be", source=self.name)

    def _next(self, advice: Advice) -> float:
        """Seconds to wait. Plain failures and refused connections come back at once or nearly; others when told."""
        waits = self._waits.get(advice)
        if waits is None:
            waits = self._waits[advice] = Backoff(advice.first, advice.cap)
        if advice in (OTHER, REFUSED):
            return waits.next()
        least = waits.limit
        return least + 0.1 * min(waits.next(), least)

    async def _wait_rejected(self, intake: Intake) -> None:
        """A restart is no reason to try a rejected password again before its time."""
        stored: Any = intake.state("rejected").get("rejected")
        if not isinstance(stored, dict) or stored.get("credentials") != self._credentials():
            return
        try:
            rest = (datetime.fromisoformat(str(stored.get("until"))) - self.clock.now()).total_seconds()
        except (ValueError, TypeError):
            return
        if rest > 0:
            intake.down(f"the gateway rejected the user name or the password; the next attempt is in {rest:.0f} s")
            await self.clock.sleep(rest)

    def _credentials(self) -> str:
        settings = self.settings
        text = f"{settings.url}\0{settings.username}\0{settings.password.get_secret_value()}"
        return blake2b(text.encode(), digest_size=16).hexdigest()
