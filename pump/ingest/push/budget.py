"""How many bytes of bodies the push listener holds at a time, over all connections and of one address."""

from __future__ import annotations

from typing import Final

from pump.ingest.push.request import Push, Refused

HELD: Final = 256 << 20
"""Bytes of bodies, from their first byte until they are answered."""
SHARE: Final = 4
"""The part of these that one address may hold: one that dribbles must not keep the others' pictures out."""
SMALL: Final = 64 << 10
"""Bytes of a body up to which it is taken though others hold too many."""
RETRY_AFTER: Final = 5.0
"""Seconds."""


class Budget:
    """One listener's. What is held of a request is in `Push.held`, and given back whatever becomes of it."""

    def __init__(self, largest: int) -> None:
        """`largest`: bytes that a body may have; a share holds one as it came and unpacked, however large that is."""
        self.held = 0
        """Bytes."""
        self._most = max(HELD, 2 * SHARE * largest)
        self._by_address: dict[str, int] = {}

    def hold(self, push: Push, size: int) -> None:
        """Count bytes as the request's. Raises Refused where too many are held, and it is not a small one."""
        push.held += size
        self.held += size
        own = self._by_address[push.peer] = self._by_address.get(push.peer, 0) + size
        if push.held > SMALL and (self.held > self._most or own > self._most // SHARE):
            raise Refused(503, "too many large bodies at a time", retry_after=RETRY_AFTER)

    def release(self, push: Push) -> None:
        """The request is answered, or its connection gone."""
        self.held -= push.held
        left = self._by_address.pop(push.peer) - push.held
        if left:
            self._by_address[push.peer] = left
