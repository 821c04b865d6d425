"""Every value of the document's data dictionary has its word."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from pump.vendors.avaeye import codes
from tests.unit.vendors.avaeye.site import capture
from tests.unit.vendors.avaeye.test_parse import parsed

_DOCUMENT = Path(__file__).parents[3] / "data" / "avaeye_codes.txt"
_TABLES: Mapping[str, tuple[Mapping[int, str], tuple[tuple[str, str], ...]]] = {
    "plate type": (codes.PLATE_TYPES, (("plateType", "plate_type"),)),
    "vehicle type": (codes.VEHICLE_TYPES, (("vehicleType", "type"),)),
    "color": (codes.COLORS, (("vehicleColor", "color"), ("plateColor", "plate_color"))),
    "status": (codes.STATUSES, ()),
}
_ROWS = [line.split("\t") for line in _DOCUMENT.read_text().splitlines()]


def _same(word: str, description: str) -> bool:
    return word.casefold() == description.casefold()


@pytest.mark.parametrize(("table", "code", "description"), _ROWS, ids=lambda value: value)
def test_each_row_of_the_document_has_its_word(table: str, code: str, description: str) -> None:
    words, fields = _TABLES[table]
    assert _same(words[int(code)], description)
    for key, name in fields:
        for value in (int(code), code):
            params: dict[str, Any] = {key: value}
            (event,) = parsed("capture", capture(**params))
            assert event.data["vehicle"][name] == words[int(code)]


@pytest.mark.parametrize("table", _TABLES)
def test_no_table_says_more_than_the_document(table: str) -> None:
    assert {str(code) for code in _TABLES[table][0]} == {code for name, code, _ in _ROWS if name == table}
