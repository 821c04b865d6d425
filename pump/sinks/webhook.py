"""Events as CloudEvents by HTTP POST, signed by the Standard Webhooks specification; at least once.

In order unless `concurrency` is above 1. What the peer refuses is a dead letter; what it cannot take now is tried
again, with full jitter, until `max_age` is over.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Annotated, Any, Final, Self

import structlog
from pydantic import BeforeValidator, Field, WithJsonSchema, field_validator
from yarl import URL

from pump.clock import Clock
from pump.errors import Misconfigured, Rejected, Unavailable
from pump.settings import Duration, Secret, SinkSettings, duration_text
from pump.sink import Batch, Record, Sink, State
from pump.sinks._identity import name_of
from pump.sinks._poster import Answer, Meaning, Poster
from pump.sinks._pressure import Pressure
from pump.sinks._signing import Signer, key_of
from pump.sinks._targets import inside

log = structlog.get_logger()

BODY: Final = 1_000_000
"""Bytes of a batch, about, at the most (one larger event goes alone); receivers' usual limit is 1 MiB."""
AHEAD: Final = 4
"""Requests of each connection that one `send` is given: more would come again after a crash."""
LOOK_AGAIN: Final = 60.0
"""Seconds until a peer is asked again whose answer only a person can change."""
GONE_FOR: Final = 86400.0
"""The same after a 410: a day, or until the daemon starts again."""

_OWN: Final = {"content-type", "content-length", "host", "transfer-encoding", "connection", "cookie"}
_ONE: Final = "application/cloudevents+json; charset=utf-8"
_MANY: Final = "application/cloudevents-batch+json; charset=utf-8"


_AFTER_SOURCE: Final = b'","type":"'
_LARGE: Final = 32 << 10
"""Bytes of a request from which signing the next one meanwhile is worth a task."""
_PASSES: Final = 3
"""Of the event loop, after which aiohttp has written a request."""

Request = tuple[bytes, dict[str, str]]
"""Body and headers."""


def _listed(value: object) -> object:
    return tuple(value) if isinstance(value, list | tuple) else (value,)


def _one_or_many(schema: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [*schema["anyOf"], {"type": "array", "items": schema}]}


_SECRET: Final[dict[str, Any]] = {
    "anyOf": [
        {"type": "string"},
        *(
            {
                "type": "object",
                "properties": {key: {"type": "string"}},
                "required": [key],
                "additionalProperties": False,
            }
            for key in ("file", "credential")
        ),
    ]
}
Secrets = Annotated[tuple[Secret, ...], BeforeValidator(_listed), WithJsonSchema(_one_or_many(_SECRET))]


class WebhookSettings(SinkSettings):
    """`[sinks.NAME]` with `type = "webhook"`."""

    url: str = Field(description="http:// or https://, where each request is posted")
    secret: Secrets = Field(default=(), description='"whsec_…" (Standard Webhooks), or a list while keys rotate')
    batch_size: int = Field(
        default=1, ge=1, le=5000, description="events a request; above 1 each is a batch, a JSON array"
    )
    concurrency: int = Field(default=1, ge=1, le=64, description="requests at a time; above 1 there is no order")
    timeout: Duration = Field(default=15.0, gt=0, description="of one attempt")
    max_age: Duration = Field(
        default=86400.0, gt=0, description="what could not be delivered for so long becomes a dead letter"
    )
    headers: dict[str, Secret] = Field(default={}, description="sent along; values may be secrets")
    allow_private: bool = Field(
        default=False, description="permit private, loopback and link-local addresses as targets"
    )

    @field_validator("url")
    @classmethod
    def _is_http(cls, text: str) -> str:
        try:
            url = URL(text)
        except ValueError:
            url = URL()
        if url.scheme not in ("http", "https") or not url.host or url.user is not None or url.fragment:
            raise ValueError("an http:// or https:// URL is wanted; a user or key of it belongs into headers")
        return text

    @field_validator("secret")
    @classmethod
    def _has_keys(cls, secrets: tuple[Any, ...]) -> tuple[Any, ...]:
        for secret in secrets:
            key_of(secret.get_secret_value())
        return secrets

    @field_validator("headers")
    @classmethod
    def _are_headers(cls, headers: dict[str, Any]) -> dict[str, Any]:
        for name, value in headers.items():
            lower = name.lower()
            if lower in _OWN or lower.startswith("webhook-"):
                raise ValueError(f"{name} is the sink's own header")
            if not name.isascii() or not name.replace("-", "").replace("_", "").isalnum():
                raise ValueError(f'"{name}" is no name of a header')
            if any(character in value.get_secret_value() for character in "\r\n\0"):
                raise ValueError(f"the value of {name} holds a line's end")
        return headers

    @property
    def handful(self) -> int:
        """Enough to keep every connection busy for a while."""
        return min(5000, self.batch_size * self.concurrency * AHEAD)

    @property
    def deadline(self) -> float:
        """Every attempt has its own time; this is for what nobody thought of."""
        return (self.timeout + Pressure.LONGEST_GAP) * (2 * self.concurrency * AHEAD + 2 * self.batch_size.bit_length())

    def warnings(self) -> list[str]:
        """What leaves events open to others."""
        told = super().warnings()
        url = URL(self.url)
        if url.scheme == "http" and not _is_inside(url.host or ""):
            told.append("http:// carries events, and whose plates they show, unencrypted")
        if not self.secret:
            told.append("without secret nothing is signed: the receiver cannot know who posts")
        return told


