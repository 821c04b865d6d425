"""Nameless receiver: each event is one POST, in order, at least once.

The receiver answers how many events it has. That number is the sink's state: stored with the cursor, and compared at
the next opening, so that a receiver that was set back (a restored backup) is noticed.
"""

from __future__ import annotations

from enum import Enum
from types import TracebackType
from typing import Any, Final, Self

import aiohttp
import orjson
import structlog

from pump.cli.new.templates.nameless_receiver.settings import NamelessReceiverSettings
from pump.core.clock import Clock
from pump.core.errors import Misconfigured, Rejected, Unavailable
from pump.core.net.outcome import retry_after, why
from pump.core.record import Batch, Record, State
from pump.sink import Sink

log = structlog.get_logger()

_LARGEST: Final = 64 << 10
"""Bytes of an answer that are read."""
_LONGEST_WAIT: Final = 3600.0
"""Seconds; a Retry-After beyond it is taken for a mistake."""


class Verdict(Enum):
    """The meaning of an answer that is no success."""

    REFUSED = "refused"
    """This event and no other: trying it again is useless."""
    LATER = "later"
    WRONG = "wrong"
    """Only a person can mend it."""


_OF_STATUS: Final[dict[int, Verdict]] = {
    **dict.fromkeys((401, 403, 404, 405), Verdict.WRONG),
    **dict.fromkeys((408, 425, 429), Verdict.LATER),
}
_OF_CLASS: Final = {3: Verdict.WRONG, 4: Verdict.REFUSED}
"""By the status's first digit, where it has no row of its own; all others mean later."""


class _RefusedError(Exception):
    """The receiver refuses one event for good; the text says why."""


class NamelessReceiverSink(Sink[NamelessReceiverSettings]):
    """Posts to one address."""

    Settings = NamelessReceiverSettings

    def __init__(
        self,
        name: str,
        settings: NamelessReceiverSettings,
        *,
        state: State | None,
        clock: Clock,
        site: str,
    ) -> None:
        super().__init__(name, settings, state=state, clock=clock, site=site)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        """Ask how many events the receiver has. Raises as `send`."""
        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=self.settings.timeout),
            headers={"Authorization": f"Bearer {self.settings.api_key.get_secret_value()}"},
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        try:
            stored = await self._call("GET")
        except BaseException as error:
            await self._close()
            if isinstance(error, _RefusedError):
                raise Misconfigured(f"{error}: check url") from None
            raise
        before = (self.state or {}).get("stored")
        if before is not None and stored is not None and stored < before:
            log.warning(
                "The receiver has fewer events than it had: `pump replay` sends them again",
                sink=self.name,
                had=before,
                has=stored,
            )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let the connections go."""
        await self._close()

    async def _close(self) -> None:
        if self._session is not None:
            session, self._session = self._session, None
            await session.close()

    async def send(self, batch: Batch) -> State | None:
        """Post the batch. Raises Unavailable, Rejected, Misconfigured, each with what is done and refused by number."""
        done: set[int] = set()
        refused: dict[int, str] = {}
        for record in batch:
            try:
                await self._post(record)
            except _RefusedError as error:
                refused[record.seq] = str(error)
                continue
            except (Unavailable, Misconfigured) as error:
                error.done, error.refused, error.state = frozenset(done), refused, self.state
                raise
            done.add(record.seq)
        if refused:
            raise Rejected(refused, state=self.state)
        return self.state

    async def _post(self, record: Record) -> None:
        stored = await self._call("POST", record.body)
        if stored is not None:
            self.state = {"stored": stored}

    async def _call(self, method: str, body: bytes | None = None) -> int | None:
        """The number of events that the receiver has; None where it does not say.

        Raises _RefusedError, Unavailable, Misconfigured. The library's errors may hold the request's headers, the key
        among them: none is passed on.
        """
        assert self._session is not None, "the sink is used outside its context"
        try:
            async with self._session.request(
                method,
                self.settings.url,
                data=body,
                headers={"Content-Type": "application/cloudevents+json"},
                allow_redirects=False,
            ) as response:
                content = await response.content.read(_LARGEST)
                status, wish = response.status, response.headers.get("Retry-After")
        except TimeoutError:
            raise Unavailable(f"the receiver gives no answer for {self.settings.timeout:g} s") from None
        except (aiohttp.ClientError, OSError) as error:
            raise Unavailable(f"the receiver cannot be reached: {why(error)}") from None
        if 200 <= status < 300:
            return _stored(content)
        match _OF_STATUS.get(status) or _OF_CLASS.get(status // 100, Verdict.LATER):
            case Verdict.REFUSED:
                raise _RefusedError(f"the receiver answers {status}")
            case Verdict.WRONG:
                raise Misconfigured(f"the receiver answers {status}: check url and api_key")
            case Verdict.LATER:
                wait = retry_after(wish, self.clock.now(), _LONGEST_WAIT)
                raise Unavailable(f"the receiver answers {status}", retry_after=wait)


def _stored(content: bytes) -> int | None:
    try:
        decoded: Any = orjson.loads(content)
    except ValueError:
        return None
    stored = decoded.get("stored") if isinstance(decoded, dict) else None
    return stored if isinstance(stored, int) else None
