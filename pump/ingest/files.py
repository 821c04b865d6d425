"""A content as a file that is there after a power cut: written or taken over, fsynced, under its own name."""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from io import FileIO
from pathlib import Path
from typing import Final

from pump.spool.folder import sync

PART: Final = ".part"
"""The end of the name of a file that is being written."""
FILE: Final = 0o640
"""A web server that shows pictures reads them by its group; nobody else does."""


def safe(file: FileIO, name: str, content: bytes) -> bool:
    """True where the file under this name has that content, and is fsynced with its folder; closes it.

    Read in pieces, for a second copy of a large one is much.
    """
    with file:
        rest = memoryview(content)
        while piece := file.read(1 << 20):
            if piece != rest[: len(piece)]:
                return False
            rest = rest[len(piece) :]
        if rest:
            return False
        os.fsync(file)
    sync(os.path.dirname(name))
    return True


PRESENT: Final = 1.0
"""Seconds by which the system's time of a file may differ from the pump's."""


def dated(name: str, when: float) -> bool:
    """True where the system has dated the file as it is now for the pump, for both ways in which files are looked at: a
    faked clock may reach one of them alone."""
    folder, own = os.path.split(name)
    with suppress(OSError), os.scandir(folder) as entries:
        found = [os.stat(name), *(entry.stat() for entry in entries if entry.name == own)]
        return len(found) > 1 and all(abs(each.st_ctime - when) < PRESENT for each in found)
    return False


def write(name: str, content: bytes, when: float | None) -> None:
    """The file, fsynced, in its folder, fsynced too; `when` is its time by the pump's clock, None where that is the
    system's.

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
            if when is not None:
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
