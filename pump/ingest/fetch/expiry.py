"""The life of a link, where the link says it itself: presigned addresses carry their end. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

from yarl import URL

_STAMP: Final = "%Y%m%dT%H%M%SZ"
_SECONDS: Final = (1_000_000_000, 100_000_000_000)
"""Numbers between these are seconds since 1970, larger ones milliseconds."""

Query = Mapping[str, str]
"""A link's parameters, their names in small letters."""


def expiry_of(url: str) -> int | None:
    """When the link dies by its own words, milliseconds since 1970; None where it does not say."""
    if "?" not in url:
        return None
    try:
        query = {name.lower(): value for name, value in URL(url).query.items()}
    except ValueError:
        return None
    for names, read in _FORMS:
        if all(name in query for name in names):
            try:
                found = read(*(query[name] for name in names))
            except (ValueError, OverflowError):
                continue
            if found is not None:
                return int(found.timestamp() * 1000)
    return None


def _begun(begin: str, seconds: str) -> datetime:
    return datetime.strptime(begin, _STAMP).replace(tzinfo=UTC) + timedelta(seconds=int(seconds))


def _number(text: str) -> datetime | None:
    number = int(text)
    least, most = _SECONDS
    if number < least:
        return None
    return datetime.fromtimestamp(number if number < most else number / 1000, UTC)


def _iso(text: str) -> datetime | None:
    found = datetime.fromisoformat(text)
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def _range(text: str) -> datetime | None:
    return _number(text.rpartition(";")[2])


_FORMS: Final[tuple[tuple[tuple[str, ...], Callable[..., datetime | None]], ...]] = (
    (("x-amz-date", "x-amz-expires"), _begun),
    (("x-goog-date", "x-goog-expires"), _begun),
    (("x-oss-date", "x-oss-expires"), _begun),
    (("x-obs-date", "x-obs-expires"), _begun),
    (("q-sign-time",), _range),
    (("expires",), _number),
    (("se", "sig"), lambda end, _: _iso(end)),
)
"""The parameters of each kind of signed address: S3 and its like, COS, S3's older form and CloudFront, Azure."""
