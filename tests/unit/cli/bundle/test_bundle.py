"""`pump bundle`, beside a daemon that runs and without one: what is planted is nowhere in it."""

from __future__ import annotations

import asyncio
import json
import pwd
import stat
import tarfile
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from click.testing import CliRunner, Result
from yarl import URL

from pump.cli import group
from pump.cli.bundle.cleaning import Cleaner, safe
from pump.cli.shared import finding
from pump.testing.receiver import Received, Receiver
from tests.unit.ops.page.looking import Looking, looking
from tests.unit.ops.page.test_access import USERS

PLANTED = (
    "GRAB-0815", "Ottilie Planted", "9988776655", "hook-secret-4711", "ann-of-the-guard", "The cat of Ottilie",
    "T0KEN-IN-PATH", "Family Plantedson",
)  # fmt: skip
TABLES = """
[server]
listen = "127.0.0.1:0"
[ops.users.ann-of-the-guard]
password = "{hash}"
role = "act"
[sources.cam]
type = "avaeye"
names = {{ "1" = {{ name = "Family Plantedson" }} }}
[sinks.hook]
type = "webhook"
url = "{url}?key=T0KEN-IN-PATH"
allow_private = true
headers = {{ Authorization = "Bearer hook-secret-4711" }}
"""
LOG = (
    {"timestamp": "2026-11-20T08:00:00Z", "level": "warning", "event": "A plate was seen", "plate": "grab-0815"},
    {"timestamp": "2026-11-20T08:00:01Z", "level": "info", "event": "A door was opened", "by": "Ottilie Planted"},
    {"timestamp": "2026-11-20T08:00:02Z", "level": "info", "event": "The pump runs", "sources": ["cam"]},
)


async def bundled(*arguments: str) -> Result:
    return await asyncio.to_thread(CliRunner().invoke, group, ["bundle", *arguments])


def contents(path: Path) -> dict[str, str]:
    """The members by name, and all that is planted looked for in them."""
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with tarfile.open(path) as archive:
        found = {}
        for member in archive.getmembers():
            assert member.mode == 0o600
            file = archive.extractfile(member)
            assert file is not None
            found[member.name.partition("/")[2]] = file.read().decode()
    for name, text in found.items():
        for planted in PLANTED:
            assert planted.lower() not in text.lower(), (name, planted)
    return found


def _hash() -> str:
    return next(line.split('"')[1] for line in USERS.splitlines() if line.startswith("password"))


async def _lived(there: Looking, receiver: Receiver) -> None:
    """Events of somebody, a dead letter whose reason repeats the event, a gap."""
    await there.event(
        "access.granted", access={"person": "Ottilie Planted", "card": "9988776655", "granted": True},
        raw={"who": "Ottilie Planted"},
    )  # fmt: skip
    await there.event("vehicle.passed", vehicle={"plate": "GRAB-0815"})
    await there.event("alarm.acknowledged", note="The cat of Ottilie", alarm={"user": "ann-of-the-guard"}, updates="x")
    now = there.daemon.clock.now()
    await there.intake.gap(now, now, "the queue of Ottilie Planted was lost")
    async with asyncio.timeout(60.0):
        while there.daemon.spool.dead_letters.counts.get("hook", 0) < 3:
            await asyncio.sleep(0.01)


