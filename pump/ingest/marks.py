"""The marks of strangers' files in the media store: an empty folder of the same name in a folder of their own.

So whose a file is outlives a restart and shows on the disk, the file's path is the same whoever sent it, and a file of
an older version, which has no mark, is a known device's. A folder, for it has no content that could be damaged or cut,
and who counts the store's files counts none too many.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from pump.spool.folder import make, sync

FOLDER: Final = "strangers"
"""Below the store's."""
_MODE: Final = 0o750


class Marks:
    """For one thread at a time a name; the store sees to that."""

    def __init__(self, store: Path) -> None:
        """Makes nothing yet."""
        self._folder = store / FOLDER
        self._none = not self._folder.exists()
        self._prepared = False

    def __contains__(self, name: str) -> bool:
        # Most pumps hear no stranger, and each look would be one more wait for the interpreter's lock.
        return not self._none and self._path(name).exists()

    def __iter__(self) -> Iterator[str]:
        """The names of all files that have a mark."""
        try:
            folders = [entry.path for entry in os.scandir(self._folder) if entry.is_dir()]
        except FileNotFoundError:
            return
        for folder in folders:
            yield from os.listdir(folder)

    def within(self, folder: str) -> frozenset[str]:
        """The names of the files of one folder of the store, "ab", that have a mark."""
        try:
            return frozenset(os.listdir(self._folder / folder))
        except FileNotFoundError:
            return frozenset()

    def add(self, name: str) -> None:
        """Mark a file, before it is written; on disk after `sync`. Raises OSError."""
        self._none = False
        path = self._path(name)
        if not self._prepared:
            self._prepare()
        try:
            path.mkdir(_MODE, exist_ok=True)
        except FileNotFoundError:  # somebody has cleared the store away
            self._prepare()
            path.mkdir(_MODE, exist_ok=True)

    def _prepare(self) -> None:
        """Make all folders at the first mark, so that later ones need not sync their parents.

        Whether or not they are there: a process killed right here leaves them, and not on disk.
        """
        make(self._folder, _MODE)
        for number in range(256):
            (self._folder / f"{number:02x}").mkdir(_MODE, exist_ok=True)
        sync(self._folder)
        self._prepared = True

    def discard(self, name: str) -> bool:
        """Take the mark away; True where there was one."""
        with suppress(FileNotFoundError):
            self._path(name).rmdir()
            return True
        return False

    def sync(self, name: str) -> None:
        """Have the presence, or the absence, of this mark on disk. Raises OSError."""
        sync(self._path(name).parent)

    def _path(self, name: str) -> Path:
        return self._folder / name[:2] / name
