"""Schemas, help, discovery and the names that a running daemon shows are what is written."""

from __future__ import annotations

from typing import Any

import pytest

from tests.golden import interface, running, vendors

ADVICE = "if that is meant: python -m tests.golden.write"


def compare(name: str, wanted: Any, found: Any, writer: str) -> None:
    differing = list(vendors.differing(name, wanted, found))
    assert not differing, "\n".join([*differing[:60], f"{ADVICE} {writer}"])


@pytest.mark.parametrize("name", interface.SCHEMAS)
def test_the_schema_is_the_same(name: str) -> None:
    compare(f"pump schema {name}", interface.read(f"schema-{name}"), interface.schema(name), "interface")


def test_the_command_line_is_the_same() -> None:
    compare("", interface.read("command-line"), interface.command_line(), "interface")


def test_kinds_and_simulators_are_the_same() -> None:
    compare("", interface.read("discovery"), interface.discovery(), "interface")


def test_a_running_daemon_shows_the_same_names() -> None:
    wanted = running.read()
    found = running.look(wanted)
    differing = [
        f"{what}: {line} {verb}"
        for what, lines in wanted.items()
        for verb, some in (
            ("is gone", [line for line in lines if line not in found[what]]),
            ("is new", [line for line in found[what] if line not in lines]),
        )
        for line in some
    ]
    assert not differing, "\n".join([*differing, f"{ADVICE} running"])
