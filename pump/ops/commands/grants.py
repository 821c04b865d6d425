"""Who may command what: nobody, unless a grant of [commands] says so."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from pump.config.model import CommandSettings, Grant
from pump.core.clock import Clock
from pump.core.rate import TokenBucket


class Grants:
    """The grants, and how often one target may be commanded."""

    def __init__(self, settings: CommandSettings, clock: Clock) -> None:
        self._clock = clock
        self._grants: Sequence[Grant] = settings.grants
        self._per_minute = settings.per_minute
        self._pace = TokenBucket(settings.per_minute / 60.0, clock)

    def adjust(self, settings: CommandSettings) -> None:
        """Allow by these settings from now on."""
        self._grants = settings.grants
        if settings.per_minute != self._per_minute:  # else each target keeps the pace it has
            self._pace = TokenBucket(settings.per_minute / 60.0, self._clock)
            self._per_minute = settings.per_minute

    def allow(self, caller: str, verb: str, target: str) -> bool:
        """True where some grant names all three. `*` in a target crosses its slashes."""
        return any(
            _names(grant.callers, caller) and _any(grant.verbs, verb) and _any(grant.targets, target)
            for grant in self._grants
        )

    def wait(self, target: str) -> float:
        """0.0 where the target may be commanded once more, which counts; else the seconds until it may."""
        return self._pace.take(target)


def _names(globs: Sequence[str], caller: str) -> bool:
    """True where one of them is the caller, or the way that it came by: "mqtt" is every topic, "mqtt:…" a glob."""
    return _any(globs, caller) or kind_of(caller) in globs


def kind_of(caller: str) -> str:
    """ "mqtt" of "mqtt:<topic>"."""
    return caller.partition(":")[0]


def _any(globs: Sequence[str], name: str) -> bool:
    return any(fnmatchcase(name, glob) for glob in globs)
