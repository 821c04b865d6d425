"""The daemon under test: on a small disk of its own, behind a library that slows, blinds and sets its clock."""

from __future__ import annotations

import asyncio
import mmap
import os
import random
import resource
import shutil
import signal
import struct
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import aiohttp

from pump.testing.brokers import free_port

DISK: Final = "420m"
"""More than twice the spool: a damaged one is written anew beside itself."""
_CONTROL: Final = struct.Struct("<iiq")
_HOLD: Final = 'mount -t tmpfs -o size={size},mode=700 tmpfs "{state}" && echo here && exec cat'

_CONFIG = """
[pump]
site = "chaos"
state_dir = "{state}"
[ops]
listen = "127.0.0.1:{ops}"
page = false
[server]
listen = "127.0.0.1:{push}"
[spool]
max_bytes = "128MiB"
retention = "5m"
[media]
max_bytes = "24MiB"
hosts = ["{pictures}"]
[sources.teams]
type = "hik-connect"
server = "{teams}"
app_key = "ak"
secret_key = "sk"
queues = ["combine"]
batch_size = 100
timeout = "3s"
[sources.arc]
type = "hik-gateway"
url = "{arc}"
username = "admin"
password = "secret1"
heartbeat_timeout = "4s"
ca = "{folder}/certificates/ca.pem"
[sources.door]
type = "hik-camera"
url = "{door}"
password = "Camera-1"
heartbeat_timeout = "4s"
[sources.gate]
type = "avaeye"
[sources.bays]
type = "kinot"
server = "{bays}"
app_key = "ak"
app_secret = "sk"
register_callbacks = false
snapshot = "0s"
emit = "all"
timeout = "3s"
"""


def library(folder: Path) -> Path | None:
    """The library of `preload.c`, made in the folder; None without a C compiler."""
    compiler = shutil.which("cc")
    if compiler is None:
        return None
    made = folder / "preload.so"
    source = Path(__file__).with_name("preload.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", str(made), str(source), "-ldl"], check=True)
    return made


