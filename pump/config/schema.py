"""The JSON Schema of pump.toml: what editors complete with, and what tests hold the shipped file against."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema

from pump import registry
from pump.config.fleet import KEY
from pump.config.fleet import SCHEMA as FLEET
from pump.config.load import PARTS, TABLES
from pump.config.model import NAME, RESERVED
from pump.core.settings import DURATION_SCHEMA, SIZE_SCHEMA, duration_text, size_text
from pump.registry import MissingDependency, Registry

_TEXTS: Final[dict[str, Callable[[Any], str]]] = {
    DURATION_SCHEMA["pattern"]: duration_text,
    SIZE_SCHEMA["pattern"]: size_text,
}
_LIMITS: Final = {"ge", "gt", "le", "lt"}
"""A limit on a text that pydantic cannot express it leaves as its own word, which JSON Schema does not know."""


class _Generate(GenerateJsonSchema):
    ignored_warning_kinds: Final = {"non-serializable-default", "skipped-choice"}  # type: ignore[misc]  # Final is what it is


def config_schema(kinds: Registry = registry.DEFAULT) -> dict[str, Any]:
    """The schema (draft 2020-12) of the TOML file read as JSON. A kind whose package is missing is left out."""
    definitions: dict[str, Any] = {}
    properties: dict[str, Any] = {name: _table(name, model, definitions) for name, model in TABLES.items()}
    for part in PARTS:
        forms = []
        for kind in kinds.source_kinds() if part == "sources" else kinds.sink_kinds():
            try:
                model = kinds.source(kind).Settings if part == "sources" else kinds.sink(kind).Settings
            except MissingDependency:
                continue
            form = _table(f"{part}.{kind}", model, definitions)
            form["properties"]["type"] = {"const": kind}
            form["required"] = sorted({*form.get("required", ()), "type"})
            if getattr(model, "fleet", ""):
                _allow_fleet(form)
            definitions[f"{part}.{kind}"] = form
            forms.append({"$ref": f"#/$defs/{part}.{kind}"})
        properties[part] = {
            "type": "object",
            "propertyNames": {"pattern": f"^{NAME}$", "not": {"const": RESERVED}},
            "additionalProperties": {"oneOf": forms} if forms else False,
        }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "pump.toml",
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
        "$defs": definitions,
    }


def _allow_fleet(form: dict[str, Any]) -> None:
    """Where the table names many devices, what is required may stand in their rows."""
    properties = form["properties"]
    own = properties.get(KEY)
    properties[KEY] = {"anyOf": [*([own] if own else []), *FLEET["anyOf"]]}
    many = {"required": [KEY], "properties": {KEY: FLEET}}
    form["anyOf"] = [{"required": form["required"]}, many]
    form["required"] = ["type"]


def _table(name: str, model: type[BaseModel], definitions: dict[str, Any]) -> dict[str, Any]:
    """The schema of one table; what it refers to goes into `definitions` under names of its own."""
    schema = model.model_json_schema(ref_template=f"#/$defs/{name}.{{model}}", schema_generator=_Generate)
    for inner, definition in schema.pop("$defs", {}).items():
        definitions[f"{name}.{inner}"] = _as_toml(definition)
    table: dict[str, Any] = _as_toml(schema)
    return table


def _as_toml(schema: Any) -> Any:
    """A schema as TOML needs it: no nulls, defaults as the file would write them, no limits in another unit."""
    if isinstance(schema, list):
        return [_as_toml(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    text = next((text for pattern, text in _TEXTS.items() if _speaks_of(schema, pattern)), None)
    clean: dict[str, Any] = {}
    for key, value in schema.items():
        if key == "properties":
            clean[key] = {name: _as_toml(part) for name, part in value.items()}
        elif key in _LIMITS or (key == "title" and isinstance(value, str)) or (key == "default" and value is None):
            continue
        elif key == "default":
            clean[key] = text(value) if text and isinstance(value, int | float) else value
        elif key == "anyOf":
            kept = [_as_toml(part) for part in value if part != {"type": "null"}]
            clean |= kept[0] if len(kept) == 1 else {"anyOf": kept}
        else:
            clean[key] = _as_toml(value)
    return clean


def _speaks_of(schema: dict[str, Any], pattern: str) -> bool:
    return any(form.get("pattern") == pattern for form in (schema, *schema.get("anyOf", ())))
