"""Certificates outside their time: as often as not it is this machine's clock that is wrong."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

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
