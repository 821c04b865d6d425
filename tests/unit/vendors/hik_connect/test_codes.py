"""Every code that the vendor's document lists has its row, under the document's own name.

`tests/data/hik_connect_codes.txt` holds the codes of the document's tables: section, code, name. Where the document
itself lies beside the checkout, the list is compared with it.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pump.core.taxonomy import PHASES, SEVERITIES, TYPES
from pump.vendors.hik_connect.codes import CALLS, CODES, PAIRS

ROOT = Path(__file__).parents[4]
DOCUMENT = ROOT.parent / "shared" / "vendor" / "hik-connect-openapi-2.13.0.txt"
LISTED: list[tuple[str, str, str]] = [
    (section, code, name)
    for section, code, name in (
        line.split("\t") for line in (ROOT / "tests/data/hik_connect_codes.txt").read_text().splitlines()
    )
]

# In the order of the table's rows, which lost their values in the scan.
LOST = [
    "Msg330001", "Msg330101", "Msg330102", *(f"Msg33020{n}" for n in range(1, 6)), "Msg330301",
    *(f"Msg33040{n}" for n in range(1, 9)), *(f"Msg33050{n}" for n in range(1, 6)),
]  # fmt: skip
RENAMED = {
    "Messages about video intercom events.": "Video Intercom Event",
    "Messages about GPS events.": "GPS Data Report",
}


def read_document(text: str) -> list[tuple[str, str, str]]:
    """Section, code and name of every row of A.1.4, A.1.5 and A.1.7, in order."""
    chapter = text[text.index("\nA.1.4 Alarm Type\n\nVideo Security") :]
    chapter = chapter[: chapter.index("\nA.1.8 Capability Set\n")]
    found: list[tuple[str, str, str]] = []
    lost = iter(LOST)
    section, unnamed = "", False
    for line in chapter.splitlines():
        if heading := re.fullmatch(r"A\.1\.(\d) .*", line):
            section = f"A.1.{heading[1]}"
        elif line in ("Description", "Event Message") or line.startswith(("Event Code", "Enumeration")):
            unnamed = line == "Description" and section == "A.1.7"
        elif row := re.fullmatch(r"(?:Msg ?)?(\d{5,6})\t([^\t]+)\t?", line):
            if section != "A.1.6":
                found.append((section, f"Msg{row[1]}" if line.startswith("Msg") else row[1], row[2]))
        elif unnamed and line and section == "A.1.7":
            found.append((section, next(lost), line))
    assert next(lost, None) is None
    return found


@pytest.mark.skipif(not DOCUMENT.exists(), reason="the vendor's document does not lie beside this checkout")
def test_the_list_of_codes_is_the_documents() -> None:
    # Some codes stand in two lists of A.1.4.
    assert list(dict.fromkeys(read_document(DOCUMENT.read_text()))) == LISTED


def test_the_list_is_whole() -> None:
    assert len(LISTED) == 280


@pytest.mark.parametrize(("section", "code", "name"), LISTED)
def test_a_listed_code_has_its_row(section: str, code: str, name: str) -> None:
    row = CODES[code.removeprefix("Msg")]
    assert row.name == RENAMED.get(name, name)


def test_no_row_is_invented() -> None:
    assert set(CODES) == {code.removeprefix("Msg") for _, code, _ in LISTED}


@pytest.mark.parametrize("code", CODES)
def test_a_row_speaks_the_vocabulary(code: str) -> None:
    row = CODES[code]
    assert row.type in TYPES
    assert row.severity in SEVERITIES
    assert row.phase in PHASES
    assert (row.phase in ("start", "end")) == (row.pair is not None), "start and end only where the vendor restores"


def test_the_states_of_a_call_speak_the_vocabulary() -> None:
    assert sorted(CALLS) == ["0", "1", "2", "3"]
    assert all(row.type in TYPES for row, _ in CALLS.values())


def test_the_pairs_are_the_issues() -> None:
    pairs = (
        "50101/50120, 10057/10056, 11017/11016, 50000/20008, 100302/100303, 70118/70119, 300002/300001, 330407/330408"
    )
    assert ["/".join(pair) for pair in PAIRS] == pairs.split(", ")
    for start, end in PAIRS:
        assert (CODES[start].phase, CODES[end].phase) == ("start", "end")
        assert CODES[start].pair == CODES[end].pair is not None


@pytest.mark.parametrize(
    ("codes", "type"),
    [
        ("70113 80036 110007", "security.duress"),
        ("50000 20008 100371 330102", "security.input."),
        ("10500 10501", "vehicle.passed"),
        ("100375 335000", "driving.driver.match"),
        ("100376 335001", "driving.driver.mismatch"),
        ("330001", "driving.position"),
        ("110019", "access.temperature"),
    ],
)
def test_placements_that_the_issue_names(codes: str, type: str) -> None:
    assert all(CODES[code].type.startswith(type) for code in codes.split())


def test_plate_lists_say_which() -> None:
    assert CODES["10500"].preset == {"vehicle": {"list": "blocklist"}}
    assert CODES["10501"].preset == {"vehicle": {"list": "allowlist"}}


@pytest.mark.parametrize(
    "code", [code for code, row in CODES.items() if row.type in ("access.granted", "access.denied")]
)
def test_access_rows_say_what_happened(code: str) -> None:
    row = CODES[code]
    access = row.preset["access"]
    assert access["granted"] is (row.type == "access.granted")
    assert ("reason" in access) is not access["granted"]
    for word in ("Card", "PIN", "Fingerprint", "Face", "Bluetooth", "QR Code", "Keyfob"):
        if f"by {word}" in row.name or f"via {word}" in row.name or f"and {word}" in row.name:
            assert word.lower() in str(access["method"]).lower()
    assert ("Timed Out" in row.name) == (access.get("reason") == "timed out")
