"""The form of a signed callback: its sign covers one reading of its fields only where each is what the document lists.

`sign` is made of the sorted fields as `name=value`, joined by &. A text with these two marks in a name or a value
could be cut elsewhere into other fields and still have the right sign, so such a callback is refused; and so is one
that has another field, one twice, or not all of its table ("Notify-parking lock", "Notify-parking sensor").
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pump.core.errors import MessageError
from pump.core.event import event_id
from pump.vendors.common.json_repair import JsonReader
from pump.vendors.kinot import codes, parse
from pump.vendors.kinot.numbers import BOUNDS, Number, text_of
from pump.vendors.kinot.sign import SIGN

_BOTH: Final = ("sn", "updated_at", SIGN, "device_type")
_SENSOR: Final = (*_BOTH, "voltage", "frequency", "car_detected", "low_battery", "coil_fault", "rs_si")
_LOCK: Final = (*_SENSOR, "locked", "shell_opened", "bar_position_error", "motor_fail")
_COMMAND: Final = (*_BOTH, "guid", "reason")
"""With the command's state, whose name is spelled in several ways."""
_UNLISTED: Final = (*_BOTH, "car_detected")
"""Of a device whose type the document does not list (docs/field.md): a radar has no coil."""
_LISTED: Final = frozenset({"18", "34", codes.EITHER})
"""The values of `device_type` in the document."""
_FIELDS: Final = frozenset({*_LOCK, *_COMMAND, *parse.STATES, "active", "bt_match_code", "bt_mac"})
"""All names that the document has for what callbacks are about."""
_SHOWN: Final = 40
"""Characters of a name that a refusal repeats."""


def _each_once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise Repeated
    return fields


class Repeated(Exception):
    """A name stands twice in one object: which of its values counts is the reader's choice."""


_JSON: Final = JsonReader("commas", "quotes", bounds=BOUNDS, gbk=True, number=Number, pairs=_each_once)


def decode(text: str) -> Any:
    """The value of a callback's body, each number a `Number`. Raises MessageError, also for a name that comes twice."""
    try:
        return _JSON.load(text)
    except Repeated:
        raise MessageError("a field comes twice") from None


def check(fields: Mapping[str, Any]) -> None:
    """Raises MessageError for a signed callback whose fields are not those of its table, each in one reading."""
    for name, value in fields.items():
        if name not in _FIELDS:
            raise MessageError(f"the document has no field {name[:_SHOWN]!r} for callbacks")
        if not {"&", "="}.isdisjoint(text_of(value)):
            raise MessageError(f"the value of {name} holds a mark that separates fields where they are signed")
    if missing := [name for name in _wanted(fields) if fields.get(name) in (None, "")]:
        raise MessageError(f"the message has no {', '.join(missing)}")


def digest(fields: Mapping[str, Any]) -> str:
    """16 digits that stand for the content of a callback: the same push again has the same."""
    return event_id(sorted((name, text_of(value)) for name, value in fields.items() if name != SIGN))[:16]


def _wanted(fields: Mapping[str, Any]) -> Sequence[str]:
    if parse.is_command(fields):
        return _COMMAND
    if "locked" in fields:
        return _LOCK
    return _SENSOR if text_of(fields.get("device_type")) in _LISTED else _UNLISTED
