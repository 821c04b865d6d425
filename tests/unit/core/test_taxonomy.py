"""The vocabulary: every type in its domain, with a line that says what it says."""

from __future__ import annotations

import re

import pytest

from pump.core.taxonomy import DOMAINS, PHASES, SEVERITIES, TYPES


@pytest.mark.parametrize("name", TYPES)
def test_a_type_is_spelled_as_the_design_says(name: str) -> None:
    assert re.fullmatch(rf"({'|'.join(DOMAINS)})(\.[a-z_]+){{1,2}}", name)
    assert TYPES[name]
    assert not TYPES[name].endswith(".")
    assert "\n" not in TYPES[name]


def test_every_vendors_domain_has_a_type_for_what_no_document_lists() -> None:
    assert {f"{domain}.unknown" for domain in DOMAINS if domain not in ("alarm", "pump")} <= set(TYPES)


def test_severities_rise() -> None:
    assert sorted(SEVERITIES, key=SEVERITIES.__getitem__) == ["info", "notice", "warning", "critical"]
    assert PHASES == ("start", "end", "pulse", "update")
