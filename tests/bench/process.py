"""The daemon as a process: latency from the answer's last byte to the line in the file, and what it costs when idle."""

from __future__ import annotations

import os
import signal
import time
from bisect import bisect_right
from collections.abc import Iterator
from pathlib import Path

from tests.bench.measure import Row, cpu_of
from tests.chaos.site import Site, patient, site

_SECONDS = 20
_RATE = 1000


def _quantile(values: list[float], part: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * part))]


def _latencies(here: Site) -> list[float]:
    """Milliseconds from the vendor's answer, whole on its way, to the line's arrival in the file."""
    seen: list[float] = []
    made, begun, rest = 0, time.monotonic(), b""
    with here.output.open("rb") as file:
        file.seek(0, os.SEEK_END)
        while time.monotonic() < begun + _SECONDS:
            due = int((time.monotonic() - begun) * _RATE)
            if due - made >= _RATE // 2:
                here.vendor.make(due - made)
                made = due
            *lines, rest = (rest + file.read()).split(b"\n")
            seen += [time.monotonic()] * len(lines)
            if not lines:
                time.sleep(0.0005)
    # The monotonic clock is the machine's: the vendor's account can be held against what was seen here. A queue's
    # next call comes after its last line was on its way, so a line belongs to the last answer before it.
    calls = here.vendor.ask("account")["calls"]
    answered = sorted(call["done"] for call in calls if call["path"].endswith("/mq/messages") and call["done"])
    return [(moment - answered[bisect_right(answered, moment) - 1]) * 1000 for moment in seen]


def _rss(pid: int) -> float:
    """MiB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


def table(folder: Path, repetitions: int) -> Iterator[Row]:
    """The rows."""
    with site(folder) as here:
        text = here.config.read_text().replace("batch_size = 100", "batch_size = 500")
        here.config.write_text(text.replace('path = "', 'fsync = "never"\npath = "'))
        here.start()
        patient(lambda: here.vendor.queue()["subscribed"] and here.output.exists(), "the subscription")
        assert here.daemon is not None
        pid = here.daemon.pid
        time.sleep(3)  # the start is over
        before, begun = cpu_of(pid), time.monotonic()
        time.sleep(20)
        share = 100 * (cpu_of(pid) - before) / (time.monotonic() - begun)
        rss = _rss(pid)
        yield Row(
            "idle: resident memory",
            rss,
            "<= 64",
            rss <= 64,
            "one queue polled every 500 ms, one JSON-lines sink",
            " MiB",
        )
        yield Row("idle: share of a core", share, "<= 1", share <= 1, "the same", " %")
        used = cpu_of(pid)
        latencies = _latencies(here)
        used = cpu_of(pid) - used
        assert len(latencies) >= _SECONDS * _RATE * 0.9, f"{len(latencies)} lines came in {_SECONDS} s"
        p50, p99 = _quantile(latencies, 0.5), _quantile(latencies, 0.99)
        detail = f"p50 {p50:.1f} ms, {len(latencies)} lines; batches of {_RATE // 2} and more, parse and fsync included"
        detail += f"; CPU {1e6 * used / len(latencies):.1f} µs each"
        yield Row(f"latency p99 at {_RATE} events/s", p99, "<= 15", p99 <= 15, detail, " ms")
        here.end(signal.SIGTERM)
