"""Times in all the forms of the field."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pump.vendors.common.timestamps import dedup_time_ms, located, moment

EIGHT = timezone(timedelta(hours=8))
PARIS = ZoneInfo("Europe/Paris")


@pytest.mark.parametrize(
    ("sent", "meant"),
    [
        ("2026-11-20T08:00:00+08:00", datetime(2026, 11, 20, 8, tzinfo=EIGHT)),
        ("2026-11-20T08:00:00Z", datetime(2026, 11, 20, 8, tzinfo=UTC)),
        ("2026-11-20T08:00:00z", datetime(2026, 11, 20, 8, tzinfo=UTC)),
        ("2026-11-20 08:00:00", datetime(2026, 11, 20, 8)),  # noqa: DTZ001  # it has no zone
        (" 2026/11/20 8:00:00 ", datetime(2026, 11, 20, 8)),  # noqa: DTZ001
        ("20261120T080000Z", datetime(2026, 11, 20, 8, tzinfo=UTC)),
        ("2026-11-20T08:00:00 GMT+8", datetime(2026, 11, 20, 8, tzinfo=EIGHT)),
        ("2026-11-20T08:00:00UTC+08:00", datetime(2026, 11, 20, 8, tzinfo=EIGHT)),
        ("2026-11-20T08:00:0008:00", datetime(2026, 11, 20, 8, tzinfo=EIGHT)),
        ("2026-11-20T08:00:00 08:00", datetime(2026, 11, 20, 8, tzinfo=EIGHT)),
        ("2026-11-20T08:00:00-6:00", datetime(2026, 11, 20, 14, tzinfo=UTC)),
        ("2026-11-20T08:00:00,25Z", datetime(2026, 11, 20, 8, 0, 0, 250_000, tzinfo=UTC)),
        ("2026-11-20 8:00:00.290000001Z", datetime(2026, 11, 20, 8, 0, 0, 290_000, tzinfo=UTC)),
        (1795161600, datetime(2026, 11, 20, 8, tzinfo=UTC)),
        ("1795161600123", datetime(2026, 11, 20, 8, 0, 0, 123_000, tzinfo=UTC)),
        ("1970-01-01T00:00:17+00:00", None), (17, None), ("2100-01-01T00:00:00Z", None),
        ("2026-02-30T08:00:00Z", None), ("2026-11-20T08:00:00+99:00", None), ("2026-11-20", None),
        ("2026-11-20T08:00:005", None), ("yesterday", None), ("", None), (None, None), (1.5, None), (True, None),
    ],
)  # fmt: skip
def test_a_moment_is_read_in_every_form(sent: object, meant: datetime | None) -> None:
    found = moment(sent)
    assert found == meant
    assert found is None or meant is None or (found.tzinfo is None) == (meant.tzinfo is None)


@given(st.text(max_size=40) | st.integers() | st.from_regex(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d.{0,8}", fullmatch=True))
def test_no_value_brings_it_down(value: Any) -> None:
    found = moment(value)
    assert found is None or 2000 <= found.year < 2100
    dedup_time_ms(found)


def test_a_time_without_a_zone_is_the_source_s() -> None:
    naive = datetime(2026, 11, 20, 8)  # noqa: DTZ001
    assert located(naive, PARIS) == datetime(2026, 11, 20, 7, tzinfo=UTC)
    assert located(datetime(2026, 11, 20, 8, tzinfo=EIGHT), PARIS) == datetime(2026, 11, 20, tzinfo=UTC)
    assert located(None, PARIS) is None


def test_what_makes_records_alike_knows_no_settings() -> None:
    assert dedup_time_ms(datetime(2026, 11, 20, 8)) == 1795161600000  # noqa: DTZ001
    assert dedup_time_ms(datetime(2026, 11, 20, 16, 0, 0, 1999, tzinfo=EIGHT)) == 1795161600001
    assert dedup_time_ms(None) == 0
