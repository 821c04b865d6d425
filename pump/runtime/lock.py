"""One daemon a state directory: a lock that the kernel drops when the process ends, however it ends."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Self

from pump.runtime.modes import keep_private


class Locked(Exception):
    """Another process holds it; `pid` is the number it wrote into the file, None where that cannot be read."""

    def __init__(self, folder: Path, pid: int | None) -> None:
        who = f"process {pid}" if pid is not None else "another process"
        super().__init__(f"{folder} is in use by {who}; one state directory serves one daemon")
        self.pid = pid


class FolderLock:
    """flock on the file `lock` of a folder, as a context manager.

    What is in the folder is its holder's alone from then on (`modes.keep_private`).
    Raises `Locked`, or OSError where the file cannot be made. The file stays when it is released: removing it
    would let two processes hold two files of one name.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file = -1

    def acquire(self) -> None:
        """Take it at once or raise."""
        file = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            text = os.read(file, 32)
            os.close(file)
            raise Locked(self._folder, int(text) if text.strip().isdigit() else None) from None
        except OSError:
            os.close(file)
            raise
        keep_private(self._folder)
        os.ftruncate(file, 0)
        os.write(file, b"%d\n" % os.getpid())
        self._file = file

    def release(self) -> None:
        """Let the next one have it; nothing where it is not held."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()
