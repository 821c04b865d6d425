"""This build of the pump and an older one, side by side: each a checkout with a Python of its own.

What both have in common drives them: their command line, their sockets, and `inside.py`, which runs in each build's own
Python and knows where the few parts lie that it needs.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[2]
_READY: Final = 300.0
"""Seconds that a start may take."""


@dataclass(frozen=True)
class Build:
    """A checkout, and the Python in which it is installed."""

    name: str
    root: Path
    python: Path

    def command(self, *arguments: str) -> list[str]:
        """The build's `pump`, with these arguments."""
        return [str(self.python), "-m", "pump", *arguments]

    @property
    def environ(self) -> dict[str, str]:
        """In it the build's own package is found before any other."""
        return {**os.environ, "PYTHONPATH": str(self.root)}

    def inside(self, work: str, **arguments: Any) -> subprocess.Popen[str]:
        """Have `inside.py` do a work in the build's Python; see `result`."""
        script = Path(__file__).with_name("inside.py")
        line = [str(self.python), "-P", str(script), work, json.dumps(arguments)]
        return subprocess.Popen(line, stdout=subprocess.PIPE, text=True, cwd=self.root, env=self.environ)

    @contextmanager
    def daemon(self, folder: Path, text: str) -> Iterator[Daemon]:
        """The daemon with this pump.toml, from its being ready to its stop."""
        running = Daemon(self, folder, text)
        try:
            running.wait_ready()
            yield running
        finally:
            running.end()


def result(process: subprocess.Popen[str]) -> dict[str, Any]:
    """What a work inside a build has printed as its last line; AssertionError where it failed."""
    said, _ = process.communicate()
    assert process.returncode == 0, f"the work inside a build failed with {process.returncode}"
    found: dict[str, Any] = json.loads(said.splitlines()[-1])
    return found


class Daemon:
    """A build's daemon as a process; its log is a file, so that it never waits for a reader."""

    def __init__(self, build: Build, folder: Path, text: str) -> None:
        folder.mkdir(exist_ok=True)
        (folder / "pump.toml").write_text(text)
        self._log = folder / "daemon.log"
        self._begun = time.perf_counter()
        with self._log.open("wb") as file:
            self.process = subprocess.Popen(
                build.command("run", "-c", str(folder / "pump.toml")), stderr=file, cwd=folder, env=build.environ
            )
        self.ready_s = 0.0
        """Seconds from its start until all of it ran."""

    def wait_ready(self) -> None:
        """Return once every part had its start."""
        end = time.monotonic() + _READY
        # with 2,000 sources that line comes in pieces
        while b"\n" not in (said := self._log.read_bytes()).partition(b"The pump runs")[2]:
            assert self.process.poll() is None, said[-2000:].decode()
            assert time.monotonic() < end, "a daemon did not get ready"
            time.sleep(0.002)
        self.ready_s = time.perf_counter() - self._begun
        self.ops_url = self._url("The pump runs")
        self.push_port = int(self._url("Devices may push").rpartition(":")[2]) if b"Devices may push" in said else 0

    def _url(self, sentence: str) -> str:
        line = next(line for line in self._log.read_text().splitlines() if sentence in line)
        return "http://127.0.0.1:" + line.split("127.0.0.1:")[1].split('"')[0].split()[0].rstrip("/")

    def get(self, path: str) -> bytes:
        """The answer of the ops listener."""
        with urllib.request.urlopen(self.ops_url + path, timeout=60) as answer:
            body: bytes = answer.read()
            return body

    def metric(self, name: str) -> float:
        """A metric's value; of one with labels the sum of all."""
        lines = self.get("/metrics").decode().splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.partition("{")[0].split(" ")[0] == name)

    def end(self) -> None:
        """Stop it, and wait for the end."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)


PRESENT: Final = Build("this", ROOT, Path(sys.executable))


@contextmanager
def older(revision: str, folder: Path) -> Iterator[Build]:
    """That commit in a checkout and a virtual environment of its own, made and removed here."""
    checkout, venv = folder / "checkout", folder / "venv"
    git = ["git", "-C", str(ROOT), "worktree"]
    subprocess.run([*git, "add", "--detach", str(checkout), revision], check=True, capture_output=True)
    try:
        base = getattr(sys, "_base_executable", sys.executable)
        subprocess.run([base, "-m", "venv", str(venv)], check=True)
        constraints = checkout / "constraints.txt"
        install = [str(venv / "bin" / "pip"), "install", "-q", "--disable-pip-version-check"]
        made = subprocess.run(
            [*install, "-c", str(constraints), f"{checkout}[fast,nats]"], capture_output=True, text=True, check=False
        )
        assert made.returncode == 0, made.stderr
        yield Build(revision, checkout, venv / "bin" / "python")
    finally:
        subprocess.run([*git, "remove", "--force", str(checkout)], check=False, capture_output=True)
