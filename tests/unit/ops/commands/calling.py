"""A raw call of a vendor's source over its desk, as the control socket asks for one."""

from __future__ import annotations

import base64
import json
from typing import Any, NamedTuple

from pump.config.model import CommandSettings
from pump.ops.commands.calls import RawCalls
from pump.ops.commands.desk import CommandDesk
from pump.source import Source


class Found(NamedTuple):
    """What became of it."""

    status: str
    reason: str
    http: int | None
    body: bytes


async def _tell(_: dict[str, Any]) -> None: ...


async def called(
    name: str, source: Source[Any], desk: CommandDesk, method: str, path: str, body: object = None, **more: Any
) -> Found:
    """`body` is bytes, or a value of JSON."""
    calls = RawCalls(desk, CommandSettings(raw=True), {name: source}, {})
    content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    asked = {"name": name, "method": method, "path": path, "body": base64.b64encode(content).decode(), **more}
    found = await calls.ask(asked, _tell)
    return Found(found["status"], found.get("reason", ""), found.get("http"), base64.b64decode(found.get("body", "")))
