"""The configuration with the sources and sinks that ship: their own rules are told like all others, secrets never."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pump.config import Config, ConfigError, load
from pump.core.settings import Secret, Settings
from pump.telemetry import redact

KEY, SECRET = "app-key-of-teams", "Sk/of+teams=="
ENVIRON = {"HIK_APP_KEY": KEY, "HIK_SECRET_KEY": SECRET}
TEAMS = """\
[sources.teams]
type = "hik-connect"
server = "https://ieu.hikcentralconnect.com"
app_key = "${HIK_APP_KEY}"
secret_key = "${HIK_SECRET_KEY}"
"""
OUT = '[sinks.out]\ntype = "jsonl"\npath = "out.jsonl"\n'


def read(folder: Path, text: str) -> Config:
    (folder / "pump.toml").write_text(text)
    return load(folder / "pump.toml", ENVIRON)


def told(folder: Path, text: str) -> list[str]:
    """Every line of `pump check`, or the warnings where it is fine."""
    try:
        return [warning.text() for warning in read(folder, text).warnings]
    except ConfigError as error:
        return [problem.text() for problem in error.problems]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (TEAMS + OUT, []),
        (
            TEAMS + 'queues = ["combine", "alarm"]\n' + OUT,
            [
                'pump.toml:1: sources.teams: queues: "combine" and "alarm" bring the same alarms; '
                "one of the two is enough"
            ],
        ),
        (
            TEAMS + TEAMS.replace("teams", "again").replace("type", 'queues = ["alarm"]\ntype') + OUT,
            [
                "pump.toml:6: sources.again: found the same account as sources.teams, "
                "wanted one enabled table for one account"
            ],
        ),
        (
            TEAMS + "batch_size = 250\n" + OUT,
            ["pump.toml:6: sources.teams.batch_size: found 250, wanted one of 100, 200, 300, 400, 500"],
        ),
        (
            TEAMS + OUT + OUT.replace("sinks.out", "sinks.twin").replace("out.jsonl", "./out.jsonl"),
            ["pump.toml:9: sinks.twin: found the same output as sinks.out, wanted one enabled table for one output"],
        ),
    ],
)  # fmt: skip
def test_the_kinds_own_rules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, wanted: list[str]) -> None:
    monkeypatch.chdir(tmp_path)
    assert told(tmp_path, text) == wanted


def test_the_zone_of_the_pump_goes_to_its_sources(tmp_path: Path) -> None:
    zones = [
        source.time_zone.key
        for source in read(tmp_path, '[pump]\ntime_zone = "Asia/Tokyo"\n' + TEAMS + OUT).sources.values()
        if source.time_zone
    ]
    assert zones == ["Asia/Tokyo"]


def test_what_was_read_is_hidden_from_then_on(tmp_path: Path) -> None:
    config = read(tmp_path, TEAMS + OUT)
    assert redact.clean(f"login with {SECRET} of {KEY}") == "login with ***** of *****"
    for text in (repr(config), str(config), config.model_dump_json(include={"sources"})):
        assert SECRET not in text
        assert KEY not in text


PLACES = ["secret_key", "app_key", "timeout", "queues", "batch_size", "server", "enabled", "time_zone", "event_types"]
FORMS = ["'{}'", "['{}']", "{{ file = '{}' }}", "{{ credential = '{}' }}", "{{ pasword = '{}' }}", "{{ x = ['{}'] }}"]


@settings(max_examples=150, deadline=None)
@given(
    secret=st.from_regex(r"[A-Za-z0-9+/=_.-]{12,40}", fullmatch=True).map(lambda text: f"Q{text}"),
    place=st.sampled_from(PLACES),
    form=st.sampled_from(FORMS),
    mistake=st.sampled_from(PLACES),
)
@example(secret="Quite-a-secret-1", place="secret_key", form="'{}'", mistake="server")
def test_no_message_shows_what_is_a_secret_somewhere(
    tmp_path_factory: pytest.TempPathFactory, secret: str, place: str, form: str, mistake: str
) -> None:
    """The right secret stands at its place, and once more where it does not belong: neither is shown."""
    keys = {
        "type": '"hik-connect"',
        "server": '"https://x.example.com"',
        "app_key": f"'{secret}'",
        "secret_key": "'abcdef'",
    }
    keys[mistake] = "12.5"
    if place != "app_key":
        keys[place] = form.format(secret)
    text = "[sources.teams]\n" + "".join(f"{key} = {value}\n" for key, value in keys.items())
    lines = told(tmp_path_factory.getbasetemp(), text)
    assert lines
    if keys["app_key"] != "12.5":
        assert secret not in "\n".join(lines)


def test_secrets_of_any_settings_are_noted() -> None:
    class Some(Settings):
        one: Secret
        more: tuple[Secret, ...] = ()

    noted: list[str] = []
    Some.model_validate({"one": "${A}", "more": ["b-literal"]}, context={"environ": {"A": "a-value"}, "secrets": noted})
    assert noted == ["a-value", "b-literal"]
