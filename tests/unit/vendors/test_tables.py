"""Tables of codes have rows with named fields: the place of a value, or the length of a row, says nothing."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from dataclasses import is_dataclass
from types import ModuleType

import pytest

import pump.vendors

TABLES = ("codes", "access", "words", "readings", "hik_cid", "event_types", "hik_status")


def modules() -> Iterator[ModuleType]:
    for found in pkgutil.walk_packages(pump.vendors.__path__, "pump.vendors."):
        if ".simulator" not in found.name and found.name.rpartition(".")[2] in TABLES:
            yield importlib.import_module(found.name)


MODULES = list(modules())
NAMES = [module.__name__.removeprefix("pump.vendors.") for module in MODULES]


def tables(module: ModuleType) -> Iterator[tuple[str, list[object]]]:
    """The rows of each table of the module, by the table's name."""
    for name, table in vars(module).items():
        if name.strip("_").isupper() and isinstance(table, dict | tuple | list) and not hasattr(table, "_fields"):
            yield name, list(table.values() if isinstance(table, dict) else table)


@pytest.mark.parametrize("module", MODULES, ids=NAMES)
def test_a_row_has_names_and_is_of_its_tables_kind(module: ModuleType) -> None:
    for name, rows in tables(module):
        kinds = {type(row) for row in rows if isinstance(row, tuple | list) or is_dataclass(row)}
        assert len(kinds) <= 1, f"{name} has rows of several kinds: {kinds}"
        assert all(hasattr(kind, "_fields") for kind in kinds), f"the rows of {name} are no named tuples"


def test_the_tables_are_found() -> None:
    found = {module.__name__.removeprefix("pump.vendors."): dict(tables(module)) for module in MODULES}
    assert len(found["common.hik_cid"]["CODES"]) > 150
    assert len(found["hik_connect.codes"]["CODES"]) > 200
    assert len(found["hik_camera.access"]["ACCESS"]) > 500
    assert {"hik_gateway.codes", "kinot.codes", "avaeye.codes", "hik_camera.codes"} <= found.keys()
