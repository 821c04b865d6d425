"""Warnings of `pump check` over tables that are each right by themselves."""

from __future__ import annotations

from pathlib import Path

import pytest

from pump.config import ConfigError, load
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


HEARS = 'command_topic = "pump/{site}/command"\nusername = "pump"\n'
ASKED = 'command_subject = "pump.{site}.command"\nusername = "pump"\npassword = "x"\ntls_first = true\n'
GRANT = '[[commands.grants]]\ncallers = ["%s"]\nverbs = ["*"]\ntargets = ["*"]\n'


@pytest.mark.parametrize(
    ("text", "caller", "reasons"),
    [
        (MQTT + HEARS, "mqtt", []), (NATS + ASKED, "nats", []), (MQTT + HEARS, "mqtt:*", []),
        (MQTT + HEARS, "mqtt:pump/north/command/*", []), (MQTT + HEARS, "mqtt:pump/north/command/gate/1", []),
        (MQTT + HEARS, "mqtt:pump/*/gate", []), (NATS + ASKED, "nats:pump.north.command.gate.*", []),
        (MQTT + HEARS, "mqtt:pump/south/command/*", ["of which no sink hears"]),
        (MQTT + HEARS, "mqtt:pump/north/command", ["of which no sink hears"]),
        (MQTT + HEARS, "mqtt:pump/north/commands/*", ["of which no sink hears"]),
        (MQTT + HEARS, "nats:pump/north/command/*", ["of which no sink hears"]),
        (NATS + ASKED, "nats:pump.north.commands.*", ["of which no sink hears"]),
        (MQTT, "mqtt", ["no enabled sink has command_topic"]), (NATS, "nats", ["no enabled sink has command_subject"]),
        (MQTT + HEARS, "socket", ["no grant of [commands] names mqtt"]),
        (MQTT + HEARS + "enabled = false\n", "mqtt:pump/north/command/*", ["no enabled sink has command_topic"]),
        (MQTT + 'command_topic = "pump/{site}/command"\n', "mqtt", ["without a login"]),
        (NATS + 'command_subject = "pump.{site}.command"\n', "nats", ["without a login"]),
        (MQTT + HEARS + MQTT.replace("out", "two") + HEARS, "mqtt", ["sinks.out takes commands on too"]),
        (MQTT + 'command_topic = "pump/{site}"\n', "mqtt", ["lies under command_topic"]),
    ],
)  # fmt: skip
def test_grants_and_sinks_that_take_commands_fit_together(
    tmp_path: Path, text: str, caller: str, reasons: list[str]
) -> None:
    file = tmp_path / "pump.toml"
    file.write_text(HEAD + text + GRANT % caller, encoding="utf-8")
    try:
        found = [warning.text() for warning in load(file, {}, kinds=Registry()).warnings]
    except ConfigError as error:
        found = [problem.text() for problem in error.problems]
    words = ("command", "grant", "login")
    assert [any(reason in one for one in found) for reason in reasons] == [True] * len(reasons), found
    assert bool([one for one in found if any(word in one for word in words)]) == bool(reasons), found


@pytest.mark.parametrize(
    "line",
    [
        'command_topic = "pump/{type}"', 'command_topic = "a/+"', 'command_topic = "#"', 'command_topic = "$SYS/x"',
        'command_topic = ["a", "a/b"]', 'command_topic = "pump/{site}"', 'command_topic = ["a", "pump"]',
        'command_topic = ""', 'command_topic = "/a"', 'command_topic = "ha"\nhome_assistant = "ha"',
    ],
)  # fmt: skip
def test_a_topic_of_commands_holds_nothing_that_the_pump_says_itself(tmp_path: Path, line: str) -> None:
    file = tmp_path / "pump.toml"
    file.write_text(HEAD + MQTT + line + "\n", encoding="utf-8")
    with pytest.raises(ConfigError):
        load(file, {}, kinds=Registry())
