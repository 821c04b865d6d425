"""Binaries beside the spool: each content once, under its SHA-256."""

from __future__ import annotations

import asyncio
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(slots=True, frozen=True)
class Stored:
    """A binary on disk."""

    sha256: str
    path: str
    """Relative to the store's folder."""
    bytes: int


class Media:
    """A folder of files named by their content: writing the same twice costs one file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    async def store(self, content: bytes) -> Stored:
        """Keep the content; returns once file and folder are fsynced. Raises OSError where the disk refuses."""
        return await asyncio.to_thread(self._store, content)

    def _store(self, content: bytes) -> Stored:
        digest = hashlib.sha256(content).hexdigest()
        relative = f"{digest[:2]}/{digest}"
        path = self.folder / relative
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            part = path.with_name(f"{digest}.{os.getpid()}.part")
            try:
                with part.open("wb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
                part.rename(path)
            except OSError:
                part.unlink(missing_ok=True)
                raise
            for folder in (path.parent, self.folder):
                _sync(folder)
        return Stored(digest, relative, len(content))


def _sync(folder: Path) -> None:
    file = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
