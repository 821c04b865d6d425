"""The simulated terminal's memory of access events, and its search: POST /ISAPI/AccessControl/AcsEvent."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Final

import orjson

from pump.vendors.common.timestamps import moment
from pump.vendors.hik_camera.backfill.search import PATH, TIME
from pump.vendors.hik_camera.fields import moment as located
from pump.vendors.hik_camera.simulator.messages import Message
from pump.vendors.hik_camera.simulator.quirks import Quirks

_ROW: Final = {"majorEventType": "major", "subEventType": "minor"}
_STREAM_ALONE: Final = ("deviceName", "currentEvent", "frontSerialNo", "verifyNo", "UUID")
"""Members that a row has not."""


@dataclass
class Asked:
    """One question for a page."""

    search: str
    position: int
    begin: str
    end: str
    rows: tuple[int, ...]
    """The numbers of the records that went out."""


@dataclass
class AcsLog:
    """The terminal's; `asked` and `refused` are what tests audit."""

    quirks: Quirks
    records: list[tuple[int, datetime, dict[str, Any]]] = field(default_factory=list)
    """Number, time and row of what it remembers, in order."""
    asked: list[Asked] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    forget_searches: int = 0
    """So many of the coming pages behind a search's first find that the device has forgotten the search."""
    busy: int = 0
    """So many of the coming questions are answered 503."""
    _known: set[str] = field(default_factory=set)

    def add(self, message: Message) -> None:
        """Remember an access event, and forget the oldest beyond what the device holds."""
        if message.kind != "access":
            return
        body = orjson.loads(message.body)
        inner = body["AccessControllerEvent"]
        row = {_ROW.get(name, name): value for name, value in inner.items() if name not in _STREAM_ALONE}
        if not self.quirks.search_numbers:
            row.pop("serialNo", None)
        time = located(body["dateTime"], UTC)
        assert time is not None
        row["time"] = self._written(body["dateTime"], time)
        self.records.append((message.number, time, row))
        del self.records[: -self.quirks.search_keeps]

    def answer(self, method: str, path: str, body: bytes, now: datetime) -> tuple[int, str, bytes] | None:
        """Status, content type and body; None where it is no call of these. `now` is the device's time."""
        if path == TIME and self.quirks.search:
            now = now.astimezone(timezone(timedelta(hours=-6))) if self.quirks.time == "short offset" else now
            text = f"<Time><timeMode>NTP</timeMode><localTime>{self._written('', now)}</localTime></Time>"
            return 200, "application/xml", text.encode()
        if path != PATH:
            return None
        if not self.quirks.search:
            return self._refuse(self.quirks.search_refusal, "notSupport")
        if method != "POST":
            return self._refuse(403, "methodNotAllowed")
        if self.busy:
            self.busy -= 1
            return self._refuse(503, "deviceBusy")
        return self._page(body)

    def _page(self, body: bytes) -> tuple[int, str, bytes]:
        try:
            condition = orjson.loads(body)["AcsEventCond"]
            search, position, most = (condition[name] for name in ("searchID", "searchResultPosition", "maxResults"))
            numbers = (position, most, condition["major"], condition["minor"])
            begin, end = (moment(condition[name]) for name in ("startTime", "endTime"))
        except (ValueError, KeyError, TypeError):
            return self._refuse(400, "badJsonFormat")
        if not isinstance(search, str) or not all(isinstance(one, int) and one >= 0 for one in numbers):
            return self._refuse(400, "badJsonContent")
        if begin is None or end is None or begin.tzinfo is None or end.tzinfo is None or not 0 < len(search) <= 36:
            return self._refuse(400, "badParameters")
        if not 0 < most <= self.quirks.search_page:
            return self._refuse(400, "badParameters")
        if position and self.forget_searches:
            self.forget_searches -= 1
            self._known.discard(search)
        if position and search not in self._known:
            return self._refuse(400, "invalidSearchID")
        self._known.add(search)
        found = [(number, row) for number, time, row in self.records if begin <= time <= end]
        rows = found[position : position + most]
        self.asked.append(
            Asked(search, position, condition["startTime"], condition["endTime"], tuple(number for number, _ in rows))
        )
        more = position + len(rows) < len(found)
        answer: dict[str, Any] = {
            "searchID": search, "totalMatches": len(found), "numOfMatches": len(rows),
            "responseStatusStrg": "MORE" if more else "OK" if rows else "NO MATCH",
        }  # fmt: skip
        if rows:
            answer["InfoList"] = [row for _, row in rows]
        return 200, "application/json", orjson.dumps({"AcsEvent": answer})

    def _refuse(self, status: int, word: str) -> tuple[int, str, bytes]:
        self.refused.append(word)
        said = {"statusCode": 6 if status == 400 else 4, "statusString": "Invalid Operation", "subStatusCode": word}
        return status, "application/json", orjson.dumps(said)

    def _written(self, sent: str, time: datetime) -> str:
        match self.quirks.search_time:
            case "other offset":
                return time.astimezone(timezone(timedelta(hours=5, minutes=30))).isoformat(timespec="seconds")
            case "utc":
                return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            case "local":
                return sent[:19] or time.isoformat()[:19]
            case _:
                return sent or time.isoformat(timespec="seconds")
