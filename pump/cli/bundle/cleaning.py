"""Names of persons, plates and cards kept out of texts: they are learnt from the events that hold them."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from pump.telemetry.redact import HIDDEN, clean

PERSONAL: Final = frozenset(
    {"person", "person_id", "card", "plate", "driver", "user", "user_number", "caller", "callee", "note"}
)
"""Fields of `data`, in any of its groups, whose texts name somebody or something of theirs."""
_SHORTEST: Final = 2
"""Characters of a name; fewer are in every text."""
_SHORTEST_NUMBER: Final = 5
"""Digits of a number that says who: fewer are in every text too."""
_DEEPEST: Final = 6
_WORD: Final = re.compile(r"[^\W_]+")


class Cleaner:
    """A growing set of names, and the replacing of them; secrets of the configuration go too."""

    def __init__(self) -> None:
        self._by_first: defaultdict[str, set[str]] = defaultdict(set)
        """By the first word of each, in small letters."""
        self._home = os.path.expanduser("~")  # unchanged where nobody knows it: a container's user may have no name

    def learn(self, event: object) -> None:
        """All that is personal in an event, the vendor's own message left out: it repeats it."""
        data = event.get("data") if isinstance(event, Mapping) else None
        if isinstance(data, Mapping):
            self.add(_personal({name: value for name, value in data.items() if name != "raw"}, 0))

    def add(self, names: Iterable[str]) -> None:
        """Hide these from now on."""
        for name in names:
            text = name.strip()
            words = _WORD.findall(text.lower())
            if not words or len(text) < (_SHORTEST_NUMBER if text.isdigit() else _SHORTEST):
                continue
            begin = _WORD.search(text)
            assert begin is not None  # it has words
            end = max(match.end() for match in _WORD.finditer(text))
            self._by_first[words[0]].add(text[begin.start() : end].lower())

    def text(self, text: str) -> str:
        """The text with all of them replaced, and the home folder by "~"."""
        text = clean(text)
        if len(self._home) > 1:
            text = text.replace(self._home, "~")
        parts: list[str] = []
        done = 0
        for match in _WORD.finditer(text):
            if match.start() < done or (known := self._by_first.get(match[0].lower())) is None:
                continue
            begin = match.start()
            for name in sorted(known, key=len, reverse=True):
                end = begin + len(name)
                if text[begin:end].lower() == name and not text[end : end + 1].isalnum():
                    parts += [text[done:begin], HIDDEN]
                    done = end
                    break
        return "".join([*parts, text[done:]])


def _personal(value: object, depth: int, *, ours: bool = False) -> Iterator[str]:
    if depth > _DEEPEST:
        return
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _personal(inner, depth + 1, ours=ours or name in PERSONAL)
    elif isinstance(value, list):
        for inner in value:
            yield from _personal(inner, depth + 1, ours=ours)
    elif ours and isinstance(value, (str, int)) and not isinstance(value, bool):
        text = str(value)
        yield text
        # "user:anna": a caller's kind is no secret
        if (name := text.partition(":")[2]) and text.startswith("user:"):
            yield name


def safe(value: Any, key: str = "") -> Any:
    """Of a configuration what anybody may read: tables of names as their size, addresses without path and query."""
    if key in COUNTED and isinstance(value, (Mapping, list)):
        return f"{len(value)} entries"
    if key == "users" and isinstance(value, Mapping):
        return {f"user {number}": safe(row) for number, row in enumerate(value.values(), 1)}
    if isinstance(value, Mapping):
        return {str(name): safe(inner, str(name)) for name, inner in value.items()}
    if isinstance(value, list):
        return [safe(inner, key) for inner in value]
    if isinstance(value, str):
        if key == "callers" and value.startswith("user:"):
            return "user:…"
        return _PATH.sub(r"\1/…", _LOGIN.sub(r"\1", value))
    return value


COUNTED: Final = frozenset({"names", "bays", "cameras", "verification_codes", "tokens", "headers", "zones", "people"})
"""Keys whose tables name devices, persons or secrets."""
_LOGIN: Final = re.compile(r"^([a-z]+://)[^/@\s]+@", re.IGNORECASE)
_PATH: Final = re.compile(r"^([a-z]+://[^/?#\s]+)[/?#].+$", re.IGNORECASE | re.DOTALL)
