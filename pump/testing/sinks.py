"""Stand-ins for sinks, on the real interface: one collects, one follows a script, one hangs.

Each is a factory that goes where a sink's class goes (`Delivery(spool, CollectingSinks(), "out", …)`); the sinks it
makes, one for each opening, share what it holds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from types import TracebackType
from typing import Any, Final, Self

from pump.core.clock import Clock
from pump.core.errors import Rejected, Unavailable
from pump.core.record import Batch, Record, State
from pump.core.settings import SinkSettings
from pump.sink import Sink


async def hang() -> None:
    """A step that never ends, and lets itself be cancelled."""
    await asyncio.Event().wait()


def left_of(batch: Sequence[Record], error: Unavailable) -> list[Record]:
    """The records of a batch that are to be sent again after `send` raised."""
    return [record for record in batch if record.seq not in error.done and record.seq not in error.refused]


class Deaf:
    """A step that never ends and hears no cancellation, until `release`."""

    def __init__(self) -> None:
        self._released = asyncio.Event()

    async def __call__(self) -> None:
        while not self._released.is_set():
            try:
                await self._released.wait()
            except asyncio.CancelledError:
                continue

    def release(self) -> None:
        """Let it end."""
        self._released.set()


Step = BaseException | Callable[[], Awaitable[None]] | None
"""The behaviour of a send: raise, wait for something before it accepts, or accept at once."""


class ScriptedSinks:
    """Each `send` takes the next step of `steps`; when they are used up, every batch is accepted.

    `Unavailable` has its first `sent` records received, `Rejected` all but those it names; any other exception none.
    The state is the count of what was received. `opening` are steps for entering, `closing` for leaving, `watching`
    for being watched while idle: without any the sink does not ask to be.
    """

    Settings: Final = SinkSettings

    def __init__(
        self,
        steps: Iterable[Step] = (),
        *,
        opening: Iterable[Step] = (),
        closing: Iterable[Step] = (),
        watching: Iterable[Step] | None = None,
    ) -> None:
        self._steps = iter(steps)
        self._watching = None if watching is None else iter(watching)
        self._opening = iter(opening)
        self._closing = iter(closing)
        self.received: list[Record] = []
        """In the order of arrival, over all openings."""
        self.batches: list[list[int]] = []
        """The numbers of each batch that `send` was called with."""
        self.states: list[State | None] = []
        """The state that each opening was handed back."""
        self.closed = 0
        """How many openings were left."""
        self.watched = 0
        """How often `watch` was called."""
        self._watchers: list[tuple[Callable[[], bool], asyncio.Future[None]]] = []

    def __call__(self, name: str, settings: Any, *, state: State | None, clock: Clock, site: str) -> Sink[SinkSettings]:
        self.states.append(state)
        return _Scripted(self, name, settings, state=state, clock=clock, site=site)

    @property
    def sequence(self) -> list[int]:
        """The numbers of what was received."""
        return [record.seq for record in self.received]

    async def until(self, true: Callable[[], bool]) -> None:
        """Wait until `true()`, which is asked at every opening, call and leaving."""
        if not true():
            reached: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._watchers.append((true, reached))
            await reached

    async def arrived(self, count: int) -> None:
        """Wait until `count` records were received."""
        await self.until(lambda: len(self.received) >= count)

    async def called(self, count: int) -> None:
        """Wait until `send` was called `count` times."""
        await self.until(lambda: len(self.batches) >= count)

    async def _enter(self) -> None:
        self._tell()
        await _take(next(self._opening, None))

    async def _leave(self) -> None:
        self.closed += 1
        self._tell()
        await _take(next(self._closing, None))

    async def _send(self, batch: Batch) -> State:
        self.batches.append([record.seq for record in batch])
        self._tell()
        taken: Iterable[Record] = batch
        try:
            await _take(next(self._steps, None))
        except Unavailable as error:
            taken = [record for record in batch if record.seq in error.done]
            raise
        except Rejected as error:
            refused = error.sequence
            taken = [record for record in batch if record.seq not in refused]
            raise
        except BaseException:
            taken = ()
            raise
        finally:
            self.received.extend(taken)
            self._tell()
        return {"received": len(self.received)}

    async def _watch(self) -> None:
        self.watched += 1
        self._tell()
        assert self._watching is not None  # only then does the sink ask for it
        await _take(next(self._watching, hang))

    def _tell(self) -> None:
        for true, reached in self._watchers:
            if not reached.done() and true():
                reached.set_result(None)
        self._watchers = [(true, reached) for true, reached in self._watchers if not reached.done()]


class CollectingSinks(ScriptedSinks):
    """Accepts everything."""

    def __init__(self) -> None:
        super().__init__()


class HangingSinks(ScriptedSinks):
    """Accepts nothing, for ever; `deaf` ones do not even hear their cancellation until `release`."""

    def __init__(self, *, deaf: bool = False) -> None:
        self._deaf = Deaf() if deaf else None
        step = self._deaf or hang
        super().__init__(iter(lambda: step, None))

    def release(self) -> None:
        """Let the deaf ones end."""
        if self._deaf is not None:
            self._deaf.release()


class _Scripted(Sink[SinkSettings]):
    Settings = SinkSettings

    def __init__(
        self, owner: ScriptedSinks, name: str, settings: SinkSettings, *, state: State | None, clock: Clock, site: str
    ) -> None:
        super().__init__(name, settings, state=state, clock=clock, site=site)
        self._owner = owner
        self.watches = owner._watching is not None

    async def __aenter__(self) -> Self:
        await self._owner._enter()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._owner._leave()

    async def send(self, batch: Batch) -> State | None:
        return await self._owner._send(batch)

    async def watch(self) -> State | None:
        await self._owner._watch()
        return {"watched": self._owner.watched}


async def _take(step: Step) -> None:
    if isinstance(step, BaseException):
        raise step
    if step is not None:
        await step()
