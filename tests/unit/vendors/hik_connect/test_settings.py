"""`event_types`: as the document prints them they are mended, impossible ones are refused, by `pump check` too."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from pump.vendors.hik_connect.codes import LISTED
from pump.vendors.hik_connect.settings import HikConnectSettings, spelled

CODES = Path(__file__).parents[3] / "data/hik_connect_codes.txt"


def test_what_each_queue_has_is_the_documents() -> None:
    found: dict[str, set[str]] = {"A.1.4": set(), "A.1.5": set(), "A.1.7": set()}
    for line in CODES.read_text().splitlines():
        section, code, _ = line.split("\t")
        found[section].add(code.removeprefix("Msg"))
    assert LISTED["alarm"] == found["A.1.4"]
    assert LISTED["combine"] == found["A.1.4"] | found["A.1.5"]
    assert LISTED["rawmsg"] == found["A.1.7"]


@pytest.mark.parametrize(
    ("queue", "code", "wanted"),
    [
        ("rawmsg", "Msg 110001", "Msg110001"),
        ("rawmsg", "Msg110001", "Msg110001"),
        ("rawmsg", " msg 110013 ", "Msg110013"),
        ("rawmsg", "MSG\u00a0110013", "Msg110013"),
        ("rawmsg", "110001", "Msg110001"),
        ("rawmsg", 330001, "Msg330001"),
        ("rawmsg", "Msg330002", "Msg330002"),  # the document's own example, in no table of it
        ("combine", 80001, "80001"),
        ("combine", " 80001", "80001"),
        ("combine", "140001", "140001"),
        ("combine", "Msg330001", "330001"),  # listed for both queues
        ("combine", "100999", "100999"),  # of a later version
        ("alarm", "10002", "10002"),
        ("alarm", 100657, "100657"),
        ("alarm", "330407", "330407"),
    ],
)
def test_a_code_is_mended(queue: str, code: str | int, wanted: str) -> None:
    assert spelled(queue, code) == wanted


@pytest.mark.parametrize(
    ("queue", "code", "says"),
    [
        ("rawmsg", "Msg", "no code such as Msg110003"),
        ("rawmsg", "", "no code"),
        ("rawmsg", "Msg1", "no code"),
        ("rawmsg", "Msg1100010", "no code"),
        ("rawmsg", "Message110001", "no code"),
        ("rawmsg", "80001", "here that is Msg110003"),
        ("rawmsg", "Msg80001", "here that is Msg110003"),
        ("rawmsg", "10002", "A.1.7"),
        ("combine", "Msg110003", "here that is 80001"),
        ("combine", "110003", "here that is 80001"),
        ("combine", "Msg999999", "A.1.5"),
        ("combine", "door", "no code such as 80001"),
        ("combine", -80001, "no code"),
        ("alarm", "Msg1", "no code such as 10002"),
        ("alarm", 330001, "A.1.4"),
        ("alarm", 140001, "A.1.4"),
        ("alarm", "Msg110514", "here that is 80027"),
        ("alarm", 0, "no code"),
        ("alarm", "10002,10100", "no code"),
        ("alarm", "\u0661\u0660\u0660\u0660\u0662", "no code"),
    ],
)
def test_an_impossible_code_is_refused(queue: str, code: str | int, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        spelled(queue, code)
    with pytest.raises(ValidationError, match=says):
        HikConnectSettings.model_validate(
            {
                "type": "hik-connect",
                "server": "https://ieu.hikcentralconnect.com",
                "app_key": "a",
                "secret_key": "s",
                "queues": [queue],
                "event_types": {queue: [code]},
            }
        )


@pytest.mark.parametrize(("code", "status"), [("Msg 110001", 0), ("Msg 11", 78), ("80001", 78)])
def test_pump_check_says_which_code_is_impossible(tmp_path: Path, code: str, status: int) -> None:
    file = tmp_path / "pump.toml"
    file.write_text(
        f'''[pump]
site = "s"
state_dir = "{tmp_path}/state"
[sources.teams]
type = "hik-connect"
server = "https://ieu.hikcentralconnect.com"
app_key = "a"
secret_key = "s"
queues = ["rawmsg"]
event_types = {{ rawmsg = ["{code}"] }}
[sinks.out]
type = "log"
'''
    )
    ran = subprocess.run(
        [sys.executable, "-m", "pump", "check", "-c", str(file)], capture_output=True, text=True, timeout=60
    )
    assert ran.returncode == status, ran.stdout + ran.stderr
    assert (code in ran.stdout + ran.stderr) is (status != 0)
