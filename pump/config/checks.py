"""Checks that span tables: tables that must not meet, and settings that are allowed and yet hardly meant."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from string import Formatter
from typing import Any, Final

from pump.commands.calls import CALL
from pump.commands.verbs import VERBS
from pump.config.lines import Path
from pump.config.model import RESERVED, Config
from pump.core.settings import Settings, SinkSettings
from pump.core.vocabulary import did_you_mean, leads_somewhere, matches_a_type, nearest, nearest_path, nearest_type

_FIELD: Final = re.compile(r"\{(data(?:\.[a-z0-9_]+)+)(?::[^{}]*)?\}")
"""A field of an event in a template of topics or subjects."""
_KEYS: Final = {"mqtt": "command_topic", "nats": "command_subject"}
"""Settings of sinks by which commands come, by the callers' kind."""


def across(config: Config) -> Iterator[tuple[Path, str, str]]:
    """(key, found, wanted) of each mistake between tables."""
    yield from _twins("sources", config.sources)
    yield from _twins("sinks", config.sinks)
    if config.server.listen == config.ops.listen and config.ops.listen.port:
        yield ("ops", "listen"), f'"{config.ops.listen}", which [server] has too', "an address and port of its own"
    yield from _grants(config)
    yield from _shared_ways(config)


def _shared_ways(config: Config) -> Iterator[tuple[Path, str, str]]:
    """Sinks that take commands on topics of one name: grants could not tell their brokers apart, and where it is one
    broker each command would be done twice."""
    seen: dict[str, str] = {}
    for name, sink in config.sinks.items():
        for begin in sink.command_callers(config.site) if sink.enabled else ():
            other = next((one for known, one in seen.items() if known.startswith(begin) or begin.startswith(known)), "")
            if other and other != name:
                key = "command_topic" if begin.startswith("mqtt:") else "command_subject"
                yield ("sinks", name, key), f"what sinks.{other} takes commands on too", "one of its own"
            seen[begin] = name


def _ways(config: Config) -> list[str]:
    """The beginnings of callers by MQTT and NATS, those of disabled sinks too."""
    return [begin for sink in config.sinks.values() for begin in sink.command_callers(config.site)]


def _may_begin(glob: str, begin: str) -> bool:
    """True where something that the glob matches begins so."""
    plain = re.split(r"[*?\[]", glob, maxsplit=1)[0]
    return plain.startswith(begin) or (plain != glob and begin.startswith(plain))


def _grants(config: Config) -> Iterator[tuple[Path, str, str]]:
    """Grants that can allow nothing: a verb, a token or a topic that there is not."""
    ways = _ways(config)
    for number, grant in enumerate(config.commands.grants):
        for key, globs, known in (
            ("verbs", grant.verbs, [*VERBS, CALL]),
            ("callers", grant.callers, [*_callers(config)]),
        ):
            for place, glob in enumerate(globs):
                if glob.startswith(("mqtt:", "nats:")):
                    if not any(_may_begin(glob, begin) for begin in ways):
                        mine = [f"{one}*" for one in ways if one[:5] == glob[:5]]
                        wanted = (
                            nearest(glob, mine) or " or ".join(mine) or f"a sink that takes them: {_KEYS[glob[:4]]}"
                        )
                        yield ("commands", "grants", number, key, place), f'"{glob}", of which no sink hears', wanted
                elif not any(fnmatchcase(one, glob) for one in known):
                    wanted = nearest(glob, known) or f"one of {', '.join(known)}"
                    yield ("commands", "grants", number, key, place), f'"{glob}" is none', wanted


def _callers(config: Config) -> Iterator[str]:
    yield from ("socket", "mqtt", "nats")
    yield from (f"token:{name}" for name in config.ops.tokens)
    yield from (f"user:{name}" for name, user in config.ops.users.items() if user.role == "act")


def _collisions(name: str, sink: Settings, config: Config) -> Iterator[tuple[Path, str]]:
    """Templates of topics that name a thing by what two sources may both have, such as a zone's name.

    A state topic keeps one value of one thing; any other is meant to name one where it has a field of the data.
    """
    globs = getattr(sink, "sources", ()) or ("*",)
    enabled = [source for source, settings in config.sources.items() if getattr(settings, "enabled", True)]
    here = [source for source in enabled if any(fnmatchcase(source, glob) for glob in globs)]
    keeps = bool(getattr(sink, "states", ()) or getattr(sink, "home_assistant", None))
    for key in ("topic", "state_topic", "subject"):
        template = getattr(sink, key, None)
        if not isinstance(template, str) or len(here) < 2 or (key == "state_topic" and not keeps):
            continue
        fields = {field for _, field, _, _ in Formatter().parse(template) if field}
        names = key == "state_topic" or any(field.startswith("data.") for field in fields)
        if names and fields.isdisjoint(("source", "subject", "id", "data.device.serial")):
            both = " and ".join(f'"{source}"' for source in here[:2])
            yield ("sinks", name, key), f"{both} may collide: it has neither {{source}} nor {{subject}}"


