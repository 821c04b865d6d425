"""Things that were asked for on the page and are under way or have just ended, for all who look."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import structlog

from pump.core.clock import Clock
from pump.core.errors import Refusal
from pump.core.text import printable
from pump.ops.control import Tell
from pump.ops.page.access.visits import Visit

log = structlog.get_logger()

KEPT: Final = 20
"""Ended ones that are still shown."""
MOST: Final = 8
"""Under way at a time."""
SOON: Final = 3.0
"""Seconds within which most have ended, so that the page that follows has the result."""

Work = Callable[[Tell], Awaitable[Mapping[str, Any]]]


class Busy(Refusal):
    """Too many things are under way."""


@dataclass(slots=True)
class Job:
    """One thing."""

    what: str
    """The key of its text."""
    target: str
    by: str
    begun: datetime
    progress: Mapping[str, Any] = field(default_factory=dict)
    state: str = "under way"
    """Then done or failed."""
    said: str = ""


class Jobs:
    """All of one daemon. They go on though whoever asked leaves, and end with the daemon."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._jobs: deque[Job] = deque(maxlen=KEPT + MOST)
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self, what: str, target: str, by: str, work: Work) -> Job:
        """Begin it, and wait a moment for its end. Raises Busy."""
        if len(self._tasks) >= MOST:
            raise Busy(f"{MOST} things are under way: wait for the end of one")
        log.info("Something is asked for on the operators' page", what=what, target=target, user=by)
        job = Job(what, target, by, self._clock.now())
        self._jobs.appendleft(job)
        task = asyncio.create_task(self._do(job, work), name=f"operators' page: {what}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        await asyncio.wait({task}, timeout=SOON)
        return job

    def close(self) -> None:
        """End what is under way."""
        for task in self._tasks:
            task.cancel("the daemon stops")

    def shown(self, visit: Visit) -> list[dict[str, Any]]:
        """The newest first, for the page."""
        return [
            {
                "what": visit.texts(f"job.{job.what}"),
                "target": printable(job.target),
                "by": job.by,
                "at": visit.words.time(job.begun.isoformat()),
                "state": visit.texts(f"job_state.{job.state}"),
                "tag": {"under way": "waits", "done": "had", "failed": "dead"}[job.state],
                "said": printable(job.said or _counted(job.progress)),
            }
            for job in self._jobs
        ]

    async def _do(self, job: Job, work: Work) -> None:
        async def tell(progress: dict[str, Any]) -> None:
            job.progress = dict(progress)

        try:
            job.said = _counted(await work(tell))
            job.state = "done"
        except Refusal as refusal:
            job.state, job.said = "failed", str(refusal)
        except asyncio.CancelledError:
            job.state, job.said = "failed", "the pump was stopped"
            raise
        except Exception:
            log.exception("Something asked for on the operators' page failed unexpectedly", what=job.what)
            job.state, job.said = "failed", "it failed unexpectedly; the pump's log has it whole"


def _counted(result: Mapping[str, Any]) -> str:
    """A result in a few words: "sent 3, refused 0"."""
    words = []
    for name, value in result.items():
        if isinstance(value, list):
            if value:
                words.append(f"{name} {', '.join(map(str, value[:10]))}")
        elif not isinstance(value, Mapping) and name not in ("part", "request_id"):
            words.append(f"{name} {value}")
    return ", ".join(words)
