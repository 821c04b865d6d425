"""What the broker was given to keep: said again to one that has forgotten it, and to a Home Assistant that starts."""

from __future__ import annotations

from collections.abc import Iterable, MutableMapping
from datetime import datetime
from typing import Any, Final, NamedTuple

import orjson

from pump.core.clock import Clock
from pump.core.event import AHEAD
from pump.sinks.mqtt.protocol import Message

REMEMBERED: Final = 20_000
"""Retained messages that are remembered; beyond, the oldest are no longer said again, and entities are once more."""
_QOS: Final = 1
_FORM: Final = ""
"""The key of the form in the memory; no topic is empty."""
_STATE: Final = 2


class Marker(NamedTuple):
    """The newest message that the broker has acknowledged: one that has it has the others too."""

    topic: str
    payload: bytes


class Retained:
    """All retained messages but the pump's own presence, each topic's last, and which of them are to be said again."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.marker: Marker | None = None
        self._memory: MutableMapping[str, Any] = {}
        """The same by topic as text, over restarts, and the form that it is in."""
        self._said: dict[str, bytes] = {}
        self._times: dict[str, str] = {}
        self._arrivals: set[str] = set()
        """Topics of which that time is an arrival, for no device gave one that could be believed."""
        self._again: dict[str, None] = {}
        self._posted: list[str] = []
        self._stopped = False

    def recall(self, memory: MutableMapping[str, Any], form: str) -> None:
        """Go on from what former openings said. Memory of another `form`, by other settings, is emptied."""
        if memory.get(_FORM) != form:
            memory.clear()
            memory[_FORM] = form
        self._memory = memory
        said = [(topic, str(payload)) for topic, payload in memory.items() if topic != _FORM]
        for topic, payload in sorted(said, key=_rank):
            self._said[topic] = payload.encode()
            if _rank((topic, payload)) == _STATE:
                state = orjson.loads(payload)
                self._note(topic, str(state.get("time", "")), arrival=state.get("time_source") == "received")

    def __contains__(self, topic: str) -> bool:
        return topic in self._said

    @property
    def waiting(self) -> int:
        """How many are to be said again."""
        return len(self._again)

    def newest(self, topic: str, time: str, *, arrival: bool = False) -> bool:
        """Whether no later event has said this: what a device had stored comes after what it sends live.

        `time` is the event's, as CloudEvents write it; it is remembered where it is the newest. One that is yet to come
        was a wrong clock's, a device's or this machine's, and must not hold up all that follows till then. `arrival`:
        no device gave it. Against such a one, and from it on, the arrival decides: a device may be some minutes behind.
        """
        known = self._times.get(topic)
        if known is not None and not arrival and self._older(topic, time, known):
            return False
        self._note(topic, time, arrival=arrival)
        return True

    def _note(self, topic: str, time: str, *, arrival: bool) -> None:
        self._times.pop(topic, None)
        self._times[topic] = time
        if arrival:
            self._arrivals.add(topic)
        else:
            self._arrivals.discard(topic)
        if (gone := _shorten(self._times)) is not None:
            self._arrivals.discard(gone)

    def _older(self, topic: str, time: str, known: str) -> bool:
        try:
            newest, own = datetime.fromisoformat(known), datetime.fromisoformat(time)
            if own >= newest or newest > self._clock.now() + AHEAD:
                return False
            return topic not in self._arrivals or newest - own > AHEAD
        except (ValueError, TypeError):  # the broker's memory is not ours alone
            return False

    def say(self, topic: str, payload: bytes, qos: int = _QOS) -> Message:
        """The message that says it, remembered as one that is on its way."""
        self._said.pop(topic, None)
        self._said[topic] = payload
        self._again.pop(topic, None)
        self._posted.append(topic)
        if (gone := _shorten(self._said)) is not None:
            self._memory.pop(gone, None)
        text = payload.decode()
        if self._memory.get(topic) != text:
            self._memory[topic] = text
        return Message(topic, payload, max(_QOS, qos), retain=True)

    def acknowledged(self) -> None:
        """The broker has all that was on its way."""
        if self._posted and (payload := self._said.get(self._posted[-1])) is not None:
            self.marker = Marker(self._posted[-1], payload)
        self._posted.clear()

    def interrupted(self) -> None:
        """Of what was on its way the broker may have some: all of it is to be said again."""
        if not self._stopped:
            self._again.update(dict.fromkeys(topic for topic in self._posted if topic in self._said))
        self._posted.clear()

    def all_again(self) -> None:
        """Have everything said again, in the order in which it was said last: entities before their first states."""
        if not self._stopped:
            self._again = dict.fromkeys(self._said)

    def stop(self) -> None:
        """Say nothing again any more: the broker takes it amiss."""
        self._stopped = True
        self._again.clear()

    def next_again(self, most: int) -> list[Message]:
        """Some of what is to be said again, and still is until it is `settled`."""
        found = []
        for topic in list(self._again):
            payload = self._said.get(topic)
            if payload is None:
                del self._again[topic]
                continue
            found.append(Message(topic, payload, _QOS, retain=True))
            if len(found) == most:
                break
        return found

    def settled(self, messages: Iterable[Message]) -> None:
        """The broker has answered these."""
        for message in messages:
            if self._said.get(message.topic) == message.payload:
                self._again.pop(message.topic, None)

    def forget_spaces(self) -> None:
        """Forget the topics that a broker of another dialect would close the connection at."""
        for topic in [topic for topic in self._said if " " in topic]:
            del self._said[topic]
            self._memory.pop(topic, None)


def _rank(said: tuple[str, str]) -> int:
    """Sources first, then entities, then their states, as they would be said by events."""
    topic, payload = said
    return _STATE if payload[:1] == "{" and not topic.endswith("/config") else int(payload[:1] == "{")


def _shorten(found: dict[str, Any]) -> str | None:
    """Drop the oldest of too many, and name it."""
    if len(found) <= REMEMBERED:
        return None
    oldest = next(iter(found))
    del found[oldest]
    return oldest
