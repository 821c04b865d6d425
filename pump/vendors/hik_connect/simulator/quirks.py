"""Where the vendor's document and its field disagree, as switches of the simulator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Present = Literal["number", "text", "absent"]


@dataclass(frozen=True, slots=True)
class Quirks:
    """One tenant's habits. The defaults are what was seen live, else what the document's tables say.

    A switch with a few named values is a Literal, so that `variants` can try each; the meaning of every name is
    the spelling it puts on the wire.
    """

    # The account (3.2, 5.1.1).
    wrong_secret: Literal["OPEN000002", "OPEN300002"] = "OPEN000002"
    login: Literal["new", "same", "replaces"] = "new"  # a new token beside the old; the old prolonged; the old dead
    expire_time: Literal["number", "text"] = "number"
    retry_after: Literal["absent", "1", "date"] = "absent"  # the header beside HTTP 429
    unknown_fields: Literal["refused", "ignored"] = "refused"
    lost_subscription: Literal["keeps", "empties"] = "keeps"  # what waits in a queue whose subscription ends

    webhook: Literal["absent", "stops the queues"] = "absent"  # one that is configured on the account

    # The queues' answers (5.3.1, 5.3.2, 5.4.1).
    error_code: Literal["text", "number"] = "text"
    empty_batch_id: Literal["0", "", "absent", "null"] = "0"
    empty_list: Literal["null", "[]", "absent"] = "null"
    remaining: Present = "number"
    alarm_list: Literal["alarmMsg", "alarmmsg"] = "alarmMsg"
    combine_list: Literal["events", "event"] = "events"
    rawmsg_list: Literal["event", "events"] = "event"
    rawmsg_batch: int = 300  # rawmsg has no maxNumberPerTime
    links_signed: Literal["once", "at every answer"] = "once"

    # Keys of the records.
    combine_resource: Literal["resourceInfo", "resource"] = "resourceInfo"
    combine_data: Literal["eventData", "data", "evenData"] = "eventData"
    combine_related: Literal["Releted", "Related"] = "Releted"  # vehicleReletedInfo, queueReletedInfo
    file_link: Literal["document", "url", "URL"] = "document"  # URL in the alarm queue, url in combine
    linkage: Literal["linkageTypes", "linkageType"] = "linkageTypes"
    longitude: Literal["lng", "Ing"] = "lng"
    area_id: Literal["areaID", "areald"] = "areaID"
    source_id: Literal["sourceID", "sourceld", "sourceId"] = "sourceID"
    object_id: Literal["id", "ID"] = "id"  # of alarmRule and alarmPriority
    plate: Literal["licensePlate", "licensePlateNo"] = "licensePlate"  # of vehicleInfo
    driver: Literal["driverInfos", "inline"] = "driverInfos"
    plate_rect: Literal["X", "x"] = "X"

    # Values of the records.
    numbers: Literal["numbers", "text"] = "numbers"  # every number of a record as a string
    pulse: Literal["words", "digits"] = "words"  # pulseAlarm "true" or "1"
    event_type: Literal["text", "number"] = "text"  # of an alarm's eventSource
    data_retransmission: Literal["document", "absent"] = "document"  # 1 is live for alarm, 0 for combine
    alarm_time: Literal["twins", "utc", "local", "naive"] = "twins"
    combine_time: Literal["Z", "offset"] = "Z"
    rawmsg_time: Literal["offset", "Z", "naive"] = "offset"
    utc_offset: int = 480  # minutes; what "local", "offset" and "naive" mean
    device_time: Literal["number", "text"] = "number"  # deviceTimeStamp, epoch milliseconds
    gps_direction: Literal["degrees", "hundredths"] = "degrees"
    gps_fix: Literal["yes", "none"] = "yes"  # none: position 0, 0
    msg_type: Literal["Msg110003", "Msg 110003"] = "Msg110003"
    access_event_type: Literal["number", "text"] = "number"  # the inner one, without "Msg"
    current_event: Literal["absent", "1"] = "absent"  # of a live access message
    access_person: Literal["whole", "card alone", "absent"] = "whole"
    encrypted: Literal["0", "1"] = "0"  # pictures
    link_host: Literal["server", "ezvizlife"] = "server"


@dataclass(frozen=True, slots=True)
class LogQuirks:
    """The same of the alarm log and the access records (5.3.4, 5.7.3)."""

    log_list: Literal["alarmLogList", "alarmlogList"] = "alarmLogList"
    log_time: Literal["utc", "local"] = "utc"  # the zone of its times, which have no offset
    log_times: Literal["timeInfo", "flat"] = "timeInfo"
    log_order: Literal["newest first", "oldest first"] = "newest first"
    log_guid: Literal["own", "event"] = "own"  # of the row of a combine event: its own, or the event's eventId
    search_criteria: Literal["searchCriteria", "searchCreteria"] = "searchCriteria"
    door_alarms: Literal["recorded", "logged"] = "recorded"  # a combine event at a door: a record, or a row of the log
