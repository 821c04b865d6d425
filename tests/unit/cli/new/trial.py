"""A checkout in a temporary folder with an empty package `trial`, for what the commands of a new kind write."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from click.testing import CliRunner, Result

from pump.cli import group
from pump.registry import Registry

ROOT = Path(__file__).parents[4]
_OURS = 'lint.isort.known-first-party=["pump", "trial"]'
KINDS = Registry("trial.vendors", "trial.sinks")


class Trial:
    """The folder, and what is done in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for package in ("trial", "trial/vendors", "trial/sinks"):
            (folder / package).mkdir()
            (folder / package / "__init__.py").touch()
        (folder / "tests").mkdir()
        (folder / "pyproject.toml").touch()

    def make(self, what: str, name: str) -> Result:
        """`pump new-source` or `pump new-sink`, into the trial's own package."""
        home = self.folder / "trial" / ("vendors" if what == "source" else "sinks")
        return CliRunner().invoke(group, [f"new-{what}", "--folder", str(home), "--", name])

    def load(self, test: str) -> ModuleType:
        """The module of a test that was made."""
        path = self.folder / "tests" / test
        spec = importlib.util.spec_from_file_location(f"made_{path.stem}", path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    def run(self, *command: str, cwd: Path = ROOT) -> None:
        """A Python module on the trial's files; fails with what it prints."""
        done = subprocess.run(
            [sys.executable, "-m", *command],
            cwd=cwd,
            env={**os.environ, "PYTHONPATH": str(self.folder), "MYPYPATH": str(self.folder)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def test(self) -> None:
        """Run the tests of one module that were made."""
        self.run(
            "pytest",
            "-q",
            "-n",
            "0",
            "-p",
            "no:cacheprovider",
            "--import-mode=importlib",
            "tests/unit",
            cwd=self.folder,
        )

    def texts(self) -> dict[str, str]:
        """Every file that is there, by its path."""
        files = [path for path in self.folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
        return {str(path.relative_to(self.folder)): path.read_text() for path in files}

    def style(self) -> None:
        """Ruff's and mypy's word on what was made, by the rules of this checkout."""
        shutil.copy(ROOT / "pyproject.toml", self.folder)
        for command in (["format", "--check", "--diff"], ["check"]):
            self.run("ruff", *command, "--no-cache", "--config", _OURS, "trial", "tests", cwd=self.folder)
        # what it knows of this checkout spares it half a minute; one that may not be written to has no room for that
        cache = ROOT / ".mypy_cache" if os.access(ROOT, os.W_OK) else os.devnull
        made = (f"{self.folder}/trial", f"{self.folder}/tests")
        self.run("mypy", f"--cache-dir={cache}", "--explicit-package-bases", *made)

    def __enter__(self) -> Trial:
        sys.path.insert(0, str(self.folder))
        return self

    def __exit__(self, *_: Any) -> None:
        sys.path.remove(str(self.folder))
        for name in [name for name in sys.modules if name.partition(".")[0] == "trial"]:
            del sys.modules[name]


def tools() -> pytest.MarkDecorator:
    """Skips where the tools of style are not installed: they come with the extra `dev`."""
    missing = [name for name in ("ruff", "mypy") if importlib.util.find_spec(name) is None]
    return pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)} (the extra dev)")
