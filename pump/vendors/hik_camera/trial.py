"""The trial of a device: it is asked what it is; no stream is opened, for it has few places for those."""

from __future__ import annotations

from typing import Final

from pump.commands.trial import Trial
from pump.core.clock import Clock
from pump.core.errors import Misconfigured, Unavailable
from pump.ingest.stream.client import Answer, ConnectionLost, DigestClient, UnexpectedStatus
from pump.vendors.hik_camera.device import INFO, advise, read_answer, read_facts
from pump.vendors.hik_camera.settings import HikCameraSettings

_SILENT: Final = {
    403: "the password is accepted; its user may not ask what the device is, so that events come without names",
    404: "it answers, and does not say what it is",
}
"""By the status with which it does not say what it is: neither keeps the alertStream from being opened."""
_SECONDS: Final = 10.0
_NAMED: Final = ("name", "model", "serial")


async def try_out(link: DigestClient, settings: HikCameraSettings, clock: Clock, trial: Trial) -> None:
    """As Source.try_out. Raises Unavailable, Misconfigured: a password is tried once, for devices count and lock."""
    trial.not_tried.append("opening the alertStream: a device has few places for it, and the daemon may hold one")
    answer = await _info(link)
    if answer.date:
        trial.clock(answer.date, clock.now())
    if (silent := _SILENT.get(answer.status)) is not None:
        trial.found.append(silent)
    elif (info := read_answer(answer)) is None:
        advice = advise(answer)
        raise (Misconfigured if answer.status == 401 else Unavailable)(advice.reason)
    else:
        facts = read_facts(info)
        known = ", ".join(str(facts[name]) for name in _NAMED if facts.get(name))
        trial.found.append(f"the password is accepted; it is {known or 'a device without a name'}")
    if not answer.date:
        trial.clock("", clock.now())
    kept = ", ".join(settings.events) if settings.events else "all"
    trial.found.append(f"its alertStream would be opened; kept of it: {kept} events")


async def _info(link: DigestClient) -> Answer:
    try:
        return await link.request("GET", INFO, timeout=_SECONDS)
    except UnexpectedStatus as refused:
        return refused.answer
    except ConnectionLost as lost:
        raise Unavailable(lost.reason) from None
