"""Why a part ended, in words for its operator, and how long to wait: read from the exception that it raised."""

from __future__ import annotations

import asyncio
import errno
import logging
import ssl
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from pump.core.errors import Misconfigured, Unavailable

MISCONFIGURED_WAIT: Final = 600.0
"""Seconds until a part that only a person can mend is tried again, unless it says another wait."""


_SCARCE: Final = {
    errno.EMFILE: "this process may have no more file descriptors (LimitNOFILE= of the unit, ulimit -n)",
    errno.ENFILE: "the system has no more file descriptors (sysctl fs.file-max)",
    errno.ENOMEM: "the system has no more memory",
    errno.ENOBUFS: "the system has no more memory for its network",
}
"""What the system may lack for a while."""


@dataclass(slots=True, frozen=True)
class Failure:
    """Why a part ended, made of what it raised."""

    reason: str
    """For /status: a declared error's own words; of a bug none, for they might hold a secret."""
    wait: float | None
    """Seconds that the error asks for; None: the backoff decides."""
    level: int
    sentence: str
    error: BaseException | None = None
    """To be logged whole."""


def leaves(error: BaseException) -> list[BaseException]:
    """The exceptions inside nested groups, in order; of a plain exception, itself.

    Cancellations that stand beside a real failure are left out: they are its echo in the group's other tasks.
    """
    found: list[BaseException] = []
    waiting = [error]
    while waiting:
        current = waiting.pop(0)
        if isinstance(current, BaseExceptionGroup):
            waiting[:0] = current.exceptions
        else:
            found.append(current)
    return [leaf for leaf in found if not isinstance(leaf, asyncio.CancelledError)] or found


def diagnose(error: BaseException | None) -> Failure:
    """The meaning of a part's end; None stands for a return without an error.

    In a group the gravest decides: a bug, then what a person must mend, then what is away.
    """
    if error is None:
        return Failure("it ended by itself", None, logging.WARNING, "A part ended by itself and will be started again")
    found = [_unavailable(leaf) for leaf in leaves(error)]
    if any(not isinstance(leaf, (Misconfigured, Unavailable)) for leaf in found):
        whole = found[0] if len(found) == 1 else error
        return Failure(
            "it failed unexpectedly; the log has it whole",
            None,
            logging.ERROR,
            "A part failed unexpectedly and will be started again",
            whole,
        )
    if wrong := [leaf for leaf in found if isinstance(leaf, Misconfigured)]:
        waits = [MISCONFIGURED_WAIT if leaf.retry_after is None else leaf.retry_after for leaf in wrong]
        return Failure(
            _reasons(wrong),
            max(waits),
            logging.ERROR,
            "A part needs a person's help and will be tried again after a long wait",
        )
    away = [leaf for leaf in found if isinstance(leaf, Unavailable)]
    asked = [leaf.retry_after for leaf in away if leaf.retry_after is not None]
    return Failure(
        _reasons(away) or "it is unavailable",
        max(asked) if asked else None,
        logging.WARNING,
        "A part cannot work now and will be started again",
    )


def scarcity(error: BaseException) -> str | None:
    """The reason, where the system has too little of something for now: descriptors, memory. None for all else.

    That is nobody's bug, whatever call met it: what was to be done is tried again later.
    """
    for each in _chain(error):
        if isinstance(each, MemoryError):
            return _SCARCE[errno.ENOMEM]
        if isinstance(each, OSError) and each.errno in _SCARCE:
            return _SCARCE[each.errno]
    return None


def _unavailable(error: BaseException) -> BaseException:
    """What the system lacks as `Unavailable`, all else as it is.

    Also where somebody took it for the fault of a file that could not be opened for it: no person is needed then.
    """
    if isinstance(error, Unavailable) or (lack := scarcity(error)) is None:
        return error
    return Unavailable(lack)


def _reasons(errors: Collection[BaseException]) -> str:
    return "; ".join(dict.fromkeys(text for error in errors if (text := str(error))))


_OUTSIDE: Final = frozenset({9, 10})
"""OpenSSL's X509_V_ERR_CERT_NOT_YET_VALID and X509_V_ERR_CERT_HAS_EXPIRED (x509_vfy.h)."""


def outside_its_time(error: BaseException) -> bool:
    """True where a connection failed for a certificate that is not valid yet, or no longer, by this machine's clock."""
    # aiohttp's own error is one of these too, without the code: that is in the one it wraps
    codes = (getattr(each, "verify_code", None) for each in _chain(error) if isinstance(each, ssl.CertificateError))
    return any(code in _OUTSIDE for code in codes)


def clock_doubt(error: BaseException) -> str:
    """A supplement to the reason of such a failure, empty for every other: the clock, and what it says.

    TLS asks the machine's own clock, so this does too.
    """
    if not outside_its_time(error):
        return ""
    return f"; is this machine's clock right? It says {datetime.now(UTC):%Y-%m-%d %H:%M} UTC"


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error, and what libraries wrap in one: aiohttp's `certificate_error` and `os_error`, and causes."""
    seen: set[int] = set()
    todo: list[BaseException | None] = [error]
    while todo:
        each = todo.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        todo += [each.__cause__, getattr(each, "certificate_error", None), getattr(each, "os_error", None)]
