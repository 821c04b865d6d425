"""`[sources.NAME]` of `type = "hik-connect"`.

The codes of `event_types` may be spelled as the document prints them or as they are sent. The alarm and the combine
queue are subscribed by bare numbers (A.1.4, A.1.5), the message queue by "Msg" and a number (A.1.7), some of which the
document prints with a space. A code that the vendor lists for no queue may be one of a later version; one that it
lists for other queues alone would never bring an event, and nobody would notice.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field, field_validator, model_validator

from pump.core.settings import Duration, Secret, SourceSettings
from pump.core.vocabulary import did_you_mean, matches_a_type, misspelled, nearest_type
from pump.vendors.hik_connect.codes import LISTED, TWINS
from pump.vendors.hik_connect.domain import parse_server
from pump.vendors.hik_connect.parse import Queue

_CODE: Final = re.compile(r"(msg)?([0-9]{5,6})", re.IGNORECASE)
_EXAMPLES: Final = {"alarm": "10002", "combine": "80001", "rawmsg": "Msg110003"}
_SECTIONS: Final = {"alarm": "A.1.4", "combine": "A.1.5", "rawmsg": "A.1.7"}


def _server(url: str) -> str:
    return str(parse_server(url))


class HikConnectSettings(SourceSettings):
    """`[sources.NAME]` of `type = "hik-connect"`."""

    server: Annotated[str, AfterValidator(_server)] = Field(
        description="the account's region, such as https://ieu.hikcentralconnect.com"
    )
    app_key: Secret = Field(description="the AK that the vendor gave out")
    secret_key: Secret = Field(description="the SK that belongs to it")
    queues: tuple[Queue, ...] = Field(
        default=("combine",), min_length=1, description="combine has what alarm has, in a newer form, and more"
    )
    event_types: dict[Queue, tuple[str | int, ...]] = Field(
        default_factory=dict, description="the codes to subscribe to, by queue; all where a queue is not named"
    )
    batch_size: Literal[100, 200, 300, 400, 500] = Field(
        default=500, description="messages a request; rawmsg has a size of its own"
    )
    poll_interval: Duration = Field(
        default=0.5,
        le=86400,
        description="from the end of one poll to the next while a queue is empty; the vendor advises 500ms",
    )
    verification_codes: dict[str, Secret] = Field(
        default_factory=dict, description="by the device's serial number, to decrypt its pictures"
    )
    clips: tuple[str, ...] = Field(
        default=(), description="globs of event types of cameras whose recording is asked for as a clip; default: none"
    )
    clip_before: Duration = Field(default=10.0, le=600, description="that a clip begins before its event")
    clip_after: Duration = Field(default=20.0, gt=0, le=600, description="that it ends after its event")
    clips_per_hour: int = Field(default=60, ge=1, le=1000, description="the others wait, 500 of them at the most")
    verify: Duration = Field(
        default=0.0,
        le=86400,
        description='how often the newest time is compared with the vendor\'s logs, such as "15m"; "0s": never',
    )
    backfill_delay: Duration = Field(
        default=120.0, le=86400, description="what the vendor is given to log what happened, before a gap is filled"
    )
    inventory_interval: Duration = Field(
        default=6 * 3600.0, description='how often the devices are read: names, who is online; "0s": only after a gap'
    )
    timeout: Duration = Field(default=30.0, gt=0, description="a call that takes longer has failed")

    @field_validator("queues")
    @classmethod
    def _once(cls, queues: tuple[Queue, ...]) -> tuple[Queue, ...]:
        if len(set(queues)) != len(queues):
            raise ValueError("each queue once")
        return queues

    @model_validator(mode="after")
    def _types_of_queues(self) -> HikConnectSettings:
        for queue, types in self.event_types.items():
            if queue not in self.queues:
                raise ValueError(f"event_types names {queue}, which is not among queues")
            if not types:
                raise ValueError(f"event_types.{queue} is empty; leave it out to subscribe to everything")
            for code in types:
                spelled(queue, code)
        return self

    def types(self, queue: Queue) -> list[str]:
        """What to subscribe to, sorted, in the vendor's spelling; empty for all."""
        return sorted({spelled(queue, code) for code in self.event_types.get(queue, ())})

    def identity(self) -> str | None:
        """Two sources of one app key would take each other's batches."""
        return self.app_key.get_secret_value()

    def warnings(self) -> list[str]:
        """Combine beside alarm brings the same alarms twice; a code that the document does not list may be none."""
        found = [sentence for queue, codes in self.event_types.items() for sentence in unlisted(queue, codes)]
        if {"combine", "alarm"} <= set(self.queues):
            found.append('queues: "combine" and "alarm" bring the same alarms; one of the two is enough')
        for glob in self.clips:
            if not matches_a_type(glob):
                found.append(f'clips: "{glob}" matches no event type{did_you_mean(nearest_type(glob))}')
        return found


def spelled(queue: str, code: str | int) -> str:
    """The code as the queue's subscription has it. Raises ValueError with a sentence for one that it cannot have."""
    found = _CODE.fullmatch("".join(str(code).split()))
    if found is None:
        raise ValueError(f"event_types.{queue}: {code!r} is no code such as {_EXAMPLES[queue]}")
    prefix, digits = found.groups()
    listed = digits in LISTED[queue]
    elsewhere = any(digits in codes for codes in LISTED.values())
    if not listed and (elsewhere or (prefix and queue != "rawmsg")):
        hint = _twin(queue, digits)
        other = f"; here that is {hint}" if hint else f"; see {_SECTIONS[queue]} of the vendor's document"
        raise ValueError(f"event_types.{queue}: the queue has no {code!r}{other}")
    return f"Msg{digits}" if queue == "rawmsg" else digits


def unlisted(queue: str, codes: Iterable[str | int]) -> Iterator[str]:
    """A sentence for each code, as the queue spells it, that the document does not list, with the queue's nearest."""
    known = [spelled(queue, code) for code in sorted(LISTED[queue])]
    yield from misspelled(
        (spelled(queue, code) for code in codes), known, f"of event_types.{queue} is not in the document"
    )


def _twin(queue: str, digits: str) -> str | None:
    """The queue's own code for the thing that is `digits` in another."""
    for alarm, message in TWINS:
        if digits in (alarm, message) and alarm and message:
            return f"Msg{message}" if queue == "rawmsg" else alarm
    return None
