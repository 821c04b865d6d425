"""Deadlines for calls into code that may not keep them, and word to the owner when one does not even let go."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Final, TypeVar

T = TypeVar("T")

GRACE: Final = 5.0
"""Seconds that a cancelled call has to end."""


class CallTimeout(Exception):
    """A call took longer than it may, and was cancelled."""

    def __init__(self, what: str, seconds: float) -> None:
        super().__init__(f"{what} took longer than {seconds:g} s")


class SessionAbandoned(Exception):
    """The task's owner has given it up: what it still finds out no longer counts."""


class CallGuard:
    """The deadlines of one task. Its owner waits for the task and for `stuck`, whichever comes first.

    They count in the event loop's own time, for they guard against real hangs, whatever clock is injected.
    """

    def __init__(self, grace: float = GRACE) -> None:
        self._grace = grace
        self.stuck: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        """Done when a call has not ended `grace` seconds after its deadline; says which."""
        self.abandoned = False
        """Set by the owner: no result of the task counts any more."""
        self.doing = ""
        """The call that is on its way."""

    async def within(self, seconds: float, what: str, call: Awaitable[T]) -> T:
        """The result of `call`, or its exception. Raises CallTimeout at its deadline, SessionAbandoned."""
        late = asyncio.get_running_loop().call_later(seconds + self._grace, self._tell, what)
        self.doing = what
        limit = asyncio.timeout(seconds)
        try:
            async with limit:
                return await call
        except TimeoutError:
            if not limit.expired():
                raise  # the call's own
            raise CallTimeout(what, seconds) from None
        finally:
            late.cancel()
            self.doing = ""
            if self.abandoned:
                raise SessionAbandoned

    def _tell(self, what: str) -> None:
        if not self.stuck.done():
            self.stuck.set_result(what)
