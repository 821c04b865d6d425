"""The commands as a shell sees them: what they print, where, and the status they end with."""

from __future__ import annotations

import asyncio
import json
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from pump import registry
from pump.cli import COMMANDS
from pump.config import load
from pump.core.clock import Clock
from pump.core.event import Event, event_id
from pump.ingest.intake import Intake
from pump.spool import Spool, SpoolSettings
from pump.telemetry.health import Health
from pump.telemetry.metrics import Metrics
from tests.environ import ALONE

SECRET = "s3cr3t-Value"
ENVIRON = {name: value for name, value in os.environ.items() if name not in {"STATE_DIRECTORY", "JOURNAL_STREAM"}}


def pump(*arguments: str, cwd: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pump", *arguments]
    return subprocess.run(command, cwd=cwd, env={**ENVIRON, **environ}, capture_output=True, text=True, check=False)


@contextmanager
def started(*arguments: str, cwd: Path, **environ: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "pump", *arguments]
    env = {**ENVIRON, **environ}
    process = subprocess.Popen(command, cwd=cwd, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    with process:
        try:
            yield process
        finally:
            process.kill()


# --- help -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_examples(tmp_path: Path, name: str) -> None:
    done = pump(name, "--help", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"pump {name}" in done.stdout
    assert "Examples:" in done.stdout


def test_help_lists_the_commands_and_imports_none(tmp_path: Path) -> None:
    code = (
        "import sys; from pump.cli import group; group.main(['--help'], standalone_mode=False);"
        "heavy = {'pydantic', 'aiohttp', 'orjson', 'structlog', 'sqlite3', 'asyncio'};"
        "print('loaded:', sorted(heavy & sys.modules.keys()), [m for m in sys.modules if m.startswith('pump.cli.')])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert all(text in done.stdout for pair in COMMANDS.items() for text in pair)
    assert done.stdout.endswith("loaded: [] []\n")


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (["chek"], "No such command 'chek'"),
        (["check", "--confg", "x"], "No such option"),
        (["simulate", "hik-conect"], 'there is no simulator "hik-conect"; did you mean "hik-connect"?'),
        (["demo", "--duration", "20"], "a duration such as"),
        (["events", "--since", "yesterday"], "a duration"),
        (["schema", "everything"], "Invalid value"),
        (["events", "--type", "vehicel.*"], 'matches no event type; did you mean "vehicle.*"?'),
        (["replay", "--sink", "x"], "since when? --since TIME, or --all"),
        (["events", "-f", "--until", "1h"], "exclude one another"),
        (["replay", "--sink", "x", "--type", "vehicel.*"], 'matches no event type; did you mean "vehicle.*"?'),
    ],
)
def test_wrong_use_ends_with_1(tmp_path: Path, arguments: list[str], wanted: str) -> None:
    done = pump(*arguments, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert wanted in done.stderr


def test_an_unforeseen_error_is_told_whole_without_secrets(tmp_path: Path) -> None:
    code = (
        "import click, pump.cli, pump.telemetry.redact\n"
        f"pump.telemetry.redact.redact({SECRET!r})\n"
        "@click.command()\n"
        f"def bad(): raise RuntimeError('with ' + {SECRET!r})\n"
        "pump.cli.group.get_command = lambda context, name: bad\n"
        "import sys; sys.argv[1:] = ['bad']; pump.cli.main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "RuntimeError: with *****" in done.stderr
    assert SECRET not in done.stderr


# --- check ------------------------------------------------------------------------------------------------------------

WRONG = """\
[pump]
site = "north garage"
[spol]
[spool]
retention = 7
[sinks.out]
type = "jsonl"
paht = "x"
[sinks.other]
type = "jsonk"
"""


@pytest.mark.parametrize("command", ["check", "run"])
def test_every_error_is_printed_and_the_status_is_78(tmp_path: Path, command: str) -> None:
    (tmp_path / "pump.toml").write_text(WRONG)
    done = pump(command, cwd=tmp_path)
    kinds = ", ".join(registry.sink_kinds())
    assert (done.returncode, done.stdout) == (78, "")
    assert done.stderr.splitlines() == [
        'pump.toml:2: pump.site: found "north garage", wanted a text like ^[a-z0-9][a-z0-9_-]*$',
        'pump.toml:3: spol: unknown table; did you mean "spool"?',
        'pump.toml:5: spool.retention: found 7, wanted a duration such as "500ms", "30s", "5m", "12h" or "7d"',
        "pump.toml:6: sinks.out.path: found nothing, wanted a value: this key is required",
        'pump.toml:8: sinks.out.paht: unknown key; did you mean "path"?',
        f'pump.toml:10: sinks.other.type: found type "jsonk", wanted one of {kinds}; did you mean "jsonl"?',
    ]


def test_what_is_fine_is_said(tmp_path: Path) -> None:
    file = tmp_path / "other.toml"
    file.write_text(
        '[pump]\nsite = "north"\n[sinks.out]\ntype = "jsonl"\npath = "-"\n[sinks.j]\ntype = "log"\nenabled = false\n'
    )
    state = tmp_path / "state"  # not where only root may write
    done = pump("check", "-c", str(file), cwd=tmp_path, STATE_DIRECTORY=str(state))
    assert done.returncode == 0
    assert done.stderr == f"warning: {file}: sources: no source is configured and enabled: nothing will arrive\n"
    assert done.stdout.splitlines() == [
        f"{file} is fine: site north, state in {state}",
        "0 sources",
        "2 sinks: out (jsonl), j (log, disabled)",
    ]


@pytest.mark.parametrize("command", ["check", "run", "events", "status"])
def test_a_file_that_is_not_there_is_a_configuration_error(tmp_path: Path, command: str) -> None:
    done = pump(command, "-c", "absent.toml", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (78, "")
    assert done.stderr == "absent.toml: the file cannot be read: No such file or directory\n"


# --- schema -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("what", "wanted"), [("config", "sinks"), ("event", "specversion")])
def test_schemas_are_printed(tmp_path: Path, what: str, wanted: str) -> None:
    done = pump("schema", what, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert wanted in json.loads(done.stdout)["properties"]


# --- events -----------------------------------------------------------------------------------------------------------


async def _fill(folder: Path, source: str, numbers: range) -> None:
    settings, clock, metrics = SpoolSettings(), Clock(), Metrics()
    spool = await Spool.open(folder, settings, clock=clock, metrics=metrics)
    try:
        intake = Intake(source, spool=spool, site="s", clock=clock, metrics=metrics, health=Health(clock))
        for number in numbers:
            kind = "vehicle.passed" if number % 2 else "security.intrusion"
            data: dict[str, Any] = {"vendor": "test", "code": "1", "name": "Test", "severity": "info", "phase": "pulse"}
            data |= {"vehicle": {"plate": f"P{number}"}, "device": {"id": f"camera/{number}"}}
            await intake.put(Event(kind, event_id(source, number), data, datetime(2026, 11, 20, 8, tzinfo=UTC)))
    finally:
        await spool.close()


def fill(folder: Path, source: str, numbers: range) -> None:
    asyncio.run(_fill(folder, source, numbers))


@pytest.fixture(scope="module")
def spool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("spool")
    fill(folder, "gate", range(4))
    fill(folder, "door", range(4, 6))
    return folder


def plates(text: str) -> list[str]:
    return [json.loads(line)["data"]["vehicle"]["plate"] for line in text.splitlines()]


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        ([], ["P0", "P1", "P2", "P3", "P4", "P5"]),
        (["--type", "vehicle.*"], ["P1", "P3", "P5"]),
        (["--source", "g*", "--type", "security.*"], ["P0", "P2"]),
        (["--source", "door", "--source", "none"], ["P4", "P5"]),
        (["--since", "1h"], ["P0", "P1", "P2", "P3", "P4", "P5"]),
        (["--since", "2026-01-01T00:00:00+02:00", "--source", "door"], ["P4", "P5"]),
        (["--since", "9999-01-01"], []),
        (["--until", "2026-01-01"], []),
        (["--until", "9999-01-01", "--source", "door"], ["P4", "P5"]),
        (["-n", "2"], ["P4", "P5"]),
        (["-n", "2", "--source", "gate"], ["P2", "P3"]),
        (["-n", "0"], []),
        (["--severity", "notice"], []),
        (["--device", "camera/[24]"], ["P2", "P4"]),
        (["--device", "none", "--device", "*/3"], ["P3"]),
    ],
)
def test_events_are_read_and_chosen(spool: Path, arguments: list[str], wanted: list[str]) -> None:
    done = pump("events", "--state-dir", str(spool), "--json", *arguments, cwd=spool)
    assert (done.returncode, done.stderr) == (0, "")
    assert plates(done.stdout) == wanted


def test_events_for_people(spool: Path) -> None:
    (spool / "pump.toml").write_text(f'[pump]\nstate_dir = "{spool}"\n[sources.x]\ntype = "needs nothing here"\n')
    done = pump("events", "--source", "door", "--type", "vehicle.*", cwd=spool)
    assert (done.returncode, done.stderr) == (0, "")
    words = "08:00:00 info vehicle.passed door camera/5 P5 (of 2026-11-20) · Test"
    assert " ".join(done.stdout.split()) == words
    assert "\x1b" not in done.stdout


def test_a_terminal_that_lacks_a_letter_shows_its_number(spool: Path) -> None:
    """A login by an old locale, as of a serial console."""
    done = pump("events", "--state-dir", str(spool), "--source", "door", cwd=spool, LC_ALL="C", PYTHONUTF8="0")
    assert (done.returncode, done.stderr) == (0, "")
    assert "\\xb7 Test" in done.stdout


def test_no_spool_is_said(tmp_path: Path) -> None:
    done = pump("events", cwd=tmp_path, STATE_DIRECTORY="state")
    assert (done.returncode, done.stdout) == (1, "")
    assert "there is no spool in state" in done.stderr
    (tmp_path / "spool.db").write_text("this is no database, whatever its name says" * 100)
    done = pump("events", "--state-dir", ".", cwd=tmp_path)
    assert done.returncode == 1
    assert "cannot be read" in done.stderr
    assert "Traceback" not in done.stderr


def test_follow_shows_what_arrives_until_ctrl_c(tmp_path: Path) -> None:
    fill(tmp_path / "state", "gate", range(2))
    for more, first in ((["--since", "1h"], ["P0", "P1"]), (["-n", "1"], ["P1"])):
        with started("events", "--state-dir", "state", "--follow", "--json", *more, cwd=tmp_path) as process:
            assert process.stdout is not None
            assert plates("".join(process.stdout.readline() for _ in first)) == first
    with (
        started("events", "--state-dir", "state", "--follow", "--json", cwd=tmp_path) as process,
        started("events", "--state-dir", "state", "--follow", "--json", "-n", "0", cwd=tmp_path) as other,
    ):
        assert process.stderr is not None
        number = 2
        for output in (process.stdout, other.stdout):
            assert output is not None
            while not select.select([output], [], [], 1)[0]:  # what it prints first came after its start
                fill(tmp_path / "state", "gate", range(number := number + 1))
            (plate,) = plates(output.readline())
            assert int(plate[1:]) >= 2
        process.send_signal(signal.SIGINT)
        assert process.wait() == 0
        assert "Traceback" not in process.stderr.read()


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_a_full_disk_is_one_line(tmp_path: Path, form: list[str]) -> None:
    fill(tmp_path, "gate", range(50))
    command = [sys.executable, "-m", "pump", "events", "--state-dir", ".", *form]
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, cwd=tmp_path, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "Error: standard output cannot be written: No space left on device\n"
    line = " ".join(command) + " >&-"
    done = subprocess.run(["sh", "-c", line], cwd=tmp_path, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_reader_that_leaves_is_no_error(tmp_path: Path) -> None:
    fill(tmp_path, "gate", range(50))
    reading, writing = os.pipe()
    os.close(reading)  # as `| head` does, sooner or later
    try:
        for form in ([], ["--json"]):
            done = subprocess.run(
                [sys.executable, "-m", "pump", "events", "--state-dir", ".", *form],
                cwd=tmp_path, stdout=writing, stderr=subprocess.PIPE, text=True, check=False,
            )  # fmt: skip
            assert (done.returncode, done.stderr) == (0, "")
    finally:
        os.close(writing)


# --- status -----------------------------------------------------------------------------------------------------------

STATUS: dict[str, Any] = {
    "site": "north",
    "version": "0.1.0",
    "uptime_s": 93784.5,
    "spool": {"head": 12, "bytes": 3 << 20, "max_bytes": 4 << 30, "full": True, "oldest": "2026-11-20T08:00:00Z"},
    "components": [
        {"name": "source teams", "state": "down", "reason": "wrong\x1b[2J key", "since": "2026-11-20T08:00:00.123Z",
         "idle_s": 200.0, "details": {}},
        {"name": "spool", "state": "up", "reason": "", "since": "2026-11-20T08:00:00Z", "idle_s": 1.25, "details": {}},
    ],
    "sinks": {
        "out": {"position": 10, "lag": 2, "dead": 0}, "hook": {"position": 9, "lag": 3, "dead": 5, "dead_removed": 7},
    },
}  # fmt: skip


@contextmanager
def answering(status: int, body: bytes) -> Iterator[int]:
    """A server on a free port that answers everything like this."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            return

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


def ask(folder: Path, port: int, *arguments: str, host: str = "127.0.0.1") -> subprocess.CompletedProcess[str]:
    (folder / "pump.toml").write_text(f'[ops]\nlisten = "{host}:{port}"\n[sources.x]\ntype = "whatever"\n')
    return pump("status", *arguments, cwd=folder, http_proxy="http://127.0.0.1:9/", NO_COLOR="1")


def test_status_is_a_table(tmp_path: Path) -> None:
    with answering(200, json.dumps(STATUS).encode()) as port:
        done = ask(tmp_path, port, host="0.0.0.0")
        raw = ask(tmp_path, port, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "site north, pump 0.1.0, up 1d 2h",
        "spool at number 12, 3.0 MiB (0 %), oldest of 2026-11-20 08:00:00, FULL: new events are refused",
        "",
        "PART          STATE  SINCE                IDLE    REASON",
        "source teams  down   2026-11-20 08:00:00  3m 20s  wrong\\x1b[2J key",
        "spool         up     2026-11-20 08:00:00  1.2s",
        "",
        "SINK  POSITION  BEHIND  DEAD",
        "out   10        2       0",
        "hook  9         3       5 (7 older ones removed)",
    ]
    assert json.loads(raw.stdout) == STATUS


@pytest.mark.parametrize(
    ("status", "body", "wanted"),
    [(200, b"<html>", "is not a pump"), (200, b"[]", "is not a pump"), (404, b"", "answers 404")],
)
def test_status_of_something_else(tmp_path: Path, status: int, body: bytes, wanted: str) -> None:
    with answering(status, body) as port:
        done = ask(tmp_path, port)
    assert (done.returncode, done.stdout) == (1, "")
    assert wanted in done.stderr


def test_status_without_a_daemon(tmp_path: Path) -> None:
    with answering(200, b"") as port:
        pass
    done = ask(tmp_path, port)
    assert (done.returncode, done.stdout) == (1, "")
    assert f"no daemon answers at http://127.0.0.1:{port}/status" in done.stderr


def test_status_of_a_running_daemon(tmp_path: Path) -> None:
    """Also: the log is JSON where nobody watches, and SIGTERM ends the daemon with 0."""
    (tmp_path / "pump.toml").write_text(
        '[ops]\nlisten = "127.0.0.1:0"\n[sinks.out]\ntype = "jsonl"\npath = "out.jsonl"\n'
    )
    found = {"STATE_DIRECTORY": "pump-state", **ALONE}  # and not the folder of a pump that is installed here
    assert "no daemon runs with the state directory" in pump("status", cwd=tmp_path, **found).stderr
    (tmp_path / "tls.toml").write_text('[ops]\nlisten = "127.0.0.1:9090"\ntls_cert = "c.pem"\ntls_key = "k.pem"\n')
    behind_tls = pump("status", "-c", "tls.toml", cwd=tmp_path, **found)
    assert "no daemon runs with the state directory" in behind_tls.stderr
    with started("run", cwd=tmp_path) as process:
        assert process.stderr is not None
        assert process.stdout is not None
        log = (json.loads(line) for line in process.stderr)
        port = next(entry["ops"] for entry in log if entry["event"] == "The pump runs").rpartition(":")[2]
        done = ask(tmp_path, int(port))
        process.send_signal(signal.SIGTERM)
        told = [entry["level"] for entry in log]
        assert process.wait() == 0
        assert process.stdout.read() == ""
    assert (done.returncode, done.stderr) == (0, "")
    assert "site site, pump " in done.stdout
    assert "\nsink out " in done.stdout
    assert set(told) == {"info"}
    events = pump("events", "--json", cwd=tmp_path, **found).stdout
    assert events.splitlines() == (tmp_path / "out.jsonl").read_text().splitlines()


# --- simulate ---------------------------------------------------------------------------------------------------------


def test_simulate_lists_vendors(tmp_path: Path) -> None:
    done = pump("simulate", cwd=tmp_path)
    assert (done.returncode, done.stdout.split()) == (0, registry.simulator_kinds())


@pytest.mark.parametrize("vendor", registry.simulator_kinds())
def test_a_simulator_shows_the_table_that_reaches_it(tmp_path: Path, vendor: str) -> None:
    with started("simulate", vendor, cwd=tmp_path) as process:
        assert process.stderr is not None
        url = process.stderr.readline().split()[-1]
        keys = registry.simulator(vendor).ACCOUNT
        lines = [process.stderr.readline() for _ in range(3 + len(keys))]
        process.send_signal(signal.SIGTERM)
    (tmp_path / "pump.toml").write_text("".join(lines))
    config = load(tmp_path / "pump.toml", {})
    table = config.sources.get("simulated") or config.sinks["simulated"]
    assert table.type == vendor
    assert url in "".join(lines) or vendor == "avaeye"


def test_simulate_says_where_and_ends_at_ctrl_c(tmp_path: Path) -> None:
    with started("simulate", "hik-connect", "--rate", "5", "--seed", "3", cwd=tmp_path) as process:
        assert process.stderr is not None
        assert process.stdout is not None
        assert process.stderr.readline().startswith("hik-connect listens at http://127.0.0.1:")
        told = [process.stderr.readline() for _ in range(6)]
        assert 'app_key = "ak"\n' in told
        process.send_signal(signal.SIGINT)
        assert process.wait() == 0
        assert (process.stdout.read(), process.stderr.read()) == ("", "")
