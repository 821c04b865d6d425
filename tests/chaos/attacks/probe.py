"""`python -m tests.chaos.attacks.probe PORT PROCESS`: asks for /healthz 50 times a second, from a process of its own.

It asks whether or not the answers before have come, until its input ends; then it prints, as JSON, how many seconds
each answer took, how many of these were not spent by the daemon or by itself in the queue for a processor that others
had, and how many answers there were none of.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import orjson

EVERY: Final = 0.02
PATIENCE: Final = 90.0
"""Seconds for the answers that are still to come at the end."""
_ASK: Final = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


@dataclass
class Found:
    """What came of the questions."""

    seconds: list[float] = field(default_factory=list)
    """Of each answer of 200."""
    unqueued: list[float] = field(default_factory=list)
    """The same without the time in which the process of the one or of the other could have run and had no processor:
    about what it would be on a machine that does nothing else."""
    failed: int = 0
    """Questions with another answer, or none."""

    def quantile(self, part: float) -> float:
        """Seconds."""
        return _quantile(self.seconds, part)

    def unqueued_quantile(self, part: float) -> float:
        """Seconds."""
        return _quantile(self.unqueued, part)


def _quantile(values: list[float], part: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * part))]


def _queued(process: str) -> float:
    """Seconds that the process has stood in the queue for a processor so far."""
    try:
        return int(Path(f"/proc/{process}/schedstat").read_text().split()[1]) / 1e9
    except OSError:
        return 0.0


async def _ask(port: int, process: str, found: Found) -> None:
    begun = time.perf_counter()
    queued = _queued(process), _queued("self")
    answer = b""
    with suppress(OSError):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(_ASK)
        answer = await reader.read()
        writer.close()
    if answer.startswith(b"HTTP/1.1 200"):
        seconds = time.perf_counter() - begun
        found.seconds.append(seconds)
        # at the same time, it may be, so that the larger of the two is all that is certain
        found.unqueued.append(seconds - min(seconds, max(_queued(process) - queued[0], _queued("self") - queued[1])))
    else:
        found.failed += 1


async def _main(port: int, process: str) -> None:
    over = asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    found = Found()
    await _ask(port, process, Found())
    print("asking", flush=True)
    asked: set[asyncio.Task[None]] = set()
    due = time.perf_counter()
    while not over.done():
        asked.add(asyncio.create_task(_ask(port, process, found)))
        due += EVERY
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
    _, late = await asyncio.wait(asked, timeout=PATIENCE)
    for task in late:
        task.cancel()
    found.failed += len(late)
    print(orjson.dumps(found).decode())


class Probe:
    """The process, as a context manager; `found` is there once it has ended."""

    def __init__(self, port: int, process: int) -> None:
        self.found = Found()
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__, str(port), str(process)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self._process.stdout is not None
        self._process.stdout.readline()  # it asks

    def __enter__(self) -> Probe:
        return self

    def __exit__(self, *error: object) -> None:
        printed, _ = self._process.communicate()
        self.found = Found(**orjson.loads(printed))


if __name__ == "__main__":
    asyncio.run(_main(int(sys.argv[1]), sys.argv[2]))
