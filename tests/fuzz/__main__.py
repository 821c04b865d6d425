"""`python -m tests.fuzz TARGET [CORPUS] [libFuzzer's options]` (README.md)."""

from __future__ import annotations

import importlib
import sys
import tempfile
from pathlib import Path


def main() -> None:
    """Fuzz until libFuzzer has had enough: it ends the process itself."""
    names = ("reader", "gateway", "gateway-shapes", "camera", "camera-shapes")
    if len(sys.argv) < 2 or sys.argv[1] not in names:
        sys.exit(f"which of {', '.join(names)}? {__doc__}")
    name, rest = sys.argv[1], sys.argv[2:]
    atheris = importlib.import_module("atheris")  # in no extra of ours: it has wheels for few platforms
    with atheris.instrument_imports(include=["pump", "json", "tests.fuzz"]):
        seeds = importlib.import_module("tests.fuzz.seeds")
        targets = importlib.import_module("tests.fuzz.targets")
    if not any(not option.startswith("-") for option in rest):
        rest.append(tempfile.mkdtemp(prefix=f"fuzz-{name}-"))
    corpus = next(Path(option) for option in rest if not option.startswith("-"))
    if not corpus.is_file():  # a crash to be run again
        seeds.write(name, corpus)
    atheris.Setup([sys.argv[0], *rest], targets.TARGETS[name])
    atheris.Fuzz()


main()
