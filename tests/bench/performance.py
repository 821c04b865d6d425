"""docs/performance.md: every ratio of the bench in one table, with the machine that it was measured on.

`python -m tests.bench --write docs/performance.md` measures all parts; with `--quick` the short ones, once each.
"""

from __future__ import annotations

import os
import platform
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from statistics import median
from typing import Final

from tests.bench.measure import Row

_ROOT: Final = Path(__file__).parents[2]
Table = Callable[[Path, int], Iterator[Row]]
"""A part's rows, from a folder to work in and the number of repetitions."""


@dataclass(frozen=True)
class Part:
    """A module of this folder, as the page shows it."""

    name: str
    title: str
    further: str
    """What would move its figures, and what that costs."""
    quick: bool = False


PARTS: Final = (
    Part(
        "push", "Pushes, answered after the fsync",
        "a parser and a normaliser that are compiled (mypyc) or typed (msgspec): half of the processor's time is "
        "Python for each event; a process of its own for the listener would take another core",
    ),
    Part(
        "pull", "Pulled batches",
        "parsing that is typed and compiled: it is a third of an event's cost, and as much again is memory that is not "
        "in the processor's cache; the vendor gives the next batch only when the last one is completed",
    ),
    Part(
        "spool", "Appends to the spool",
        "SQLite writes each byte twice, with a checksum of its own; a log beside it would be nearer to the framed "
        "append, and a second thing to repair. Beside a busy loop each commit waits for two of the loop's turns",
        quick=True,
    ),
    Part(
        "drain", "From the spool to JSON lines",
        "reading blocks ahead of the sink, in the thread that unpacks them",
        quick=True,
    ),
    Part("backlog", "A backlog of a million events", "as above; memory is bounded by the batch"),
    Part(
        "sinks", "Webhooks, the archive",
        "fewer objects a request than aiohttp's client makes; an archive with fewer indices, and slower searches",
        quick=True,
    ),
    Part(
        "brokers", "MQTT, JetStream",
        "a client that does not look through all that are pending at each publish",
        quick=True,
    ),
    Part(
        "streams", "Streams, 200 gateways in one process",
        "the reader is near the bare read; what is left is XML and JSON",
        quick=True,
    ),
    Part("fetch", "Pictures behind links", "fewer at a time, so that the disk begins before all have come"),
    Part("commands", "Commands", "nothing is worth it: a gate's own time is a multiple"),
    Part("backfill", "A gap that is filled", "nothing: its pace is the vendor's limit"),
    Part(
        "process", "The process: latency, memory, idle",
        "a library less: aiohttp, pydantic and asyncio with TLS are 25 MiB of it; of a batch of 500 the last line "
        "waits for all the others' parsing",
        quick=True,
    ),
    Part("page", "The operators' page", "a browser's list that draws only what is seen"),
    Part("attacks", "Under attack", "a limit by the kernel (nftables) before the listener"),
    Part("scale", "Growth with size", "an exponent of 1 is a cost for each; above it is a cliff to be found"),
    Part(
        "targets", "What users wait for",
        "a start reads files of up to 256 MiB whole, for a byte that flipped on the disk shows nowhere else; of 32 "
        "sinks each has a loop of its own, some 80 µs a batch",
    ),
    Part(
        "plain", "A script that does the least for the same promise",
        "it normalises, limits, routes and repairs nothing: nearer to a limit than it the pump does not come in one "
        "process",
    ),
    Part(
        "peers", "Others on the same load, in multiples of the pump's rate",
        "nothing that would be given up for it: what each promises stands beside it, and who keeps less is quicker",
    ),
)  # fmt: skip
"""All that is measured, in the page's order; the soak has a page's worth of its own (docs/measurements.md)."""


@dataclass
class Found:
    """A part's figures."""

    part: Part
    rows: list[Row] = field(default_factory=list)
    failure: str = ""
    seconds: float = 0.0


def measure(part: Part, table: Table, repetitions: int) -> Found:
    """Run a part; what ended it early is kept beside the rows that it gave."""
    found = Found(part)
    begun = time.perf_counter()
    print(f"\n{part.name}: {part.title}", flush=True)
    try:
        with tempfile.TemporaryDirectory(prefix="pump-bench-") as folder:
            for row in table(Path(folder), repetitions):
                print(row, flush=True)
                found.rows.append(row)
    except Exception as error:  # noqa: BLE001  # the other parts are measured all the same
        found.failure = f"{type(error).__name__}: {error}"
        print(f"FAILED  {found.failure}", flush=True)
    found.seconds = time.perf_counter() - begun
    return found


