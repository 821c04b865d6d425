"""What would not run on this machine is a mistake with its line; what hardly is meant, a warning."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from pump.config import load
from pump.config.passwords import hashed
from pump.config.probe import RESERVE, doubts, faults
from tests.unit.cli.test_cli import pump

PUSHED = '[sources.gate]\ntype = "avaeye"\n'
CAMERA = '[sources.cam]\ntype = "hik-camera"\nurl = "https://192.0.2.1"\npassword = "x"\n'
BROKER = '[sinks.b]\ntype = "mqtt"\nurl = "mqtts://192.0.2.1"\n'
LINES = '[sinks.out]\ntype = "jsonl"\npath = '
CASES: dict[str, tuple[str, list[str]]] = {
    # the file, with {0} for its folder; key and sentence of each fault
    "TLS files of the listener": (
        PUSHED + '[server]\ntls_cert = "{0}/c.pem"\ntls_key = "{0}/k.pem"\n',
        [
            "server.tls_cert: {0}/c.pem cannot be read: No such file or directory",
            "server.tls_key: {0}/k.pem cannot be read: No such file or directory",
        ],
    ),
    "TLS files of a listener that nobody wants": ('[server]\ntls_cert = "{0}/c.pem"\ntls_key = "{0}/k.pem"\n', []),
    "TLS files of a sink": (
        BROKER + 'ca_file = "{0}/ca.pem"\ncert_file = "{0}"\n',
        [
            "sinks.b.ca_file: {0}/ca.pem cannot be read: No such file or directory",
            "sinks.b.cert_file: {0} cannot be read: Is a directory",
        ],
    ),
    "an authority that is none": (
        CAMERA + 'ca = "{0}/file"\n',
        ["sources.cam.ca: {0}/file holds no certificate: NO_CERTIFICATE_OR_CRL_FOUND"],
    ),
    "a folder that is missing": (
        LINES + '"{0}/absent/out.jsonl"\n',
        ["sinks.out.path: the folder {0}/absent is missing: make it, for the user that the daemon runs as"],
    ),
    "of a sink that is disabled": (LINES + '"{0}/absent/out.jsonl"\nenabled = false\n', []),
    "a folder in the place of a file": (LINES + '"{0}"\n', ["sinks.out.path: {0} is a folder: a file is wanted"]),
    "a file in the place of a folder": (LINES + '"{0}/file/out"\n', ["sinks.out.path: {0}/file is no folder"]),
    "an archive": (
        '[sinks.a]\ntype = "sqlite"\npath = "{0}/absent/a.db"\n',
        ["sinks.a.path: the folder {0}/absent is missing: make it, for the user that the daemon runs as"],
    ),
    "standard output": (LINES + '"-"\n', []),
    "an impossible state directory": (
        '[pump]\nstate_dir = "{0}/file/state"\n',
        ["pump.state_dir: {0}/file/state cannot be the state directory: {0}/file is no folder"],
    ),
    "one that is still to be made": ('[pump]\nstate_dir = "{0}/a/b/c"\n', []),
    "a group that is none": (
        '[pump]\ncontrol_group = "no such group"\n',
        ['pump.control_group: this machine has no group "no such group"'],
    ),
}


USER = f'[ops.users.anna]\npassword = "{hashed("a password")}"\n'


@pytest.mark.parametrize("name", CASES)
def test_what_would_not_run_is_a_fault(tmp_path: Path, name: str) -> None:
    text, wanted = CASES[name]
    (tmp_path / "file").write_text("no certificate")
    (tmp_path / "pump.toml").write_text(text.format(tmp_path))
    config = load(tmp_path / "pump.toml", {"STATE_DIRECTORY": str(tmp_path)})
    found = [f"{'.'.join(map(str, keys))}: {sentence}" for keys, sentence in faults(config)]
    assert found == [line.format(tmp_path) for line in wanted]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (PUSHED, ["sources.gate"]),
        (PUSHED + '[server]\nlisten = "198.51.100.1:80"\n', []),  # documentation's addresses are private to Python
        (PUSHED + '[server]\nlisten = "8.8.8.8:80"\n', ["sources.gate"]),
        (PUSHED + '[server]\nlisten = "10.0.0.1:80"\n', []),
        (PUSHED + '[server]\nlisten = "localhost:80"\n', []),
        (PUSHED + '[server]\nallow = ["10.0.0.0/8"]\n', []),
        (PUSHED + 'allow = ["10.0.0.0/8"]\n', []),
        (PUSHED + "enabled = false\n", []),
        (PUSHED + f'allow = ["10.0.0.0/8"]\n[server]\nmax_connections = {1 << 31}\n', ["server.max_connections"]),
        (CAMERA + f"[server]\nmax_connections = {1 << 31}\n", []),
        (CAMERA + USER + '[ops]\nlisten = "0.0.0.0:9090"\n', ["ops.users"]),
        (CAMERA + '[ops]\nlisten = "0.0.0.0:9090"\n', []),
        (CAMERA + USER, []),
    ],
)
def test_what_is_hardly_meant_is_a_doubt(tmp_path: Path, text: str, wanted: list[str]) -> None:
    (tmp_path / "pump.toml").write_text(text)
    found = list(doubts(load(tmp_path / "pump.toml", {"STATE_DIRECTORY": str(tmp_path)})))
    unlimited = resource.getrlimit(resource.RLIMIT_NOFILE)[1] == resource.RLIM_INFINITY
    assert [".".join(map(str, keys)) for keys, _ in found] == [
        key for key in wanted if key != "server.max_connections" or not unlimited
    ]
    assert RESERVE > 0


def test_check_prints_faults_with_their_lines_and_run_ends_with_1(tmp_path: Path) -> None:
    (tmp_path / "pump.toml").write_text(PUSHED + '[server]\ntls_cert = "c.pem"\ntls_key = "k.pem"\n')
    done = pump("check", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (78, "")
    assert done.stderr.splitlines() == [
        "pump.toml:4: server.tls_cert: c.pem cannot be read: No such file or directory",
        "pump.toml:5: server.tls_key: k.pem cannot be read: No such file or directory",
    ]
    done = pump("run", cwd=tmp_path)
    assert done.returncode == 1, "the machine may have them at the next start"
    assert "c.pem cannot be read: No such file or directory" in done.stderr


def test_a_credential_outside_of_the_unit_is_a_note(tmp_path: Path) -> None:
    text = PUSHED + 'allow = ["10.0.0.0/8"]\n[sinks.hook]\ntype = "webhook"\nurl = "https://example.com"\n'
    (tmp_path / "pump.toml").write_text(text + 'secret = [{ credential = "hook" }]\n')
    done = pump("check", cwd=tmp_path)
    assert done.returncode == 0
    assert done.stderr.splitlines() == ["note: pump.toml: not looked at outside the unit: the credentials hook"]
    done = pump("check", cwd=tmp_path, CREDENTIALS_DIRECTORY=str(tmp_path))
    assert done.returncode == 78, "inside of it the credential is to be there"
    assert "the credential hook cannot be read: No such file or directory" in done.stderr
    assert pump("run", cwd=tmp_path).returncode == 78
