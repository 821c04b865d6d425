"""The figures and the shape of a house, on one that is built for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.house import LIMITS, figures, violations

ROOM = '''"""Where it is told."""

from pump import one
from pump.two import other
import pump.three.deep

class Made:
    """A thing."""

    size: int = 1
    """What it measures."""

    def __init__(self, a, b, c, d, e, f, g, h, i):
        log.info("small letters")
        log.info("Capitals")


def late():
    from pump.three import deep
'''


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    files = {
        "pump/__init__.py": "", "pump/__main__.py": "from pump.one import x\n", "pump/one.py": "class Same: ...\n",
        "pump/two.py": "class Same: ...\n", "pump/three/__init__.py": "", "pump/three/deep.py": "class Same: ...\n",
        "pump/room.py": ROOM, "pump/vendors/x/simulator/big.py": "x = 1\n" * 500,
        "tests/test_it.py": "import asyncio\nasyncio.run(main())\n# asyncio.run(\n",
    }  # fmt: skip
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_the_figures_of_a_checkout(checkout: Path) -> None:
    found = figures(checkout)
    wanted = {
        "files in the root": 5,
        "files of the fullest folder": "5 (the root)",
        "constructors of 9 and more parameters": 1,
        "class names that 3 or more share": 1,
        "lines of the package": 500 + 4 + ROOM.count("\n"),
        "lines of production (no simulators, no testing)": 4 + ROOM.count("\n"),
        "rooms": 6,
        "arrows between rooms": 3,
        "asyncio.run( in tests": 1,
        "docstrings that begin with What, Whether, Where, How, Which": 2,
        "docstrings with tell or told": 1,
        "log sentences": 2,
        "log sentences without a capital": 1,
    }
    assert {name: found[name] for name in wanted} == wanted


def test_what_is_larger_than_the_limits_is_named(checkout: Path) -> None:
    assert violations(checkout / "pump") == ["room.py: Made is made of 9 parameters, 8 are the most"]
    tight = {**LIMITS, "root": 4, "folder": 1, "file": 10, "class": 5}
    said = "\n".join(violations(checkout / "pump", tight))
    for text in ("the root has 5 modules", "three/ has 2 files", "room.py has 19 lines", "class Made has"):
        assert text in said
    assert "big.py" not in said
