"""The commands for sinks, as a shell sees them, with a daemon as its own process and a real receiver of webhooks."""

from __future__ import annotations

import asyncio
import csv
import json
import re
import signal
import sqlite3
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from aiohttp import web
from standardwebhooks import Webhook

from pump.sinks.sqlite.sink import SqliteSettings, SqliteSink
from pump.testing import ManualClock
from pump.testing.brokers import free_port
from pump.testing.receiver import Received, Receiver
from pump.testing.records import record
from tests.environ import BARE

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
CONFIG = """
[pump]
site = "north"
state_dir = "state"
[ops]
listen = "127.0.0.1:0"
[sources.numbers]
type = "numbers"
interval = "10ms"
[sinks.hook]
type = "webhook"
url = "{url}"
secret = "${{HOOK_SECRET}}"
allow_private = true
types = ["vehicle.*"]
batch_size = 10
[sinks.archive]
type = "sqlite"
path = "archive.db"
[sinks.off]
type = "log"
enabled = false
[sinks.alarms]
type = "jsonl"
path = "alarms.jsonl"
min_severity = "warning"
exclude_sources = ["numb*"]
"""


@dataclass
class Done:
    code: int
    out: str
    err: str


class Site:
    def __init__(self, folder: Path, receiver: Receiver) -> None:
        self.folder = folder
        self.receiver = receiver
        (folder / "pump.toml").write_text(CONFIG.format(url=receiver.url))

    async def pump(self, *arguments: str, stdin: bytes = b"") -> Done:
        process = await self._start("pump", *arguments)
        out, err = await process.communicate(stdin)
        return Done(process.returncode or 0, out.decode(), err.decode())

    async def _start(self, *arguments: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            *arguments,
            cwd=self.folder,
            env={**BARE, "HOOK_SECRET": SECRET, "NO_COLOR": "1"},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )

    @asynccontextmanager
    async def daemon(self) -> AsyncIterator[asyncio.subprocess.Process]:
        """Its log is read and thrown away, so that it never waits for a reader."""
        process = await self._start("pump.testing.standins", "-c", "pump.toml")
        assert process.stderr is not None
        reading = asyncio.create_task(process.stderr.read())
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()
            await reading
            assert process.stdin is not None
            process.stdin.close()


@asynccontextmanager
async def site(folder: Path) -> AsyncIterator[Site]:
    def verify(received: Received) -> None:
        Webhook(SECRET).verify(received.body, dict(received.headers))

    async with Receiver(verify) as receiver:
        yield Site(folder, receiver)
        assert not receiver.wrong


def refuse(*numbers: int) -> Callable[[Received], web.Response | None]:
    def reply(received: Received) -> web.Response | None:
        return web.Response(status=400, text="no") if set(received.numbers) & set(numbers) else None

    return reply


