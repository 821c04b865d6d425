"""The memory of a rejected password, so that nothing hurries an account towards its lock-out."""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from pump.core.clock import Clock
from pump.core.errors import Misconfigured
from pump.ingest.stream.handler import RetryAdvice
from pump.ingest.stream.intake import StreamIntake

KEY: Final = "stream/rejected"
"""The key under which the source's state has it."""
LEAST: Final = 600.0
"""Seconds after a rejected password: accounts lock after a few."""
STALE: Final = 2
"""Expired challenges in a row that are no rejection: they too may count as failed logins."""
_NOUGHT: Final = 0.5
"""Seconds too few to wait for."""


class LoginLockout:
    """One account's. Kept over restarts with a salted hash of `credentials`: others are tried at once."""

    def __init__(self, clock: Clock, credentials: tuple[str, ...]) -> None:
        self._clock = clock
        self._credentials = "\0".join(credentials).encode()
        self._until = 0.0
        self._reason = ""

    @property
    def left(self) -> float:
        """Seconds for which nobody may log in."""
        return max(0.0, self._until - self._clock.monotonic()) if self._reason else 0.0

    def note(self, reason: str, wait: float | None) -> dict[str, Any]:
        """The password was rejected: wait so many seconds, 10 minutes at the least. Returns the state to be stored."""
        wait = max(LEAST, wait or 0.0)
        self._until, self._reason = self._clock.monotonic() + wait, reason
        salt = os.urandom(16)
        until = self._clock.now() + timedelta(seconds=wait)
        kept = {
            "salt": salt.hex(),
            "hash": self._hash(salt),
            "until": until.isoformat(),
            "wait": wait,
            "reason": reason,
        }
        return {KEY: kept}

    async def reject(self, retry: RetryAdvice, store: StreamIntake) -> None:
        """The password was rejected, by the stream or by a call beside it: count it once, and store it.

        A stream that stands is left alone: it has its login behind it.
        """
        if self.left > 0:
            return
        store.intake.count("rejected")
        await store.put(state=self.note(retry.reason, retry.wait))

    def load(self, state: Mapping[str, Any]) -> None:
        """Take up what the process before may have stored, if it was this very password."""
        kept = state.get(KEY)
        if not isinstance(kept, dict) or self._reason:
            return
        if hmac.compare_digest(kept["hash"], self._hash(bytes.fromhex(kept["salt"]))):
            wait = kept.get("wait", LEAST)
            noted = datetime.fromisoformat(kept["until"]).timestamp() - wait
            # By the time that passed: a wrong clock must neither make weeks of it nor hurry the next login.
            left = wait - (self._clock.ages.age(int(noted * 1000), down=True) or 0.0)
            self._until, self._reason = self._clock.monotonic() + left, kept["reason"]

    def check(self) -> None:
        """Raises Misconfigured where the password may not be tried yet."""
        if (left := self.left) > _NOUGHT:
            raise Misconfigured(self._reason, retry_after=min(left, LEAST))

    def hurry(self) -> None:
        """An operator says that it is mended: the next login need not wait."""
        self._until = self._clock.monotonic()

    def forget(self) -> dict[str, Any]:
        """The password was taken. Returns the state to be stored."""
        self._reason = ""
        return {KEY: None}

    def _hash(self, salt: bytes) -> str:
        return hashlib.scrypt(self._credentials, salt=salt, n=1 << 12, r=8, p=1).hex()
