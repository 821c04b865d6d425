"""The parts of the daemon that the operators' page asks; some are there only once the daemon has started."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pump.config import Config
from pump.core.clock import Clock
from pump.ingest.intake import Intake
from pump.ops.commands.desk import CommandDesk
from pump.ops.control import Handler
from pump.spool import Spool


@dataclass(slots=True)
class Behind:
    """Callables are called on the event loop, whenever somebody looks; must not hold it."""

    config: Config
    """What runs: a reload puts another in its place, so that it is asked for anew with each request."""
    clock: Clock
    status: Callable[[], Awaitable[Mapping[str, Any]]]
    """The body of /status."""
    reasons: Callable[[], list[str]]
    """Why not all is well; empty while it is."""
    spool: Callable[[], Spool | None] = lambda: None
    desk: Callable[[], CommandDesk | None] = lambda: None
    intake: Callable[[], Intake | None] = lambda: None
    """Of the daemon's own events."""
    commands: Callable[[], Mapping[str, Handler]] = dict
    """Those of the control socket: the page's buttons give the same ones."""
