"""Every vendor's samples and codes give the same events and the same state, byte by byte, as is written."""

from __future__ import annotations

import pytest

from tests.golden import streams, vendors
from tests.golden.subjects import VENDORS, samples
from tests.golden.vendors import Lines

ADVICE = "if that is meant: python -m tests.golden.write"


@pytest.fixture(scope="module")
def found() -> dict[str, Lines]:
    return {}


@pytest.mark.parametrize(("vendor", "sample"), [(vendor, name) for vendor in VENDORS for name in samples(vendor)])
def test_a_sample_gives_the_same_events(vendor: str, sample: str, found: dict[str, Lines]) -> None:
    if vendor not in found:
        found[vendor] = vendors.sample_lines(vendor)
    wanted = vendors.read_samples(vendor)
    assert sample in wanted, f"the sample {sample} of {vendor} is new: python -m tests.golden.write {vendor}"
    differing = vendors.differences(f"{vendor}/{sample}", wanted[sample], found[vendor][sample])
    assert not differing, "\n".join([*differing, f"{ADVICE} {vendor}"])


@pytest.mark.parametrize("vendor", VENDORS)
def test_no_sample_is_gone(vendor: str) -> None:
    gone = [name for name in vendors.read_samples(vendor) if name not in samples(vendor)]
    assert not gone, f"{vendor} has no samples {gone} any more: python -m tests.golden.write {vendor}"


@pytest.mark.parametrize("vendor", VENDORS)
def test_each_code_gives_the_same_events(vendor: str) -> None:
    wanted = vendors.read_codes(vendor)
    found = vendors.code_lines(vendor, {name: row["message"] for name, row in wanted.items()})
    differing = [
        text
        for name, row in wanted.items()
        for text in vendors.differences(f"{vendor}, {name}", row["lines"], found[name])
    ]
    more = f"and {len(differing) - 40} more" if len(differing) > 40 else ""
    assert not differing, "\n".join([*differing[:40], more, f"{ADVICE} {vendor}"])


@pytest.mark.parametrize("vendor", streams.STREAMS)
def test_a_stream_gives_the_same_events_at_first_and_after_a_restart(vendor: str) -> None:
    differing = vendors.differences(f"the stream of {vendor}", streams.read(vendor), streams.lines(vendor))
    assert not differing, "\n".join([*differing, f"{ADVICE} {vendor}"])
