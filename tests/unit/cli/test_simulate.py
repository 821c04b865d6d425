"""`pump simulate` on a terminal: a line shows what it did; elsewhere, and with --quiet, none does."""

from __future__ import annotations

import asyncio
import os
import pty
import re
import signal
import subprocess
import sys
import termios
import time

import aiohttp
import pytest


@pytest.mark.parametrize("quiet", [False, True])
def test_a_terminal_sees_how_it_gets_on(quiet: bool) -> None:
    leader, follower = pty.openpty()
    line = [sys.executable, "-m", "pump", "simulate", "hik-connect", "--rate", "50", *(["--quiet"] if quiet else [])]
    with subprocess.Popen(line, stderr=follower, stdout=subprocess.DEVNULL) as process:
        os.close(follower)
        said = b""
        wanted = b"secret_key" if quiet else b" seconds"
        while wanted not in said:
            said += os.read(leader, 4096)
        process.send_signal(signal.SIGINT)
        try:
            while more := os.read(leader, 4096):
                said += more
        except OSError:
            pass  # Linux's word for the end of a terminal
    os.close(leader)
    assert process.returncode == 0, said
    assert b"listens at" in said
    assert (b" seconds" in said) is not quiet


_PATIENCE = aiohttp.ClientTimeout(60)


async def test_who_does_not_read_keeps_no_vendor_from_answering() -> None:
    leader, follower = pty.openpty()
    line = [sys.executable, "-m", "pump", "simulate", "hik-connect", "--rate", "50"]
    with subprocess.Popen(line, stderr=follower, stdout=subprocess.DEVNULL) as process:
        try:
            said = b""
            while (found := re.search(rb"listens at (http://[\d.:]+)", said)) is None or b" seconds" not in said:
                said += os.read(leader, 4096)
            termios.tcflow(follower, termios.TCOOFF)  # as Ctrl-S does
            async with aiohttp.ClientSession() as http:
                begun = time.monotonic()
                while time.monotonic() - begun < 1.5:  # the line is written once a second
                    async with http.get(found[1].decode(), timeout=_PATIENCE) as answer:
                        await answer.read()
            process.send_signal(signal.SIGINT)
            assert await asyncio.to_thread(process.wait) == 0
        finally:
            process.kill()
            os.close(follower)
            os.close(leader)
