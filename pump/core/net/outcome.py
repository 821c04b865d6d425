"""A call over HTTP that came to nothing: why, in words for an operator, and when the server wants the next."""

from __future__ import annotations

import os
import ssl
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

import aiohttp

from pump.core.failure import clock_doubt
from pump.core.text import words_of

_WORDS: Final[tuple[tuple[type[Exception], str], ...]] = (
    (aiohttp.ServerDisconnectedError, "the connection was closed"),
    (aiohttp.ClientConnectionResetError, "the connection was closed"),
    (aiohttp.ClientPayloadError, "the answer broke off, or its encoding cannot be read"),
    (aiohttp.ClientHttpProxyError, "the proxy refuses the connection"),
    (aiohttp.InvalidURL, "it is no address"),
    (aiohttp.ClientResponseError, "what came is no HTTP"),
    (ValueError, "what came is no HTTP"),
)
"""Instead of the library's own words, which name its classes and may hold headers or a whole address."""


def why(error: BaseException) -> str:
    """Why a call of aiohttp's brought no answer, or no whole one; the machine's clock too, where it may be that."""
    return _said(error) + clock_doubt(error)


def _said(error: BaseException) -> str:
    if isinstance(error, aiohttp.ClientConnectorError):
        cause = error.os_error
        # Negative where a name could not be resolved; what TLS numbers is none of the system's.
        number = 0 if isinstance(cause, ssl.SSLError) else cause.errno or 0
        return os.strerror(number) if number > 0 else words_of(cause)
    return next((words for kind, words in _WORDS if isinstance(error, kind)), "") or words_of(error)


def retry_after(header: str | None, now: datetime, most: float) -> float | None:
    """Seconds that Retry-After asks for, as a number or a date (RFC 9110, 10.2.3), up to `most`; `now` is aware.

    None where it asks for nothing that can be read.
    """
    if header is None:
        return None
    try:
        seconds = float(header)
        return min(seconds, most) if seconds >= 0 else None  # nor is NaN any
    except ValueError:
        try:
            date = parsedate_to_datetime(header)
        except (ValueError, TypeError, OverflowError):
            return None
        date = date if date.tzinfo is not None else date.replace(tzinfo=UTC)
        return min(max((date - now).total_seconds(), 0.0), most)
