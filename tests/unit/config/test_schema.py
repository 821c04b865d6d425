"""The JSON Schema of pump.toml: it takes what the loader takes, and the shipped file is right by both."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from pump import registry
from pump.config import ConfigError, load
from pump.config.schema import config_schema
from pump.registry import Registry
from tests.unit.config.stand_ins import kinds

SHIPPED = Path(__file__).parents[3] / "pump.toml"
ENVIRON = {
    **dict.fromkeys(re.findall(r"\$\{(\w+)\}", SHIPPED.read_text()), "any-secret"),  # a new kind needs no row here
    "HIK_APP_KEY": "an-app-key",
    "HIK_SECRET_KEY": "its-secret",
    "SECRET": "hunter22",
    "MASK_KEY": "a-key-for-hashes",
    "DOOR_PASSWORD": "x",
    "GATEWAY_PASSWORD": "gw-secret-1",
    "HOOK_SECRET": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    "HOOK_TOKEN": "Bearer of-a-hook",
    "MQTT_PASSWORD": "mqtt-pass",
    "MQTT_KEY_PASSWORD": "mqtt-key-pass",
    "NATS_PASSWORD": "nats-pass",
    "NATS_KEY_PASSWORD": "nats-key-pass",
    "KINOT_KEY": "a-key",
    "KINOT_SECRET": "kinot-secret",
    "ANNA_HASH": "$scrypt$ln=15,r=8,p=1$yIidUbnJ9yvO/xc6POfjHg$yxOZtLZgjV2/vsJROOwvp6Up5cisLeGJ3xc2OikVOYY",
}


@pytest.fixture(scope="module")
def stand_ins(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    return kinds(tmp_path_factory.mktemp("kinds"))


def uncommented(text: str) -> str:
    """The shipped file with everything taken in that it offers."""
    return re.sub(r"^#(?=[\[\w])", "", text, flags=re.MULTILINE)


@pytest.mark.parametrize("whole", [False, True])
def test_the_shipped_file_is_right(tmp_path: Path, whole: bool) -> None:
    text = SHIPPED.read_text()
    file = tmp_path / "pump.toml"
    file.write_text(uncommented(text) if whole else text)
    config = load(file, ENVIRON)
    errors = [
        error.message for error in Draft202012Validator(config_schema()).iter_errors(tomllib.loads(file.read_text()))
    ]
    assert errors == []
    assert [warning.where for warning in config.warnings] == ([] if whole else ["sources"])


def test_the_shipped_file_offers_every_kind_and_key() -> None:
    told = tomllib.loads(uncommented(SHIPPED.read_text()))
    schema = config_schema()
    for table in ("pump", "server", "ops", "spool", "media"):
        assert told[table].keys() == schema["properties"][table]["properties"].keys()
    parts = [*told["sources"].values(), *told["sinks"].values()]
    assert {part["type"] for part in parts} >= {*registry.source_kinds(), *registry.sink_kinds()}
    for kind, part in (("sources.hik-connect", told["sources"]["teams"]), ("sinks.jsonl", told["sinks"]["out"])):
        assert part.keys() == schema["$defs"][kind]["properties"].keys()


def test_defaults_that_the_shipped_file_writes_are_the_defaults() -> None:
    schema, told = config_schema(), tomllib.loads(SHIPPED.read_text())
    for table in ("pump", "ops", "spool"):
        for key, value in told[table].items():
            assert value == schema["properties"][table]["properties"][key]["default"]


def test_the_schema_is_one_and_its_defaults_keep_it() -> None:
    schema = config_schema()
    Draft202012Validator.check_schema(schema)
    fields = [
        (name, field)
        for table in (*schema["properties"].values(), *schema["$defs"].values())
        for name, field in table.get("properties", {}).items()
        if "default" in field
    ]
    assert len(fields) > 20
    for name, field in fields:
        whole = {**field, "$defs": schema["$defs"]}
        assert not [f"{name}: {error.message}" for error in Draft202012Validator(whole).iter_errors(field["default"])]


BASE = {"type": "cloud-box", "app_key": "key-1", "secret_key": "${SECRET}"}
SOURCES: list[tuple[dict[str, Any], bool]] = [
    ({}, True),
    ({"poll_interval": "1.5s", "cache": "1MiB", "batch_size": 200}, True),
    ({"secret_key": {"credential": "x"}, "old_secrets": [{"file": "/x"}]}, True),
    ({"queues": ["alarm"], "event_types": {"alarm": [1, "2"]}, "inner": {"depth": 2, "pin": "abcd"}}, True),
    ({"type": "cloud-bix"}, False),
    ({"poll_interval": 1}, False),
    ({"poll_interval": "1 s"}, False),
    ({"cache": "1MB"}, False),
    ({"batch_size": 250}, False),
    ({"secret_key": {"fil": "x"}}, False),
    ({"unknown": 1}, False),
    ({"inner": {"dept": 2}}, False),
    ({"queues": ["alarms"]}, False),
    ({"verify": "yes"}, False),
    ({"retries": 10}, False),
    ({"app_key": "a"}, False),
]


def as_toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {as_toml(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(as_toml, value)) + "]"
    return f'"{value}"' if isinstance(value, str) else str(value).lower()


@pytest.mark.parametrize(("keys", "right"), SOURCES)
def test_schema_and_loader_agree(tmp_path: Path, stand_ins: Registry, keys: dict[str, Any], right: bool) -> None:
    source = {**BASE, **keys}
    validator = Draft202012Validator(config_schema(stand_ins))
    assert validator.is_valid({"sources": {"teams": source}}) is right
    file = tmp_path / "pump.toml"
    file.write_text(f"[sources]\nteams = {as_toml(source)}\n")
    (tmp_path / "x").write_text("a secret")
    try:
        load(file, {**ENVIRON, "CREDENTIALS_DIRECTORY": str(tmp_path)}, kinds=stand_ins)
        problems: list[str] = []
    except ConfigError as error:
        problems = [problem.text() for problem in error.problems if "/x cannot be read" not in problem.found]
    assert (problems == []) is right


@pytest.mark.parametrize("name", ["pump", "Teams", "", "a b"])
def test_the_schema_knows_the_names(stand_ins: Registry, name: str) -> None:
    assert not Draft202012Validator(config_schema(stand_ins)).is_valid({"sources": {name: BASE}})


def test_a_kind_without_its_package_is_left_out(stand_ins: Registry) -> None:
    assert [name for name in config_schema(stand_ins)["$defs"] if name.startswith("sinks.")] == ["sinks.paper"]
