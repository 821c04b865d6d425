"""Makes the golden files anew: `python -m tests.golden.write [NAME ...]`; a name is a vendor's folder or a file's stem.

Without a name it makes all but the spools, which only the code of their own time can write.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from functools import partial
from typing import Final

import structlog

from tests.golden import interface, landed_spool, old_spool, running, streams, subjects, vendors


def _vendor(name: str) -> None:
    vendors.write_samples(name)
    vendors.write_codes(name)
    if name in streams.STREAMS:
        streams.write(name)


WRITERS: Final[dict[str, Callable[[], None]]] = {
    **{name: partial(_vendor, name) for name in subjects.VENDORS},
    "interface": interface.write,
    "running": running.write,
    "old-spool": old_spool.write,
    "landed-spool": landed_spool.write,
}


def main(names: list[str]) -> int:
    """Write those; 2 for an unknown name."""
    if unknown := [name for name in names if name not in WRITERS]:
        print(f"there is no {', '.join(unknown)}; there are: {', '.join(WRITERS)}", file=sys.stderr)
        return 2
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    vendors.DATA.mkdir(exist_ok=True)
    for name in names or [each for each in WRITERS if each not in ("old-spool", "landed-spool")]:
        WRITERS[name]()
        print(f"wrote {name}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
