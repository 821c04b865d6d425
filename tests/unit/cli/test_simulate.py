"""`pump simulate` on a terminal: a line shows what it did; elsewhere, and with --quiet, none does."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys

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
