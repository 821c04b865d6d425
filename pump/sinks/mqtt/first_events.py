"""Messages to event entities that Home Assistant has only just been told of, held until it can hear them.

It subscribes to an entity's topic after it has read the discovery, and what comes before that is never seen: published
200 ms later all was heard, 100 ms later most was not (docs/sinks.md).
"""

from __future__ import annotations

from typing import Final

from pump.core.clock import Clock
from pump.core.record import State
from pump.sinks.mqtt.protocol import Message

HEARD_AFTER: Final = 2.0
"""Seconds after an entity's first discovery from which on its events are heard."""
_ENTITIES: Final = 20_000
"""Entities whose moment is remembered."""
_MOST: Final = 2_000
"""Messages that are held; more come together only where a new sink begins with old events, and go at once."""
_STORED: Final = 256 << 10
"""Bytes of held messages that are stored beside the cursor; a crash within two seconds would lose what is beyond."""
_KEY: Final = "held"


class FirstEvents:
    """Holds an entity's messages, in order, until its moment has come. Nothing else waits for them."""

    def __init__(self, clock: Clock, state: State | None) -> None:
        """`state` is what `memory` returned when it was last stored: what a former opening did not get through."""
        self._clock = clock
        self._heard_from: dict[str, float] = {}
        self._held: dict[str, dict[bytes, Message]] = {}
        """By topic, in the order of arrival; a record that is sent again brings the same message again."""
        self._count = 0
        for topic, payload, qos in (state or {}).get(_KEY, []):
            self.announced(topic)
            self._hold(Message(topic, payload.encode(), qos))

    def announced(self, topic: str) -> None:
        """The discovery of the entity that hears `topic` goes out for the first time."""
        self._heard_from.pop(topic, None)
        self._heard_from[topic] = self._clock.monotonic() + HEARD_AFTER
        if len(self._heard_from) > _ENTITIES:
            del self._heard_from[next(iter(self._heard_from))]

    def begin_again(self) -> None:
        """There is a new connection: what was announced on the one before may arrive by this one only."""
        now = self._clock.monotonic()
        for topic, moment in self._heard_from.items():
            if moment > now:
                self._heard_from[topic] = now + HEARD_AFTER
        for topic in self._held:
            self._heard_from[topic] = now + HEARD_AFTER

    def holds(self, message: Message) -> bool:
        """Hold the message where its entity's moment has not come, or others of its entity are held. False: send it."""
        if message.topic not in self._held and not self._waits(message.topic):
            return False
        if self._count >= _MOST:
            return False
        self._hold(message)
        return True

    def due(self) -> list[Message]:
        """Those whose moment has come; they are held until they are `said`."""
        return [one for topic, held in self._held.items() if not self._waits(topic) for one in held.values()]

    def said(self, messages: list[Message]) -> None:
        """The broker has answered these."""
        for one in messages:
            held = self._held.get(one.topic, {})
            if held.pop(one.payload, None) is not None:
                self._count -= 1
            if not held:
                self._held.pop(one.topic, None)

    @property
    def next_in(self) -> float | None:
        """Seconds until the next is due; None while none is held."""
        if not self._held:
            return None
        first = min(self._heard_from.get(topic, 0.0) for topic in self._held)
        return max(0.0, first - self._clock.monotonic())

    def memory(self) -> State:
        """What is to be stored with the cursor: the held messages, for their events are done with."""
        stored, size = [], 0
        for one in (one for held in self._held.values() for one in held.values()):
            size += len(one.payload)
            if size > _STORED:
                break
            stored.append([one.topic, one.payload.decode(), one.qos])
        return {_KEY: stored} if stored else {}

    def _waits(self, topic: str) -> bool:
        return self._heard_from.get(topic, 0.0) > self._clock.monotonic()

    def _hold(self, message: Message) -> None:
        held = self._held.setdefault(message.topic, {})
        if message.payload not in held:
            held[message.payload] = message
            self._count += 1
