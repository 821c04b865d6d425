"""The trial of a gateway: its clock and the size of its device list are asked for (document, 8.5.11, 8.1.5)."""

from __future__ import annotations

from typing import Any, Final

import orjson

from pump.commands.trial import Trial
from pump.core.clock import Clock
from pump.core.errors import Misconfigured, Unavailable
from pump.ingest.stream.client import Answer, ConnectionLost, DigestClient, UnexpectedStatus
from pump.vendors.common.hik_status import status_number
from pump.vendors.hik_gateway.answers import Rejected, failed, trouble
from pump.vendors.hik_gateway.client import CALL_SECONDS, address
from pump.vendors.hik_gateway.parse import loads
from pump.vendors.hik_gateway.subscription import Wanted

_TIME: Final = "/ISAPI/System/time"
_LIST: Final = "/ISAPI/ContentMgmt/DeviceMgmt/deviceList"


async def try_out(link: DigestClient, wanted: Wanted, clock: Clock, trial: Trial) -> None:
    """As Source.try_out. Raises Unavailable, Misconfigured: a password is tried once, for the gateway counts."""
    trial.not_tried.append(
        "subscribing: a gateway has few places for that, and the daemon may hold one; asking its devices for anything"
    )
    order = {"SearchDescription": {"position": 0, "maxResult": 1, "Filter": {}}}
    answer = await _asked(link, "POST", _LIST, order, "the device list")
    trial.found.append("the password is accepted")
    listed = _loaded(answer).get("SearchResult")
    total = status_number(listed.get("totalMatches")) if isinstance(listed, dict) else None
    trial.found.append(f"it has {total} devices" if total is not None else "its device list can be read")
    try:
        answer = await _asked(link, "GET", _TIME, None, "its time")
    except Unavailable:
        said = None  # not every gateway has this call
    else:
        said = _loaded(answer).get("Time")
    local = said.get("localTime") if isinstance(said, dict) else None
    trial.clock(local if isinstance(local, str) and local else answer.date, clock.now())
    if wanted.devices:
        trial.found.append(
            f"it would be asked for events of {len(wanted.devices)} devices, each by an order of its own"
        )
    else:
        each = "all devices by one order" if wanted.devices is None else "each device of its list"
        trial.found.append(f"it would be asked for {', '.join(wanted.events) or 'all events'} of {each}")


async def _asked(link: DigestClient, method: str, path: str, body: Any, what: str) -> Answer:
    content = None if body is None else orjson.dumps(body)
    try:
        answer = await link.request(method, address(path), body=content, timeout=CALL_SECONDS)
    except UnexpectedStatus as refused:
        answer = refused.answer
    except ConnectionLost as lost:
        raise Unavailable(lost.reason) from None
    if failed(answer):
        found = trouble(answer, what)
        raise (Misconfigured if isinstance(found, Rejected) else Unavailable)(found.reason)
    return answer


def _loaded(answer: Answer) -> dict[str, Any]:
    try:
        found = loads(answer.body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
