"""Imports run downwards, room by room (docs/architecture.md)."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

_PACKAGE = Path(__file__).parents[2] / "pump"

# From the bottom up; a room may import its own floor and those below it. A module with a floor of its own does not
# stand with its room: a source knows what a request is, and the listener knows sources; a recording draws pictures in
# the place of those that came.
_FLOORS: tuple[tuple[str, ...], ...] = (
    ("core",),
    ("telemetry", "simulation.drawing"),
    ("commands",),
    ("sink",),
    ("spool",),
    ("ingest",),
    ("source",),
    ("registry",),
    ("sinks", "vendors"),
    ("config", "delivery"),
    ("ingest.push.listener", "ops"),
    ("runtime",),
    ("simulation", "testing"),
    ("demo",),
    ("cli",),
)
_HEIGHT = {name: height for height, floor in enumerate(_FLOORS) for name in floor}
# Simulators ship beside the sources, and the sinks whose peer is a cloud; they stand on the simulation room's frame.
_ALLOWED = {("vendors", "simulation"), ("sinks", "simulation")}


def _height(module: str) -> int | None:
    """Of the module, or of the room that it lies in; None for what has no floor."""
    while module not in _HEIGHT and module:
        module = module.rpartition(".")[0]
    return _HEIGHT.get(module)


@cache
def _imports(path: Path) -> set[str]:
    """Each of our modules, or name in one, that the file imports: dotted, without the leading `pump.`."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
    return {name.removeprefix("pump.") for name in found if name.startswith("pump.")}


def _modules(room: str = "") -> list[Path]:
    return sorted(path for path in (_PACKAGE / room).rglob("*.py") if path.name != "__main__.py")


def _parts(path: Path) -> tuple[str, ...]:
    return path.relative_to(_PACKAGE).with_suffix("").parts


def _targets(path: Path, *rooms: str) -> Iterator[str]:
    """The file's imports that lie in one of the rooms."""
    for name in _imports(path):
        if any(name == room or name.startswith(f"{room}.") for room in rooms):
            yield name


@pytest.mark.parametrize("path", _modules(), ids=lambda path: "/".join(_parts(path)))
def test_imports_run_downwards(path: Path) -> None:
    room = _parts(path)[0]
    if room == "__init__":
        return
    own = _height(".".join(_parts(path)))
    assert own is not None, f"give {room} its floor in this test, and in docs/architecture.md"
    for name in _imports(path):
        target = _height(name)
        if target is not None and (room, name.split(".")[0]) not in _ALLOWED:
            assert target <= own, f"{'.'.join(_parts(path))} imports {name}"


@pytest.mark.parametrize("room", ["vendors", "sinks"])
def test_vendors_and_sinks_never_know_one_another(room: str) -> None:
    for path in _modules(room):
        own = _parts(path)[1]
        for name in _targets(path, "vendors", "sinks"):
            parts = name.split(".")
            assert parts[0] == room, f"{path.name} imports {name}"
            assert len(parts) < 2 or parts[1] in (own, "common"), f"{path.name} imports {name}"


def test_production_files_never_import_a_simulator() -> None:
    for path in _modules():
        rooms = _parts(path)
        if rooms[0] in ("demo", "cli", "testing", "simulation") or "simulator" in rooms:
            continue
        for name in _imports(path):
            assert "simulator" not in name.split("."), f"{'/'.join(rooms)} imports {name}"


def test_vendors_import_neither_ops_nor_runtime_nor_testing() -> None:
    for path in _modules("vendors"):
        assert not [*_targets(path, "ops", "runtime", "testing", "delivery", "config")], path


def test_the_spool_imports_core_and_telemetry_only() -> None:
    for path in _modules("spool"):
        strangers = [name for name in _imports(path) if name.split(".")[0] not in ("core", "telemetry", "spool")]
        assert not strangers, f"{path.name} imports {strangers}"


def test_sinks_never_import_delivery() -> None:
    for path in _modules("sinks"):
        assert not [*_targets(path, "delivery", "ingest", "runtime", "ops")], path
        # a SQLite connection with a thread of its own, and rows by the hundred: the archive is written as the spool is
        shared = {"spool.connection", "spool.connection.Connection", "spool.rows", "spool.rows.bounded_parts"}
        assert {*_targets(path, "spool")} <= shared, path


def test_core_knows_nobody() -> None:
    for path in _modules("core"):
        assert {name.split(".")[0] for name in _imports(path)} <= {"core"}, path
