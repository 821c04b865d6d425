"""Who has signed in: sessions, kept in the spool's state, so that a restart of the daemon asks nobody again.

A cookie holds a random token; the spool has only its digest. A session ends 12 h after its last use, when its user is
taken out of the configuration, or gets another password.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pump.config.model import User
from pump.core.clock import Clock
from pump.spool import Spool

LIFE: Final = 12 * 3600.0
"""Seconds without use."""
_NOTED: Final = 600.0
"""Seconds after which a use is stored again."""
_MOST: Final = 200
"""Sessions; of more the one longest unused ends."""
_SOURCE: Final = "pump"
_PREFIX: Final = "session/"


@dataclass(slots=True)
class Session:
    """One, by the digest of its token."""

    digest: str
    user: str
    form: str
    """The token of its forms: who cannot read the page cannot send one. Derived from the cookie's, stored nowhere."""


class Sessions:
    """All of them. The spool is given with each call, for it is open later than the page."""

    def __init__(self, users: Callable[[], Mapping[str, User]], clock: Clock) -> None:
        """`users` gives those of the configuration that runs."""
        self._users = users
        self._clock = clock
        self._known: dict[str, dict[str, Any]] | None = None
        """By digest, as they are stored; None until they were read."""

    def open(self, user: str, spool: Spool) -> str:
        """A new session of the user; its token, for the cookie."""
        token = secrets.token_urlsafe(32)
        rows = self._rows(spool)
        for digest in sorted(rows, key=lambda one: int(rows[one]["used"]))[: max(0, len(rows) + 1 - _MOST)]:
            self._keep(spool, digest, None)
        self._note(spool, _digest(token), user)
        return token

    def find(self, token: str, spool: Spool) -> Session | None:
        """The session of this token, which counts as used; None where there is none any more."""
        if not token or len(token) > 100:
            return None
        digest = _digest(token)
        row = self._rows(spool).get(digest)
        if row is None:
            return None
        user, idle = self._users().get(row["user"]), self._clock.ages.age(row["used"], down=True)
        if user is None or row["print"] != _print(user) or idle is None or idle > LIFE:
            self._keep(spool, digest, None)
            return None
        if idle > _NOTED:
            self._note(spool, digest, row["user"])
        form = hmac.new(token.encode("utf-8", "surrogatepass"), b"form", hashlib.sha256).hexdigest()
        return Session(digest, row["user"], form)

    def close(self, session: Session, spool: Spool) -> None:
        """Sign out."""
        self._rows(spool)
        self._keep(spool, session.digest, None)

    def _note(self, spool: Spool, digest: str, user: str) -> None:
        self._keep(spool, digest, {"user": user, "print": _print(self._users()[user]), "used": self._clock.now_ms()})

    def _keep(self, spool: Spool, digest: str, row: dict[str, Any] | None) -> None:
        spool.remember(_SOURCE, _PREFIX + digest, row)
        if row is None:
            self._rows(spool).pop(digest, None)
        else:
            self._rows(spool)[digest] = row

    def _rows(self, spool: Spool) -> dict[str, dict[str, Any]]:
        if self._known is None:
            found = spool.state(_SOURCE, _PREFIX)
            self._known = {key.removeprefix(_PREFIX): row for key, row in found.items() if _is_row(row)}
        return self._known


def _is_row(row: object) -> bool:
    return (
        isinstance(row, dict)
        and isinstance(row.get("user"), str)
        and isinstance(row.get("print"), str)
        and isinstance(row.get("used"), int)
    )


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def _print(user: User) -> str:
    """It stands for the password's hash, without being it."""
    return hashlib.sha256(user.password.get_secret_value().encode()).hexdigest()[:16]
