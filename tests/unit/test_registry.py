"""Kinds are found by looking; nothing but the one asked for is imported; mistakes are told with the nearest kind."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pump import registry
from pump.registry import MissingDependency, Registry

FILES = {
    "__init__.py": "",
    "vendors/__init__.py": "",
    "vendors/north_cam/__init__.py": "from .source import NorthCam as SOURCE\n__all__ = ['SOURCE']\n",
    "vendors/north_cam/source.py": "class NorthCam: ...\n",
    "vendors/north_cam/simulator/__init__.py": "URL = 'x'\n",
    "vendors/north_cam/simulator/demo.py": "STAGE = 'y'\n",
    "vendors/one_file/__init__.py": "SOURCE = 1\n",
    "vendors/one_file/simulator.py": "URL = 'z'\n",
    "vendors/one_file/demo.py": "",
    "vendors/wants_too/__init__.py": "",
    "vendors/wants_too/simulator/__init__.py": "",
    "vendors/wants_too/simulator/demo.py": "import a_package_that_nobody_has\n",
    "vendors/both_ways/__init__.py": "SOURCE: type = int\n\n\nclass SINK: ...\n",
    "vendors/half_done/__init__.py": "",
    "vendors/_private/__init__.py": "SOURCE = 1\n",
    "sinks/__init__.py": "",
    "sinks/paper.py": "class Paper: ...\n\n\nSINK = Paper\n",
    "sinks/helper.py": "SINKS = 1\n",
    "sinks/sky/__init__.py": "",
    "sinks/sky/simulator/__init__.py": "URL = 's'\n",
    "sinks/sky/simulator/demo.py": "STAGE = 't'\n",
    "sinks/wants_more.py": "import a_package_that_nobody_has\n\nSINK = 1\n",
    "sinks/broken.py": "import {package}.not_there\n\nSINK = 1\n",
}


def make(folder: Path, package: str) -> Registry:
    for name, text in FILES.items():
        path = folder / package / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.replace("{package}", package))
    return Registry(f"{package}.vendors", f"{package}.sinks")


@pytest.fixture
def kinds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Registry:
    monkeypatch.syspath_prepend(tmp_path)
    return make(tmp_path, f"kinds_{abs(hash(request.node.name))}")


def test_kinds_are_found(kinds: Registry) -> None:
    assert kinds.source_kinds() == ["both-ways", "north-cam", "one-file"]
    assert kinds.sink_kinds() == ["both-ways", "broken", "paper", "wants-more"]
    assert kinds.simulator_kinds() == ["north-cam", "one-file", "sky", "wants-too"]
    assert kinds.demo_kinds() == ["north-cam", "wants-too"]  # inside the simulator's folder, and nowhere else
    assert kinds.sink_demo_kinds() == ["sky"]
    assert kinds.source("north-cam").__name__ == "NorthCam"
    assert kinds.sink("both-ways").__name__ == "SINK"
    assert kinds.sink("paper").__name__ == "Paper"
    assert kinds.simulator("north-cam").URL == "x"
    assert kinds.simulator("one-file").URL == "z"
    assert kinds.simulator("sky").URL == "s"
    assert kinds.demo("sky").STAGE == "t"
    assert kinds.demo("north-cam").STAGE == "y"


def test_nothing_else_is_imported(kinds: Registry) -> None:
    kinds.source_kinds()
    kinds.sink_kinds()
    kinds.simulator_kinds()
    kinds.demo_kinds()
    kinds.sink("paper")
    package = kinds.vendors.partition(".")[0]
    assert {name for name in sys.modules if name.startswith(package)} == {
        package, f"{package}.vendors", f"{package}.sinks", f"{package}.sinks.paper",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("call", "kind", "wanted"),
    [
        (
            "source",
            "north_cam",
            'there is no source "north_cam"; did you mean "north-cam"? there are: both-ways, north-cam, one-file',
        ),
        ("sink", "papr", 'did you mean "paper"?'),
        ("sink", "zzz", 'there is no sink "zzz"; there are: both-ways'),
        ("source", "half-done", 'there is no source "half-done"'),
        (
            "simulator",
            "north-can",
            'there is no simulator "north-can"; did you mean "north-cam"? there are: north-cam, one-file, sky, '
            "wants-too",
        ),
        ("simulator", "half-done", 'there is no simulator "half-done"; there are: north-cam'),
        (
            "demo",
            "north-can",
            'there is no demo "north-can"; did you mean "north-cam"? there are: north-cam, sky, wants-too',
        ),
        ("demo", "one-file", 'there is no demo "one-file"; there are: north-cam, sky, wants-too'),
    ],
)
def test_an_unknown_kind_names_the_nearest(kinds: Registry, call: str, kind: str, wanted: str) -> None:
    with pytest.raises(LookupError) as told:
        getattr(kinds, call)(kind)
    assert wanted in str(told.value)


def test_where_no_folder_can_be_read_nobody_says_that_there_is_no_such_kind(
    kinds: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """pkgutil takes an error for an empty folder."""

    def scarce(place: object) -> list[str]:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(os, "listdir", scarce)
    with pytest.raises(OSError, match="Too many open files"):
        kinds.sink("paper")


def test_a_missing_package_is_named(kinds: Registry) -> None:
    with pytest.raises(MissingDependency, match=r"wants-more.*needs the package a_package_that_nobody_has"):
        kinds.sink("wants-more")


def test_a_package_that_a_demo_misses_is_named(kinds: Registry) -> None:
    with pytest.raises(MissingDependency, match=r"wants-too.*needs the package a_package_that_nobody_has"):
        kinds.demo("wants-too")


def test_the_real_vendors_and_the_cloud_of_a_sink_have_a_simulator_and_take_part_in_the_demo() -> None:
    assert registry.demo_kinds() == registry.source_kinds()
    assert registry.sink_demo_kinds() == ["tuya"]
    assert registry.simulator_kinds() == sorted([*registry.source_kinds(), *registry.sink_demo_kinds()])


def test_an_import_error_of_our_own_is_not_dressed_up(kinds: Registry) -> None:
    with pytest.raises(ModuleNotFoundError) as told:
        kinds.sink("broken")
    assert not isinstance(told.value, MissingDependency)


@pytest.mark.parametrize(
    ("kind", "module", "wanted"), [("fast", "x", "event-pump[fast]"), ("quick", "uvloop", "event-pump[fast]")]
)
def test_the_extra_is_named(kind: str, module: str, wanted: str) -> None:
    assert wanted in registry._advice(kind, module)


def test_a_daemon_loads_no_kind_by_itself() -> None:
    code = (
        "import sys, pump.registry as r, pump.runtime.daemon;"
        "kinds = [*r.DEFAULT.source_kinds(), *r.DEFAULT.sink_kinds()];"
        "names = {room + kind.replace('-', '_') for kind in kinds for room in ('pump.vendors.', 'pump.sinks.')};"
        "print(bool(kinds), names & sys.modules.keys())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "True set()\n"


def test_listing_the_real_kinds_loads_no_vendor() -> None:
    code = (
        "import sys, pump.registry as r; r.source_kinds(), r.sink_kinds(), r.simulator_kinds(), r.demo_kinds();"
        "print([m for m in sys.modules if m.startswith(('pump.vendors.', 'pump.sinks.', 'aiohttp'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
