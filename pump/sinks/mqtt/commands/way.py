"""The way in by MQTT: a connection of its own that hears commands, answers them, and makes Home Assistant know of them.

No session is kept: it begins clean and ends with the connection, and quality of service 0 is asked for, so that a
broker has nothing to bring later of what came while the pump was away. A gate must not open then.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final, Self

import structlog

from pump.commands.ways import LONGEST, Asking, Reception
from pump.core.clock import Clock
from pump.core.errors import Misconfigured, Unavailable, anew
from pump.core.tasks import first_of, wait_for
from pump.sinks.mqtt.commands.discovery import MOST, CommandDiscovery
from pump.sinks.mqtt.commands.words import CommandTopics, word_of
from pump.sinks.mqtt.connector import Connector
from pump.sinks.mqtt.messages import ONLINE
from pump.sinks.mqtt.protocol import BrokerLost, Connect, Heard, Listener, Message, MqttLink
from pump.sinks.mqtt.settings import MqttSettings

log = structlog.get_logger()

ASIDE: Final = "-commands"
"""The end of the connection's client id."""
EVERY: Final = 2.0
"""Seconds from one look at what can be commanded to the next."""
VANISHED: Final = 30.0
"""Seconds after which an entity without a target goes: a source that has just started knows few of its devices."""
AWAY: Final = 10.0
"""Seconds that an answer waits for a connection."""
_PACKET: Final = 64 << 10
"""Bytes of the largest packet that the broker may bring, by MQTT 5."""
_RESPONSE: Final = 512
"""Characters of a topic that others have named; mosquitto takes 200 levels."""
_LEVELS: Final = 64
_LOT: Final = 100
"""Messages of discovery at a time."""
_PANELS: Final = 1_000
"""Panels of partitions that are looked after."""
_CORRECTIONS: Final = 20
"""Times in one connection that a panel is said again which somebody else has changed."""
_VAIN: Final = 3
"""Connections that may end at them."""
_CLOUD_EVENTS: Final = "application/cloudevents"


