"""`python -m tests.bench [part ...]`: the table. Parts: the modules of this folder that have a `table`.

`python -m tests.bench --against REV [row ...]` measures this build and that commit's in turns, which is built in a
checkout and a virtual environment of its own for it: the rows of `targets`. `--against nothing` measures this build
alone. `--write docs/performance.md` makes that page of all parts, with `--quick` of the short ones. Ends with 1 where a
row's work was not all done: its figures would be void.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import pkgutil
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import tests.bench
from pump.runtime.tuning import tuned
from pump.telemetry import log
from tests.bench import performance
from tests.bench.builds import PRESENT, older
from tests.bench.measure import show
from tests.bench.targets import compare

_REPETITIONS = 5


def main() -> None:
    """Run the parts named, all where none is."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench")
    parser.add_argument("parts", nargs="*", metavar="PART")
    parser.add_argument("--against", metavar="REV", help="a commit to be measured in turns with this build")
    parser.add_argument("--repetitions", type=int, default=_REPETITIONS, metavar="N")
    parser.add_argument("--write", metavar="FILE", type=Path, help="make the page of figures, of all parts")
    parser.add_argument("--quick", action="store_true", help="for --write: the short parts, once each")
    options = parser.parse_args()
    log.configure(level="error")
    work = _page if options.write else _against if options.against else _parts
    sys.exit(0 if work(options) else 1)


def _against(options: argparse.Namespace) -> bool:
    with tempfile.TemporaryDirectory(prefix="pump-bench-") as folder, ExitStack() as stack:
        builds = [PRESENT]
        if options.against != "nothing":
            builds.append(stack.enter_context(older(options.against, Path(folder))))
        return compare(builds, options.parts, options.repetitions)


def _page(options: argparse.Namespace) -> bool:
    with tuned():
        gc.collect()
        gc.freeze()
        repetitions = 1 if options.quick else options.repetitions
        return performance.write(options.write, _table, repetitions=repetitions, quick=options.quick)


def _table(name: str) -> performance.Table:
    module = importlib.import_module(f"tests.bench.{name}")
    found: performance.Table = module.rows if name == "targets" else module.table
    return found


def _parts(options: argparse.Namespace) -> bool:
    whole = True
    for name in options.parts or [entry.name for entry in pkgutil.iter_modules(tests.bench.__path__)]:
        module = importlib.import_module(f"tests.bench.{name}")
        if hasattr(module, "table"):
            with tuned(), tempfile.TemporaryDirectory(prefix="pump-bench-") as folder:
                gc.collect()
                gc.freeze()
                title = f"{name}: {(module.__doc__ or '').splitlines()[0]}"
                whole = show(title, module.table(Path(folder), options.repetitions)) and whole
    return whole


if __name__ == "__main__":
    main()
