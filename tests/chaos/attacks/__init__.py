"""The table of attacks on a daemon's listeners: a module holds what is alike, its `ATTACKS` are rows of the table.

A new attack is a row in a module of this folder, which needs naming nowhere else. The chaos test holds each to its
bounds, and `python -m tests.bench attacks` prints what each costs.
"""

from __future__ import annotations

import importlib
import pkgutil

from tests.chaos.attacks.frame import Attack


def rows() -> list[Attack]:
    """All of them, in the order of their modules and of their rows."""
    names = [entry.name for entry in pkgutil.iter_modules(__path__)]
    modules = [importlib.import_module(f"{__name__}.{name}") for name in names]
    return [row for module in modules for row in getattr(module, "ATTACKS", ())]
