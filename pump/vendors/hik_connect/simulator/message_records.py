"""Whole made-up records of the three queues: AlarmMsg, CombineEvent, Event(1), Event(2) of the vendor's document."""

from __future__ import annotations

from datetime import datetime, timedelta
from random import Random
from typing import Any

from pump.core.clock import Clock
from pump.vendors.hik_connect.simulator.message_parts import Parts, Source
from pump.vendors.hik_connect.simulator.quirks import Quirks


class Records(Parts):
    """Builds records. `systemId` is left empty: who hands them out numbers them."""

    def __init__(self, clock: Clock, quirks: Quirks, random: Random) -> None:
        super().__init__(clock, quirks, random)
        self._serial = 0

    def alarm(
        self,
        code: str,
        source: Source,
        *,
        files: list[dict[str, Any]] | None = None,
        late: bool = False,
        pulse: bool = False,
        **extra: Any,
    ) -> dict[str, Any]:
        """An AlarmMsg (A.3.20) that starts, or a pulse."""
        quirks = self.quirks
        level = str(self.random.choice((1, 2, 2, 3, 3, 3)))
        record: dict[str, Any] = {
            "systemId": "",
            "guid": self.id(),
            "dataRetransmission": 0 if late else 1,
            "msgType": "1",
            "alarmState": "1",
            "pulseAlarm": ("true" if pulse else "false") if quirks.pulse == "words" else ("1" if pulse else "0"),
            "alarmMainCategory": source.main,
            "alarmSubCategory": source.sub,
            "timeInfo": self.alarm_times("startTime", self.moment(late)),
            "eventSource": {
                "eventType": int(code) if quirks.event_type == "number" else code,
                quirks.source_id: source.id,
                "sourceName": source.name,
                "sourceType": source.type,
                quirks.area_id: source.area_id,
                "areaName": source.area,
                "deviceInfo": {
                    "devID": source.device,
                    "devName": source.serial,
                    "devCategory": source.device_type,
                    "deviceSerial": source.serial,
                },
            },
            "alarmRule": {quirks.object_id: "1640597519769669632", "name": f"Rule {code}", "description": ""},
            "alarmPriority": {
                quirks.object_id: f"05{level:0>30}",
                "level": level,
                "levelName": level,
                "color": "#F40B0B",
            },
            "markState": "0",
            "affirmedState": "0",
            quirks.linkage: [],
            "linkageConfig": {},
            "vehicleRelatedInfo": {},
        }
        if quirks.data_retransmission == "absent":
            del record["dataRetransmission"]
        if files is not None:
            record["fileInfo"] = self.files(files, "alarm")
        return record | extra

    def again(self, alarm: dict[str, Any], **changes: Any) -> dict[str, Any]:
        """The same guid once more."""
        return alarm | changes

    def moved(self, alarm: dict[str, Any], seconds: int) -> dict[str, Any]:
        """The same alarm, started `seconds` later."""
        return alarm | {"timeInfo": {key: _later(text, seconds) for key, text in alarm["timeInfo"].items()}}

    def ended(self, alarm: dict[str, Any], seconds: int) -> dict[str, Any]:
        """The same alarm with the time of its end, `seconds` after its start."""
        ends = {key.replace("start", "end"): _later(text, seconds) for key, text in alarm["timeInfo"].items()}
        return alarm | {"timeInfo": alarm["timeInfo"] | ends}

    def combine(
        self,
        code: str,
        source: Source,
        *,
        files: list[dict[str, Any]] | None = None,
        vehicle: dict[str, Any] | None = None,
        left_queue: dict[str, Any] | None = None,
        late: bool = False,
        **data: Any,
    ) -> dict[str, Any]:
        """A CombineEvent (A.3.60)."""
        quirks = self.quirks
        resource: dict[str, Any] = {
            "sourceType": source.type,
            quirks.source_id: source.id,
            "sourceName": source.name,
            "areaName": source.area,
            quirks.area_id: source.area_id,
            "deviceInfo": {
                "id": source.device,
                "name": source.serial,
                "category": source.category,
                "deviceSerial": source.serial,
            },
        }
        moment = self.moment(late)
        basic = {
            "systemId": "",
            "occurrenceTime": self.utc(moment) if quirks.combine_time == "Z" else self.local(moment),
            "dataRetransmission": 1 if late else 0,
            quirks.combine_resource: resource,
        }
        if quirks.data_retransmission == "absent":
            del basic["dataRetransmission"]
        if files is not None:
            data["fileInfo"] = self.files(files, "combine")
        if vehicle is not None:
            data[f"vehicle{quirks.combine_related}Info"] = vehicle
        if left_queue is not None:
            data[f"queue{quirks.combine_related}Info"] = {"queueInfo": left_queue}
        return {"eventId": self.id(), "eventType": code, "basicInfo": basic, quirks.combine_data: data}

    def rawmsg(self, msg_type: str, source: Source, data: dict[str, Any], *, late: bool = False) -> dict[str, Any]:
        """An Event(1) (A.3.91), without the on-board messages' uuid, update and files."""
        spaced = self.quirks.msg_type == "Msg 110003" and msg_type.startswith("Msg1100")
        return {
            "basicInfo": {
                "occurrenceTime": self.rawmsg_time(self.moment(late)),
                "systemId": "",
                "msgType": msg_type.replace("Msg", "Msg ") if spaced else msg_type,
                "resource": {
                    "type": source.type,
                    "id": source.id,
                    "name": source.name,
                    self.quirks.area_id: source.area_id,
                    "areaName": source.area,
                },
                "device": {
                    "id": source.device,
                    "name": source.serial,
                    "category": source.device_type,
                    "deviceSerial": source.serial,
                },
            },
            "data": data,
        }

    def access(self, msg_type: str, source: Source, *, late: bool = False) -> dict[str, Any]:
        """An authentication message: an Event(2) (A.3.92) inside an Event(1). Its serialNo never repeats."""
        quirks = self.quirks
        record = self.rawmsg(msg_type, source, {}, late=late)
        self._serial += 1
        inner = int(msg_type.removeprefix("Msg"))
        basic: dict[str, Any] = {
            "eventType": str(inner) if quirks.access_event_type == "text" else inner,
            "elementId": source.id,
            "elementType": 1002,
            "elementName": source.name,
            quirks.area_id.replace("areaID", "areaId"): source.area_id,
            "areaName": source.area,
            "occurTime": record["basicInfo"]["occurrenceTime"],
            "deviceId": source.device,
            "deviceSerial": source.serial,
            "deviceName": source.serial,
            "channelNo": 1,
            "serialNo": self._serial,
            "cardReaderId": f"{source.id[:31]}e",
        }
        if late or quirks.current_event == "1":
            basic["currentEvent"] = 0 if late else 1
        event: dict[str, Any] = {"basicInfo": basic}
        if quirks.access_person != "absent":
            event["intelliInfo"] = self.person(source, granted=inner < 110500)
        record["data"] = {"openDoorInfo": {"event": event}}
        return record


def _later(text: str, seconds: int) -> str:
    moved = datetime.fromisoformat(text) + timedelta(seconds=seconds)
    return moved.isoformat(timespec="seconds").replace("+00:00", "Z" if text.endswith("Z") else "+00:00")
