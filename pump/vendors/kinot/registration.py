"""The addresses that Kinot sends its callbacks to: read, compared, set, and read again (document, "Subscribe").

An account has one address for each device type. Whoever sets it takes the callbacks from whoever had them, and nobody
is informed; so the registration is looked at again and again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import structlog

from pump.core.clock import Clock
from pump.ingest.intake import Intake
from pump.vendors.common.api import Action, CallFailed
from pump.vendors.kinot.client import SPELLINGS, Client
from pump.vendors.kinot.codes import REGISTERED

log = structlog.get_logger()


LOOK_EVERY: Final = 600.0
"""Seconds from one look at the registration to the next."""


class CallbackRegistration:
    """One source's callback addresses, and when they are to be looked at again."""

    def __init__(self, base: str, clock: Clock, *, takes: bool) -> None:
        """Callbacks belong to `base`/status and `base`/command. `takes`: they are taken (back); else only reported."""
        self.status, self.command = f"{base}/status", f"{base}/command"
        self._takes = takes
        self._clock = clock
        self._due = clock.monotonic()
        self._ours: set[int] = set()
        """Device types that were seen registered here."""
        self._elsewhere: dict[int, str] = {}
        """Device type to the address that its callbacks go to instead."""

    @property
    def wait(self) -> float:
        """Seconds until the next look."""
        return max(0.0, self._due - self._clock.monotonic())

    def suspect(self) -> None:
        """Devices change and no callback comes: the next look is at once."""
        self._due = self._clock.monotonic()

    async def look(self, client: Client, intake: Intake) -> None:
        """Read where callbacks of locks and sensors go, and take or report what goes elsewhere. Raises CallFailed."""
        for device_type in REGISTERED:
            found = await client.notification(device_type)
            if self.same(found):
                self._here(device_type, intake)
            elif self._takes:
                await self._take(client, device_type, found, intake)
            else:
                self._report(device_type, found, intake)
        self._due = self._clock.monotonic() + LOOK_EVERY

    async def _take(self, client: Client, device_type: int, found: Mapping[str, Any] | None, intake: Intake) -> None:
        """Set the addresses. Raises CallFailed.

        The key of the second address is spelled in two ways; a platform that does not take the one is given the other.
        """
        if device_type in self._ours:
            intake.count("callbacks taken back")
            log.warning(
                "Another client took over Kinot's callbacks; they are taken back",
                source=intake.name,
                device_type=device_type,
                went_to=address_of(found),
            )
        for spelling in SPELLINGS:
            try:
                await client.set_notification(device_type, self.status, self.command, spelling)
            except CallFailed as failure:
                if failure.answer.action is Action.MISCONFIGURED or spelling == SPELLINGS[-1]:
                    raise
                continue
            if self.same(await client.notification(device_type)):
                self._ours.add(device_type)
                log.info(
                    "Kinot sends its callbacks here", source=intake.name, device_type=device_type, status=self.status
                )
                break
        else:
            log.warning("Kinot does not keep the callback addresses", source=intake.name, device_type=device_type)

    def _report(self, device_type: int, found: Mapping[str, Any] | None, intake: Intake) -> None:
        address = address_of(found)
        if self._elsewhere.get(device_type) == address:
            return
        self._elsewhere[device_type] = address
        intake.count("callbacks elsewhere")
        self._show(intake)
        log.warning(
            "Kinot does not send its callbacks here; changes are found by snapshots alone",
            source=intake.name,
            device_type=device_type,
            go_to=address,
            wanted=self.status,
        )

    def _here(self, device_type: int, intake: Intake) -> None:
        self._ours.add(device_type)
        if self._elsewhere.pop(device_type, None) is not None:
            self._show(intake)
            log.info("Kinot sends its callbacks here again", source=intake.name, device_type=device_type)

    def _show(self, intake: Intake) -> None:
        """In `pump status --json`."""
        intake.component.details["callbacks_elsewhere"] = {str(type_): to for type_, to in self._elsewhere.items()}

    def same(self, found: Mapping[str, Any] | None) -> bool:
        """True where these are our addresses."""
        if found is None or found.get("status_changed_callback_url") != self.status:
            return False
        return any(found.get(spelling) == self.command for spelling in SPELLINGS)


def address_of(found: Mapping[str, Any] | None) -> str:
    """The status address without what may be secret in it; "none" for what is no address, as the samples' 3.654."""
    text = (found or {}).get("status_changed_callback_url")
    try:
        parts = urlsplit(text if isinstance(text, str) else "")
    except ValueError:
        return "none"
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}" if parts.netloc else "none"
