"""The JSON Schema of an event, made from the taxonomy and the groups; `pump schema event` prints it."""

from __future__ import annotations

from typing import Any, Final, get_args, get_type_hints

from pump.core.groups import BOUNDS, Groups, Kind, Medium
from pump.core.taxonomy import DOMAINS, PHASES, SEVERITIES, TYPES

_TEXT: Final[dict[str, Any]] = {"type": "string", "minLength": 1}
_FLAG: Final[dict[str, Any]] = {"type": "boolean"}
_WORD: Final[dict[str, Any]] = {"type": ["string", "number"], "minLength": 1}  # an unknown enumeration stays as it came
_TIME: Final[dict[str, Any]] = {"type": "string", "format": "date-time"}


def _bounded(kind: str, schema: dict[str, Any] = _TEXT) -> dict[str, Any]:
    return {**schema, "maxLength": BOUNDS[kind]}


def _fields_of(kind: type) -> dict[str, dict[str, Any]]:
    """The JSON Schema of each field of a group, in their order."""
    hints = get_type_hints(kind, include_extras=True)
    return {name: dict(_kind(name, hint).schema) for name, hint in hints.items()}


def _kind(name: str, hint: object) -> Kind:
    for found in get_args(hint):
        if isinstance(found, Kind):
            return found
    raise TypeError(f"{name} is of no kind that a schema has")


GROUPS: Final[dict[str, dict[str, dict[str, Any]]]] = {
    name: _fields_of(kind) for name, kind in get_type_hints(Groups).items()
}
"""Each group of `data` with its fields and their JSON Schemas."""
_CUT: Final = "paths of texts that were longer than their kind may be: of those the beginning, ~ and a digest are left"
_MEDIUM: Final = _fields_of(Medium)


def _closed(fields: dict[str, Any], required: tuple[str, ...] = ()) -> dict[str, Any]:
    found: dict[str, Any] = {"type": "object", "properties": fields, "additionalProperties": False}
    if required:
        found["required"] = list(required)
    return found


def _data() -> dict[str, Any]:
    fields: dict[str, Any] = {
        "vendor": _TEXT,
        "code": _bounded("name", _WORD),
        "name": _bounded("name"),
        "phase": {"enum": list(PHASES)},
        "severity": {"enum": list(SEVERITIES)},
        "incident": _bounded("event"),
        "late": _FLAG,
        "update": _FLAG,
        "updates": {
            **_bounded("event"),
            "description": "the id of the first upload, or of the pulse that is confirmed or marked",
        },
        "reason": {**_bounded("sentence"), "description": "of media.failed: why"},
        "note": {**_bounded("sentence"), "description": "of alarm.acknowledged: what somebody wrote"},
        "reconciled": _FLAG,
        "time_source": {"const": "received"},
        "count": {"type": "integer", "minimum": 1, "description": "of an end: how often the device repeated itself"},
        **{name: {**_closed(group), "minProperties": 1} for name, group in GROUPS.items()},
        "media": {"type": "array", "minItems": 1, "items": _closed(_MEDIUM, ("id", "kind", "state"))},
        "cut": {"type": "array", "minItems": 1, "items": _TEXT, "description": _CUT},
        "raw": {"description": "the vendor's message, whole"},
    }
    return _closed(fields, ("vendor", "code", "name", "phase", "severity"))


def event_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of an event as sinks get it.

    Types are open, for a later version knows more; `$defs.types` describes each of today's. The data of
    `pump.*` events is open too, apart from phase and severity.
    """
    domains = "|".join(DOMAINS)
    envelope: dict[str, Any] = {
        "specversion": {"const": "1.0"},
        "id": _bounded("event"),
        "source": {"type": "string", "pattern": "^/[^/]+/[^/]+$", "description": "/<site>/<source name>"},
        "type": {
            "type": "string",
            "pattern": rf"^({domains})(\.[a-z0-9_]+)+$",
            "anyOf": [{"enum": sorted(TYPES)}, {"description": "a type of a later version"}],
        },
        "subject": _bounded("subject"),
        "time": _TIME,
        "recordedtime": _TIME,
        "datacontenttype": {"const": "application/json"},
        "data": {"type": "object"},
    }
    required = tuple(name for name in envelope if name != "subject")
    own = {
        "type": "object",
        "required": ["phase", "severity"],
        "properties": {"phase": {"enum": list(PHASES)}, "severity": {"enum": list(SEVERITIES)}},
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Event of the pump",
        **_closed(envelope, required),
        "if": {"properties": {"type": {"pattern": r"^pump\."}}, "required": ["type"]},
        "then": {"properties": {"data": own}},
        "else": {"properties": {"data": _data()}},
        "$defs": {"types": {name: {"const": name, "description": text} for name, text in TYPES.items()}},
    }