def _unheard(config: Config) -> Iterator[tuple[Path, str]]:
    """Grants for all topics, or all subjects, where no enabled sink hears any; and sinks that hear what nobody may."""
    granted = {glob.partition(":")[0] for grant in config.commands.grants for glob in grant.callers}
    heard = set()
    for name, sink in config.sinks.items():
        kinds = {begin.partition(":")[0] for begin in sink.command_callers(config.site)} if sink.enabled else set()
        heard |= kinds
        for kind in kinds - granted:
            yield ("sinks", name, _KEYS[kind]), f"no grant of [commands] names {kind}: all that comes is refused"
    for number, grant in enumerate(config.commands.grants):
        for place, glob in enumerate(grant.callers):
            if (kind := glob.partition(":")[0]) in _KEYS and kind not in heard:
                where = ("commands", "grants", number, "callers", place)
                yield where, f'"{glob}" allows nothing: no enabled sink has {_KEYS[kind]}'


def _twins(what: str, parts: Mapping[str, Settings]) -> Iterator[tuple[Path, str, str]]:
    first: dict[tuple[str, str], str] = {}
    for name, settings in parts.items():
        identity = settings.identity()
        if identity is None or not getattr(settings, "enabled", True):
            continue
        kind = str(getattr(settings, "type", ""))
        other = first.setdefault((kind, identity), name)
        if other != name:
            same = "account" if what == "sources" else "output"
            yield (what, name), f"the same {same} as {what}.{other}", f"one enabled table for one {same}"


def unmatched(name: str, sink: SinkSettings) -> Iterator[tuple[Path, str, str | None]]:
    """(key, sentence, nearest name) of each name in [sinks.NAME] that no event can have: a glob of types, a path to be
    masked, a field of a topic. What it was to hide, leave out or let through would be another thing than was meant."""
    for key, globs in sink.type_globs().items():
        for number, glob in enumerate(globs):
            if not matches_a_type(glob):
                yield ("sinks", name, key, number), f'"{glob}" matches no event type', nearest_type(glob)
    for number, path in enumerate(sink.mask):
        if not leads_somewhere(path):
            yield ("sinks", name, "mask", number), f'no event has "{path}"', nearest_path(path)
    for key in type(sink).model_fields:
        value = getattr(sink, key)
        for path in _FIELD.findall(value) if isinstance(value, str) else ():
            if not leads_somewhere(path):
                yield ("sinks", name, key), f"no event has {{{path}}}", nearest_path(path)


def advice(config: Config, raw: Mapping[str, Any]) -> Iterator[tuple[Path, str]]:
    """(key, sentence) of each warning. `raw` is the file, where a part that was wrong still stands."""
    for name, sink in config.sinks.items():
        yield from _collisions(name, sink, config)
    yield from _unheard(config)
    for what, parts, lack in (
        ("sources", config.sources, "no source is configured and enabled: nothing will arrive"),
        ("sinks", config.sinks, "no sink is configured and enabled: events are stored and go nowhere"),
    ):
        if not any(getattr(settings, "enabled", True) for settings in parts.values()):
            yield (what,), lack
        for name, settings in parts.items():
            for sentence in settings.warnings():
                yield (what, name), sentence
    names = [RESERVED, *raw.get("sources", {}), *config.sources]
    for name, sink in config.sinks.items():
        # no mistake for certain: the spool may hold events of a source that was taken out, or of a former site
        for key, globs, known in (
            ("sources", sink.sources, names),
            ("exclude_sources", sink.exclude_sources, names),
            ("sites", sink.sites, [config.site]),
        ):
            for glob in globs:
                hint = did_you_mean(nearest(glob, known))
                provident = key == "exclude_sources" and not hint and "*" in glob
                if not provident and not any(fnmatchcase(one, glob) for one in known):
                    yield ("sinks", name, key), f'"{glob}" matches no {key.removeprefix("exclude_")[:-1]}{hint}'
