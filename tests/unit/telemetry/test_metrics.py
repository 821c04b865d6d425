"""Labels of /metrics come from the configuration and from fixed words, in plain ASCII."""

from __future__ import annotations

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from pump.telemetry.metrics import Metrics, label, refusal


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("retry", "retry"), ("lost batch", "lost batch"), ("\u8f66\u724c", "??"), ("a\nb\x1b", "a?b?"),
        ("x" * 99, "x" * 60),
    ],
)  # fmt: skip
def test_a_label_is_short_and_plain(text: str, shown: str) -> None:
    assert label(text) == shown


@pytest.mark.parametrize(
    ("reason", "word"),
    [
        ("the spool refuses: the disk is full (/var/lib/\u505c\u8f66)", "refusing"),
        ("the spool cannot be written: disk I/O error", "failing"),
        ("the spool refuses: too much waits for the disk", "waiting"),
        ("the spool is closed", "closed"),
    ],
)
def test_a_refusal_is_one_of_few_words(reason: str, word: str) -> None:
    assert refusal(reason) == word


def test_words_of_equal_length_in_another_script_leave_a_scrape_valid() -> None:
    metrics = Metrics()
    for word in ("\u8f66\u724c", "\u505c\u8f66", "\u0441\u0442\u043e\u043f"):
        metrics.source_incidents.labels("gate", label(word)).inc()
    text = generate_latest(metrics.registry).decode()
    assert text.isascii()
    series = [
        (sample.name, *sorted(sample.labels.items()))
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    ]
    assert len(series) == len({*series})


def test_no_metric_takes_the_place_of_another() -> None:
    metrics = Metrics()
    registered = set(metrics.registry._collector_to_names)
    assert registered == {value for value in vars(metrics).values() if value in registered}
    assert len(registered) > 20


def test_a_page_has_what_the_documentation_lists_and_no_second_line_for_each() -> None:
    metrics = Metrics()
    for source in ("gate", "north"):
        metrics.source_incidents.labels(source, "retry").inc()
    lines = [
        line for line in generate_latest(metrics.registry).decode().splitlines() if line.startswith("pump_source_i")
    ]
    assert len(lines) == 2
    assert not any("_created" in line for line in lines)
