"""Events as CloudEvents by HTTP POST, signed by the Standard Webhooks specification; at least once.

In order unless `concurrency` is above 1. What the peer refuses is a dead letter; what it cannot take now is tried
again, with full jitter, until `max_age` is over. A peer that answers 410 switches the sink off.
"""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Any, Final, Self

from yarl import URL

from pump.commands.trial import Trial
from pump.core.clock import Clock
from pump.core.errors import Gone, Misconfigured, Rejected, Unavailable
from pump.core.failure import clock_doubt
from pump.core.net.addresses import Forbidden
from pump.core.record import Batch, Record, State
from pump.core.settings import duration_text
from pump.core.text import words_of
from pump.sink import Sink
from pump.sinks.common.event_key import name_of
from pump.sinks.common.throttle import Throttle
from pump.sinks.webhook.client import Answer, Verdict, WebhookClient
from pump.sinks.webhook.expiry import ROUNDS, ExpiryPolicy
from pump.sinks.webhook.settings import WebhookSettings
from pump.sinks.webhook.signing import Signer

BODY: Final = 1_000_000
"""Bytes of a batch, about, at the most (one larger event goes alone); receivers' usual limit is 1 MiB."""
LOOK_AGAIN: Final = 60.0
"""Seconds until a peer is asked again whose answer only a person can change."""

_ONE: Final = "application/cloudevents+json; charset=utf-8"
_MANY: Final = "application/cloudevents-batch+json; charset=utf-8"


_AFTER_SOURCE: Final = b'","type":"'
_LARGE: Final = 32 << 10
"""Bytes of a request from which signing the next one meanwhile is worth a task."""
_PASSES: Final = 3
"""Of the event loop, after which aiohttp has written a request."""

Request = tuple[bytes, dict[str, str]]
"""Body and headers."""


