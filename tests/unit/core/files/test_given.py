"""What an operator names may be a pipe, a device or a folder: it is read, or refused in words, and nobody waits."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from pump.config import ConfigError, load
from pump.config.changes import digests
from pump.config.load import located
from pump.config.probe import faults
from pump.core.errors import Misconfigured
from pump.core.files import given
from pump.ingest.push.certificate import Certificate
from pump.ingest.stream.client import tls_context
from pump.registry import DEFAULT
from pump.sinks.common.tls import client_context
from tests.environ import BARE

_SINK = '[sinks.out]\ntype = "jsonl"\npath = "-"\n'
_HOOK = '[sinks.hook]\ntype = "webhook"\nurl = "https://192.0.2.1/"\nsecret = {}\n'
_CAMERA = '[sources.cam]\ntype = "hik-camera"\n{}\n'
_LOGIN = 'username = "a"\npassword = "b"\n'


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    return path


def test_what_comes_out_of_a_pipe_is_its_content() -> None:
    """As of `pump check -c <(command)`."""
    reader, writer = os.pipe()

    def write() -> None:
        with os.fdopen(writer, "wb") as end:
            end.write(b"x" * 200_000)

    writing = threading.Thread(target=write)
    writing.start()
    assert given.read(f"/dev/fd/{reader}", 1 << 20) == b"x" * 200_000
    writing.join()
    os.close(reader)


def test_a_pipe_that_is_held_open_is_waited_for_and_not_for_ever(pipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(given, "_PATIENCE", 0.1)
    holder = os.open(pipe, os.O_RDWR)
    try:
        with pytest.raises(OSError, match="nothing came out of it for"):
            given.read(pipe, 100)
    finally:
        os.close(holder)


def test_a_file_is_read_up_to_one_byte_more_than_is_allowed(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"12345")
    assert [given.read(tmp_path / "file", most) for most in (3, 4, 5, 6)] == [b"1234", b"12345", b"12345", b"12345"]
    assert given.read("/dev/null", 5) == b""
    assert len(given.read("/dev/zero", 3_000_000)) == 3_000_001
    with pytest.raises(IsADirectoryError):
        given.read(tmp_path, 5)


_TOML: dict[str, tuple[str, str]] = {
    "secret": (_HOOK.format('{{ file = "{0}" }}'), "sinks.hook.secret[0]: the file {0} cannot be read: "),
    "credential": (
        _HOOK.format('{{ credential = "pipe" }}'),
        "sinks.hook.secret[0]: the credential pipe cannot be read: ",
    ),
    "names": (
        _CAMERA.format('url = "http://192.0.2.1"\n' + _LOGIN + 'names = "{0}"'),
        "sources.cam.names: the CSV file {0} cannot be read: ",
    ),
    "fleet": (_CAMERA.format(_LOGIN + 'devices = "{0}"'), "sources.cam.devices: the file {0} cannot be read: "),
}  # fmt: skip


@pytest.mark.parametrize("what", _TOML)
def test_a_pipe_that_the_configuration_names_is_a_mistake(pipe: Path, what: str) -> None:
    file = pipe.with_name("pump.toml")
    text, wanted = _TOML[what]
    file.write_text(text.replace("{{", "{").replace("}}", "}").replace("{0}", str(pipe)))
    with pytest.raises(ConfigError) as raised:
        load(file, {"CREDENTIALS_DIRECTORY": str(pipe.parent)})
    assert f"{wanted.format(pipe)}it is a pipe into which nobody writes" in str(raised.value)


def test_a_pipe_in_the_place_of_the_configuration_is_a_mistake(pipe: Path) -> None:
    with pytest.raises(ConfigError, match="the file cannot be read: it is a pipe into which nobody writes"):
        load(pipe)


def test_what_is_found_in_a_file_that_came_out_of_a_pipe_has_no_line_and_is_said_all_the_same() -> None:
    """`pump check -c <(command)`: what it doubts it says with the lines of a file that it reads again."""
    reader, writer = os.pipe()
    os.write(writer, b'[pump]\nsite = "lot"\n')
    os.close(writer)
    path = Path(f"/dev/fd/{reader}")
    try:
        assert load(path, {}).site == "lot"
        [problem] = located(path, [(("sources",), "no source is configured")])
    finally:
        os.close(reader)
    assert (problem.line, problem.where) == (None, "sources")


def test_a_pipe_in_the_place_of_a_certificate_is_a_mistake(pipe: Path) -> None:
    file = pipe.with_name("pump.toml")
    file.write_text(f'[server]\ntls_cert = "{pipe}"\ntls_key = "{pipe}"\n[sources.gate]\ntype = "avaeye"\n')
    config = load(file, {})
    wanted = f"{pipe} cannot be read: it is no file but a pipe, a socket or a device"
    found = {".".join(map(str, keys)): said for keys, said in faults(config, DEFAULT)}
    assert (found["server.tls_cert"], found["server.tls_key"]) == (wanted, wanted)
    digests(config)  # of a reload


@pytest.mark.parametrize(
    "use",
    [
        lambda path: Certificate(path, path),
        lambda path: tls_context(verify=True, ca=path),
        lambda path: asyncio.run(client_context(str(path), None, None, None)),
        lambda path: asyncio.run(client_context(None, str(path), str(path), None)),
    ],
)
def test_no_library_opens_a_pipe_for_a_certificate(pipe: Path, use: Callable[[Path], object]) -> None:
    with pytest.raises((OSError, Misconfigured), match="it is no file but a pipe"):
        use(pipe)


def test_a_socket_is_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # the name of a socket is a short one
    with socket.socket(socket.AF_UNIX) as one:
        one.bind("socket")
        with pytest.raises(OSError, match="it is no file but"):
            given.require_file("socket")


_COMMANDS = (
    ["check", "-c", "{0}"], ["run", "-c", "{0}"], ["route", "-c", "{1}", "{0}"], ["simulate", "--from", "{0}"],
    ["query", "-c", "{0}"], ["query", "--file", "{0}"], ["call", "cam", "POST", "/", "-c", "{1}", "--body", "@{0}"],
)  # fmt: skip


def test_no_command_waits_for_who_writes_into_a_pipe(pipe: Path) -> None:
    file = pipe.with_name("pump.toml")
    file.write_text(_SINK)
    lines = [[part.format(pipe, file) for part in line] for line in _COMMANDS]
    started = [
        subprocess.Popen([sys.executable, "-m", "pump", *line], stderr=subprocess.PIPE, text=True, env=BARE)
        for line in lines
    ]
    for line, command in zip(lines, started, strict=True):
        _, said = command.communicate()
        assert command.returncode not in (0, None), line
        assert "pipe" in said, (line, said)
        assert "Traceback" not in said, said