class WebhookSink(Sink[WebhookSettings]):
    """Posts to one URL. The object remembers what of a batch is done while the rest is tried again."""

    Settings = WebhookSettings

    def __init__(self, name: str, settings: WebhookSettings, *, state: State | None, clock: Clock, site: str) -> None:
        super().__init__(name, settings, state=state, clock=clock, site=site)
        self._signer = Signer([secret.get_secret_value() for secret in settings.secret])
        self._pressure = Pressure(settings.concurrency)
        self._poster: Poster | None = None
        self._done: set[int] = set()
        self._refused: dict[int, str] = {}
        self._failing_since: float | None = None
        """Since when every attempt has failed, monotonic."""

    async def __aenter__(self) -> Self:
        """Make the session; nothing is connected yet."""
        settings = self.settings
        self._poster = Poster(
            URL(settings.url),
            timeout=settings.timeout,
            connections=settings.concurrency,
            headers={name: value.get_secret_value() for name, value in settings.headers.items()},
            allow_private=settings.allow_private,
            clock=self.clock,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        if self._poster is not None:
            await self._poster.close()

    async def send(self, batch: Batch) -> None:
        """Post the batch. Raises Unavailable, Rejected, Misconfigured (a redirection, a 401, a 410, …)."""
        if self._pressure.open:
            self._give_up(batch, "the peer is away")
        settled = self._done or self._refused
        left = [record for record in batch if not self._settled(record)] if settled else batch
        answer = await self._all(left) if left else None
        if answer is not None and answer.meaning in (Meaning.GONE, Meaning.WRONG):
            raise self._hopeless(answer)
        if answer is not None:
            self._give_up(batch, answer.reason)
            if not all(self._settled(record) for record in batch):
                raise Unavailable(answer.reason, retry_after=answer.wait, sent=self._through(batch))
        refused = {record.seq: self._refused[record.seq] for record in batch if record.seq in self._refused}
        self._done.clear()
        self._refused.clear()
        if refused:
            raise Rejected(refused)

    # --- what of a batch is done --------------------------------------------------------------------------------

    def _settled(self, record: Record) -> bool:
        return record.seq in self._done or record.seq in self._refused

    def _through(self, batch: Batch) -> int:
        """How many at its beginning were delivered; those are delivery's from here on."""
        count = next((place for place, record in enumerate(batch) if record.seq not in self._done), len(batch))
        self._done.difference_update(record.seq for record in batch[:count])
        return count

    def _give_up(self, batch: Batch, reason: str) -> None:
        """Refuse what is older than `max_age`, where the peer has been away for so long as well.

        What waited in the spool while we were not running has not been tried yet, and gets its time.
        """
        limit = self.settings.max_age
        if self._failing_since is None or self.clock.monotonic() - self._failing_since < limit:
            return
        oldest = self.clock.now_ms() - int(limit * 1000)
        for record in batch:
            if record.recorded <= oldest and not self._settled(record):
                self._refused[record.seq] = f"not delivered within {duration_text(limit)}: {reason}"

    def _hopeless(self, answer: Answer) -> Misconfigured:
        if answer.meaning is Meaning.GONE:
            return Misconfigured(
                f"{answer.reason}: the receiver wants no more events; nothing is sent to it until the daemon is "
                "restarted (remove the sink, or set enabled = false)",
                retry_after=GONE_FOR,
            )
        return Misconfigured(answer.reason, retry_after=LOOK_AGAIN if answer.wait is None else answer.wait)

    # --- requests -----------------------------------------------------------------------------------------------

    async def _all(self, records: Sequence[Record]) -> Answer | None:
        """Post them in requests, one after another or several at a time; the answer that stopped it, None: all done."""
        requests = self._requests(records)
        if self._pressure.open:  # one is enough to see whether the peer is back
            if (answer := await self._post([records[0]])) is not None:
                return answer
            requests = self._requests(records[1:])
        if self.settings.concurrency == 1:
            return await self._one_by_one(requests)
        return await self._several(requests)

    async def _one_by_one(self, requests: Iterator[Sequence[Record]]) -> Answer | None:
        """In order; while a large one is on its way the next is made and signed."""
        request = next(requests, None)
        made = self._make(request) if request else None
        while request and made:
            if len(made[0]) < _LARGE:
                answer = await self._post(request, made)
                request = next(requests, None)
                made = self._make(request) if request else None
            else:
                posting = asyncio.create_task(self._post(request, made), name=f"sink {self.name} request")
                try:
                    for _ in range(_PASSES):
                        await asyncio.sleep(0)
                    request = next(requests, None)
                    made = self._make(request) if request else None
                    answer = await posting
                finally:
                    if not posting.done():
                        posting.cancel()
                        await asyncio.wait({posting})
            if answer is not None:
                return answer
        return None

    async def _several(self, requests: Iterator[Sequence[Record]]) -> Answer | None:
        stopped: list[Answer] = []

        async def worker() -> None:
            for request in requests:
                if (answer := await self._post(request)) is not None:
                    stopped.append(answer)
                if stopped:
                    return

        async with asyncio.TaskGroup() as group:
            for number in range(self._pressure.window):
                group.create_task(worker(), name=f"sink {self.name} connection {number}")
        return max(stopped, key=lambda answer: (_GRAVITY.index(answer.meaning), answer.wait or 0.0), default=None)

    def _requests(self, records: Sequence[Record]) -> Iterator[Sequence[Record]]:
        start = size = 0
        for place, record in enumerate(records):
            size += len(record.body) + 1
            if place > start and (place - start >= self.settings.batch_size or size > BODY):
                yield records[start:place]
                start, size = place, len(record.body) + 1
        if start < len(records):
            yield records[start:]

    async def _post(self, records: Sequence[Record], made: Request | None = None) -> Answer | None:
        """One request; halves of it, where it is refused as a whole, to find whom it is about. None: all settled."""
        answer = await self._attempt(made or self._make(records))
        if answer.meaning is Meaning.TAKEN:
            self._done.update(record.seq for record in records)
            return None
        if answer.meaning is not Meaning.REFUSED:
            return answer
        if len(records) == 1:
            self._refused[records[0].seq] = answer.reason
            return None
        middle = len(records) // 2
        for half in (records[:middle], records[middle:]):
            if (stopped := await self._post(half)) is not None:
                return stopped
        return None

    def _make(self, records: Sequence[Record]) -> Request:
        if self.settings.batch_size > 1:
            body, content_type = b"[" + b",".join([record.body for record in records]) + b"]", _MANY
        else:
            body, content_type = records[0].body, _ONE
        headers = self._signer.headers(_name(records), self.clock.now_ms() // 1000, body)
        return body, {"Content-Type": content_type, **headers}

    async def _attempt(self, request: Request) -> Answer:
        poster = self._poster
        assert poster is not None  # entered
        if gap := self._pressure.gap:
            await self.clock.sleep(gap)
        answer = await poster.post(*request)
        self._feel(answer)
        return answer

    def _feel(self, answer: Answer) -> None:
        if answer.meaning in (Meaning.LATER, Meaning.SLOWER):
            if self._failing_since is None:
                self._failing_since = self.clock.monotonic()
            self._pressure.failed(slower=answer.meaning is Meaning.SLOWER)
        else:  # whatever it says, it is there
            self._failing_since = None
            self._pressure.succeeded()


_GRAVITY: Final = (Meaning.LATER, Meaning.SLOWER, Meaning.WRONG, Meaning.GONE)


def _name(records: Sequence[Record]) -> str:
    """The webhook-id: an event's own name, or one made of a batch's, the same for the same events."""
    if len(records) == 1:
        return name_of(records[0].body)
    # ids and sources stand at the beginning, and the same event is always written the same
    heads = b"\n".join([record.body[: record.body.find(_AFTER_SOURCE)] for record in records])
    return hashlib.blake2b(heads, digest_size=16).hexdigest()


def _is_inside(host: str) -> bool:
    try:
        return inside(host)
    except ValueError:
        return host == "localhost"


SINK = WebhookSink