class WebhookSink(Sink[WebhookSettings]):
    """Posts to one URL."""

    Settings = WebhookSettings
    names_events = True

    def __init__(self, name: str, settings: WebhookSettings, *, state: State | None, clock: Clock, site: str) -> None:
        super().__init__(name, settings, state=state, clock=clock, site=site)
        self._signer = Signer([secret.get_secret_value() for secret in settings.secret])
        self._pressure = Throttle(settings.concurrency)
        self._poster: WebhookClient | None = None
        self._done: set[int] = set()
        self._refused: dict[int, str] = {}
        self._trouble = ""
        """The words of the last failure."""
        self._patience = ExpiryPolicy(settings.max_age, settings.batch_size, clock=clock, state=state)

    async def try_out(self, trial: Trial) -> None:
        """As Sink.try_out: a connection alone, for whatever is asked of a receiver may mean something to it."""
        url = URL(self.settings.url)
        trial.not_tried.append("a request: its path, headers and answers show with the first event")
        poster = self._made()
        try:
            await poster.reach()
        except Forbidden as error:
            raise Misconfigured(f"{url.host}: {error}; allow_private = true would permit it") from None
        except ssl.CertificateError as error:
            raise Misconfigured(f"{url.host}: {words_of(error)}{clock_doubt(error)}") from None
        except TimeoutError:
            raise Unavailable(f"{url.host} gives no answer for {self.settings.timeout:g} s") from None
        except OSError as error:
            raise Unavailable(f"{url.host} cannot be reached: {words_of(error)}") from None
        finally:
            await poster.close()
        checked = ", and its certificate is trusted" if url.scheme == "https" else ""
        trial.found.append(f"{url.host}:{url.port} takes connections{checked}")

    def _made(self) -> WebhookClient:
        settings = self.settings
        return WebhookClient(
            URL(settings.url),
            timeout=settings.timeout,
            connections=settings.concurrency,
            headers={name: value.get_secret_value() for name, value in settings.headers.items()},
            allow_private=settings.allow_private,
            clock=self.clock,
        )

    async def __aenter__(self) -> Self:
        """Make the session; nothing is connected yet."""
        self._poster = self._made()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        if self._poster is not None:
            await self._poster.close()

    async def send(self, batch: Batch) -> State | None:
        """Post the batch. Raises Unavailable, Rejected, Misconfigured (a redirection, a 401, …), Gone (a 410)."""
        self._done, self._refused = set(), {}
        if self._pressure.circuit_open:
            self._give_up(batch, self._trouble)
        for turn in range(ROUNDS):
            settled = self._done or self._refused
            left = [record for record in batch if not self._settled(record)] if settled else batch
            answer = await self._all(left) if left else None
            if answer is None:
                break
            self._despair(answer)
            at_once = self._give_up(batch, answer.reason) and answer.wait is None
            if all(self._settled(record) for record in batch):
                break
            if not at_once or turn == ROUNDS - 1:
                raise Unavailable(
                    answer.reason,
                    retry_after=0.0 if at_once else answer.wait,
                    done=self._done,
                    refused=self._refused,
                    state=self._patience.memory(),
                )
        if self._refused:
            raise Rejected(self._refused, state=self._patience.memory())
        return None

    # --- what of a batch is done --------------------------------------------------------------------------------

    def _settled(self, record: Record) -> bool:
        return record.seq in self._done or record.seq in self._refused

    def _give_up(self, batch: Batch, reason: str) -> bool:
        """Refuse what has outlived `max_age`, see `ExpiryPolicy`; whether the rest may be tried without a wait.

        What waited in the spool while we were not running has not been tried yet, and gets its time.
        """
        expired = self._patience.expired([record for record in batch if not self._settled(record)])
        words = f"not delivered within {duration_text(self.settings.max_age)}: {reason}"
        self._refused.update((record.seq, words) for record in expired)
        return self._patience.must_split or (bool(expired) and self._patience.one_by_one)

    def _despair(self, answer: Answer) -> None:
        book: dict[str, Any] = {"done": self._done, "refused": self._refused, "state": self._patience.memory()}
        if answer.meaning is Verdict.GONE:
            raise Gone(f"{answer.reason}: the receiver wants no more events", **book)
        if answer.meaning is Verdict.WRONG:
            raise Misconfigured(answer.reason, retry_after=LOOK_AGAIN if answer.wait is None else answer.wait, **book)

    # --- requests -----------------------------------------------------------------------------------------------

    async def _all(self, records: Sequence[Record]) -> Answer | None:
        """Post them in requests, one after another or several at a time; the answer that stopped it, None: all done."""
        requests = self._requests(records)
        if self._pressure.circuit_open:  # one is enough to see whether the peer is back
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
            if place > start and (place - start >= self._patience.size or size > BODY):
                yield records[start:place]
                start, size = place, len(record.body) + 1
        if start < len(records):
            yield records[start:]

    async def _post(self, records: Sequence[Record], made: Request | None = None) -> Answer | None:
        """One request; halves of it, where it is refused as a whole, to find whom it is about. None: all settled."""
        answer = await self._attempt(made or self._make(records))
        self._feel(answer, records)
        if answer.meaning is Verdict.TAKEN:
            self._done.update(record.seq for record in records)
            return None
        if answer.meaning is not Verdict.REFUSED:
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
        headers = self._signer.headers(_name(records, self.fresh_ids), self.clock.now_ms() // 1000, body)
        return body, {"Content-Type": content_type, **headers}

    async def _attempt(self, request: Request) -> Answer:
        poster = self._poster
        assert poster is not None  # entered
        if gap := self._pressure.gap:
            await self.clock.sleep(gap)
        return await poster.post(*request)

    def _feel(self, answer: Answer, records: Sequence[Record]) -> None:
        if answer.meaning in (Verdict.LATER, Verdict.SLOWER):
            self._trouble = answer.reason
            self._patience.failed(records, suspects_body=answer.suspects_body)
            self._pressure.failed(slower=answer.meaning is Verdict.SLOWER)
            return
        # whatever it says, it is there
        self._pressure.succeeded()
        if answer.meaning is Verdict.TAKEN:
            self._patience.taken()
        else:
            self._patience.answered()


_GRAVITY: Final = (Verdict.LATER, Verdict.SLOWER, Verdict.WRONG, Verdict.GONE)


def _name(records: Sequence[Record], fresh: str = "") -> str:
    """The webhook-id: an event's own name, or one made of a batch's, the same for the same events.

    `fresh`: a replay's own mark.
    """
    if len(records) == 1:
        return name_of(records[0].body, fresh)
    # ids and sources stand at the beginning, and the same event is always written the same
    heads = b"\n".join([record.body[: record.body.find(_AFTER_SOURCE)] for record in records])
    return hashlib.blake2b(heads + fresh.encode(), digest_size=16).hexdigest()


__all__ = ["SINK", "WebhookSettings", "WebhookSink"]

SINK = WebhookSink
