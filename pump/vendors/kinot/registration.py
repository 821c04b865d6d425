"""Where Kinot sends its callbacks: read, compared, set, and read again (document, "Subscribe")."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import structlog

from pump.vendors.common.api import Action, CallFailed
from pump.vendors.kinot.client import SPELLINGS, Client
from pump.vendors.kinot.codes import REGISTERED

log = structlog.get_logger()


async def register(client: Client, base: str, source: str) -> None:
    """Have the callbacks of locks and sensors sent to `base`/status and `base`/command, where they are not already.

    Raises CallFailed. The key of the second address is spelled in two ways; a platform that does not take the one
    is given the other.
    """
    status, command = f"{base}/status", f"{base}/command"
    for device_type in REGISTERED:
        if _same(await client.notification(device_type), status, command):
            continue
        for spelling in SPELLINGS:
            try:
                await client.set_notification(device_type, status, command, spelling)
            except CallFailed as failure:
                if failure.answer.action is Action.MISCONFIGURED or spelling == SPELLINGS[-1]:
                    raise
                continue
            if _same(await client.notification(device_type), status, command):
                log.info("Kinot sends its callbacks here", source=source, device_type=device_type, status=status)
                break
        else:
            log.warning("Kinot does not keep the callback addresses", source=source, device_type=device_type)


def _same(found: Mapping[str, Any] | None, status: str, command: str) -> bool:
    if found is None or found.get("status_changed_callback_url") != status:
        return False
    return any(found.get(spelling) == command for spelling in SPELLINGS)
