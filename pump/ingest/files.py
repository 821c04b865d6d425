"""A content as a file that is there after a power cut: written or taken over, fsynced, under its own name."""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from io import FileIO
from pathlib import Path
from typing import Final

from pump.ingest.marks import sync

PART: Final = ".part"
"""The end of the name of a file that is being written."""
FILE: Final = 0o640
"""A web server that shows pictures reads them by its group; nobody else does."""


def same(file: FileIO, content: bytes) -> bool:
    """True where the file has that content; read in pieces, for a second copy of a large one is much."""
    rest = memoryview(content)
    while piece := file.read(1 << 20):
        if piece != rest[: len(piece)]:
            return False
        rest = rest[len(piece) :]
    return not rest


def write(name: str, content: bytes, when: float) -> None:
    """The file, fsynced, in its folder, fsynced too; `when` is its time, by the pump's clock and not by the system's.

    It gets its name before the fsync: that one writes the journal with the name in it, where the folder's own would
    have to write it a second time.
    """
    part = f"{name}.{threading.get_ident()}{PART}"
    try:
        file = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, FILE)
        try:
            rest = memoryview(content)
            while rest:
                rest = rest[os.write(file, rest) :]
            os.utime(file, (when, when))
            os.rename(part, name)
            try:
                os.fsync(file)
            except OSError:
                # What was written may be lost, and the next fsync say nothing of it: nobody may find this file.
                if os.path.samestat(os.fstat(file), os.stat(name)):
                    os.unlink(name)
                raise
        finally:
            os.close(file)
    except OSError:
        with suppress(OSError):
            os.unlink(part)
        raise
    sync(os.path.dirname(name))


def adopt(part: Path, path: Path, when: float) -> None:
    """The file under its new name, fsynced, and the folder too; in the order of `write`."""
    file = os.open(part, os.O_RDWR | os.O_CLOEXEC)
    try:
        os.utime(file, (when, when))
        os.rename(part, path)
        try:
            os.fsync(file)
        except OSError:
            if os.path.samestat(os.fstat(file), os.stat(path)):
                os.unlink(path)
            raise
    finally:
        os.close(file)
        with suppress(OSError):
            os.unlink(part)
    sync(path.parent)
