"""The files that a JSON-lines file was before: `path.1` the newest of them, each perhaps compressed as `path.1.gz`.

Whoever renames or compresses them holds the path's `lock`. A compressed file carries in its header the inode that its
lines were written to, so that a sink's place in it is still found.
"""

from __future__ import annotations

import gzip
import os
import re
import threading
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final, cast

GZIP: Final = ".gz"
"""The end of a compressed file's name."""
_ORIGIN: Final = re.compile(rb"inode-(\d+)\0")
"""Of the name in a compressed file's header (RFC 1952, 2.3.1)."""
_HEADER: Final = 512
_NAMED: Final = 8
"""The flag FNAME, in the fourth byte."""
_NAME_AT: Final = 10
_SIZE_AT: Final = 4
"""Bytes at the end: the length before compression, modulo 2^32."""
_LOCKS: Final[defaultdict[str, threading.Lock]] = defaultdict(threading.Lock)


def lock(path: Path) -> threading.Lock:
    """The one of this path; other processes stay away, for the file itself is locked."""
    return _LOCKS[str(path)]


def rotated(path: Path, number: int) -> Path:
    """The name of the `number`-th file before the current one."""
    return path.with_name(f"{path.name}.{number}")


def compressed(path: Path) -> Path:
    """Its name once it is compressed."""
    return path.with_name(path.name + GZIP)


def is_compressed(path: Path) -> bool:
    """By its name."""
    return path.name.endswith(GZIP)


def shift(path: Path, keep: int) -> None:
    """Make room for the file itself to become `path.1`, and have it become that; the oldest of `keep` goes.

    Killed anywhere nothing is lost but that. Raises OSError.
    """
    with lock(path):
        for number in range(keep, 0, -1):
            coming = path if number == 1 else rotated(path, number - 1)
            forms = [coming] if number == 1 else [coming, compressed(coming)]
            forms = [form for form in forms if form.exists()]
            if not forms:
                continue
            there = rotated(path, number)
            for old in (compressed(there), there):
                old.unlink(missing_ok=True)
            for form in forms:
                form.replace(compressed(there) if is_compressed(form) else there)


def numbered(path: Path) -> list[tuple[int, Path]]:
    """The rotated files with their numbers, the oldest first; of one in both forms the plain one. Raises OSError."""
    name = re.compile(re.escape(path.name) + r"\.([1-9]\d{0,8})(\.gz)?")
    found: dict[int, Path] = {}
    for file in sorted(files(path.parent)):  # the plain form comes before its compressed one
        if match := name.fullmatch(file.name):
            found.setdefault(int(match[1]), file)
    return sorted(found.items(), reverse=True)


def files(folder: Path) -> Iterator[Path]:
    """The regular files of a folder."""
    with os.scandir(folder) as entries:
        yield from (Path(entry.path) for entry in entries if entry.is_file(follow_symlinks=False))


def sync_folder(folder: Path) -> None:
    """Put the names in it on disk. Raises OSError."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def opened(path: Path) -> BinaryIO:
    """The file's lines, to be read. What is compressed may raise EOFError, zlib.error, gzip.BadGzipFile."""
    return cast(BinaryIO, gzip.open(path, "rb")) if is_compressed(path) else path.open("rb")


def length(path: Path) -> int:
    """Bytes of its lines: of a compressed file as its end has it, which is short by 4 GiB where there are more."""
    size = path.stat().st_size
    if not is_compressed(path) or size < _SIZE_AT:
        return size
    with path.open("rb") as file:
        file.seek(-_SIZE_AT, os.SEEK_END)
        return int.from_bytes(file.read(_SIZE_AT), "little")


def inode(path: Path) -> int:
    """The file's own; of one that was compressed here, the one that its lines were written to; 0: nobody knows."""
    if not is_compressed(path):
        return path.stat().st_ino
    with path.open("rb") as file:
        head = file.read(_HEADER)
    if len(head) < _NAME_AT or not head[3] & _NAMED:
        return 0
    found = _ORIGIN.match(head, _NAME_AT)
    return int(found[1]) if found is not None else 0
