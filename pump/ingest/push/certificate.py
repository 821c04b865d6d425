"""A listener's certificate, which is renewed while it listens: new connections get the one on disk."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Final

import structlog
from anyio import to_thread

from pump.core.clock import Clock
from pump.core.files import given
from pump.core.text import words_of

log = structlog.get_logger()

RELOAD: Final = 30.0
"""Seconds between two looks at its files."""


class Certificate:
    """A certificate with its chain, and its key, as PEM files; `context` serves them."""

    def __init__(self, cert: Path, key: Path) -> None:
        """Raises OSError where the files cannot be read, ssl.SSLError (an OSError too) where they are no pair."""
        self._cert, self._key = cert, key
        self._stamps = self._look()
        self._newest = self.context = self._read()
        self.context.sni_callback = self._give

    async def watch(self, clock: Clock) -> None:
        """Reload it where its files have changed, for as long as the task lives."""
        while True:
            await clock.sleep(RELOAD)
            await to_thread.run_sync(self.reload)

    def move(self, cert: Path, key: Path) -> None:
        """Its files are these from now on; the next `reload` takes them up."""
        if (cert, key) != (self._cert, self._key):
            self._cert, self._key, self._stamps = cert, key, (0, 0)

    def reload(self) -> bool:
        """Use the certificate on disk for new connections where its files have changed; False where not.

        One that cannot be used is logged, and the old one stays.
        """
        try:
            stamps = self._look()
            if stamps == self._stamps:
                return False
            self._newest = self._read()
        except (OSError, ValueError) as error:
            log.error(
                "The renewed certificate cannot be used; the old one stays",
                reason=words_of(error), file=str(self._cert),
            )  # fmt: skip
            return False
        self._stamps = stamps
        log.info("A renewed certificate is in use", file=str(self._cert))
        return True

    def _give(self, connection: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> None:
        """Called in each handshake, with a name or without one.

        A context that is in use must not be changed: it would have the new certificate without its key for a moment, in
        which handshakes fail.
        """
        connection.context = self._newest

    def _look(self) -> tuple[int, int]:
        return self._cert.stat().st_mtime_ns, self._key.stat().st_mtime_ns

    def _read(self) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        for path in (self._cert, self._key):
            given.require_file(path)
        context.load_cert_chain(self._cert, self._key)
        return context
