"""What the simulated vendor keeps beside the queues: the alarm log, the access records, devices and areas.

Whatever a device sends is logged, whether or not a queue is subscribed (document, 5.3.4, 5.7.3, 5.2, 5.11.2): an alarm
is one row with its start and its end, its marks and its newest files; a person at a door is an access record. What only
the message queue carries (positions, on-board messages, calls) is in no log.
"""

from __future__ import annotations

import hashlib
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Final

import orjson

from pump.core.clock import Clock
from pump.vendors.hik_connect.codes import TWINS
from pump.vendors.hik_connect.simulator.account import DAY, QueueName
from pump.vendors.hik_connect.simulator.message_parts import SITE
from pump.vendors.hik_connect.simulator.quirks import LogQuirks, Quirks
from pump.vendors.hik_connect.simulator.rules import Refused

LOG_LIFE: Final = 30 * DAY
"""Seconds that a row is kept; the document gives no figure."""
MOST_ROWS: Final = 20_000
"""Records that wait to be read into the log, and rows that are kept, of each kind: a bench must not fill the memory."""
MOST_AREAS: Final = 100
"""Areas of one request (OPEN000024)."""
_MESSAGES: Final = {alarm: message for alarm, message in TWINS if alarm and message}
_DAY: Final = timedelta(days=1)
_NO_ALARMS: Final = frozenset(("330001", "140001"))
"""What the combine queue has beyond the alarm queue (A.1.5): positions and calls."""

Row = dict[str, Any]


@dataclass(slots=True)
class Logged:
    """A row with the time by which it is searched, and the identities (`systemId`) of the records that made it."""

    at: datetime
    row: Row
    identities: list[str] = field(default_factory=list)


