"""A vendor's part in the playing of recordings: its login, its signature, and answers for what nobody recorded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from pump.core.clock import Clock


class Asked(NamedTuple):
    """A request to the player."""

    method: str
    target: str
    """Path and query, as they came."""
    headers: Mapping[str, str]
    """By names in any case."""
    body: bytes
    url: str
    """The player's own address."""


class Given(NamedTuple):
    """An answer of the player."""

    status: int
    headers: Mapping[str, str]
    body: bytes


Gate = Callable[[Asked], Given | None]
"""The vendor's login: the answer to a login, or to a request without one; None lets the request in."""


@dataclass(frozen=True)
class Play:
    """A table; every part may be missing. A simulator's module has it as PLAY."""

    claim: str = ""
    """What the paths of pushes begin with, where `--to` names none; empty: a source's own name is part of it."""
    sign: Callable[[bytes], bytes] | None = None
    """A pushed body with the signature of the simulator's own key."""
    gate: Callable[[Clock], Gate] | None = None
    rest: Mapping[str, bytes] = field(default_factory=dict)
    """By the end of a path, the JSON that answers when there is nothing recorded for it, or nothing more."""
    greeting: bytes = b""
    """The part, as JSON, that a stream begins with, for one that was recorded from its middle on."""
    account: Mapping[str, Any] | None = None
    """What a source's table wants, where it is other than the simulator's."""