async def test_dead_letters_and_replays_by_command(tmp_path: Path) -> None:
    async with site(tmp_path) as at:
        receiver = at.receiver
        receiver.reply = refuse(3, 14, 15)
        async with at.daemon() as daemon:
            await receiver.until(lambda: len(receiver.taken) >= 300)
            assert receiver.taken[:14] == [0, 1, 2, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 16]
            control = tmp_path / "state" / "control.sock"
            assert control.stat().st_mode & 0o777 == 0o600

            listed = await at.pump("dead", "list")
            lines = listed.out.splitlines()
            assert (listed.code, len(lines)) == (0, 4)
            assert lines[0].split() == ["ID", "SINK", "GIVEN", "UP", "TRIED", "TYPE", "SOURCE", "REASON"]
            assert "127.0.0.1 answers 400 Bad Request: no" in lines[1]
            assert (await at.pump("dead", "list", "--counts")).out.splitlines()[1].split()[:2] == ["hook", "3"]
            shown = await at.pump("dead", "show", "1", "2")
            numbers = [json.loads(line)["data"]["raw"]["number"] for line in shown.out.splitlines()]
            assert numbers == [3, 14]
            assert "tried once" in shown.err
            assert (await at.pump("dead", "show", "99")).code == 1

            dropped = await at.pump("dead", "drop", "2")
            assert dropped.out == "1 dropped\n"
            receiver.reply = refuse(15)
            retried = await at.pump("dead", "retry", "--sink", "hook")
            assert (retried.code, retried.out) == (0, "1 delivered, 1 refused again\n")
            assert 3 in receiver.taken
            [line] = (await at.pump("dead", "list")).out.splitlines()[1:]
            assert line.split()[0] == "3"
            assert line.split()[4] == "2"

            before = receiver.taken.count(5)
            replayed = await at.pump("replay", "--sink", "hook", "--since", "1h", "--rate", "100000")
            assert replayed.code == 0
            assert receiver.taken.count(5) == before + 1
            assert "1 refused: pump dead list" in replayed.out
            assert (await at.pump("replay", "--sink", "hook", "--since", "1h", "--fresh-ids")).code == 0
            assert receiver.taken.count(5) == before + 2
            assert (await at.pump("replay", "--sink", "archive", "--since", "1h", "--fresh-ids")).code == 1
            assert (await at.pump("replay", "--sink", "hok", "--all")).err == (
                'Error: no sink "hok" runs; there are: alarms, archive, hook\n'
            )
            daemon.send_signal(signal.SIGTERM)
            assert await daemon.wait() == 0
        assert not control.exists()

        alone = await at.pump("replay", "--sink", "hook", "--all")
        assert (alone.code, "no daemon runs" in alone.err) == (1, True)
        assert (await at.pump("dead", "retry", "--all")).code == 1
        assert (await at.pump("dead", "drop")).code == 1
        assert (await at.pump("dead", "drop", "--all")).out == "1 dropped\n", (
            "refused by a replay too, it is one letter"
        )
        assert len((await at.pump("dead", "list")).out.splitlines()) == 1
        found = await at.pump("query", "type=vehicle.passed", "--limit", "0", "--format", "json")
        stored = [json.loads(line)["data"]["raw"]["number"] for line in found.out.splitlines()]
        assert stored == list(range(len(stored)))
        assert len(stored) >= 300
        assert not (tmp_path / "alarms.jsonl").read_text()


@pytest.mark.parametrize("rounds", [2, pytest.param(20, marks=pytest.mark.long)])
async def test_killed_at_random_with_webhook_and_archive_at_work_nothing_is_missing(
    tmp_path: Path, rounds: int
) -> None:
    """The archive has each event once, the receiver each at least once, repeated ones by the same id."""

    async with site(tmp_path) as at:
        receiver = at.receiver
        for round_ in range(rounds):
            async with at.daemon() as daemon:
                wanted = len(receiver.taken) + 40 + 37 * (round_ % 7)
                await receiver.until(lambda wanted=wanted: len(receiver.taken) >= wanted)  # type: ignore[misc]
                daemon.kill()
        async with at.daemon() as daemon:
            wanted = max(receiver.taken) + 50
            await receiver.until(lambda: max(receiver.taken) >= wanted)
            daemon.send_signal(signal.SIGTERM)
            assert await daemon.wait() == 0
        first_seen = list(dict.fromkeys(receiver.taken))
        assert first_seen == list(range(len(first_seen))), "missing, or out of order"
        names: dict[str, list[int]] = {}
        for request in receiver.requests:
            assert names.setdefault(request.headers["webhook-id"], request.numbers) == request.numbers
        found = await at.pump("query", "type=vehicle.passed", "--limit", "0", "--format", "json")
        stored = [json.loads(line)["data"]["raw"]["number"] for line in found.out.splitlines()]
        assert sorted(stored) == list(range(len(stored)))
        assert len(stored) >= len(first_seen)


