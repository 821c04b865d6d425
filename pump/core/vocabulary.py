"""Names that a person writes, held against what there is: event types, paths into an event, and the nearest of each.

A name that can match nothing is worse than none where it hides or leaves out something: a mistyped `mask` would hand on
the plate that it is there to hide.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from fnmatch import fnmatchcase
from functools import cache
from typing import Any, Final

from pump.core.schema import event_schema
from pump.core.taxonomy import TYPES

_ANY: Final = "*"
_OWN: Final = (
    "after", "aside", "before", "by_s", "bytes", "carried", "code", "count", "cut", "error", "from", "holder",
    "instance", "known", "lost", "max_bytes", "name", "phase", "previous", "raw", "raw_base64", "reason", "sampled",
    "severity", "sink", "sinks", "sources", "strangers", "to", "vendor", "version", "youngest_s",
)  # fmt: skip
"""Fields of the data of `pump.*` events, which the schema leaves open."""


def nearest(word: str, words: Iterable[str]) -> str | None:
    """The one of `words` that `word` was probably meant to be."""
    folded = {candidate.replace("-", "_").lower(): candidate for candidate in words}
    found = get_close_matches(word.replace("-", "_").lower(), folded, n=1, cutoff=0.6)
    return folded[found[0]] if found else None


def matches_a_type(glob: str) -> bool:
    """Whether the glob matches an event type that this version knows."""
    return any(fnmatchcase(name, glob) for name in TYPES)


def nearest_type(glob: str) -> str | None:
    """What was probably meant by a glob of types that matches none: a type, or all of a domain or an object."""
    stem = glob.rstrip(".*")
    if stem == glob:
        return nearest(glob, TYPES)
    stems = {name.rsplit(".", levels)[0] for name in TYPES for levels in range(1, name.count(".") + 1)}
    close = nearest(stem, sorted(stems))
    return f"{close}.*" if close else nearest(stem, TYPES)


def leads_somewhere(path: str) -> bool:
    """Whether some event may have what the path names: "subject", or "data." and names, of which "*" is any one.

    A name leads through a list into each of its elements, as masks and the elements' own names do.
    """
    return any(_leads(form, tuple(path.split("."))) for form in _forms())


def did_you_mean(close: str | None) -> str:
    """The end of a sentence about a name that is unknown; empty where nothing comes near."""
    return f'; did you mean "{close}"?' if close else ""


def misspelled(words: Iterable[str], known: Iterable[str], what: str) -> Iterator[str]:
    """A sentence, '"word" <what>' and the nearest, for each of `words` that `known` lacks, upper and lower case being
    one; for lists that a vendor may lengthen."""
    listed = list(known)
    folded = {word.lower() for word in listed}
    for word in words:
        if word.lower() not in folded:
            yield f'"{word}" {what}{did_you_mean(nearest(word, listed))}'


def nearest_path(path: str) -> str | None:
    """The path into an event that was probably meant: one with the same last name, or the one most alike."""
    known = sorted({*_paths()})
    outer, _, last = path.rpartition(".")
    if outer in known and not any(one.startswith(f"{outer}.") for one in known):
        return outer  # a plain value has nothing inside
    alike = [one for one in known if one.rpartition(".")[2] == last]
    if close := nearest(path, alike):
        return close
    word = nearest(last, [one.rpartition(".")[2] for one in known])
    whole = None if _ANY in path else nearest(path, known)
    return whole or next((one for one in known if one.rpartition(".")[2] == word), None)


@cache
def _forms() -> tuple[dict[str, Any], ...]:
    """An event's schema, and that of the daemon's own events."""
    schema = event_schema()
    fields = schema["properties"]
    own = {"properties": {**{name: {"type": "string"} for name in _OWN}, "raw": {}}}
    return (
        {"properties": {**fields, "data": schema["else"]["properties"]["data"]}},
        {"properties": {**fields, "data": own}},
    )


def _leads(schema: Mapping[str, Any], path: tuple[str, ...]) -> bool:
    if not path:
        return True
    name, rest = path[0], path[1:]
    if "items" in schema:
        return _leads(schema["items"], rest if name == _ANY else path)
    if "properties" in schema:
        fields = schema["properties"]
        if name != _ANY:
            return name in fields and _leads(fields[name], rest)
        # the vendor's own message may hold anything: it alone makes no name right
        return any(_leads(field, rest) for field in fields.values() if not rest or not _is_open(field))
    # a plain value has nothing inside, but "person.*" also means a person that is a text
    return path == (_ANY,) or _is_open(schema)


def _is_open(schema: Mapping[str, Any]) -> bool:
    return not {"type", "enum", "const", "properties"} & schema.keys()


def _paths() -> Iterator[str]:
    def walk(schema: Mapping[str, Any], prefix: str) -> Iterator[str]:
        for name, field in schema.get("properties", {}).items():
            yield f"{prefix}{name}"
            yield from walk(field.get("items", field), f"{prefix}{name}.")

    for form in _forms():
        yield from walk(form, "")
