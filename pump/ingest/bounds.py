"""The bounds of an event's texts, by their kinds: what is longer is cut, and `data.cut` says which. No I/O.

Raw messages are no texts of the pump's: they stay whole, in the event or beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, get_args, get_type_hints

import orjson

from pump.core.event import Event
from pump.core.groups import BOUNDS, Groups, Kind, Medium
from pump.core.text import bounded, was_cut

_SHORT: Final = 16
"""Characters that fit into every bound."""
_TILDE: Final = slice(-33, -32)
"""Where `bounded` puts the sign of a text that it has cut."""
_RAW: Final = frozenset(("raw", "raw_base64", "cut"))
_NAME: Final = BOUNDS["name"]
_SAID: Final = {
    "incident": BOUNDS["event"],
    "updates": BOUNDS["event"],
    "error": BOUNDS["sentence"],
    "reason": BOUNDS["sentence"],
    "note": BOUNDS["sentence"],
    "aside": BOUNDS["link"],
}
"""Texts of `data` that stand in no group and are no names."""


def _texts_of(kind: type) -> dict[str, int]:
    hints = get_type_hints(kind, include_extras=True)
    kinds = {name: next(one for one in get_args(hint) if isinstance(one, Kind)) for name, hint in hints.items()}
    return {name: one.most for name, one in kinds.items() if one.most is not None}


_GROUPS: Final = {name: _texts_of(kind) for name, kind in get_type_hints(Groups).items()}
_MEDIUM: Final = _texts_of(Medium)


def bound(event: Event) -> None:
    """Cut what is too long in the event, which it changes, and name it in `data.cut`."""
    cut: list[str] = []
    if not _fits(event.type, _NAME):
        event.type = _cut(event.type, _NAME, "type", cut)
    if not _fits(event.id, BOUNDS["event"]):
        event.id = _cut(event.id, BOUNDS["event"], "id", cut)
    if event.subject is not None and not _fits(event.subject, BOUNDS["subject"]):
        event.subject = _cut(event.subject, BOUNDS["subject"], "subject", cut)
    data = event.data
    for name, value in data.items():
        kind = type(value)
        if kind is str:
            if len(value) > _SHORT and name not in _RAW and not _fits(value, most := _SAID.get(name, _NAME)):
                data[name] = _cut(value, most, f"data.{name}", cut)
        elif kind is dict:
            if (texts := _GROUPS.get(name)) is not None:
                data[name] = _group(value, texts, f"data.{name}", cut)
        elif kind is list and name == "media":
            data[name] = [_group(one, _MEDIUM, "data.media", cut) if type(one) is dict else one for one in value]
    if cut:
        data["cut"] = list(dict.fromkeys(cut))


def _group(group: dict[str, Any], texts: Mapping[str, int], path: str, cut: list[str]) -> dict[str, Any]:
    """The group, or a new one where anything in it is too long: events of one record may share theirs."""
    changed: dict[str, Any] = {}
    for name, value in group.items():
        if type(value) is str and len(value) > _SHORT and not _fits(value, most := texts.get(name, _NAME)):
            short = _cut(value, most, f"{path}.{name}", cut)
            if short is not value:
                changed[name] = short
    return {**group, **changed} if changed else group


def _fits(text: str, most: int) -> bool:
    """True of nearly all texts: short enough, of ASCII, and surely not one that was cut."""
    return len(text) <= most and text.isascii() and text[_TILDE] != "~"


def _cut(text: str, most: int, path: str, cut: list[str]) -> str:
    short = bounded(text, most)
    if short is not text or was_cut(text):  # by who read it, perhaps
        cut.append(path)
    return short


def facts(said: Mapping[str, Any]) -> dict[str, Any]:
    """The things that a device says of itself, as its row keeps them: no long text, no large list or object."""
    return {name: _fact(value) for name, value in said.items()}


def _fact(value: Any) -> Any:
    if isinstance(value, str):
        return bounded(value, _NAME)
    if isinstance(value, list | dict) and len(orjson.dumps(value, default=str)) > BOUNDS["facts"]:
        return None
    return value
