"""The JSON Schema of an event, built from the taxonomy: what `pump schema event` prints."""

from __future__ import annotations

from typing import Any, Final

from pump.core.taxonomy import DOMAINS, PHASES, SEVERITIES, TYPES

_TEXT: Final[dict[str, Any]] = {"type": "string", "minLength": 1}
_NUMBER: Final[dict[str, Any]] = {"type": "number"}
_FLAG: Final[dict[str, Any]] = {"type": "boolean"}
_WORD: Final[dict[str, Any]] = {"type": ["string", "number"], "minLength": 1}  # an unknown enumeration stays as it came
_TIME: Final[dict[str, Any]] = {"type": "string", "format": "date-time"}


def _of(kind: dict[str, Any], names: str) -> dict[str, Any]:
    return dict.fromkeys(names.split(), kind)


GROUPS: Final[dict[str, dict[str, Any]]] = {
    "device": _of(_WORD, "id name serial category model"),
    "place": _of(_WORD, "lot area area_id channel zone partition lane space"),
    "vehicle": {
        **_of(_WORD, "plate plate_color plate_type color type brand direction list trigger shot_from driver"),
        **_of(_NUMBER, "confidence speed_limit_kmh"),
    },
    "parking": _of(_FLAG, "occupied locked fault"),
    "alarm": {
        **_of(_WORD, "zone partition cid user rule priority mode"),
        **_of(_WORD, "kind user_type user_number keypad channel disk module uuid"),  # a panel's CID parameters
        **_of(_WORD, "guid"),  # a cloud's own name of the alarm
        **_of(_FLAG, "acknowledged marked"),
        "uploaded": _TIME,
    },
    "access": {
        **_of(_FLAG, "granted"),
        **_of(_WORD, "method person person_id card door reader reason attendance mask temperature_status"),
        **_of(_NUMBER, "temperature_c"),
    },
    "position": {
        "latitude": {"type": "number", "minimum": -90, "maximum": 90},
        "longitude": {"type": "number", "minimum": -180, "maximum": 180},
        "heading_deg": {"type": "number", "minimum": 0, "maximum": 360},
        "altitude_m": _NUMBER,
        "speed_kmh": {"type": "number", "minimum": 0},
    },
    "power": {**_of(_NUMBER, "volts"), **_of(_FLAG, "low")},
    "radio": _of(_NUMBER, "rssi coil_frequency"),
    "queue": {**_of(_WORD, "region"), **_of(_NUMBER, "threshold wait_s")},
    "measure": {
        **_of(_WORD, "what unit method"),
        "value": {"type": ["number", "string", "boolean"]},
        **_of(_NUMBER, "threshold"),
    },
    "target": {**_of(_WORD, "kind person list"), **_of(_NUMBER, "similarity")},  # what a camera saw, or compared
    "intercom": _of(_WORD, "call_id room state call_type user person_id"),
    "command": _of(_WORD, "request_id status reason"),
    "payload": {**_of(_WORD, "hex text"), **_of(_NUMBER, "bytes")},  # what a serial port sent
}
"""Each group of `data` with its fields."""

_MEDIA: Final[dict[str, Any]] = {
    "id": _TEXT,
    "kind": _WORD,
    "mime": _TEXT,
    "bytes": {"type": "integer", "minimum": 0},
    "sha256": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
    "path": _TEXT,
    "url": _TEXT,
    "expires": _TIME,
    "state": _WORD,
    "encrypted": _FLAG,
}


def _closed(fields: dict[str, Any], required: tuple[str, ...] = ()) -> dict[str, Any]:
    found: dict[str, Any] = {"type": "object", "properties": fields, "additionalProperties": False}
    if required:
        found["required"] = list(required)
    return found


def _data() -> dict[str, Any]:
    fields: dict[str, Any] = {
        "vendor": _TEXT,
        "code": _WORD,
        "name": _TEXT,
        "phase": {"enum": list(PHASES)},
        "severity": {"enum": list(SEVERITIES)},
        "incident": _TEXT,
        "late": _FLAG,
        "update": _FLAG,
        "updates": {**_TEXT, "description": "the id of the first upload, or of the pulse that is confirmed or marked"},
        "reconciled": _FLAG,
        "time_source": {"const": "received"},
        "count": {"type": "integer", "minimum": 1, "description": "of an end: how often the device repeated itself"},
        **{name: {**_closed(group), "minProperties": 1} for name, group in GROUPS.items()},
        "media": {"type": "array", "minItems": 1, "items": _closed(_MEDIA, ("id", "kind", "state"))},
        "raw": {"description": "the vendor's message, whole"},
    }
    return _closed(fields, ("vendor", "code", "name", "phase", "severity"))


def event_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of an event as sinks get it.

    Types are open, for a later version knows more; `$defs.types` tells what each of today's says. The data of
    `pump.*` events is open too, apart from phase and severity.
    """
    domains = "|".join(DOMAINS)
    envelope: dict[str, Any] = {
        "specversion": {"const": "1.0"},
        "id": _TEXT,
        "source": {"type": "string", "pattern": "^/[^/]+/[^/]+$", "description": "/<site>/<source name>"},
        "type": {
            "type": "string",
            "pattern": rf"^({domains})(\.[a-z0-9_]+)+$",
            "anyOf": [{"enum": sorted(TYPES)}, {"description": "a type of a later version"}],
        },
        "subject": _TEXT,
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
