"""The optional build: with PUMP_COMPILE=1 the hottest pure modules are compiled by mypyc (docs/measurements.md).

Without it, and where there is no C compiler, the package is plain Python: the same modules, the same events.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from setuptools import setup
from setuptools.command.build_ext import build_ext

COMPILED: Final = (
    "pump/core/text.py",
    "pump/ingest/bounds.py",
    "pump/vendors/common/fields.py",
    "pump/vendors/common/images.py",
    "pump/vendors/common/timestamps.py",
    "pump/vendors/hik_connect/backfill/sightings.py",
    "pump/vendors/hik_connect/heads.py",
    "pump/vendors/hik_connect/marks.py",
    "pump/vendors/hik_connect/media.py",
    "pump/vendors/hik_connect/parse.py",
    "pump/vendors/hik_connect/resource.py",
    "pump/vendors/hik_connect/uploads.py",
)
"""None that returns or keeps a `float`: mypyc makes a number of C of it, and an integer of a record must stay one."""
_OPTIONS: Final = ("--config-file=", "--ignore-missing-imports", "--follow-imports=silent")


class _Optional(build_ext):
    """All of the modules, or none: half of them would import what is not there."""

    def run(self) -> None:
        """Build them; where that fails, say so and leave plain Python."""
        try:
            super().run()
        except Exception as error:  # noqa: BLE001  # no compiler, no headers: whatever it is, plain Python serves
            self.warn(f"PUMP_COMPILE: nothing was compiled, plain Python is installed instead: {error}")
            for output in self.get_outputs():
                Path(output).unlink(missing_ok=True)
            self.extensions = []


if os.environ.get("PUMP_COMPILE") == "1":
    try:
        from mypyc.build import mypycify
    except ImportError:  # asked for what is needed: the next time it is there
        setup(setup_requires=["mypy[mypyc]>=1.14"])
    else:
        # One level of optimisation below the compiler's highest: as fast, and built in half the time.
        extensions = mypycify([*_OPTIONS, *COMPILED], opt_level="2", debug_level="0")
        setup(ext_modules=extensions, cmdclass={"build_ext": _Optional})
else:
    setup()