def machine(folder: Path) -> list[str]:
    """The lines that describe it: processor, memory, disk, versions."""
    about = Path("/proc/cpuinfo").read_text(errors="replace")
    model = about.partition("model name\t: ")[2].partition("\n")[0] or platform.machine()
    memory = int(Path("/proc/meminfo").read_text().split()[1]) / (1 << 20)
    versions = ", ".join(
        f"{name} {metadata.version(name)}" for name in ("aiohttp", "orjson", "uvloop", "isal") if _there(name)
    )
    return [
        f"{len(os.sched_getaffinity(0))} cores, {model}; {memory:.0f} GiB of memory",
        f"an fsync of 4 KiB takes {1000 * _fsync(folder):.2f} ms (median of 50)",
        f"{platform.system()} {platform.release()}",
        f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}",
        versions,
    ]


def _there(name: str) -> bool:
    try:
        return bool(metadata.version(name))
    except metadata.PackageNotFoundError:
        return False


def _fsync(folder: Path) -> float:
    """Seconds, in the median."""
    taken = []
    with tempfile.TemporaryFile(dir=folder) as file:
        for _ in range(50):
            file.write(b"x" * 4096)
            file.flush()
            begun = time.perf_counter()
            os.fsync(file.fileno())
            taken.append(time.perf_counter() - begun)
    return median(taken)


def commit() -> str:
    """The commit that is measured, with a + where the tree differs from it; "unknown" outside a checkout."""

    def git(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=_ROOT, capture_output=True, text=True, check=True).stdout.strip()

    try:
        return git("rev-parse", "--short", "HEAD") + ("+" if git("status", "--porcelain") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


BUSY: Final = 1.0
"""Processes for each core that are no load yet."""
_BUSY: Final = """
**The machine was busy with other work**: figures of the processor's time hold, rates and their ratios may not.
"""
_HEAD: Final = """\
# Performance

Made by the bench, not written: `python -m tests.bench --write docs/performance.md`. Why things are built as they are
stands in [measurements.md](measurements.md), with the figures that decided it.

Of {rev}, {at:%Y-%m-%d}, {repetitions}, in turns with their limits, medians. {minutes:.0f} minutes; load of the machine
{load}:

{about}
{busy}
**Found** without a unit is a share of the limit: what the same machine does at best in the same minutes, with a bare
handler, a bare append, a bare client; it stands in the last column. Absolute rates wander by a third from hour to
hour, ratios do not.

| what | found | aim | | beside what |
|---|---|---|---|---|
"""


def document(
    found: Sequence[Found], about: Sequence[str], *, rev: str, repetitions: int, at: datetime, load: str
) -> str:
    """The page's text; `load` is the machine's load averages."""
    head = _HEAD.format(
        rev=rev, at=at, load=load, minutes=sum(each.seconds for each in found) / 60,
        busy=_BUSY if float(load.split()[0]) > BUSY * len(os.sched_getaffinity(0)) else "",
        repetitions=f"{repetitions} run{'s' * (repetitions != 1)} each", about="\n".join(f"- {line}" for line in about),
    )  # fmt: skip
    lines = []
    for each in found:
        lines.append(f"| **{each.part.title}** | | | | *Further:* {_cell(each.part.further)} |")
        lines += [_line(row) for row in each.rows]
        if each.failure:
            lines.append(f"| **not measured to its end** | | | | {_cell(each.failure)} |")
    if left_out := [part.title for part in PARTS if part not in [each.part for each in found]]:
        lines += ["", f"Left out of this run: {'; '.join(left_out)}."]
    return head + "\n".join(lines) + "\n"


def _line(row: Row) -> str:
    aim = row.goal.strip()
    verdict = ("met" if row.met else "**missed**") if aim else ""
    found = f"{row.value:,.2f}{row.unit}"
    return f"| {_cell(row.what)} | {found} | {_cell(aim)} | {verdict} | {_cell(row.detail)} |"


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").replace("<", "&lt;").split())


def write(path: Path, tables: Callable[[str], Table], *, repetitions: int, quick: bool) -> bool:
    """Measure and write the page; False where a part did not come to its end."""
    found = [measure(part, tables(part.name), repetitions) for part in PARTS if part.quick or not quick]
    load = " ".join(f"{each:.1f}" for each in os.getloadavg())
    with tempfile.TemporaryDirectory(prefix="pump-bench-") as folder:
        about = machine(Path(folder))
    text = document(found, about, rev=commit(), repetitions=repetitions, at=datetime.now(UTC), load=load)
    path.write_text(text, encoding="utf-8")
    print(f"\nwritten: {path}; {sum(each.seconds for each in found) / 60:.1f} minutes", file=sys.stderr)
    return not any(each.failure for each in found)
