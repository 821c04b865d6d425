"""`pump route` and `pump check` as a shell sees them, where secrets are not there or paths are no paths."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from pump.testing.records import record
from tests.unit.cli.test_cli import pump

SINKS = """
[pump]
site = "testing"
[sinks.hook]
type = "webhook"
url = "https://example.com/hook"
secret = ["${ABSENT_SECRET}", { file = "/nowhere/secret" }]
types = ["parking.*", "vehicle.*"]
sites = ["test*"]
[sinks.masked]
type = "mqtt"
url = "mqtt://127.0.0.1"
password = { credential = "absent" }
mask = ["data.vehicle.plate"]
mask_with = "hash"
mask_key = "${ABSENT_KEY}"
[sinks.alarms]
type = "jsonl"
path = "-"
min_severity = "warning"
[sinks.all]
type = "log"
"""


def test_route_opens_no_secret_and_says_why(tmp_path: Path) -> None:
    (tmp_path / "pump.toml").write_text(SINKS)
    (tmp_path / "one.json").write_bytes(record(1).body)
    assert pump("check", cwd=tmp_path).returncode == 78, "the secrets are absent indeed"
    done = pump("route", "one.json", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "vehicle.passed of gate",
        '  hook    takes it: "vehicle.passed" matches "vehicle.*" of types; "testing" matches "test*" of sites',
        "  masked  takes it, changed by raw and mask",
        '  alarms  no: the severity "info" is below min_severity = "warning"',
        "  all     takes it",
    ]


def test_route_shows_a_masked_event_without_its_key(tmp_path: Path) -> None:
    (tmp_path / "pump.toml").write_text(SINKS)
    (tmp_path / "one.json").write_bytes(record(1).body)
    done = pump("route", "one.json", "--show", cwd=tmp_path)
    assert done.returncode == 0
    shown = orjson.loads(done.stdout.splitlines()[4])
    plate = orjson.loads(record(1).body)["data"]["vehicle"]["plate"]
    assert plate not in str(shown)
    assert len(shown["data"]["vehicle"]["plate"]) == 32


def test_route_tells_what_is_wrong_with_a_sink_s_routing(tmp_path: Path) -> None:
    (tmp_path / "pump.toml").write_text('[sinks.out]\ntype = "jsonl"\nmin_severity = "bad"\n[sinks.other]\ntypes = 7\n')
    (tmp_path / "one.json").write_bytes(record(1).body)
    done = pump("route", "one.json", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (78, "")
    assert "pump.toml:3: sinks.out.min_severity" in done.stderr
    assert "sinks.other.types: found 7" in done.stderr


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ('[sinks.out]\ntype = "jsonl"\npath = "events\\u0000.jsonl"\n', "pump.toml:3: sinks.out.path"),
        ('[sinks.out]\ntype = "sqlite"\npath = "a\\u0000b.db"\n', "pump.toml:3: sinks.out.path"),
        ('[pump]\nsite = "north"\nstate_dir = "\\u0000"\n', "pump.toml:3: pump.state_dir"),
        ('[media]\ndir = "media\\u0000"\n', "pump.toml:2: media.dir"),
        (
            '[sinks.hook]\ntype = "webhook"\nurl = "https://example.com"\nsecret = { file = "/x\\u0000" }\n',
            "pump.toml:4: sinks.hook.secret.file",
        ),
    ],
)
@pytest.mark.parametrize("command", ["check", "run"])
def test_a_nul_in_a_text_is_a_mistake_of_the_configuration(tmp_path: Path, command: str, text: str, where: str) -> None:
    (tmp_path / "pump.toml").write_text(text)
    done = pump(command, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (78, "")
    assert f"{where}: a text with a NUL in it, which no path, name or address may hold" in done.stderr.splitlines()


def test_a_nul_hides_no_other_mistake(tmp_path: Path) -> None:
    (tmp_path / "pump.toml").write_text('[sinks.out]\ntype = "jsonl"\npath = "a\\u0000"\nbatch_size = 0\n')
    done = pump("check", cwd=tmp_path)
    assert done.returncode == 78
    assert [line.split(": ")[1] for line in done.stderr.splitlines()] == ["sinks.out.path", "sinks.out.batch_size"]
