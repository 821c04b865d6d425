"""The shipped units: sound, strict, and such that the pump runs under what they forbid.

What cannot be tried without a running systemd: DynamicUser's own allocation, LoadCredential's decryption, the
watchdog's signal, cgroups (TasksMax), RestrictNamespaces, RestrictSUIDSGID, LockPersonality, RestrictRealtime and
KeyringMode. ProtectHome is not either where Python itself lies in a home.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Final

import aiohttp
import pytest

import tests
from pump.cli import CONFIGURATION
from pump.runtime.build import LASTING
from tests.bench.push_load import capture
from tests.environ import BARE
from tests.unit.runtime.systemd import confine

UNITS: Final = Path(tests.__file__).parent.parent / "systemd"
SERVICES: Final = ("pump.service", "pump@.service")
needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze")
needs_namespaces = pytest.mark.skipif(
    shutil.which("bwrap") is None
    or subprocess.run(
        ["bwrap", "--unshare-user", "--ro-bind", "/", "/", "true"], capture_output=True, check=False
    ).returncode
    != 0,
    reason="no bwrap that may make namespaces",
)


def settings(name: str) -> list[tuple[str, str]]:
    """(key, value) of each line of a unit, in its order."""
    lines = (UNITS / name).read_text().splitlines()
    return [
        (key, value) for line in lines if not line.startswith("#") for key, sign, value in [line.partition("=")] if sign
    ]


def analyze(*arguments: str) -> str:
    command = ["systemd-analyze", "--no-pager", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


@needs_systemd
@pytest.mark.parametrize("name", SERVICES)
def test_little_is_exposed(name: str) -> None:
    said = analyze("security", "--offline=true", str(UNITS / name))
    found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", said)
    assert found is not None, said
    assert float(found[1]) <= 1.5, said


@needs_systemd
def test_the_units_are_sound(tmp_path: Path) -> None:
    for path in UNITS.iterdir():
        text = path.read_text().replace("/opt/pump/bin/pump", shutil.which("true") or "/bin/true")
        (tmp_path / path.name).write_text(text.replace("%i", "north"))
    names = [str(tmp_path / path.name) for path in UNITS.iterdir()]
    assert analyze("verify", "--man=no", *names) == ""


def test_the_template_differs_by_the_instance_alone() -> None:
    one, many = ([line for line in (UNITS / name).read_text().splitlines() if line[:1] != "#"] for name in SERVICES)
    assert len(one) == len(many)
    for alone, instance in zip(one, many, strict=True):
        assert re.sub(r" \(%i\)$|-%i$", "", instance).replace("/%i.toml", "/pump.toml") == alone
    assert [key for key, _ in settings("pump.socket")] == [key for key, _ in settings("pump@.socket")]


@pytest.mark.parametrize("name", SERVICES)
def test_what_the_daemon_relies_on(name: str) -> None:
    found = dict(settings(name))
    assert (found["Type"], found["NotifyAccess"], found["RestartPreventExitStatus"]) == ("notify", "main", str(LASTING))
    assert LASTING == CONFIGURATION, "a configuration that the command line refuses ends alike"
    assert found["ExecStartPre"].startswith("-/opt/pump/bin/pump check ")
    assert found["ExecReload"].startswith("/opt/pump/bin/pump reload ")
    assert dict(settings(name.replace("service", "socket")))["FileDescriptorName"] == "push"


# --- the pump under what they forbid --------------------------------------------------------------------------------


@cache
def allowed_calls() -> Sequence[str]:
    """The system calls that SystemCallFilter leaves, as systemd reads its lines."""
    left: set[str] = set()
    for _, value in (one for one in settings("pump.service") if one[0] == "SystemCallFilter"):
        calls = {call for name in value.removeprefix("~").split() for call in _calls(name)}
        left = left - calls if value.startswith("~") else left | calls
    return sorted(left | set(_calls("@default")))


@cache
def _calls(name: str) -> Sequence[str]:
    if not name.startswith("@"):
        return [name]
    lines = (line.strip() for line in analyze("syscall-filter", name).splitlines()[1:])
    return [call for line in lines if line and line[0] != "#" for call in _calls(line)]


def confined(folder: Path, *command: str) -> list[str]:
    """The command in a view of the machine as the unit gives it: all read-only but its own folders, no capabilities."""
    families = [
        int(getattr(socket, name)) for name in dict(settings("pump.service"))["RestrictAddressFamilies"].split()
    ]
    rules = json.dumps({"allow": allowed_calls(), "families": families})
    mounts = ["--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--tmpfs", "/tmp", "--tmpfs", "/var/tmp"]
    for path in (sys.base_prefix, sys.prefix, str(UNITS.parent)):  # these may lie below /tmp
        mounts += ["--ro-bind", path, path]
    for name in ("state", "logs", "runtime"):
        mounts += ["--bind", str(folder / name), str(folder / name)]
    mounts += ["--ro-bind", str(folder / "etc"), str(folder / "etc")]
    mounts += ["--ro-bind", str(folder / "credentials"), str(folder / "credentials")]
    user = [
        "--unshare-user",
        "--uid",
        "61234",
        "--gid",
        "61234",
        "--cap-drop",
        "ALL",
        "--new-session",
        "--die-with-parent",
    ]
    return ["bwrap", *mounts, *user, sys.executable, str(Path(confine.__file__)), rules, *command]


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    for name in ("state", "logs", "runtime", "etc", "credentials"):
        (tmp_path / name).mkdir(mode=0o755)
    (tmp_path / "credentials" / "board").write_text("board-token-1\n")
    (tmp_path / "etc" / "pump.toml").write_text(
        '[server]\nlisten = "127.0.0.1:0"\n[ops]\nlisten = "127.0.0.1:0"\n'
        'tokens = { board = { credential = "board" } }\n'
        '[sources.gate]\ntype = "avaeye"\nallow = ["127.0.0.0/8"]\n'
        '[sources.door]\ntype = "hik-camera"\nurl = "http://localhost:9"\npassword = "x"\n'
        f'[sinks.out]\ntype = "jsonl"\npath = "{tmp_path}/logs/out.jsonl"\n'
        f'[sinks.archive]\ntype = "sqlite"\npath = "{tmp_path}/logs/archive.db"\n'
        '[sinks.broker]\ntype = "mqtt"\nurl = "mqtt://localhost:9"\n'
    )
    return tmp_path


def environ(folder: Path) -> dict[str, str]:
    given = {name: str(folder / name.lower()) for name in ("STATE", "LOGS", "RUNTIME", "CREDENTIALS")}
    own = dict(one.split("=", 1) for one in dict(settings("pump.service"))["Environment"].split())
    return BARE | own | {f"{name}_DIRECTORY": path for name, path in given.items()}


async def pump(folder: Path, *arguments: str) -> tuple[int | None, str]:
    """A command beside the daemon, as ExecStartPre and ExecReload run it; its exit status and output."""
    process = await asyncio.create_subprocess_exec(
        *confined(folder, sys.executable, "-m", "pump", *arguments, "-c", str(folder / "etc" / "pump.toml")),
        env=environ(folder), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    out, _ = await process.communicate()
    return process.returncode, out.decode()


@needs_systemd
@needs_namespaces
async def test_the_check_runs_under_the_units_restrictions(folders: Path) -> None:
    code, said = await pump(folders, "check")
    assert (code, "is fine" in said) == (0, True), said


@needs_systemd
@needs_namespaces
async def test_the_pump_runs_under_the_units_restrictions(folders: Path) -> None:
    config = str(folders / "etc" / "pump.toml")

    daemon = await asyncio.create_subprocess_exec(
        *confined(folders, sys.executable, "-m", "pump", "run", "-c", config),
        env=environ(folders), stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert daemon.stderr is not None
    log: list[dict[str, str]] = []

    async def until(event: str) -> dict[str, str]:
        assert daemon.stderr is not None
        while line := await daemon.stderr.readline():
            log.append(json.loads(line) if line.startswith(b"{") else {"event": line.decode()})
            if log[-1]["event"] == event:
                return log[-1]
        raise AssertionError(log)

    try:
        push = (await until("Devices may push"))["url"]
        ops = (await until("The pump runs"))["ops"]
        async with aiohttp.ClientSession() as session:
            async with session.post(f"{push}/api/upark/capture", data=capture(0, 1)) as answer:
                assert answer.status == 200
            async with session.get(f"{ops}/commands", headers={"Authorization": "Bearer board-token-1"}) as answer:
                assert answer.status == 200
        while not (folders / "logs" / "out.jsonl").exists() or b'"0-0-1"' not in _read(folders / "logs" / "out.jsonl"):
            await asyncio.sleep(0.05)
        assert await pump(folders, "reload") == (0, "Nothing differs.\n")
    finally:
        for process in _children(daemon.pid):
            os.kill(process, signal.SIGTERM)
        rest = (await daemon.stderr.read()).decode()
    assert await daemon.wait() == 0, rest
    wrong = [
        line
        for line in (*map(str, log), *rest.splitlines())
        if "Operation not permitted" in line or "Read-only" in line
    ]
    assert not wrong, wrong


def _read(path: Path) -> bytes:
    return path.read_bytes()


def _children(pid: int) -> list[int]:
    """The process behind bwrap's own."""
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


