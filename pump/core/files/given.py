"""Files that an operator names, which may be anything: a pipe keeps nobody waiting, a device fills no memory."""

from __future__ import annotations

import errno
import os
import select
import stat
import sys
from pathlib import Path
from typing import Final

_PATIENCE: Final = 30.0
"""Seconds for the next bytes of a pipe that somebody holds open to write, as a shell does for `<(command)`: it may have
to ask a vault, or a person."""

LARGEST: Final = 16 << 20
"""Bytes of a file that belongs to the configuration."""


def read(path: Path | str, most: int = sys.maxsize) -> bytes:
    """The file's content; of one that is larger than `most` bytes, or never ends, as many and one more.

    Raises OSError, in words for an operator also where nothing comes out of a pipe; ValueError for a path with a NUL.
    """
    file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        found = bytearray()
        while len(found) <= most and (piece := _piece(file, most + 1 - len(found))):
            found += piece
        if not found and stat.S_ISFIFO(os.fstat(file).st_mode):
            raise OSError(errno.EPIPE, "it is a pipe into which nobody writes")
        return bytes(found)
    finally:
        os.close(file)


def _piece(file: int, most: int) -> bytes:
    while True:
        try:
            return os.read(file, min(most, 1 << 20))
        except BlockingIOError:
            ready = select.poll()
            ready.register(file, select.POLLIN)
            if not ready.poll(_PATIENCE * 1000):
                raise OSError(errno.ETIMEDOUT, f"nothing came out of it for {_PATIENCE:g} s: it is no file") from None


def require_file(path: Path | str) -> None:
    """Raise OSError where it is none that a library may open and read to its end: it is not there, or a pipe."""
    mode = os.stat(path).st_mode
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "it is no file but a pipe, a socket or a device")
