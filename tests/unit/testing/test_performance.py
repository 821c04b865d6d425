"""docs/performance.md as the bench writes it: each part that has a table, its rows, its failures, what was left out."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import tests.bench
from tests.bench import performance
from tests.bench.measure import Row


def test_every_part_of_the_bench_that_has_a_table_is_on_the_page() -> None:
    names = [entry.name for entry in pkgutil.iter_modules(tests.bench.__path__) if entry.name != "__main__"]
    having = {name for name in names if hasattr(importlib.import_module(f"tests.bench.{name}"), "table")}
    assert {part.name for part in performance.PARTS} == having | {"targets"}
    assert all(part.further for part in performance.PARTS)
    assert any(part.quick for part in performance.PARTS)


def test_the_page_shows_rows_aims_failures_and_what_was_left_out(tmp_path: Path) -> None:
    def table(folder: Path, repetitions: int) -> Iterator[Row]:
        assert folder.is_dir()
        yield Row("a | b", 0.5, ">= 0.40", True, "5 of 10 events/s bare")
        yield Row("p99", 120.0, "<= 100", False, "", " ms")
        raise AssertionError("3 of 5 were delivered")

    found = performance.measure(performance.PARTS[0], table, 1)
    about = performance.machine(tmp_path)
    text = performance.document(
        [found], about, rev="abc", repetitions=1, at=datetime(2026, 1, 2, tzinfo=UTC), load="0.1"
    )
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert rows[2].startswith(f"| **{performance.PARTS[0].title}** |")
    assert rows[3:] == [
        "| a \\| b | 0.50 | >= 0.40 | met | 5 of 10 events/s bare |",
        "| p99 | 120.00 ms | &lt;= 100 | **missed** |  |",
        "| **not measured to its end** | | | | AssertionError: 3 of 5 were delivered |",
    ]
    assert "Of abc, 2026-01-02, 1 run each" in text
    assert f"Left out of this run: {performance.PARTS[1].title}; " in text
    assert "busy" not in text
    loaded = performance.document(
        [], about, rev="abc", repetitions=2, at=datetime(2026, 1, 2, tzinfo=UTC), load="999.0 1 1"
    )
    assert "The machine was busy" in loaded
    assert any("fsync" in line for line in about)
