"""The trial of an account: its lists' first page, and where its callbacks go now ("Subscribe"); nothing is set."""

from __future__ import annotations

from typing import Final

from pump.commands.trial import Trial
from pump.core.clock import Clock
from pump.vendors.common.api import Action, CallFailed, outward
from pump.vendors.kinot.client import KINDS, Client, List, counted
from pump.vendors.kinot.codes import CATEGORIES, REGISTERED
from pump.vendors.kinot.registration import CallbackRegistration, address_of
from pump.vendors.kinot.settings import KinotSettings

_FIRST: Final = {"offset": "0", "limit": "10"}


async def try_out(
    settings: KinotSettings, client: Client, registration: CallbackRegistration | None, clock: Clock, trial: Trial
) -> None:
    """As Source.try_out; `client` is not entered yet. Raises Unavailable, Misconfigured."""
    async with client:
        try:
            for which in KINDS:
                trial.found.append(f"{which}: {await _count(client, which)}")
            for device_type in REGISTERED:
                found = await client.notification(device_type)
                kind = CATEGORIES[str(device_type)].kind
                if registration is not None and registration.same(found):
                    trial.found.append(f"callbacks of each {kind} come here")
                    continue
                trial.found.append(
                    f"callbacks of each {kind} go to {address_of(found)}{_would(settings, registration)}"
                )
            for sn in settings.gateways:
                if await client.device("dtu_devices", str(sn)) is None:
                    trial.found.append(f"the gateway {sn} is not known to the account: check `gateways`")
        except CallFailed as failure:
            raise outward(failure) from None
        finally:
            if client.date:
                trial.clock(client.date, clock.now())
    trial.found.append("limits: one callback address for each kind of device; who sets it takes the callbacks")
    trial.not_tried.append("setting the callback addresses, and a test notification (pump test-callback sends one)")


async def _count(client: Client, which: List) -> str:
    try:
        count = counted(await client.get(which, _FIRST))
    except CallFailed as failure:
        if failure.answer.action is Action.SKIP:
            return "0"  # an account without any
        raise
    return "some" if count is None else str(count)


def _would(settings: KinotSettings, registration: CallbackRegistration | None) -> str:
    if registration is None:
        return ", and nothing would be set (register_callbacks = false)"
    if settings.register_callbacks == "report":
        return f", wanted at {registration.status}, and this would be reported alone"
    return f", and would be set to {registration.status}"
