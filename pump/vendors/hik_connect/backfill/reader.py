"""The account's logs, read page by page through the limiter, behind the queues (document, 5.2.2, 5.3.4, 5.7.3)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

from pump.core.clock import Clock
from pump.vendors.common.api import CallFailed
from pump.vendors.common.fields import Group, children, text
from pump.vendors.common.values import member, whole
from pump.vendors.hik_connect.backfill.rows import rows_of
from pump.vendors.hik_connect.client import Client
from pump.vendors.hik_connect.limiter import BACKGROUND
from pump.vendors.hik_connect.words import TRUE

INTERVAL: Final = 1.0
"""Seconds, at the least, from one call to the next: a page of 500 rows then costs a tenth of a core at the most."""
SLICE: Final = timedelta(hours=22)
"""The time that a request asks for: a day at the most, less what a change of the clocks adds on either side."""
ALARM_PAGE: Final = 500
RECORD_PAGE: Final = 200
AREA_PAGE: Final = 500
AREAS: Final = 50
"""Areas that one request names; the document has a limit (OPEN000024) and gives no figure."""
_MOST_PAGES: Final = 10_000
_AREAS_KEPT: Final = 3600.0
_WRONG_PARAMETER: Final = frozenset(("OPEN000010", "OPEN000008"))
_SPELLINGS: Final = (("searchCriteria", "searchCreteria"), ("searchCriteria",), ("searchCreteria",))
"""The names of the criteria that tenants want; who takes any parameter gets both, for one of the two counts."""
_SHIFT: Final = timedelta(hours=1)


class Page(NamedTuple):
    """Rows, and whether more follow."""

    rows: list[object]
    more: bool


class LogReader:
    """One account's. Every call raises CallFailed."""

    def __init__(self, client: Client, clock: Clock, zone: ZoneInfo) -> None:
        """`zone` is where the alarm log's times belong, those that are asked for too."""
        self._client = client
        self._clock = clock
        self._zone = zone
        self._next = clock.monotonic()
        self._areas: list[Group] = []
        self._areas_at = -_AREAS_KEPT
        self._spelling = 0

    async def call(self, path: str, body: dict[str, Any]) -> Any:
        """One call of the account that may wait, with its own pace."""
        if (wait := self._next - self._clock.monotonic()) > 0:
            await self._clock.sleep(wait)
        self._next = self._clock.monotonic() + INTERVAL
        return await self._client.call(BACKGROUND, path, body)

    async def listed(self, path: str, body: dict[str, Any], name: str) -> list[Group]:
        """All of a list whose pages have a number and a size; it ends with a page that is not full."""
        found: list[Group] = []
        for page in range(1, _MOST_PAGES):
            data = await self.call(path, {"pageIndex": page, "pageSize": AREA_PAGE, **body})
            rows = children(data, name) if isinstance(data, dict) else []
            found += rows
            if len(rows) < AREA_PAGE:
                break
        return found

    async def areas(self) -> list[Group]:
        """The account's areas; asked for again after an hour."""
        if self._clock.monotonic() - self._areas_at >= _AREAS_KEPT:
            everything = {"filter": {"parentAreaID": "-1", "includeSubArea": "-1"}}
            self._areas = await self.listed("/api/hccgw/resource/v1/areas/get", everything, "area")
            self._areas_at = self._clock.monotonic()
        return self._areas

    async def area_groups(self) -> list[list[str]]:
        """The areas' ids, as many at a time as a request may name."""
        ids = sorted({id_ for area in await self.areas() if (id_ := text(area, "id", "areaID")) is not None})
        return [ids[start : start + AREAS] for start in range(0, len(ids), AREAS)]

    async def alarms(
        self, begin: datetime, end: datetime, areas: Sequence[str], page: int, types: Sequence[str]
    ) -> Page:
        """A page of the alarm log, from `begin` to `end`, of these areas and types (none: of all)."""
        low, high = (time.astimezone(self._zone).replace(tzinfo=None) for time in (begin, end))
        if begin.astimezone(self._zone).utcoffset() != end.astimezone(self._zone).utcoffset():
            low, high = low - _SHIFT, high + _SHIFT  # an hour is there twice, or not at all
        body: dict[str, Any] = {
            "pageIndex": page,
            "pageSize": ALARM_PAGE,
            "timeRange": {"beginTime": f"{low:%Y-%m-%dT%H:%M:%S}", "endTime": f"{high:%Y-%m-%dT%H:%M:%S}"},
            "areaID": list(areas),
        }
        if types:
            body["eventTypeList"] = list(types)
        data = await self.call("/api/hccgw/alarm/v1/alarmlog", body)
        rows = rows_of(data)
        more = member(data, "moreData")
        follows = len(rows) >= ALARM_PAGE if more is None else more in TRUE
        return Page(rows, follows and bool(rows) and page < _MOST_PAGES)

    async def records(self, begin: datetime, end: datetime, page: int) -> Page:
        """A page of the access records, from `begin` to `end`."""
        # A numeric offset: times with a Z find nothing, and no error says so.
        span = {
            "beginTime": begin.astimezone(self._zone).isoformat(timespec="seconds"),
            "endTime": end.astimezone(self._zone).isoformat(timespec="seconds"),
        }
        while True:
            names = dict.fromkeys(_SPELLINGS[self._spelling], span)
            body = {"pageIndex": page, "pageSize": RECORD_PAGE, **names}
            try:
                data = await self.call("/api/hccgw/acs/v1/event/certificaterecords/search", body)
            except CallFailed as failure:
                if failure.code not in _WRONG_PARAMETER or self._spelling == len(_SPELLINGS) - 1:
                    raise
                self._spelling += 1
                continue
            rows = rows_of(data)
            total = whole(member(data, "totalNum"))
            follows = len(rows) >= RECORD_PAGE if total is None else total > page * RECORD_PAGE
            return Page(rows, follows and bool(rows) and page < _MOST_PAGES)
