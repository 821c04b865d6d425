"""A simulator and a daemon, each a process of its own, so that one can be killed and the other asked what it knows."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson

QUEUE = "combine"

_CONFIG = """
[pump]
site = "chaos"
state_dir = "{folder}/state"
[ops]
listen = "127.0.0.1:0"
[media]
fetch = {fetch}
[sources.teams]
type = "hik-connect"
server = "{url}"
app_key = "ak"
secret_key = "sk"
queues = ["combine"]
batch_size = {batch_size}
timeout = "2s"
[sinks.out]
type = "jsonl"
path = "{folder}/events.jsonl"
"""


def patient(condition: Callable[[], bool], what: str, seconds: float = 90) -> None:
    """Wait for another process to get there."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"{what} did not come"
        time.sleep(0.05)


class Vendor:
    """The simulator's process, asked over its own socket."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "pump", "simulate", "hik-connect", "--rate", "0"], stderr=subprocess.PIPE, text=True
        )
        assert self.process.stderr is not None
        said = self.process.stderr.readline()
        assert " listens at " in said, said + self.process.stderr.read()
        self.url = said.split()[-1]

    def ask(self, path: str, body: Any = None) -> Any:
        """GET, or POST where there is a body."""
        request = urllib.request.Request(
            f"{self.url}/_simulator/{path}", data=None if body is None else orjson.dumps(body)
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return orjson.loads(answer.read())

    def queue(self, *, lists: bool = False) -> dict[str, Any]:
        """The account of the queue."""
        account = self.ask("account" if lists else "account?lists=no")
        found: dict[str, Any] = account["queues"][QUEUE]
        return found

    def make(self, count: int) -> list[str]:
        """So many records arrive; their identities, in order."""
        made: list[str] = self.ask("make", {"queue": QUEUE, "n": count})["identities"]
        return made

    def close(self) -> None:
        """End the process."""
        self.process.terminate()
        self.process.wait()
        assert self.process.stderr is not None
        self.process.stderr.close()


class Site:
    """A folder with a pump.toml, and the daemons that ran there one after the other.

    `sinks` is added to its configuration, beside the JSON lines. `fetch`: its events' pictures are fetched, which makes
    as many events again, after those that a test waits for.
    """

    def __init__(
        self, folder: Path, vendor: Vendor, *, sinks: str = "", batch_size: int = 100, fetch: bool = False
    ) -> None:
        self.folder = folder
        self.vendor = vendor
        self.config = folder / "pump.toml"
        self.config.write_text(
            _CONFIG.format(folder=folder, url=vendor.url, batch_size=batch_size, fetch=str(fetch).lower()) + sinks
        )
        self.output = folder / "events.jsonl"
        self.daemon: subprocess.Popen[bytes] | None = None
        self._logged = 0

    def start(self, *prefix: str) -> None:
        """Start a daemon; its log goes to a file."""
        with (self.folder / "daemon.log").open("ab") as file:
            self._logged = file.tell()
            self.daemon = subprocess.Popen(
                [*prefix, sys.executable, "-m", "pump", "run", "-c", str(self.config)], stderr=file, env=os.environ
            )

    def up(self) -> None:
        """Wait until the daemon that was started last runs: one that is asked to stop before dies of the signal."""
        patient(lambda: b"The pump runs" in (self.folder / "daemon.log").read_bytes()[self._logged :], "the daemon")

    def end(self, number: signal.Signals) -> int:
        """Send the signal and wait for the end."""
        assert self.daemon is not None
        self.daemon.send_signal(number)
        return self.daemon.wait()

    def numbers(self) -> list[str]:
        """The vendor's identities in the JSON lines, in the order of the file; a kill may have torn the last line."""
        found = []
        for line in self.output.read_bytes().split(b"\n")[:-1]:
            data = orjson.loads(line)["data"]
            if data["vendor"] == "hik-connect":
                found.append(data["raw"]["basicInfo"]["systemId"])
        return found

    def log(self) -> str:
        """What the daemons logged."""
        return (self.folder / "daemon.log").read_text()


@contextmanager
def site(folder: Path, *, sinks: str = "", batch_size: int = 100, fetch: bool = False) -> Iterator[Site]:
    """A site with its vendor; both are gone afterwards."""
    vendor = Vendor()
    here = Site(folder, vendor, sinks=sinks, batch_size=batch_size, fetch=fetch)
    try:
        yield here
    finally:
        if here.daemon is not None and here.daemon.poll() is None:
            here.end(signal.SIGKILL)
        vendor.close()