class Logs:
    """The log of one account. `online` holds each device's state (5.2): 0 offline, 1 online, 2 unknown."""

    def __init__(self, clock: Clock, quirks: Quirks, habits: LogQuirks) -> None:
        self.alarms: dict[tuple[object, ...], Logged] = {}
        self.access: dict[str, Logged] = {}
        self.online = {source.device: 1 for source in SITE}
        self.asked: Counter[str] = Counter()
        """Requests that were answered, by the last parts of their paths."""
        self._clock = clock
        self._quirks = quirks
        self._habits = habits
        self._zone = timezone(timedelta(minutes=quirks.utc_offset))
        self._fresh: deque[tuple[QueueName, str, bytes]] = deque(maxlen=MOST_ROWS)

    def add(self, queue: QueueName, identity: str, body: bytes) -> None:
        """A device has sent a record; it is read when somebody asks for the log."""
        self._fresh.append((queue, identity, body))

    # --- the calls ----------------------------------------------------------------------------------------------------

    def alarm_log(self, given: Mapping[str, Any]) -> Row:
        """5.3.4."""
        page, size = _page(given, 500)
        begin, end = (self._asked_time(given["timeRange"], name) for name in ("beginTime", "endTime"))
        if end - begin > _DAY:
            raise Refused("OPEN000027", "more than a day")
        areas = given["areaID"] if isinstance(given["areaID"], list) else [given["areaID"]]
        if not areas or not all(areas):
            raise Refused("OPEN000028", "the area is empty")
        if len(areas) > MOST_AREAS:
            raise Refused("OPEN000024", "too many areas")
        types = set(given.get("eventTypeList") or ())
        self._absorb()
        found = [
            logged
            for logged in self.alarms.values()
            if begin <= logged.at <= end
            and logged.row["eventSource"].get("areaID") in areas
            and (not types or logged.row["eventSource"]["eventType"] in types)
        ]
        found.sort(key=lambda logged: logged.at, reverse=self._habits.log_order == "newest first")
        shown = found[(page - 1) * size : page * size]
        return {
            "pageIndex": page,
            "pageSize": len(shown),
            "moreData": int(len(found) > page * size),
            self._habits.log_list: [self._alarm_row(logged.row) for logged in shown],
        }

    def records(self, given: Mapping[str, Any]) -> Row:
        """5.7.3."""
        page, size = _page({"pageIndex": 1, "pageSize": 20, **given}, 200)
        name = self._habits.search_criteria
        criteria = given.get(name) or {}
        begin, end = (_offset_time(criteria.get(key)) for key in ("beginTime", "endTime"))
        self._absorb()
        found = [
            logged
            for logged in self.access.values()
            if (begin is None or begin <= logged.at) and (end is None or logged.at <= end)
        ]
        if any(str(criteria.get(key) or "").endswith("Z") for key in ("beginTime", "endTime")):
            found = []  # seen live: no error, and nothing
        found.sort(key=lambda logged: logged.at, reverse=self._habits.log_order == "newest first")
        shown = found[(page - 1) * size : page * size]
        return {
            "totalNum": len(found),
            "pageIndex": page,
            "pageSize": size,
            "recordList": [logged.row for logged in shown],
        }

    def areas(self, given: Mapping[str, Any]) -> Row:
        """5.2.2, the list of areas."""
        page, size = _page({name: int(value) for name, value in given.items() if name.startswith("page")}, 500)
        found = [
            {"id": id_, "name": name, "parentAreaID": "-1", "existSubArea": "0"}
            for id_, name in sorted({(source.area_id, source.area) for source in SITE})
        ]
        shown = found[(page - 1) * size : page * size]
        return {"totalCount": len(found), "pageIndex": page, "pageSize": size, "area": shown}

    def devices(self, given: Mapping[str, Any]) -> Row:
        """5.2.1, the list of devices."""
        page, size = _page(given, 500)
        found = [
            {
                "id": source.device,
                "name": f"Device {source.serial}",
                "category": source.device_type,
                "type": "DS-2CD2T86",
                "serialNo": source.serial,
                "version": "V5.7.3 build 220112",
                "timeZone": "30",
                "onlineStatus": self.online[source.device],
                "addTime": "2022-06-20 11:12:10",
            }
            for source in SITE
        ]
        shown = found[(page - 1) * size : page * size]
        # The table calls totalCount the number of pages; the lists around it mean records.
        return {"totalCount": len(found), "pageIndex": page, "pageSize": size, "device": shown}

    def details(self, given: Mapping[str, Any]) -> Row:
        """5.11.2: of encoding devices, in the areas that are named."""
        page, size = int(given["page"]), int(given.get("pageSize") or 10)
        if page < 1 or not 1 <= size <= 100:
            raise Refused("OPEN000025", "a page has 1 to 100 records")
        area = given.get("areaId") or "-1"
        found = [
            {
                "baseStatus": {
                    "id": source.device,
                    "deviceSerial": source.serial,
                    "deviceName": f"Device {source.serial}",
                    "deviceType": "Encoder",
                    "status": self.online[source.device],
                    "deviceVersion": "V5.7.3 build 220112",
                    "deviceCategory": 2001,
                },
                "area": {"id": source.area_id, "name": source.area},
            }
            for source in SITE
            if source.category == str(given["deviceCategory"]) and source.area_id == area
        ]
        shown, pages = found[(page - 1) * size : page * size], -(-len(found) // size)
        return {
            "page": page, "pageSize": size, "totalNum": len(found), "totalPage": pages, "hasNext": page < pages,
            "devices": shown,
        }  # fmt: skip

    # --- times --------------------------------------------------------------------------------------------------------

    def _asked_time(self, span: Any, name: str) -> datetime:
        text = span.get(name) if isinstance(span, dict) else None
        try:
            if not isinstance(text, str) or "T" not in text:
                raise ValueError
            moment = datetime.strptime(text, "%Y-%m-%dT%H:%M:%S")  # noqa: DTZ007  # the vendor's have no zone
        except ValueError:
            raise Refused("OPEN000026", f"{name} is not yyyy-MM-ddTHH:mm:ss") from None
        return moment.replace(tzinfo=UTC if self._habits.log_time == "utc" else self._zone)

    def _naive(self, moment: datetime) -> str:
        zone = UTC if self._habits.log_time == "utc" else self._zone
        return f"{moment.astimezone(zone):%Y-%m-%dT%H:%M:%S}"

    # --- from records to rows -----------------------------------------------------------------------------------------

    def _absorb(self) -> None:
        while self._fresh:
            queue, identity, body = self._fresh.popleft()
            try:
                record = orjson.loads(body)
            except orjson.JSONDecodeError:
                continue
            if isinstance(record, dict):
                _READERS[queue](self, record, identity)
        oldest = self._clock.now() - timedelta(seconds=LOG_LIFE)
        for kept in (self.alarms, self.access):
            for key in [key for key, logged in kept.items() if logged.at < oldest]:
                del kept[key]  # type: ignore[arg-type]  # its own key

    def _alarm(self, record: Row, identity: str) -> None:
        times, guid = record.get("timeInfo"), record.get("guid")
        if not isinstance(times, dict) or not isinstance(guid, str):
            return
        start = self._moment(times, "startTime")
        if start is None:
            return
        key = (guid, start)
        if (logged := self.alarms.get(key)) is None:
            row = {name: value for name, value in record.items() if name not in ("msgType", "timeInfo", "systemId")}
            logged = self.alarms[key] = Logged(start, row | {"start": start, "end": None})
        logged.identities.append(identity)
        row, kind = logged.row, str(record.get("msgType"))
        if kind == "0":
            row["end"], row["alarmState"] = self._moment(times, "endTime"), "0"
        for name in ("markState", "affirmedState", "fileInfo", "anprinfo"):
            if record.get(name):
                row[name] = record[name]

    def _combine(self, record: Row, identity: str) -> None:
        basic, data = record.get("basicInfo"), record.get(self._quirks.combine_data)
        if not isinstance(basic, dict) or not isinstance(data, dict):
            return
        code, start = str(record.get("eventType")), _time(basic.get("occurrenceTime"))
        resource = basic.get(self._quirks.combine_resource)
        if code in _NO_ALARMS:
            return
        if start is None or not isinstance(resource, dict):
            return
        device = resource["deviceInfo"]
        key = (record["eventId"],)
        if (logged := self.alarms.get(key)) is None:
            guid = record["eventId"] if self._habits.log_guid == "event" else _named(record["eventId"])
            row = {
                "guid": guid, "dataRetransmission": 1 - int(basic.get("dataRetransmission") or 0), "alarmState": "0",
                "pulseAlarm": "1", "alarmMainCategory": "", "alarmSubCategory": "", "markState": "0",
                "affirmedState": "0", "start": start, "end": None,
                "eventSource": {
                    "eventType": code, "sourceID": resource.get(self._quirks.source_id),
                    "sourceName": resource["sourceName"], "sourceType": resource["sourceType"],
                    "areaID": resource.get(self._quirks.area_id), "areaName": resource["areaName"],
                    "deviceInfo": {
                        "devID": device["id"], "devName": device["name"], "devCategory": device["category"],
                    },
                },
            }  # fmt: skip
            logged = self.alarms[key] = Logged(start, row)
        logged.identities.append(identity)
        logged.row |= {name: data[name] for name in ("fileInfo", "anprinfo") if name in data}
        if code in _MESSAGES and self._habits.door_alarms == "recorded":
            del self.alarms[key]
            record_guid = _named(f"record {record['eventId']}")
            self.access[record_guid] = Logged(
                start,
                self._record(record_guid, _MESSAGES[code], resource, device["id"], start)
                | {"acsSnapPicList": [], "personInfo": {}},
                [identity],
            )

    def _rawmsg(self, record: Row, identity: str) -> None:
        try:
            event = record["data"]["openDoorInfo"]["event"]
            basic, who = event["basicInfo"], event.get("intelliInfo") or {}
        except (KeyError, TypeError):
            return
        start = _time(basic.get("occurTime"))
        if start is None:
            return
        name = _named(f"{basic['deviceSerial']} {basic['serialNo']} {start}")
        place = {
            "sourceID": basic["elementId"], "sourceName": basic["elementName"], "areaName": basic["areaName"],
            "areaID": basic.get(self._quirks.area_id.replace("areaID", "areaId")),
        }  # fmt: skip
        row = self._record(name, str(basic["eventType"]), place, basic["deviceId"], start)
        logged = self.access.setdefault(name, Logged(start, row))
        logged.identities.append(identity)
        logged.row |= {
            "devSerialNo": basic["serialNo"], "deviceName": basic["deviceName"],
            "cardReaderId": basic.get("cardReaderId"), "cardNumber": who.get("cardNumber"),
            "swipeAuthResult": who.get("authResult"),
            "personInfo": {
                "id": who.get("personId"), "baseInfo": {key: who.get(key) for key in ("firstName", "lastName")},
            },
            "attendanceStatus": who.get("attendanceStatus"), "acsSnapPicList": who.get("acsSnapPicList") or [],
        }  # fmt: skip

    def _record(self, guid: str, code: str, place: Row, device: str, start: datetime) -> Row:
        stamp = start.astimezone(self._zone).isoformat(timespec="seconds")
        return {
            "recordGuid": guid,
            "elementId": place.get("sourceID") or place.get(self._quirks.source_id),
            "elementName": place["sourceName"],
            "elementType": 1002,
            "areaId": place.get("areaID"),
            "areaName": place["areaName"],
            "deviceId": device,
            "occurTime": stamp,
            "deviceTime": stamp,
            "eventType": int(code.removeprefix("Msg")),
            "eventMainType": 0,
        }

    def _alarm_row(self, row: Row) -> Row:
        """As the log shows it: its times without an offset."""
        times = {name: self._naive(row[key]) for name, key in (("startTime", "start"), ("endTime", "end")) if row[key]}
        rest = {name: value for name, value in row.items() if name not in ("start", "end")}
        return rest | (times if self._habits.log_times == "flat" else {"timeInfo": times})

    def _moment(self, times: Row, name: str) -> datetime | None:
        found = _time(times.get(name)) or _time(times.get(f"{name}Local"))
        if found is not None and found.tzinfo is None:
            found = found.replace(tzinfo=self._zone)
        return found


_READERS: Final = {"alarm": Logs._alarm, "combine": Logs._combine, "rawmsg": Logs._rawmsg}
CALLS: Final = {
    "/api/hccgw/alarm/v1/alarmlog": Logs.alarm_log,
    "/api/hccgw/acs/v1/event/certificaterecords/search": Logs.records,
    "/api/hccgw/resource/v1/areas/get": Logs.areas,
    "/api/hccgw/resource/v1/devices/get": Logs.devices,
    "/api/hccgw/maintenance/v1/list/device/detail": Logs.details,
}


def identities(rows: Iterable[Logged]) -> set[str]:
    """The identities of the records that made these rows."""
    return {identity for row in rows for identity in row.identities}


def _page(given: Mapping[str, Any], largest: int) -> tuple[int, int]:
    page, size = given["pageIndex"], given["pageSize"]
    if page < 1:
        raise Refused("OPEN000010", "pageIndex begins with 1")
    if not 1 <= size <= largest:
        raise Refused("OPEN000025", f"a page has 1 to {largest} records")
    return page, size


def _time(text: object) -> datetime | None:
    try:
        return datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None


def _offset_time(text: object) -> datetime | None:
    found = _time(text)
    if text is not None and (found is None or found.tzinfo is None):
        raise Refused("OPEN000026", "a time is wanted, with its offset")
    return found


def _named(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
