"""The trial of an account: a login, and a list that is read (document, 5.1.1, 5.2.1); no queue is touched."""

from __future__ import annotations

from typing import Any, Final

from pump.commands.trial import Trial
from pump.core.clock import Clock
from pump.vendors.common.api import CallFailed, outward
from pump.vendors.common.values import member, whole
from pump.vendors.hik_connect.client import AppKey, Client
from pump.vendors.hik_connect.limiter import Limiter
from pump.vendors.hik_connect.settings import HikConnectSettings

_DEVICES: Final = "/api/hccgw/resource/v1/devices/get"
_LEFT_ALONE: Final = (
    "subscribing to a queue, asking for its messages and completing them: a message that is fetched here would be "
    "missing there until the vendor gives it out again"
)


async def try_out(settings: HikConnectSettings, clock: Clock, limiter: Limiter | None, trial: Trial) -> None:
    """As Source.try_out. Raises Unavailable, Misconfigured.

    The login prolongs the account's token and ends none (3.2): a daemon that runs keeps its own.
    """
    account = AppKey(settings.server, settings.app_key.get_secret_value(), settings.secret_key.get_secret_value())
    client = Client(
        account, clock=clock, timeout=settings.timeout, limiter=limiter, keep=_forget, count=lambda what: None
    )
    trial.not_tried.append(_LEFT_ALONE)
    async with client:
        try:
            data = await client.call("trial", _DEVICES, {"pageIndex": 1, "pageSize": 1})
        except CallFailed as failure:
            raise outward(failure) from None
        finally:
            if client.date:
                trial.clock(client.date, clock.now())
    devices = whole(member(data, "totalCount"))
    trial.found.append("the key is accepted")
    trial.found.append(f"the account has {devices} devices" if devices is not None else "its devices can be read")
    for queue in settings.queues:
        types = settings.types(queue)
        trial.found.append(f"the {queue} queue would be subscribed to for {', '.join(types) if types else 'all types'}")
    trial.found.append(
        "limits: 5 requests a second for the whole account, and a queue's messages go to one client; each program "
        "wants a key of its own"
    )


async def _forget(state: dict[str, Any]) -> None:
    """The token is not kept."""
