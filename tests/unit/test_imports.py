"""Imports run downwards (docs/architecture.md)."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2] / "pump"

# From the bottom up; a module may import its own floor and those below it.
_FLOORS: tuple[tuple[str, ...], ...] = (
    ("clock", "errors", "backoff", "event", "taxonomy", "redact", "line", "notify", "lock", "signals", "tuning"),
    ("schema", "settings", "metrics"),
    ("health", "sink", "routing", "log", "deadline", "shape", "aside"),
    ("spool",),
    ("media",),
    ("intake", "devices"),
    ("http",),
    ("source",),
    ("registry",),
    ("sinks", "vendors"),
    ("config", "supervisor", "openings", "place", "switch", "errand", "delivery"),
    ("announce", "parts", "status", "resend", "subscribe"),
    ("watch",),
    ("daemon",),
    ("testing", "demo", "cli"),
)
_HEIGHT = {name: height for height, floor in enumerate(_FLOORS) for name in floor}
# What ships for tests and demos stands beside the house: vendors' demo modules know its small protocol.
_ALLOWED = {("vendors", "testing.stage"), ("testing", "daemon")}


def _imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
    return {name.removeprefix("pump.") for name in found if name.startswith("pump.")}


def _modules() -> list[Path]:
    return sorted(path for path in _ROOT.rglob("*.py") if path.name != "__main__.py")


@pytest.mark.parametrize("path", _modules(), ids=lambda path: str(path.relative_to(_ROOT)))
def test_imports_run_downwards(path: Path) -> None:
    room = path.relative_to(_ROOT).with_suffix("").parts[0]
    if room == "__init__":
        return
    assert room in _HEIGHT, f"give {room} its floor in this test, and in docs/architecture.md"
    for name in _imports(path):
        target = name.split(".")[0]
        if target in _HEIGHT and not any(room == who and name.startswith(what) for who, what in _ALLOWED):
            assert _HEIGHT[target] <= _HEIGHT[room], f"{room} imports {name}"


@pytest.mark.parametrize("room", ["vendors", "sinks"])
def test_vendors_and_sinks_never_know_one_another(room: str) -> None:
    for path in (_ROOT / room).rglob("*.py"):
        own = path.relative_to(_ROOT / room).with_suffix("").parts[0]
        for name in _imports(path):
            parts = name.split(".")
            if parts[0] in ("vendors", "sinks"):
                assert parts[0] == room, f"{path.name} imports {name}"
                assert len(parts) < 2 or parts[1] == own or parts[1].startswith("_"), f"{path.name} imports {name}"