class Daemon:
    """`pump run` in a folder, again and again, and the disk that outlives it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.state = folder / "state"
        self.config = folder / "pump.toml"
        self.ops_port, self.push_port = free_port(), free_port()
        self.process: subprocess.Popen[bytes] | None = None
        self.starts = 0
        self.offsets: list[float] = [0.0]
        """All differences from the right clock, in turn."""
        self.jumps: list[float] = []
        """When its clock jumped, by the right one."""
        self.down = False
        """It is not to run for the moment."""
        self.small_disk = False
        self.library = library(folder)
        self._disk: subprocess.Popen[bytes] | None = None
        control = folder / "control"
        control.write_bytes(_CONTROL.pack(0, 0, 0))
        with control.open("r+b") as file:
            self._control = mmap.mmap(file.fileno(), _CONTROL.size)

    def configure(self, addresses: dict[str, str], sinks: str) -> None:
        """Write pump.toml."""
        pictures = addresses["teams"].partition("//")[2].replace("localhost", "127.0.0.1")
        text = _CONFIG.format(
            folder=self.folder, state=self.state, ops=self.ops_port, push=self.push_port, pictures=pictures, **addresses
        )
        self.config.write_text(text + sinks)

    # --- its life -----------------------------------------------------------------------------------------------------

    def hold_disk(self) -> None:
        """Have a small disk for the state folder, in a name space that outlives each daemon; where that is allowed.

        Who holds it reads this process's pipe, and ends with it.
        """
        self.state.mkdir(mode=0o700)
        mount = _HOLD.format(size=DISK, state=self.state)
        self._disk = subprocess.Popen(
            ["unshare", "-U", "-r", "-m", "sh", "-c", mount],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        assert self._disk.stdout is not None
        self.small_disk = self._disk.stdout.readline() == b"here\n"

    @property
    def files(self) -> Path:
        """The state folder as this process reaches it."""
        if self._disk is None or not self.small_disk:
            return self.state
        return Path(f"/proc/{self._disk.pid}/root{self.state}")

    def start(self) -> None:
        """Start it; its log goes to a file."""
        environ = {**os.environ, "PUMP_CHAOS_CONTROL": str(self.folder / "control")}
        if self.library is not None:
            before = environ.get("LD_PRELOAD")
            environ["LD_PRELOAD"] = f"{self.library}:{before}" if before else str(self.library)
        inside = ["nsenter", "--preserve-credentials", "-U", "-m", "-t", str(self._disk.pid)] if self._disk else []
        with (self.folder / "daemon.log").open("ab") as log:
            self.process = subprocess.Popen(
                [*(inside if self.small_disk else ()), sys.executable, "-m", "pump", "run", "-c", str(self.config)],
                stderr=log, env=environ, start_new_session=True,
            )  # fmt: skip
        self.starts += 1
        self.down = False

    async def end(self, number: signal.Signals) -> int:
        """Send the signal, wait for the end; its status. It is `down` then."""
        assert self.process is not None
        self.down = True
        self.process.send_signal(signal.SIGCONT)
        self.process.send_signal(number)
        return await asyncio.to_thread(self.process.wait)

    @property
    def runs(self) -> bool:
        """Is there a process?"""
        return self.process is not None and self.process.poll() is None

    def close(self) -> None:
        """End what is left, the disk last."""
        for process in (self.process, self._disk):
            if process is not None and process.poll() is None:
                process.kill()
                process.wait()
        if self._disk is not None and self._disk.stdin is not None and self._disk.stdout is not None:
            self._disk.stdin.close()
            self._disk.stdout.close()
        self._control.close()

    async def status(self) -> dict[str, Any] | None:
        """What /status says; None where nobody answers."""
        try:
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session,
                session.get(f"http://127.0.0.1:{self.ops_port}/status") as answer,
            ):
                found: dict[str, Any] = await answer.json()
                return found
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
            return None

    def command(self, *words: str) -> str:
        """The output of a command of `pump`, run where its files are."""
        inside = ["nsenter", "--preserve-credentials", "-U", "-m", "-t", str(self._disk.pid)] if self._disk else []
        done = subprocess.run(
            [*(inside if self.small_disk else ()), sys.executable, "-m", "pump", *words, "-c", str(self.config)],
            capture_output=True, text=True, check=True, cwd=self.folder,
        )  # fmt: skip
        return done.stdout

    # --- what is done to it -------------------------------------------------------------------------------------------

    def world(self, *, fsync_ms: int | None = None, no_names: bool | None = None, ahead_s: int | None = None) -> None:
        """Change what the library does."""
        slow, blind, ahead = _CONTROL.unpack(self._control[:])
        if ahead_s is not None:
            self.offsets.append(float(ahead_s))
            self.jumps.append(right_now())
            ahead = ahead_s
        slow = slow if fsync_ms is None else fsync_ms
        blind = blind if no_names is None else int(no_names)
        self._control[:] = _CONTROL.pack(slow, blind, ahead)

    def files_limit(self, *, low: bool) -> None:
        """Leave it no file descriptor beside those that it has, or as many as it likes."""
        if not self.runs:
            return
        assert self.process is not None
        with suppress(OSError):  # it may end at this moment
            soft, hard = resource.prlimit(self.process.pid, resource.RLIMIT_NOFILE)
            used = [int(name) for name in os.listdir(f"/proc/{self.process.pid}/fd")]
            resource.prlimit(
                self.process.pid, resource.RLIMIT_NOFILE, (max(used, default=soft - 1) + 1 if low else hard, hard)
            )

    def fill_disk(self) -> None:
        """Leave no room on its disk."""
        file = os.open(self.files / "ballast", os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            while os.write(file, bytes(1 << 16)):
                pass
        except OSError:
            return  # there is no room, as wanted
        finally:
            os.close(file)

    def empty_disk(self) -> None:
        """Take that away."""
        (self.files / "ballast").unlink(missing_ok=True)

    def flip(self, chance: random.Random) -> str:
        """Flip one byte or some of one file that it keeps; it must not run. The places, in words."""
        kept = [path for path in sorted(self.files.glob("spool.*")) if ".damaged" not in path.name]
        kept = [path for path in kept if path.stat().st_size]
        weights = [6 if path.name == "spool.db" else 3 if path.name.endswith("-wal") else 1 for path in kept]
        [path] = chance.choices(kept, weights)
        size = min(path.stat().st_size, 1 << 22)
        places = sorted(chance.randrange(size) for _ in range(chance.choice((1, 3, 8))))
        with path.open("r+b") as file:
            for place in places:
                file.seek(place)
                old = file.read(1)[0]
                file.seek(place)
                file.write(bytes([old ^ chance.randrange(1, 256)]))
        return f"{path.name} at {', '.join(map(str, places))}"


def right_now() -> float:
    """Seconds since 1970 by the right clock."""
    return time.time()
