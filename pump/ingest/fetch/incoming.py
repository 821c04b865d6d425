"""A file on its way in: in memory while it is small, then in a file beside the store, hashed as it comes.

It gets the name under which it can be found only once it is whole, decrypted and of a kind that is believed. What a
kill leaves lies in a folder that nobody looks into, and goes at the next start.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import threading
import uuid
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pump.ingest.fetch.decryption import MARK, Decryptor
from pump.ingest.fetch.sniffing import NEEDED, believable, kind_of_bytes
from pump.ingest.media import LARGEST, Media, Stored, TooLarge
from pump.spool.folder import make

SPILL: Final = 1 << 20
"""Bytes that are kept in memory at the most."""
FOLDER: Final = "incoming"
"""Of the media store: files that are not whole."""


@dataclass(slots=True, frozen=True)
class Arrived:
    """A file that is whole and in the store."""

    stored: Stored
    mime: str


class Unbelievable(Exception):
    """The bytes are of a kind that the event's medium cannot be."""

    def __init__(self, mime: str) -> None:
        super().__init__(mime)
        self.mime = mime


class Incoming:
    """One file. `take` belongs to the event loop, the rest to the media store's threads.

    Who is cancelled closes it while a thread may still write: a descriptor that is closed under it may be another
    file's by then.
    """

    def __init__(self, media: Media) -> None:
        self.size = 0
        """Bytes that came."""
        self._media = media
        self._begin = bytearray()
        self._pieces: list[bytes] = []
        self._held = 0
        self._part: Path | None = None
        self._file: int | None = None
        self._hash = hashlib.sha256()
        self._lock = threading.Lock()

    @property
    def spilled(self) -> bool:
        """True where `close` has something to do, in a thread."""
        return self._part is not None or self._file is not None

    def take(self, piece: bytes) -> bool:
        """Note a piece, on the event loop; True where `spill` is due in a thread."""
        self._pieces.append(piece)
        self.size += len(piece)
        self._held += len(piece)
        return self._held >= SPILL

    def spill(self) -> None:
        """Write what was noted to the file. Raises OSError."""
        with self._lock:
            self._spill()

    def _spill(self) -> None:
        content = b"".join(self._pieces)
        self._pieces.clear()
        self._held = 0
        if self._file is None:
            folder = self._media.folder / FOLDER
            if not folder.parent.exists():
                make(folder.parent)
            folder.mkdir(exist_ok=True)
            self._part = folder / f"{uuid.uuid4().hex}.part"
            self._file = os.open(self._part, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        self._begin += content[: max(0, NEEDED - len(self._begin))]
        self._hash.update(content)
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(self._file, rest) :]

    def finish(self, kind: str, decryptor: Decryptor, stranger: bool = False) -> Arrived:
        """Put it into the store, durably. Raises OSError, Unbelievable, TooLarge, CodeMissing, Broken.

        `kind` is the medium's in the event; `stranger` as in `Media.keep`.
        """
        with self._lock:
            return self._finish(kind, decryptor, stranger)

    def _finish(self, kind: str, decryptor: Decryptor, stranger: bool) -> Arrived:
        if self._file is not None and self._part is not None:
            self._spill()
            if not bytes(self._begin).startswith(MARK):
                mime = _believed(kind, bytes(self._begin))
                part, self._part = self._part, None
                return Arrived(self._media.adopt(part, self._hash.hexdigest(), self.size, stranger=stranger), mime)
            if self.size > LARGEST:
                raise TooLarge(f"{self.size} bytes are too many to decrypt")
            content = self._part.read_bytes()
        else:
            content = b"".join(self._pieces)
        if content.startswith(MARK):
            content = decryptor.opened(content)
        mime = _believed(kind, content[:NEEDED])
        return Arrived(self._media.keep(content, stranger=stranger), mime)

    def keep_as_is(self, stranger: bool = False) -> Stored:
        """Put it into the store as it came, whatever it is: what could not be decrypted is decrypted by a person."""
        with self._lock:
            content = self._part.read_bytes() if self._part is not None else b"".join(self._pieces)
            return self._media.keep(content, stranger=stranger)

    def close(self) -> None:
        """Let go of what is left of it."""
        with self._lock:
            if self._file is not None:
                os.close(self._file)
                self._file = None
            if self._part is not None:
                with suppress(OSError):
                    self._part.unlink()
                self._part = None


def _believed(kind: str, begin: bytes) -> str:
    mime = kind_of_bytes(begin)
    if not believable(kind, mime):
        raise Unbelievable(mime)
    return mime


def sweep(media: Media) -> None:
    """Remove what a process before this one has left half written."""
    shutil.rmtree(media.folder / FOLDER, ignore_errors=True)
