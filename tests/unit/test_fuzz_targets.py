"""The fuzzers' targets hold on what they begin with, and would find what they look for."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz.seeds import seeds, write
from tests.fuzz.targets import TARGETS


@pytest.mark.parametrize("target", TARGETS)
def test_every_seed_passes(target: str) -> None:
    begin = seeds(target)
    assert len(begin) >= 10
    for seed in begin:
        TARGETS[target](seed)


@pytest.mark.parametrize("target", TARGETS)
def test_seeds_are_written_as_files(target: str, tmp_path: Path) -> None:
    write(target, tmp_path / "corpus")
    assert sorted(path.read_bytes() for path in (tmp_path / "corpus").iterdir()) == sorted(seeds(target))


@pytest.mark.parametrize(
    ("target", "data"),
    [
        ("reader", b""),
        ("reader", b"\x00\x00"),
        ("reader", b"\x10\x00\x01--boundary\r\nContent-Type: application/xml\r\nContent-Length: 4\r\n\r\n<a/>"),
        ("gateway", b'{"EventNotificationAlert": {"eventType": "\\ud800", "dateTime": "2026-01-01T00:00:00Z"},}'),
        ("gateway", b"[" * 100_000),
        ("camera", b"\xff\xfe<\x00a\x00>\x00"),
        ("camera", b'{"eventType":"cidEvent","CIDEvent":{"code":1e400,"zone":-0.5}}'),
        ("camera", b"<a><eventType>VMD</eventType><serialNo>99999999999999999999</serialNo></a>"),
        ("camera", b'{"eventType":"cidEvent","uuid":[],"CIDEvent":{"code":1103,"trigger":{}}}'),
    ],
)
def test_odd_inputs_pass(target: str, data: bytes) -> None:
    TARGETS[target](data)
