"""Turns of connections at the parser: so much of each pass of the event loop, and so much framing an address.

aiohttp parses at once what a socket has brought, 256 KiB of it. Chunks of two bytes make that 37,000 chunks and a tenth
of a second, for one connection of hundreds, and whoever waits for the loop waits for them all.
"""

from __future__ import annotations

import asyncio
from collections import deque
from time import perf_counter
from typing import Final, Protocol

from pump.core.clock import Clock
from pump.core.rate import TokenBucket

SLICE: Final = 4 << 10
"""Bytes that are parsed between two looks at the time, where they are no plain body: 600 chunks, 1 ms."""
TURN: Final = 0.002
"""Seconds of parsing in one pass of the event loop; with more to parse the rest of the loop has its turn first."""
BYTE: Final = 1 / (1 << 30)
"""Seconds that a byte counts beside its parsing: it was copied from the socket into fresh memory."""
REQUESTS: Final = 32
"""Requests that are begun to be answered in one pass: each takes about as long as its parsing."""
FRAMING: Final = 16 << 10
"""Bytes that the chunks of one body may have around them, beyond what the body itself pays for: 3,000 tiny chunks."""
PAID: Final = 8
"""Bytes of a body that pay for one of framing: chunks of 48 bytes and more cost nothing."""
FRAMING_RATE: Final = 32 << 10
"""Bytes of such framing that one address may send a second, a minute's worth at once."""


class Turner(Protocol):
    """Something that has more to parse."""

    def take_turn(self) -> None:
        """Parse until done or until the turns of this pass are over; if the latter, wait for another."""


class Turns:
    """One listener's."""

    def __init__(self, clock: Clock) -> None:
        self._left = TURN
        self._waiting: deque[Turner] = deque()
        self._due = False
        """True where the next pass of the event loop begins with `_begin`."""
        self._requests = REQUESTS
        self._entering: deque[asyncio.Future[None]] = deque()
        self._framing = TokenBucket(FRAMING_RATE, clock)

    @property
    def over(self) -> bool:
        """True where no more may be parsed in this pass of the event loop."""
        return self._left <= 0

    def spend(self, since: float, size: int) -> None:
        """Count the time since then, by `perf_counter`, in which so many bytes were parsed."""
        self._left -= perf_counter() - since + size * BYTE
        if not self._due:
            self._call()

    def wait(self, turner: Turner) -> None:
        """Call its `take_turn` once, in a later pass of the event loop: first come, first served."""
        self._waiting.append(turner)
        self._call()

    def admit(self) -> bool:
        """True where one more request may be answered in this pass, which is counted; else it is to `enter`."""
        if not self._due:
            self._call()
        self._requests -= 1
        return self._requests >= 0

    async def enter(self) -> None:
        """Return once this request may be answered, in a later pass: first come, first served."""
        turn = asyncio.get_running_loop().create_future()
        self._entering.append(turn)
        await turn

    def afford(self, address: str, framing: float) -> bool:
        """Count bytes of framing as the address's; False where it has sent too much of it."""
        return framing <= 0 or not self._framing.take(address, framing)

    def _call(self) -> None:
        if not self._due:
            self._due = True
            asyncio.get_running_loop().call_soon(self._begin)

    def _begin(self) -> None:
        """A new pass: who waits comes before what sockets bring."""
        self._due = False
        self._left = TURN
        for _ in range(len(self._waiting)):
            if self.over:
                break
            self._waiting.popleft().take_turn()
        self._requests = REQUESTS
        while self._entering and self._requests > 0:
            turn = self._entering.popleft()
            if not turn.done():  # else who waited was cancelled
                turn.set_result(None)
                self._requests -= 1
        if self._waiting or self._entering:
            self._call()
