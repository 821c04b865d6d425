"""One table of pump.toml that names many devices, each of which becomes a source of its own."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from pump.config import Config, ConfigError, load
from pump.config.schema import config_schema
from pump.core.event import Event
from pump.core.naming import Names

CAMERAS = '[sources.yard]\ntype = "hik-camera"\npassword = "shared-one"\nheartbeat_timeout = "40s"\n'


def loaded(folder: Path, text: str) -> Config:
    (folder / "pump.toml").write_text(text)
    config = load(folder / "pump.toml", {"NORTH": "its-own-one"})
    assert [*Draft202012Validator(config_schema()).iter_errors(tomllib.loads(text))] == []
    return config


def problems(folder: Path, text: str) -> list[tuple[int | None, str]]:
    """(line, key) of each."""
    (folder / "pump.toml").write_text(text)
    with pytest.raises(ConfigError) as raised:
        load(folder / "pump.toml", {})
    return [(problem.line, problem.where) for problem in raised.value.problems]


def shown(config: Config) -> dict[str, tuple[Any, ...]]:
    found = config.sources.items()
    return {name: (one.url, one.password.get_secret_value(), one.heartbeat_timeout) for name, one in found}  # type: ignore[attr-defined]


WANTED = {
    "yard-north": ("http://192.0.2.21", "its-own-one", 40.0),
    "yard-south": ("https://192.0.2.22", "shared-one", 40.0),
    "yard-west": ("http://192.0.2.23:8080", "shared-one", 40.0),
}
ROWS = """north = { address = "192.0.2.21", password = "${NORTH}", name = "North wall", area = "P1" }
south = { url = "https://192.0.2.22", verify_tls = false }
west = { address = "192.0.2.23:8080" }
"""


def test_each_row_is_a_source_with_what_the_table_says_for_all(tmp_path: Path) -> None:
    config = loaded(tmp_path, CAMERAS + "[sources.yard.devices]\n" + ROWS)
    assert shown(config) == WANTED
    assert not config.sources["yard-south"].verify_tls  # type: ignore[attr-defined]


def test_rows_may_stand_in_a_file_of_toml_or_csv(tmp_path: Path) -> None:
    (tmp_path / "yard.toml").write_text(ROWS)
    assert shown(loaded(tmp_path, CAMERAS + 'devices = "yard.toml"\n')) == WANTED
    (tmp_path / "yard.csv").write_text(
        "device;address;url;password;verify_tls;name;area\n"
        "north;192.0.2.21;;${NORTH};;North wall;P1\n# more to come\n"
        "south;;https://192.0.2.22;;false;;\nwest;192.0.2.23:8080;;;;;\n"
    )
    config = loaded(tmp_path, CAMERAS + 'devices = "yard.csv"\n')
    assert shown(config) == WANTED
    assert not config.sources["yard-south"].verify_tls  # type: ignore[attr-defined]


def test_a_name_and_an_area_are_those_of_the_device_whatever_its_id(tmp_path: Path) -> None:
    config = loaded(
        tmp_path, CAMERAS + 'devices = { north = { address = "192.0.2.21", name = "North", area = "P1" } }\n'
    )
    names = Names(config.sources["yard-north"].named())
    assert config.sources["yard-north"].named_devices() == frozenset()
    event = Event("video.motion", "1", {"device": {"id": "44", "serial": "DS-2"}}, subject="camera/1")
    names.fill(event)
    assert (event.data["device"]["name"], event.data["place"]) == ("North", {"area": "P1"})


def test_gateways_are_a_fleet_too_and_keep_their_own_devices(tmp_path: Path) -> None:
    table = '[sources.arc]\ntype = "hik-gateway"\nusername = "admin"\npassword = "shared-one"\n'
    many = (
        table
        + 'devices = { one = "192.0.2.31:80", two = { address = "192.0.2.32", devices = { ABC = ["CIDAlarm"] } } }\n'
    )
    config = loaded(tmp_path, many)
    assert {name: one.devices for name, one in config.sources.items()} == {  # type: ignore[attr-defined]
        "arc-one": {}, "arc-two": {"ABC": ("CIDAlarm",)},
    }  # fmt: skip
    single = loaded(tmp_path, table + 'url = "http://192.0.2.31"\ndevices = { ABC = ["CIDAlarm"] }\n')
    assert [*single.sources] == ["arc"]


def test_mistakes_have_their_place_and_a_shared_one_is_told_once(tmp_path: Path) -> None:
    text = (
        CAMERAS + '[sources.yard.devices]\nnorth = { address = "192.0.2.21", pasword = "x" }\nsouth = { name = "S" }\n'
    )
    assert problems(tmp_path, text) == [
        (6, "sources.yard.devices.north.pasword"),
        (7, "sources.yard.devices.south.url"),
    ]
    text = (
        CAMERAS
        + 'event_timeot = "3s"\ndevices = { a = "192.0.2.21", b = "192.0.2.22", c = "192.0.2.21", "D D" = "x" }\n'
    )
    assert problems(tmp_path, text) == [(5, "sources.yard.event_timeot"), (6, 'sources.yard.devices."D D"')]


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("none.csv", None, "cannot be read"),
        ("x.csv", "device,adress\na,1\n", 'did you mean "address"?'),
        ("x.csv", "name,address\na,1\n", "the first column"),
        ("x.csv", "device,address\na,1\na,2\n", 'line 3: "a" again'),
        ("x.csv", "device,address\na\n", "line 2: 1 cells"),
        ("x.csv", "device,address\n", "no device is named"),
        ("x.toml", "a = [", "x.toml: "),
        ("x.toml", "a = 3\n", "a: an address or a table is wanted"),
    ],
)
def test_a_file_that_is_wrong_says_where(tmp_path: Path, file: str, content: str | None, said: str) -> None:
    if content is not None:
        (tmp_path / file).write_text(content)
    (tmp_path / "pump.toml").write_text(CAMERAS + f'devices = "{file}"\n')
    with pytest.raises(ConfigError, match=r"sources\.yard\.devices") as raised:
        load(tmp_path / "pump.toml", {})
    assert said in str(raised.value)
    assert raised.value.absent is (content is None)


def test_two_at_one_address_and_two_of_one_name_are_mistakes(tmp_path: Path) -> None:
    twice = CAMERAS + 'devices = { a = "192.0.2.21", b = "192.0.2.21" }\n'
    assert problems(tmp_path, twice) == [(1, "sources.yard-b")]
    door = '[sources.yard-a]\ntype = "hik-camera"\nurl = "http://192.0.2.9"\npassword = "x"\n'
    assert problems(tmp_path, CAMERAS + 'devices = { a = "192.0.2.21" }\n' + door)[0][1] == "sources.yard"
    named = CAMERAS + 'names = "names.csv"\ndevices = { a = { address = "192.0.2.21", area = "P1" } }\n'
    assert problems(tmp_path, named) == [(6, "sources.yard.devices")]


def test_a_sink_may_name_the_sources_of_a_fleet(tmp_path: Path) -> None:
    sink = '[sinks.out]\ntype = "jsonl"\npath = "-"\nsources = ["yard-*"]\n'
    assert loaded(tmp_path, CAMERAS + 'devices = { a = "192.0.2.21" }\n' + sink).warnings == ()
