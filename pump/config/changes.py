"""The difference between the configuration that runs and the one that is to run."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pump.config.lines import Path as Keys
from pump.config.model import Config
from pump.config.probe import CERTIFICATES
from pump.core.files import given
from pump.core.settings import Settings

Digests = Mapping[tuple[str, str], str]
"""Of each part that names certificates, (table, name): a digest of what these files hold."""

_FIXED: Final[Mapping[tuple[str, str], Callable[[Config], object]]] = {
    ("pump", "site"): lambda config: config.site,
    ("pump", "state_dir"): lambda config: config.state_dir,
    ("pump", "control_group"): lambda config: config.control_group,
    ("server", "listen"): lambda config: config.server.listen,
    ("server", "tls_cert"): lambda config: config.server.tls_cert is None,
    ("ops", "listen"): lambda config: config.ops.listen,
    ("ops", "page"): lambda config: config.ops.page,
    ("ops", "tls_cert"): lambda config: config.ops.tls_cert is None,
    ("media", "dir"): lambda config: config.media.dir,
    ("media", "fetch"): lambda config: config.media.fetch,
}
"""Keys that a daemon keeps for as long as it runs, and what of them must not change."""
_TABLES: Final = ("server", "ops", "spool", "media", "commands")
"""The tables of one fixed form, by their names in `Config`; [pump] is spread over the whole."""
_CERTIFIED: Final = ("server", "ops")
"""Those with a certificate."""


@dataclass(slots=True, frozen=True)
class PartChanges:
    """The parts of one kind, by name, in the configurations' order. Disabled ones count as not there."""

    added: tuple[str, ...]
    changed: tuple[str, ...]
    removed: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.added or self.changed or self.removed)


@dataclass(slots=True, frozen=True)
class Changes:
    """All that differs."""

    sources: PartChanges
    sinks: PartChanges
    tables: tuple[str, ...]
    """The other tables that differ."""
    fixed: tuple[tuple[Keys, str], ...]
    """(key, sentence) of each change that only a restart can make."""

    def __bool__(self) -> bool:
        return bool(self.sources or self.sinks or self.tables)


def changes(old: Config, new: Config, before: Digests, now: Digests) -> Changes:
    """The way from `old` to `new`; `before` and `now` are the digests of their files. No I/O."""

    def parts(what: str, running: Mapping[str, Settings], wanted: Mapping[str, Settings]) -> PartChanges:
        return PartChanges(
            tuple(name for name in wanted if name not in running),
            tuple(
                name
                for name in wanted
                if name in running
                and (running[name] != wanted[name] or before.get((what, name)) != now.get((what, name)))
            ),
            tuple(name for name in running if name not in wanted),
        )

    tables = [name for name in _TABLES if getattr(old, name) != getattr(new, name)]
    if (old.clock_ahead, old.time_zone) != (new.clock_ahead, new.time_zone):
        tables.insert(0, "pump")
    tables += [name for name in _CERTIFIED if before.get((name, "")) != now.get((name, "")) and name not in tables]
    return Changes(
        parts("sources", *({name: one for name, one in each.sources.items() if one.enabled} for each in (old, new))),
        parts("sinks", *({name: one for name, one in each.sinks.items() if one.enabled} for each in (old, new))),
        tuple(tables),
        tuple(
            (keys, "a change of it needs a restart of the pump: put it back, or restart")
            for keys, part in _FIXED.items()
            if part(old) != part(new)
        ),
    )


def digests(config: Config) -> dict[tuple[str, str], str]:
    """Of each enabled part, and of [server] and [ops] as ("server", ""), that names certificates: what is in their
    files now.

    Reads the files; one that cannot be read counts as empty. Taken before the parts open them, a change that comes
    between is one more restart and never one too few.
    """
    tables: dict[tuple[str, str], Settings] = {("server", ""): config.server, ("ops", ""): config.ops}
    tables |= {("sources", name): one for name, one in config.sources.items() if one.enabled}
    tables |= {("sinks", name): one for name, one in config.sinks.items() if one.enabled}
    return {keys: _digest(paths) for keys, settings in tables.items() if (paths := list(_files(settings)))}


def _files(settings: Settings) -> Iterator[Path]:
    for key in CERTIFICATES:
        value = getattr(settings, key, None)
        if isinstance(value, (str, Path)):
            yield Path(value)


def _digest(paths: list[Path]) -> str:
    found = hashlib.sha256()
    for path in paths:
        try:
            content = given.read(path, given.LARGEST)
        except OSError:
            content = b""
        found.update(hashlib.sha256(content).digest())
    return found.hexdigest()
