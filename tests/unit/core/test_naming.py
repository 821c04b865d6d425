"""Names from the configuration: tables and CSV files, what they fill, and what is wrong with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from pump.config.load import load
from pump.config.problems import ConfigError
from pump.core.event import Event
from pump.core.naming import Named, Names, read_csv
from pump.vendors.hik_camera.parse import Facts
from pump.vendors.hik_camera.parse import parse as parse_camera
from pump.vendors.hik_gateway.parse import Context
from pump.vendors.hik_gateway.parse import parse as parse_gateway
from tests.unit.vendors.avaeye.site import capture
from tests.unit.vendors.avaeye.test_parse import parsed

ROWS = {
    "419635205": {"space": "B12", "area": "P1", "lot": "north"},
    "10000/1001": {"name": "Gate in", "area": "P1", "lane": 2},
    "1002": {"name": "Gate out"},
    "DEV": {"name": "Panel", "lot": "north", "area": "House"},
    "DEV/zone/3": {"name": "Back door", "area": "Store"},
    "zone/4": {"zone": "Window"},
    "partition/1": {"name": "Ground floor"},
    "DEV/channel/2": {"name": "Yard", "area": "Outside"},
    "channel/1": {"name": "Drive"},
}


def filled(subject: str | None, **groups: Any) -> dict[str, Any]:
    """The device and the place of an event after it was named."""
    event = Event("device.status", "1", {"vendor": "v", **groups}, subject=subject)
    before = {name: dict(group) for name, group in groups.items()}
    names = Names({key: Named.model_validate(row) for key, row in ROWS.items()})
    for _ in range(2):  # a put that is tried again names it again
        names.fill(event)
    assert groups == before, "groups that events share are left as they are"
    return {name: event.data[name] for name in ("device", "place") if name in event.data}


@pytest.mark.parametrize(
    ("subject", "groups", "expected"),
    [
        (
            "sensor/419635205",
            {"device": {"id": "419635205"}},
            {"device": {"id": "419635205"}, "place": {"space": "B12", "area": "P1", "lot": "north"}},
        ),
        (  # what the vendor says stays
            "sensor/419635205",
            {"device": {"id": "419635205"}, "place": {"space": "A1", "lot": ""}},
            {"device": {"id": "419635205"}, "place": {"space": "A1", "area": "P1", "lot": "north"}},
        ),
        ("sensor/5", {"device": {"id": "5"}}, {"device": {"id": "5"}}),
        (
            "camera/10000/1001",
            {"device": {"id": "1001"}, "place": {"lot": "10000"}},
            {"device": {"id": "1001", "name": "Gate in"}, "place": {"lot": "10000", "area": "P1", "lane": 2}},
        ),
        (
            "camera/20000/1001",
            {"device": {"id": "1001"}, "place": {"lot": "20000"}},
            {"device": {"id": "1001"}, "place": {"lot": "20000"}},
        ),
        (
            "camera/20000/1002",
            {"device": {"id": "1002", "name": "HC121"}},
            {"device": {"id": "1002", "name": "HC121"}},
        ),
        (  # a number is no name
            "zone/DEV/3",
            {"device": {"id": "DEV"}, "place": {"zone": 3, "partition": 1}, "alarm": {"zone": 3, "partition": 1}},
            {
                "device": {"id": "DEV", "name": "Panel"},
                "place": {"zone": "Back door", "partition": "Ground floor", "area": "Store", "lot": "north"},
            },
        ),
        (  # a name is one
            "zone/DEV/3",
            {"device": {"id": "DEV", "name": "P"}, "place": {"zone": "Rear"}, "alarm": {"zone": 3}},
            {"device": {"id": "DEV", "name": "P"}, "place": {"zone": "Rear", "area": "Store", "lot": "north"}},
        ),
        ("zone/4", {"place": {"zone": 4}}, {"place": {"zone": "Window"}}),
        ("zone/4", {"alarm": {"zone": 4}}, {"place": {"zone": "Window"}}),
        (
            "camera/2",
            {"device": {"id": "x", "serial": "DEV"}, "place": {"channel": "2"}},
            {
                "device": {"id": "x", "serial": "DEV", "name": "Panel"},
                "place": {"channel": "Yard", "area": "Outside", "lot": "north"},
            },
        ),
        ("camera/1", {}, {"place": {"channel": "Drive"}}),
        ("camera/1", {"place": {"channel": "Camera 01"}}, {"place": {"channel": "Camera 01"}}),
        (None, {}, {}),
    ],
)
def test_what_the_vendor_does_not_name_is_named(
    subject: str | None, groups: dict[str, Any], expected: dict[str, Any]
) -> None:
    found = filled(subject, **groups)
    assert found == expected


def test_a_cameras_own_events_are_named() -> None:
    (event,) = parsed("capture", capture())
    Names({"10000/1001": Named(name="North", space="7")}).fill(event)
    assert (event.data["device"]["name"], event.data["place"]["space"]) == ("North", "7")


def test_a_gateways_zones_and_partitions_are_named() -> None:
    cid = {"CIDCode": "1103", "triggerTime": "2026-11-20T09:00:00+01:00", "zoneNo": 3, "subSys": 1, "UUID": "7"}
    alert = {"eventType": "CIDAlarm", "devIndex": "DEV", "dateTime": "2026-11-20T09:00:00+01:00", "CIDAlarm": cid}
    found = parse_gateway({"EventNotificationAlert": alert}, Context())
    assert found is not None
    event = found.event
    before = event.id
    Names(
        {"DEV/zone/3": Named(name="Back door", area="Store"), "partition/1": Named(name="House"), "DEV": Named(lot="n")}
    ).fill(event)
    assert event.data["place"] == {"zone": "Back door", "partition": "House", "area": "Store", "lot": "n"}
    assert (event.data["alarm"]["zone"], event.data["alarm"]["partition"]) == (3, 1)
    assert (event.id, event.subject) == (before, "zone/DEV/3")


@pytest.mark.parametrize(
    ("names", "device"),
    [({}, None), ({"2": "Vendor's own"}, None), ({}, "Vendor's own")],
    ids=["none", "channel", "device"],
)
def test_a_cameras_channel_is_named_where_its_device_does_not(names: dict[str, str], device: str | None) -> None:
    tree = {
        "": "EventNotificationAlert", "channelID": "2", "dateTime": "2026-11-20T09:00:00+01:00",
        "eventType": "linedetection", "eventState": "active",
    }  # fmt: skip
    event = parse_camera(dict(tree), Facts(serial="S1", name=device, names=names), ZoneInfo("UTC")).event
    Names({"channel/2": Named(name="Yard", area="Outside"), "S1": Named(name="Recorder", lot="n")}).fill(event)
    assert event.data["place"] == {"channel": names.get("2", "Yard"), "area": "Outside", "lot": "n"}
    assert event.data["device"]["name"] == (device or "Recorder")


# --- CSV --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "sn,space,area,lot\n419635205,B12,P1,north\n",
        "sn,space,area,lot\r\n419635205,B12,P1,north\r\n",
        "\ufeffSN; Space;AREA;lot\n419635205;B12;P1;north",
        "id\tlot\tarea\tspace\n419635205\tnorth\tP1\tB12\n",
        '# bays\nkey,space,area,lot\n\n"419635205", B12 ,"P1",north\n# end\n,,,\n',
    ],
)
def test_a_csv_is_read_as_the_table(text: str) -> None:
    assert read_csv(text.encode()) == ({"419635205": ROWS["419635205"]}, [])


def test_an_empty_cell_says_nothing() -> None:
    assert read_csv(b"sn,space,area\n1,,P1\n") == ({"1": {"area": "P1"}}, [])


BROKEN = [
    (b"", "line 1: no columns"),
    (b"\n\n", "line 1: no columns"),
    (b"sn\n1\n", "line 1: one column"),
    (b"space,sn\nB12,1\n", 'line 1: the first column is "space"'),
    (b"sn,spce\n1,B12\n", 'line 1: no column "spce" is known; did you mean "space"?'),
    (b"sn,space,space\n1,B12,B13\n", 'line 1: the column "space" again'),
    (b"sn,space\n1,B12\n2\n", "line 3: 1 cells where line 1 names 2"),
    (b"sn,space\n1,B12\n\n2,B13,P1\n", "line 4: 3 cells"),
    (b"sn,space\n,B12\n", "line 2: no sn"),
    (b"sn,space\n1,B12\n2,B13\n1,B14\n", 'line 4: "1" again, which line 2 has'),
    (b'sn,space\n1,"B\n12"\n2\n', "line 4: 1 cells"),
    (b'sn,space\n1,B12\n2,"B13\n', "line 3: "),
    (b"sn,space\n1,B12\n2,\xff\n", "line 3: bytes that are not UTF-8"),
]


@pytest.mark.parametrize(("content", "words"), BROKEN)
def test_a_broken_csv_is_told_with_its_line(content: bytes, words: str) -> None:
    _, problems = read_csv(content)
    assert len(problems) == 1
    assert problems[0].startswith(words)


HEADS = {
    "kinot": 'app_key = "k"\napp_secret = "s"\nregister_callbacks = false\n',
    "avaeye": "",
    "hik-gateway": 'url = "http://127.0.0.1:1"\nusername = "u"\npassword = "p"\n',
    "hik-camera": 'url = "http://127.0.0.1:1"\npassword = "p"\n',
}


def configured(folder: Path, kind: str, more: str) -> Path:
    file = folder / "pump.toml"
    file.write_text(
        f'[sources.a]\ntype = "{kind}"\n{HEADS[kind]}{more}\n[sinks.out]\ntype = "jsonl"\npath = "x"\n', "utf-8"
    )
    return file


@pytest.mark.parametrize("kind", HEADS)
@pytest.mark.parametrize("absolute", [False, True])
def test_every_vendor_takes_a_table_and_a_csv_beside_pump_toml(tmp_path: Path, kind: str, absolute: bool) -> None:
    key = "bays" if kind == "kinot" else "names"
    (tmp_path / "list.csv").write_text("sn,space,lot\n7,B12,north\n")
    path = tmp_path / "list.csv" if absolute else "list.csv"
    for more in (f'{key} = "{path}"', f'{key} = {{ "7" = {{ space = "B12", lot = "north" }} }}'):
        rows = load(configured(tmp_path, kind, more), {}).sources["a"].named()
        assert rows == {"7": Named(space="B12", lot="north")}


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ('bays = "none.csv"', "sources.a.bays: the CSV file none.csv cannot be read: No such file"),
        (
            'bays = "bad.csv"',
            "bays: the CSV file bad.csv has mistakes: line 2: 1 cells where line 1 names 2 columns; line 3: no sn",
        ),
        ('bays = { "7" = { spce = "B12" } }', 'did you mean "space"?'),
        ('bays = { "7" = "B12" }', 'sources.a.bays.7: found "B12"'),
        ("bays = 7", "sources.a.bays: found 7"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(tmp_path: Path, more: str, words: str) -> None:
    (tmp_path / "bad.csv").write_text("sn,space\n1\n,B\n")
    with pytest.raises(ConfigError) as caught:
        load(configured(tmp_path, "kinot", more), {})
    (problem,) = caught.value.problems
    assert problem.line == 6
    assert words in problem.text()
