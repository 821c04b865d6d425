"""The optional build (`setup.py`) compiles what it may, and the events stay the same to the byte."""

from __future__ import annotations

import ast
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from pump.core.clock import Clock
from pump.vendors.hik_connect.parse import Queue
from pump.vendors.hik_connect.simulator.server import Simulator

ROOT = Path(__file__).parents[2]
QUEUES: tuple[Queue, ...] = ("alarm", "combine", "rawmsg")
_STRANGE: tuple[Any, ...] = (
    None,
    "",
    0,
    7,
    1.5,
    True,
    2**60,
    "ü" * 90,
    "x" * 300,
    "1",
    "0",
    [],
    {},
    [{}],
    {"url": "u"},
)
_READ = """
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
import orjson
from pump.core.event import Event, encode
from pump.ingest.bounds import bound
from pump.vendors.hik_connect import parse
from pump.vendors.hik_connect.uploads import Uploads
compiled = not parse.__file__.endswith(".py")
assert compiled == (sys.argv[2] == "compiled"), parse.__file__
os.urandom = bytes  # ids of records that have neither a name nor a time
now = datetime(2026, 11, 29, 8, tzinfo=UTC)
for queue, records in orjson.loads(Path(sys.argv[1]).read_bytes()).items():
    uploads = Uploads()
    for record in records:
        for item in parse.normalise(queue, record, UTC, now, uploads):
            if isinstance(item, Event):
                bound(item)
                print(item.id, item.dedup_time_ms, item.sightings, encode(item, "/a/b", now))
            else:
                print(item.identity)
    print(uploads.state(now))
"""


def compiled() -> tuple[str, ...]:
    """The modules that setup.py names."""
    for node in ast.parse((ROOT / "setup.py").read_text()).body:
        if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == "COMPILED" and node.value is not None:
            found: tuple[str, ...] = ast.literal_eval(node.value)
            return found
    raise AssertionError("setup.py names none")


@pytest.mark.parametrize("module", compiled())
def test_no_integer_can_become_a_real_number(module: str) -> None:
    tree = ast.parse((ROOT / module).read_text())
    annotations = [
        annotation
        for node in ast.walk(tree)
        for annotation in (getattr(node, "annotation", None), getattr(node, "returns", None))
        if isinstance(annotation, ast.expr)
    ]
    # a union with a text is handed on as it is
    assert not [text for each in annotations if "float" in (text := ast.unparse(each)) and "str" not in text]


def _records() -> dict[Queue, list[Any]]:
    rng = random.Random(15)
    simulator = Simulator(clock=Clock())
    return {queue: [_changed(rng, each) for each in simulator.make(queue, 300)] for queue in QUEUES}


def _changed(rng: random.Random, record: Any) -> Any:
    """The record, half of the time with a value that is none of its kind."""
    record = orjson.loads(orjson.dumps(record))
    if rng.random() < 0.5:
        inside, name = rng.choice(list(_places(record)))
        inside[name] = rng.choice(_STRANGE)
    return record


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, each in inner:
        yield value, name
        yield from _places(each)


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_both_builds_make_the_same_events(tmp_path: Path) -> None:
    """Takes a minute of the processor: run by hand, as docs/measurements.md says."""
    if shutil.which(os.environ.get("CC", "cc")) is None:
        pytest.skip("there is no C compiler here: the build is plain Python")
    shutil.copytree(ROOT / "pump", tmp_path / "pump", ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    shutil.copy(ROOT / "setup.py", tmp_path)
    sent = tmp_path / "records.json"
    sent.write_bytes(orjson.dumps(_records(), default=str))
    plain = _read(tmp_path, sent, "plain")
    subprocess.run(
        [sys.executable, "setup.py", "build_ext", "--inplace"], check=True, cwd=tmp_path, capture_output=True,
        env={**os.environ, "PUMP_COMPILE": "1"},
    )  # fmt: skip
    assert _read(tmp_path, sent, "compiled") == plain
    assert plain.count(b"\n") >= 900


def _read(place: Path, sent: Path, build: str) -> bytes:
    environ = {**os.environ, "PYTHONPATH": str(place)}
    command = [sys.executable, "-c", _READ, str(sent), build]
    return subprocess.run(command, check=True, cwd=place, env=environ, stdout=subprocess.PIPE).stdout