class MqttCommands:
    """One sink's; fulfils `pump.commands.ways.WayIn`."""

    def __init__(self, name: str, settings: MqttSettings, *, clock: Clock, site: str, connect: Connect) -> None:
        self._name = name
        self._settings = settings
        self._site = site
        self._clock = clock
        self._connector = Connector(name, settings, site, connect, aside=ASIDE, packet_size=_PACKET)
        self._topics = self._spoken()
        self._reception: Reception | None = None
        self._link: MqttLink | None = None
        self._there = asyncio.Event()
        self._discovery: CommandDiscovery | None = None
        self._kept: set[str] = set()
        """Topics of discovery that the broker keeps from before."""
        self._shared: dict[str, bytes] = {}
        """The panels that the sink makes too, as they were heard last."""
        self._unwanted: dict[str, float] = {}
        """Those of either that nobody wants, and since when."""
        self._again = False
        self._news = asyncio.Event()
        self._vain = 0

    @classmethod
    def wanted(cls, name: str, settings: MqttSettings, clock: Clock, site: str, connect: Connect) -> Self | None:
        """One for these settings; None where they name no topic."""
        return cls(name, settings, clock=clock, site=site, connect=connect) if settings.command_topic else None

    async def run(self, reception: Reception, up: Callable[[], object]) -> None:
        """As `WayIn.run`. Raises Unavailable, Misconfigured."""
        self._reception = reception
        link = await self._connector.open(Listener(lambda *_: None, self._heard, lambda _: None))
        try:
            topics = self._topics = self._spoken()
            for topic, refused in zip(topics.filters, await link.attend(topics.filters), strict=False):
                if refused is not None:
                    raise Misconfigured(f"the broker does not let this client hear commands on {topic}: {refused}")
            self._link = link
            self._there.set()
            up()
            if self._settings.home_assistant is not None and self._vain < _VAIN:
                await self._announce(link, reception)
            await link.until_lost()
            raise anew(link.lost or BrokerLost("the connection for commands ended"))
        finally:
            self._there.clear()
            self._link = None
            await link.close()

    def _spoken(self) -> CommandTopics:
        return CommandTopics(self._settings, self._site, spaces=self._connector.spaces)

    # --- commands ---------------------------------------------------------------------------------------------------

    def _heard(self, heard: Heard) -> None:
        discovery = self._discovery
        if discovery is not None and heard.topic == discovery.birth:
            if heard.payload == ONLINE and not heard.retained:
                self._again = True
                self._news.set()
        elif discovery is not None and discovery.owns(heard.topic):
            if heard.retained and heard.payload and len(self._kept) < 2 * MOST and len(heard.topic) <= _RESPONSE:
                self._kept.add(heard.topic)
                self._news.set()
        elif discovery is not None and discovery.shares(heard.topic):
            room = heard.topic in self._shared or len(self._shared) < _PANELS
            if room and len(heard.payload) <= LONGEST and len(heard.topic) <= _RESPONSE:
                self._shared[heard.topic] = heard.payload
                self._news.set()
        elif self._reception is not None and not heard.content_type.startswith(_CLOUD_EVENTS):
            # an event, a pump's own on a topic of theirs, asks for nothing
            self._reception.take(self._asking(heard))

    def _asking(self, heard: Heard) -> Asking:
        target = self._topics.read(heard.topic)
        order, malformed = None, ""
        if target is None:
            malformed = "its topic names no target in the form in which the pump writes it"
        elif not heard.payload.startswith(b"{") and len(heard.payload) <= LONGEST:
            found = word_of(target, heard.payload)
            if found is None:
                malformed = "it is neither a JSON object nor a word of an entity of its topic"
            else:
                target, order = found
        return Asking(
            f"mqtt:{heard.topic}",
            target or "",
            heard.payload,
            order,
            _key(heard),
            within=None if heard.expires is None else float(heard.expires),
            stale="it is a retained message: the next start would hear it again" if heard.retained else "",
            malformed=malformed,
            answer=partial(self._answer, heard.response, heard.correlation) if heard.response else None,
            progress=True,
        )

    async def _answer(self, topic: str, correlation: bytes | None, payload: bytes) -> None:
        """Publish an answer, over this connection or the next. Raises Unavailable, Misconfigured."""
        if not _publishable(topic):
            raise Misconfigured("its response topic is none that can be published to")
        if self._is_own(topic):
            raise Misconfigured(f"no answer goes to {topic}: others would take it for the pump's own word")
        waiting = asyncio.create_task(self._there.wait())
        try:
            if not await wait_for({waiting}, AWAY, self._clock) or self._link is None:
                raise Unavailable("the broker is away")
        finally:
            waiting.cancel()
        (refused,) = await self._link.say([Message(topic, payload, 1, correlation=correlation or b"")])
        if refused is not None:
            raise Misconfigured(f"the broker refuses it: {refused}")

    def _is_own(self, topic: str) -> bool:
        """True where the pump's words are believed for whose they are: it publishes there, and who asks may not."""
        settings = self._settings
        state, status, home = settings.state_topic, settings.status_topic, settings.home_assistant or ""
        heads = [state.replace("{site}", self._site).partition("{")[0], status.replace("{site}", self._site), home]
        begins = [f"{one.rstrip('/')}/" for one in (*heads, *self._topics.prefixes) if one]
        return topic.startswith("$") or any(f"{topic}/".startswith(one) for one in begins)

    # --- Home Assistant ---------------------------------------------------------------------------------------------

    async def _announce(self, link: MqttLink, reception: Reception) -> None:
        """Keep its entities as they are to be, until the link is lost. Raises Unavailable."""
        spaces = self._connector.spaces
        discovery = CommandDiscovery(self._name, self._settings, self._site, self._topics, spaces=spaces)
        self._discovery = discovery
        self._shared.clear()
        link.listen([discovery.birth, discovery.filter, discovery.panels])
        said: dict[str, bytes] = {}
        corrected: Counter[str] = Counter()
        while link.lost is None:
            self._news.clear()
            if self._again:
                self._again = False
                said = {}
            try:
                wanted = discovery.configs(reception.targets(), reception.allows)
            except Exception:  # a source's; commands are heard all the same
                log.exception("A source met a bug with its targets: what can be commanded stays as it was announced")
                wanted = said
            self._kept |= {topic for topic in said if discovery.owns(topic)}
            changed = {topic: payload for topic, payload in wanted.items() if said.get(topic) != payload}
            for topic, heard in self._shared.items():
                if topic in wanted and heard != wanted[topic] and corrected[topic] < _CORRECTIONS:
                    corrected[topic] += 1
                    changed[topic] = wanted[topic]
            changed |= self._vanished(discovery, wanted)
            # before they are said: what is heard from then on comes after them
            self._shared |= {topic: payload for topic, payload in changed.items() if discovery.shares(topic)}
            await self._say(link, changed)
            said = wanted
            await first_of(link.until_lost(), self._news.wait(), self._clock.sleep(EVERY))

    def _vanished(self, discovery: CommandDiscovery, wanted: Mapping[str, bytes]) -> dict[str, bytes]:
        """Entities whose time without a target, or a grant, is over: gone, or the sink's own once more."""
        now = self._clock.monotonic()
        ends: dict[str, bytes] = dict.fromkeys(self._kept, b"")
        for topic, heard in self._shared.items():
            if topic not in wanted and (released := discovery.released(heard)) is not None:
                ends[topic] = released
        self._unwanted = {topic: self._unwanted.get(topic, now) for topic in ends if topic not in wanted}
        gone = [topic for topic, since in self._unwanted.items() if now - since >= VANISHED]
        self._kept.difference_update(gone)
        return {topic: ends[topic] for topic in gone}

    async def _say(self, link: MqttLink, messages: dict[str, bytes]) -> None:
        waiting = [Message(topic, payload, 1, retain=True) for topic, payload in messages.items()]
        lot = max(1, min(_LOT, link.limits.receive_maximum))
        for place in range(0, len(waiting), lot):
            try:
                refusals = await link.say(waiting[place : place + lot])
            except BrokerLost:
                self._vain += 1
                if self._vain == _VAIN:
                    log.warning("The broker closes at the discovery of commands: it is left out", sink=self._name)
                raise
            self._vain = 0
            if refused := next((one for one in refusals if one is not None), None):
                log.warning("The broker refuses the discovery of commands", sink=self._name, reason=refused)


def _publishable(topic: str) -> bool:
    """False for topics at which brokers close the connection: then one who asks could end it for all."""
    return len(topic) <= _RESPONSE and topic.count("/") < _LEVELS and topic.isprintable() and not {*topic} & {*"+#"}


def _key(heard: Heard) -> str | None:
    """A message's name by its correlation data: what a client sends again after a lost acknowledgement has the same.

    With its answer's topic and its content, for clients that count their requests from 1 at each start.
    """
    if not heard.correlation:
        return None
    digest = hashlib.blake2b(digest_size=16)
    for part in (heard.correlation, heard.response.encode(), heard.payload):
        digest.update(len(part).to_bytes(4, "big") + part)
    return f"correlation-{digest.hexdigest()}"
