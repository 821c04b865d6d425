from __future__ import annotations

import asyncio
import os
import subprocess
import sys

import pytest

from pump.sinks.log import in_journal

SCRIPT = """
import asyncio, os
from pump.core.clock import Clock
from pump.sinks.log import LogSettings, LogSink
from pump.testing.records import record

found = os.fstat(2)
if {journal}:
    os.environ["JOURNAL_STREAM"] = f"{{found.st_dev}}:{{found.st_ino}}"

async def main():
    async with LogSink("log", LogSettings(type="log"), state=None, clock=Clock(), site="testing") as out:
        severities = ("info", "notice", "warning", "critical")
        assert await out.send([record(seq, severity=name) for seq, name in enumerate(severities)]) is None

asyncio.run(main())
"""


@pytest.mark.parametrize(("journal", "priorities"), [(False, ["", "", "", ""]), (True, ["<6>", "<5>", "<4>", "<2>"])])
def test_one_plain_line_an_event(journal: bool, priorities: list[str]) -> None:
    child = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(journal=journal)], capture_output=True, check=True, text=True
    )
    lines = child.stderr.splitlines()
    assert child.stdout == ""
    assert len(lines) == 4
    assert "\x1b" not in child.stderr
    for number, (line, priority) in enumerate(zip(lines, priorities, strict=True)):
        assert line.startswith(f"{priority}08:00:00")
        assert line.endswith(f"P{number:06}")


def test_only_the_journals_own_descriptor_counts() -> None:
    read, write = os.pipe()
    found = os.fstat(write)
    assert in_journal(write, {"JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino}"})
    assert not in_journal(write, {"JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino + 1}"})
    assert not in_journal(write, {})
    os.close(read)
    os.close(write)
    assert not in_journal(write, {"JOURNAL_STREAM": "1:2"})


async def test_the_loop_serves_others_between_slices() -> None:
    from pump.core.clock import Clock
    from pump.sinks.log import LogSettings, LogSink
    from pump.testing.records import record

    async def main() -> int:
        turns = 0
        async with LogSink("log", LogSettings(type="log"), state=None, clock=Clock(), site="testing") as out:
            read, write = os.pipe()
            kept = os.dup(2)
            os.dup2(write, 2)
            try:
                sending = asyncio.create_task(out.send([record(seq) for seq in range(400)]))
                while not sending.done():
                    await asyncio.sleep(0)
                    turns += 1
                await sending
            finally:
                os.dup2(kept, 2)
                for fd in (read, write, kept):
                    os.close(fd)
        return turns

    assert (await main()) >= 400 // 50
