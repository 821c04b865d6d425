"""Warnings of `pump check` over tables that are each right by themselves."""

from __future__ import annotations

from pathlib import Path

import pytest

from pump.config import load
from pump.registry import Registry

CAMERA = """\
[sources.%s]
type = "hik-camera"
url = "http://192.0.2.%d"
password = "Camera-1"
"""
HEAD = '[pump]\nsite = "north"\n' + CAMERA % ("drive", 1)
TWO = HEAD + CAMERA % ("yard", 2)
MQTT = '[sinks.out]\ntype = "mqtt"\nurl = "mqtt://127.0.0.1"\n'
NATS = '[sinks.out]\ntype = "nats"\nservers = "nats://127.0.0.1"\n'
BY_PLACE = 'state_topic = "pump/{site}/state/{data.place.channel}"\n'
SAID = '"drive" and "yard" may collide: it has neither {source} nor {subject}'


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (TWO + MQTT, []),
        (TWO + MQTT + 'home_assistant = "homeassistant"\n', []),
        (TWO + MQTT + 'states = ["*"]\n' + BY_PLACE, ["state_topic"]),
        (TWO + MQTT + 'home_assistant = "homeassistant"\nstate_topic = "pump/state"\n', ["state_topic"]),
        (TWO + MQTT + 'topic = "pump/{data.place.channel}"\n', ["topic"]),
        (TWO + MQTT + 'topic = "pump/{source}/{data.place.channel}"\n', []),
        (TWO + MQTT + 'topic = "pump/{data.device.serial}"\n', []),
        (TWO + NATS, []),  # a stream of types is one for all
        (TWO + NATS + 'subject = "pump.{data.place.channel:levels}"\n', ["subject"]),
        (TWO + MQTT + BY_PLACE, []),  # no states are kept
        (HEAD + MQTT + 'states = ["*"]\n' + BY_PLACE, []),
        (TWO + "enabled = false\n" + MQTT + 'states = ["*"]\n' + BY_PLACE, []),
        (TWO + MQTT + 'sources = ["yard"]\nstates = ["*"]\n' + BY_PLACE, []),
    ],
)
def test_templates_under_which_two_sources_collide_are_named(tmp_path: Path, text: str, wanted: list[str]) -> None:
    file = tmp_path / "pump.toml"
    file.write_text(text, encoding="utf-8")
    found = [warning.text() for warning in load(file, {}, kinds=Registry()).warnings if "collide" in warning.text()]
    assert [one.partition("sinks.out.")[2] for one in found] == [f"{key}: {SAID}" for key in wanted]