@pytest.mark.parametrize("lines", [1500, pytest.param(60_000, marks=pytest.mark.long)])
async def test_a_receiver_that_is_away_disturbs_no_other_sink_and_gets_everything_in_order(
    tmp_path: Path, lines: int
) -> None:
    """The long form lets some 60 s of traffic pass, at 1,000 events a second."""

    async with site(tmp_path) as at:
        receiver = at.receiver
        async with at.daemon() as daemon:
            await receiver.until(lambda: len(receiver.taken) >= 100)
            await receiver.stop()
            before = _memory(daemon.pid)
            stood = await _archived(tmp_path)
            while await _archived(tmp_path) < stood + lines:
                await asyncio.sleep(0.05)
            assert _memory(daemon.pid) < before + (96 << 20)
            await receiver.start()
            wanted = await _archived(tmp_path)
            await receiver.until(lambda: max(receiver.taken) >= wanted)
            daemon.send_signal(signal.SIGTERM)
            assert await daemon.wait() == 0
        first_seen = list(dict.fromkeys(receiver.taken))
        assert first_seen == list(range(len(first_seen))), "missing, or out of order"
        assert len((await at.pump("dead", "list")).out.splitlines()) == 1


def _memory(pid: int) -> int:
    """Bytes resident."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096


async def _archived(folder: Path) -> int:
    def count() -> int:
        with closing(sqlite3.connect(folder / "archive.db")) as db:
            return int(db.execute("SELECT count(*) FROM events WHERE type = 'vehicle.passed'").fetchone()[0])

    return await asyncio.to_thread(count)


async def test_a_receiver_that_wants_no_more_switches_its_sink_off_for_good(tmp_path: Path) -> None:
    async with site(tmp_path) as at:
        receiver = at.receiver
        text = (tmp_path / "pump.toml").read_text()
        text = text.replace('listen = "127.0.0.1:0"', f'listen = "127.0.0.1:{free_port()}"')
        (tmp_path / "pump.toml").write_text(text)
        receiver.reply = lambda _: web.Response(status=410)

        async def told() -> bool:
            done = await at.pump("status")
            return "hook" in done.out and "switched off since" in done.out

        async with at.daemon() as daemon:
            await receiver.until(lambda: len(receiver.requests) == 1)
            while not await told():
                await asyncio.sleep(0.05)
            daemon.send_signal(signal.SIGTERM)
            assert await daemon.wait() == 0
        receiver.reply = lambda _: None
        checked = re.sub(r"\[sources.*?(?=\[sinks)", "", text, flags=re.DOTALL)
        (tmp_path / "check.toml").write_text(checked)
        done = await at.pump("check", "-c", "check.toml")
        assert done.code == 0
        [warning] = [line for line in done.err.splitlines() if "sinks.hook" in line]
        assert warning.startswith("warning: check.toml: sinks.hook: switched off since 20")
        assert "410 Gone: the receiver wants no more events" in warning
        assert "pump enable hook" in warning
        assert not list((tmp_path / "state").glob("spool.db-*")), "a look leaves nothing behind"
        alone = await at.pump("enable", "hook")
        assert (alone.code, "no daemon runs" in alone.err) == (1, True)
        before = await _archived(tmp_path)
        async with at.daemon() as daemon:
            while await _archived(tmp_path) < before + 50:
                await asyncio.sleep(0.05)
            assert await told()
            assert len(receiver.requests) == 1, "the others go on, and it is asked nothing"
            assert (await at.pump("enable", "alarms")).err == "Error: the sink alarms is not switched off\n"
            enabled = await at.pump("enable", "hook")
            assert (enabled.code, enabled.out.startswith("hook is on; ")) == (0, True)
            await receiver.until(lambda: len(receiver.taken) >= before + 50)
            assert receiver.taken == list(range(len(receiver.taken))), "from the first on, which it refused"
            daemon.send_signal(signal.SIGTERM)
            assert await daemon.wait() == 0
        assert len((await at.pump("check", "-c", "check.toml")).err.splitlines()) == 1


async def test_route_tells_who_takes_an_event_and_why_not(tmp_path: Path) -> None:
    async with site(tmp_path) as at:
        (tmp_path / "one.json").write_bytes(record(1).body)
        config = re.sub(r"\[sources.*?(?=\[sinks)", "", (tmp_path / "pump.toml").read_text(), flags=re.DOTALL)
        (tmp_path / "pump.toml").write_text(config)
        told = await at.pump("route", "one.json", "--show")
        assert told.code == 0
        lines = told.out.splitlines()
        assert lines[0] == "vehicle.passed of gate"
        assert lines[1] == '  hook     takes it: "vehicle.passed" matches "vehicle.*" of types'
        assert json.loads(lines[2])["id"] == json.loads(record(1).body)["id"]
        assert lines[5] == "  off      no: it is disabled"
        assert lines[6] == '  alarms   no: the severity "info" is below min_severity = "warning"'
        many = b"\n".join(record(seq, source="numbers", severity="critical").body for seq in (1, 2)) + b"\n"
        told = await at.pump("route", "-", stdin=many)
        assert told.out.count('"numbers" matches "numb*" of exclude_sources') == 2
        assert (await at.pump("route", "none.json")).code == 1
        assert (await at.pump("route", "-", stdin=b"{}")).code == 1
        assert (await at.pump("route", "-", stdin=b"no json")).code == 1


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    async def main() -> None:
        settings = SqliteSettings(type="sqlite", path=str(tmp_path / "archive.db"))
        async with SqliteSink("archive", settings, state=None, clock=ManualClock(), site="testing") as sink:
            await sink.send([record(seq) for seq in range(1, 21)])
            await sink.send([record(21, type_="parking.occupied", severity="warning", source="bays")])
            odd = record(22)
            await sink.send([odd._replace(body=odd.body.replace(b"P000022", rb"=1+1,\u001b[31m\""))])

    asyncio.run(main())
    return tmp_path


@pytest.mark.parametrize(
    ("terms", "wanted"),
    [
        (["plate=P000007"], ["P000007"]),
        (["plate=P000007,P000009"], ["P000007", "P000009"]),
        (["plate=P00002* plate!=P000020,P000022"], ["P000021"]),
        (["plate=P0000?1", "type=vehicle.*"], ["P000001", "P000011"]),
        (["level>=2"], ["P000021"]),
        (["source=bays since=2026-11-20T08:00:00Z until=2026-11-20T08:00:01Z"], ["P000021"]),
        (["source=bays since=2026-11-20T08:00:01Z"], []),
        (["source=bays until=2026-11-20T08:00:00Z"], []),
        (["source=bays space!=A"], ["P000021"]),
        (["source=bays", "since=36500d"], ["P000021"]),
        (["plate='=1*'"], ["'=1+1,\x1b[31m\""]),
    ],
)
async def test_query(archive: Path, terms: list[str], wanted: list[str]) -> None:
    async with site(archive) as at:
        found = await at.pump("query", *terms, "--format", "csv", "--columns", "plate")
        assert (found.code, found.err) == (0, "")
        rows = found.out.splitlines()
        assert rows[0] == "plate"
        assert [cell for [cell] in csv.reader(rows[1:])] == wanted


async def test_query_s_forms_and_mistakes(archive: Path) -> None:
    async with site(archive) as at:
        table = await at.pump("query", "plate==1*")
        assert "\x1b" not in table.out
        assert "\\x1b[31m" in table.out
        whole = await at.pump("query", "plate=P000007", "--format", "json", "--file", "archive.db")
        assert whole.out.encode() == record(7).body + b"\n"
        newest = await at.pump("query", "--limit", "2", "--format", "csv", "--columns", "source,plate")
        assert newest.out.splitlines()[1] == "bays,P000021"
        for arguments, words in (
            (["nonsense"], "a column, one of"),
            (["colour=red"], 'there is no column "colour"'),
            (["--columns", "x; DROP TABLE events"], "there is no column"),
            (["since=yesterday"], "a duration"),
            (["--sink", "hook"], "there are: archive"),
            (["--file", "none.db"], "there is no archive"),
            (["--file", "pump.toml"], "cannot be read"),
            (["-c", "none.toml"], "cannot be read"),
        ):
            wrong = await at.pump("query", *arguments)
            assert wrong.code in (1, 78)
            assert words in wrong.err