async def test_beside_a_daemon_and_without_one_nothing_planted_is_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finding, "UNIT_RUNTIME", tmp_path)  # a pump that is installed here is none of its business

    def no(received: Received) -> web.Response:
        return web.Response(status=422, text="GRAB-0815 of Ottilie Planted is unknown")

    log = tmp_path / "pump.log"
    lines = [json.dumps(line) for line in LOG] + ["08:00 vehicle.passed plate GRAB-0815"]
    log.write_text("\n".join(lines) + "\n", encoding="utf-8")
    async with Receiver() as receiver:
        receiver.reply = no
        tables = TABLES.format(url=receiver.url, hash=_hash())
        async with looking(tmp_path, tables) as there:
            await _lived(there, receiver)
            common = ("-c", str(tmp_path / "pump.toml"), "--log", str(log))
            result = await bundled(*common, "-o", str(tmp_path / "up.tar.gz"))
            assert result.exit_code == 0, result.output
    up = contents(tmp_path / "up.tar.gz")
    result = await bundled(*common, "-o", str(tmp_path / "down.tar.gz"))
    assert result.exit_code == 0, result.output
    assert "status.json: no daemon runs" in result.stderr
    down = contents(tmp_path / "down.tar.gz")
    assert json.loads(up["status.json"])["site"] == "garage"
    assert "status.json" not in down
    assert "status.json: no daemon runs" in down["README.txt"]
    for found in (up, down):
        spool = json.loads(found["spool.json"])
        assert (spool["types"]["vehicle.passed"], spool["types"]["pump.gap"]) == (1, 1)
        assert [letter["sink"] for letter in spool["dead_letters"]][:3] == ["hook"] * 3
        assert [gap["source"] for gap in spool["gaps"]] == ["gate"]
        assert spool["cursors"].keys() == {"hook"}
        assert spool["files"]["spool.db"] > 0
        assert {"aiohttp", "pydantic"} <= json.loads(found["machine.json"])["packages"].keys()
        config = json.loads(found["configuration.json"])
        assert (config["ops"]["users"], config["sources"]["cam"]["names"]) == (
            {"user 1": {"password": "**********", "role": "act"}}, "1 entries",
        )  # fmt: skip
        assert config["sinks"]["hook"]["url"] == f"{URL(receiver.url).origin()}/…"
        shown = found["log.txt"].splitlines()
        assert [json.loads(line)["event"] for line in shown[:-1]] == [str(line["event"]) for line in LOG]
        assert shown[-1].startswith("(1 lines")


async def test_a_configuration_that_is_not_understood_leaves_its_outline(tmp_path: Path) -> None:
    file = tmp_path / "pump.toml"
    text = f'[pump]\nstate_dir = "{tmp_path}/state"\n[sources.cam]\ntype = "hik-connect"\nsecret = "hook-secret-4711"\n'
    file.write_text(text + '[ops.users.ann-of-the-guard]\npassword = "Ottilie Planted"\n', encoding="utf-8")
    out = tmp_path / "b.tar.gz"
    result = await bundled("-c", str(file), "-o", str(out), "--unit", "no-such-unit-of-pump")
    assert result.exit_code == 0, result.output
    found = contents(out)
    config = json.loads(found["configuration.json"])
    assert config["outline"]["sources"]["cam"] == {"type": "hik-connect", "secret": "…"}
    assert any("app_key" in one for one in config["problems"])
    assert all(name in found["README.txt"] for name in ("spool.json", "status.json", "log.txt"))
    again = await bundled("-c", str(file), "-o", str(out))
    assert (again.exit_code, "is there already" in again.output) == (1, True)
    assert sorted(tmp_path.glob(".*")) == [], "nothing is left beside it"


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("Anna Smith came", "***** came"),
        ("ANNA SMITH's car", "*****'s car"),
        ("Anna Smithson", "Anna Smithson"),
        ("Annabel", "Annabel"),
        ("/cars/ab 12-c/", "/cars/*****/"),
        ("count 12, at 1234", "count 12, at 1234"),
        ('"card":"0012345"', '"card":"*****"'),
        ("", ""),
    ],
)
def test_names_are_hidden_as_whole_words_in_any_case(text: str, clean: str) -> None:
    cleaner = Cleaner()
    vehicle, access = {"plate": "AB 12-C", "color": "red"}, {"person": "Anna Smith", "card": 12345, "person_id": "12"}
    cleaner.learn({"data": {"vehicle": vehicle, "access": access | {"card": "0012345"}, "raw": {"person": "count"}}})
    assert cleaner.text(text) == clean


def test_a_user_without_a_name_has_no_home_to_hide(monkeypatch: pytest.MonkeyPatch) -> None:
    """`docker run --user 54321`: there is no such line in /etc/passwd, and no HOME."""

    def unknown(uid: int) -> None:
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    monkeypatch.delenv("HOME", raising=False)
    assert Cleaner().text("~/pump.toml, /srv/pump.toml") == "~/pump.toml, /srv/pump.toml"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ({"url": "https://user:pw@host:1/a?b"}, {"url": "https://host:1/…"}),
        ({"url": "mqtt://host:1883"}, {"url": "mqtt://host:1883"}),
        ({"names": {"1": {"name": "x"}}}, {"names": "1 entries"}),
        ({"callers": ["user:anna", "token:door"]}, {"callers": ["user:…", "token:door"]}),
        ({"port": 1, "on": True, "none": None}, {"port": 1, "on": True, "none": None}),
    ],
)
def test_a_configuration_without_names_logins_and_paths(value: Any, shown: Any) -> None:
    assert safe(value) == shown
