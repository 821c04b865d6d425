"""`python -m tests.bench [part ...]`: the table. Parts: the modules of this folder that have a `table`.

Ends with 1 where a row's work was not all done: its figures would be void.
"""

from __future__ import annotations

import gc
import importlib
import pkgutil
import sys
import tempfile
from pathlib import Path

import tests.bench
from pump.runtime.tuning import tuned
from pump.telemetry import log
from tests.bench.measure import show

_REPETITIONS = 5


def main() -> None:
    """Run the parts named, all where none is."""
    log.configure(level="error")
    names = sys.argv[1:] or [entry.name for entry in pkgutil.iter_modules(tests.bench.__path__)]
    whole = True
    for name in names:
        module = importlib.import_module(f"tests.bench.{name}")
        if hasattr(module, "table"):
            with tuned(), tempfile.TemporaryDirectory(prefix="pump-bench-") as folder:
                gc.collect()
                gc.freeze()
                title = f"{name}: {(module.__doc__ or '').splitlines()[0]}"
                whole = show(title, module.table(Path(folder), _REPETITIONS)) and whole
    sys.exit(0 if whole else 1)


if __name__ == "__main__":
    main()
