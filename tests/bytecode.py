"""A plug-in of pytest: what the tests import is compiled once, not by each of the workers and daemons.

Compiling, and pytest's rewriting of assertions, is two thirds of the time that a fresh clone's test session takes to
begin, and a quarter of each daemon's start.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import sys
from collections.abc import Iterator
from typing import Final

import pytest

# Containers often have it forbidden, which is meant for what is installed. Here hundreds of processes follow.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

_FREEZE: Final = gc.freeze
_UNFREEZE: Final = gc.unfreeze


@pytest.hookimpl(tryfirst=True)
def pytest_collection(session: pytest.Session) -> None:
    """Have each worker import a part of the files first, so that it finds the others' parts compiled."""
    place = getattr(session.config, "workerinput", None)
    if place is None:
        return
    number, count = int(place["workerid"].removeprefix("gw")), place["workercount"]
    for name in list(_modules(session.config))[number % count :: count]:
        # Who collects it says what is wrong with it.
        with contextlib.suppress(Exception, pytest.skip.Exception):
            importlib.import_module(name)


def _modules(config: pytest.Config) -> Iterator[str]:
    """The names of the test files in the folders that are asked for."""
    for argument in config.args:
        folder = config.invocation_params.dir / argument
        if folder.is_dir() and folder.is_relative_to(config.rootpath):
            for file in sorted(folder.rglob("test_*.py")):
                yield ".".join(file.relative_to(config.rootpath).with_suffix("").parts)


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """Spare each collection of garbage the ten thousand tests; daemons that run in this process have it collected."""
    gc.collect()
    gc.freeze()
    # A daemon freezes what it has made, and undoes that at its end: all would be walked through again from there on.
    gc.freeze = gc.unfreeze = lambda: None


@pytest.hookimpl
def pytest_unconfigure() -> None:
    """Have them do again what they do."""
    gc.freeze, gc.unfreeze = _FREEZE, _UNFREEZE