_HAS_MDWE: Final = tuple(int(one) for one in re.findall(r"\d+", os.uname().release)[:2]) >= (6, 3)


@needs_systemd
@needs_namespaces
@pytest.mark.parametrize(
    ("what", "code"),
    [
        ("a file of the system", "open('/etc/hostname', 'a')"),
        ("the configuration", "open('{folder}/etc/pump.toml', 'a')"),
        ("a name of the machine", "__import__('socket').sethostname('other')"),
        ("a raw socket", "__import__('socket').socket(17, 3)"),
        ("a mount", "assert __import__('ctypes').CDLL(None).mount(b'none', b'/mnt', b'tmpfs', 0, None) == 0, 'EPERM'"),
        pytest.param(
            "memory that is written and run", "__import__('mmap').mmap(-1, 4096, prot=7)",
            marks=pytest.mark.skipif(not _HAS_MDWE, reason="the kernel has no PR_SET_MDWE"),
        ),
        ("a niceness", "__import__('os').setpriority(0, 0, 5)"),
    ],
)  # fmt: skip
def test_what_they_forbid_is_forbidden_here(folders: Path, what: str, code: str) -> None:
    command = confined(folders, sys.executable, "-c", code.replace("{folder}", str(folders)))
    done = subprocess.run(command, env=environ(folders), capture_output=True, text=True, check=False)
    assert done.returncode != 0, what
    assert re.search(
        r"Read-only file system|Operation not permitted|Permission denied|EPERM|not allowed", done.stderr
    ), done.stderr
