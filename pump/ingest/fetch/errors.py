"""The two ways in which a link is not fetched, and the one in which it must not be."""

from __future__ import annotations

from pump.ingest.media import Stored


class FetchLater(Exception):
    """Another try may help. `reason` is the words, `label` the counter's; `away`: no link of this host would do.

    `wait`: seconds for which nothing more should be asked.
    """

    def __init__(self, label: str, reason: str, *, wait: float | None = None, away: bool = False) -> None:
        super().__init__(reason)
        self.label = label
        self.reason = reason
        self.wait = wait
        self.away = away


class FetchFailed(Exception):
    """No other try helps. `kept`: what came is in the store all the same, as it came."""

    def __init__(self, label: str, reason: str, *, kept: Stored | None = None) -> None:
        super().__init__(reason)
        self.label = label
        self.reason = reason
        self.kept = kept


class LinkForbidden(Exception):
    """Nothing vouches for the link's host; `reason` says so without naming more than the host."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
