"""The lives of links, as they say themselves."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from pump.ingest.fetch.expiry import expiry_of

END = datetime(2026, 11, 20, 8, 15, tzinfo=UTC)
SECONDS = int(END.timestamp())


@pytest.mark.parametrize(
    "query",
    [
        "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Date=20261120T080000Z&X-Amz-Expires=900&X-Amz-Signature=0",
        "x-amz-expires=900&x-amz-date=20261120T080000Z", "X-Goog-Date=20261120T080000Z&X-Goog-Expires=900",
        "x-oss-date=20261120T080000Z&x-oss-expires=900", f"Expires={SECONDS}&Signature=x&Key-Pair-Id=y",
        f"AWSAccessKeyId=A&expires={SECONDS}", f"expires={SECONDS * 1000}", f"q-sign-time={SECONDS - 900};{SECONDS}",
        "sv=2024-01-01&se=2026-11-20T08%3A15%3A00Z&sp=r&sig=x",
    ],
)  # fmt: skip
def test_signed_links(query: str) -> None:
    assert expiry_of(f"https://a.example/x.jpg?{query}") == SECONDS * 1000


@pytest.mark.parametrize(
    "query",
    ["", "?", "?a=1", "?X-Amz-Date=20261120T080000Z", "?X-Amz-Date=yesterday&X-Amz-Expires=900", "?Expires=900",
     "?expires=never", "?se=2026-11-20", "?Expires=" + "9" * 40, "?q-sign-time=;", "?X-Amz-Date=20261120T080000Z"
     "&X-Amz-Expires=" + "9" * 30],
)  # fmt: skip
def test_links_that_do_not_say(query: str) -> None:
    assert expiry_of(f"https://a.example/x.jpg{query}") is None
