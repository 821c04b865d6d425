"""What the simulated gateway's devices send, in the document's shapes (9.10 to 9.14)."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any, Final

import orjson

from pump.core.clock import Clock
from pump.vendors.hik_gateway.simulator.quirks import Quirks

Message = dict[str, Any]
_ZONE: Final = timezone(timedelta(hours=1))
_CODES: Final = ("1130", "3130", "1103", "3103", "1401", "3401", "1301", "3301", "1602", "1110", "3110", "1915")


class Messages:
    """Makes messages; each alarm has a running number in its UUID, or, where that is "0", in its zone and time."""

    def __init__(self, clock: Clock, quirks: Quirks, seed: int = 0) -> None:
        self._clock = clock
        self.quirks = quirks
        self._random = random.Random(seed)
        self._number = 0

    def heartbeat(self, count: int) -> Message:
        """A heartbeat (9.13)."""
        fields = self._common("1", "", count) | {"eventType": self.quirks.heartbeat, "eventDescription": "Heartbeat"}
        del fields["devIndex"], fields["channelName"], fields["channelID"]
        return {"EventNotificationAlert": fields}

    def status(self, index: str, online: bool) -> Message:
        """A device that came or went (9.12)."""
        return {
            "EventNotificationAlert": self._common("1", index, 1)
            | {
                "eventType": "devStatusChanged",
                "eventDescription": "device status about online or offline changed",
                "status": "online" if online else "offline",
            }
        }

    def cid(
        self, index: str, code: str = "1130", zone: int = 1, partition: int = 1, *, state: str = "active", **more: Any
    ) -> Message:
        """A CID alarm (9.11); `more` are members of its CIDAlarm that differ, such as CIDParam and UUID."""
        return {
            "EventNotificationAlert": self._common("1", index, 1)
            | {
                "eventType": self.quirks.cid_event_type,
                "eventState": state,
                "eventDescription": "CID alarm",
                "deviceID": "123456",
                "CIDAlarm": self._alarm(code, zone, partition) | {"zoneNo": zone} | more,
            }
        }

    def review(
        self, index: str, code: str = "1130", zone: int = 1, partition: int = 1, *, of: Message | None = None
    ) -> Message:
        """A clip (9.14), in that message's own spelling and order; with `of` that alarm's, by its UUID and time."""
        alarm = self._alarm(code, zone, partition) | {"ZoneNo": zone}
        if of is not None:
            sent = of["EventNotificationAlert"]["CIDAlarm"]
            alarm = {**sent, "CIDType": 2, "ZoneNo": sent["zoneNo"]}
            del alarm["zoneNo"]
        alarm["videoURL"] = f"/HikGatewayStorage/pic?{self._number:032X}_CH02.mp4"
        return {
            "EventNotificationAlert": {
                "VideoReview": {"HikCIDParams": alarm, "protocolType": "HikCIDProtocol"},
                **self._common("1", index, 1),
                "eventType": "videoReview",
                "eventDescription": "video review",
            }
        }

    def other(self, index: str, kind: str = "somethingNew") -> Message:
        """An event type that the document does not have."""
        self._number += 1
        return {
            "EventNotificationAlert": self._common("1", index, self._number)
            | {"eventType": kind, "eventDescription": "new", "payload": {"n": self._number}}
        }

    def lasting(self, index: str, kind: str = "linedetection", *, state: str = "active", count: int = 1) -> Message:
        """An event that a device repeats, counting, until its eventState is inactive (9.10)."""
        return {
            "EventNotificationAlert": self._common("1", index, count)
            | {"eventType": kind, "eventState": state, "eventDescription": f"{kind} alarm"}
        }

    def mix(self, indexes: list[str]) -> Iterator[Message]:
        """A realistic mix, for ever: most clips belong to the last alarm, one to each."""
        last: Message | None = None
        while True:
            index = self._random.choice(indexes)
            zone = self._random.randint(1, 16)
            kind = self._random.random()
            if kind < 0.85:
                message = self.cid(index, self._random.choice(_CODES), zone)
                last = message if message["EventNotificationAlert"]["CIDAlarm"]["CIDCode"][0] == "1" else last
                yield message
            elif kind < 0.95:
                whose = last["EventNotificationAlert"]["devIndex"] if last is not None else index
                yield self.review(whose, "1130", zone, of=last)
                last = None  # an alarm's second clip has its first one's identity
            else:
                yield self.status(index, self._random.random() < 0.5)

    def _alarm(self, code: str, zone: int, partition: int) -> dict[str, Any]:
        self._number += 1
        at = self._now() + timedelta(seconds=self._number if self.quirks.cid_uuid == "0" else 0)
        index = int(self.quirks.zone_index)
        return {
            "subSys": partition,
            "CIDCode": code,
            "CIDType": 1,
            "CIDDescribe": "alarm",
            "timeZoneIdx": index,
            "triggerTime": f"{at:%Y-%m-%d %H:%M:%S}",
            "uploadTime": f"{at + timedelta(seconds=1):%Y-%m-%d %H:%M:%S}",
            "CIDParam": f"1,2,{zone},1,1,-1,0,admin",
            "UUID": f"{self._number:08d}" if self.quirks.cid_uuid == "unique" else "0",
        }

    def _common(self, channel: str, index: str, count: int) -> dict[str, Any]:
        return {
            "channelID": channel,
            self.quirks.date_key: self._now().isoformat(timespec="seconds"),
            "activePostCount": count,
            "eventType": "",
            "eventState": "active",
            "eventDescription": "",
            "devIndex": index,
            "channelName": "Ipdome",
        }

    def _now(self) -> datetime:
        return self._clock.now().astimezone(_ZONE)


def encode(message: Any, quirks: Quirks) -> bytes:
    """A message as the gateway writes it."""
    body = orjson.dumps(message, option=orjson.OPT_INDENT_2)
    return re.sub(rb'(["\d}\]el])(\s*\n\s*})', rb"\1,\2", body) if quirks.commas == "trailing" else body


def identity(message: Message) -> str:
    """What tells this message from every other: its text without what counts."""
    alert = message.get("EventNotificationAlert", message)
    return orjson.dumps({key: value for key, value in alert.items() if key != "activePostCount"}).decode()


def kind(message: Message) -> str:
    """Which event type of a subscription's list the message falls under."""
    alert = message.get("EventNotificationAlert", {})
    return "CIDAlarm" if "CIDAlarm" in alert else "videoReview" if "VideoReview" in alert else str(alert["eventType"])
