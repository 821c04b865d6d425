"""Every sample of every vendor, with stand-ins: the vendor's code makes the same events of it, of the same fields."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from pump import registry
from pump.ingest.recording.bodies import BodyReplacer
from tests.golden import subjects
from tests.golden.vendors import _read, spelled

_OTHERWISE = {
    # the samples' reader knows the names of one gateway's device alone, by its number
    "hik_gateway": re.compile(r"^\.data\.device\.(name|serial|model|category)$"),
    # an unlisted code's name, which the vendor's code takes for a user's where no table has it
    "hik_camera": re.compile(r"^\.data\.alarm\.user$"),
}
_TEXTS = ("body", "text", "part")


def _replaced(bodies: BodyReplacer, sample: bytes) -> bytes:
    """The message within a sample's file, with stand-ins; what stands around it is the test's own."""
    if not sample.lstrip().startswith(b"{"):
        path, _, body = sample.partition(b"\n")
        return path + b"\n" + bodies.body(body)
    found = json.loads(sample)
    for name in _TEXTS:
        if isinstance(found.get(name), str):
            found[name] = bodies.body(found[name].encode()).decode()
    for name in ("before", "then"):
        found[name] = [_record(bodies, one) for one in found.get(name, [])]
    if "record" in found:
        found["record"] = _record(bodies, found["record"])
    return json.dumps(found).encode()


def _record(bodies: BodyReplacer, record: Any) -> Any:
    if isinstance(record, str):
        return bodies.body(record.encode()).decode()
    return json.loads(bodies.body(json.dumps(record).encode()))


def _leaves(path: str, value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _leaves(f"{path}.{key}", inner)
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _leaves(f"{path}[{number}]", inner)
    else:
        yield path


def _events(vendor: str, put: subjects.Put) -> list[tuple[str, set[str]]]:
    events = [found["event"] for found in map(json.loads, spelled(vendor, put)) if "event" in found]
    but = _OTHERWISE.get(vendor)
    return [(one["type"], {path for path in _leaves("", one) if but is None or not but.search(path)}) for one in events]


@pytest.mark.parametrize("vendor", subjects.VENDORS)
def test_a_sample_with_stand_ins_says_the_same(vendor: str) -> None:
    bodies = BodyReplacer(registry.DEFAULT.source(vendor.replace("_", "-")).recorded)
    samples = subjects.samples(vendor)
    replaced = {name: _replaced(bodies, sample) for name, sample in samples.items()}
    first, second = (_read(vendor, each, apart=True) for each in (samples, replaced))
    for name, one, other in zip(samples, first, second, strict=True):
        assert _events(vendor, other) == _events(vendor, one), name
