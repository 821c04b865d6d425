"""The page's texts: a table for each language, and words for event types. What another lacks is there in English."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

from pump.core.taxonomy import TYPES

LANGUAGES: Final = ("en", "de")
"""The first is the one that others fall back to."""
_FOLDER: Final = Path(__file__).with_name("texts")
_WEIGHED: Final = re.compile(r"([A-Za-z]{1,8}(?:-[A-Za-z0-9]{1,8})*|\*)(?:\s*;\s*q=([01](?:\.[0-9]{0,3})?))?")


class Texts:
    """One language's: `texts("nav.board")`, `texts("lag", count=3)`."""

    def __init__(self, language: str, said: Mapping[str, str], types: Mapping[str, str]) -> None:
        self.language = language
        self._said = said
        self._types = types

    def __call__(self, key: str, **values: Any) -> str:
        """The text, with the values where it has {names}. KeyError for a key that there is not."""
        text = self._said[key]
        return text.format(**values) if values else text

    def get(self, key: str, default: str) -> str:
        """The text, or `default` for a word that no table has."""
        return self._said.get(key, default)

    def of_type(self, type_: str) -> str:
        """What has happened, by the event's type, in a few words; the type itself where nobody knows it."""
        return self._types.get(type_, type_)


@cache
def texts_in(language: str) -> Texts:
    """The texts of one of LANGUAGES; read from the package once."""
    said = _table(LANGUAGES[0])
    types = {name: _short(text) for name, text in TYPES.items()} | _table(f"types.{LANGUAGES[0]}")
    if language != LANGUAGES[0]:
        said, types = said | _table(language), types | _table(f"types.{language}")
    return Texts(language, said, types)


def language_of(accepted: str) -> str:
    """The language that a browser's Accept-Language asks for, of those that there are."""
    weighed: list[tuple[float, str]] = []
    for part in accepted.split(",")[:20]:
        if found := _WEIGHED.fullmatch(part.strip()):
            weighed.append((-float(found[2] or 1), found[1].partition("-")[0].lower()))
    wanted = [name for _, name in sorted(weighed, key=lambda one: one[0])]
    return next((name for name in wanted if name in LANGUAGES), LANGUAGES[0])


def _table(name: str) -> dict[str, str]:
    found: dict[str, str] = json.loads((_FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return found


def _short(text: str) -> str:
    """The first clause of the taxonomy's line: what follows speaks of fields."""
    return re.split(r"[;:]", text, maxsplit=1)[0]
