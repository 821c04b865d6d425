"""Signals and the last resort, in processes of their own: here they would end the tests."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap

import pytest

from pump.runtime.signals import Signals


def run(body: str, *, after: str = "") -> tuple[int, str, str]:
    """Run `body` in a Python of its own; `after` names the line of output upon which SIGTERM is sent to it."""
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(body)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        if after:
            for line in process.stdout:
                if line.strip() == after:
                    break
            process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=60)
        return process.returncode, out, err


def test_a_hung_thread_does_not_keep_the_process() -> None:
    code, _, err = run(
        """
        import threading
        from pump.telemetry import log
        log.configure()
        from pump.runtime.signals import LastResort
        LastResort(lambda: 7).arm(0.2)
        threading.Thread(target=threading.Event().wait, name="hung").start()
        """
    )
    assert code == 7
    assert "hung" in err


def test_a_process_that_ends_by_itself_is_not_held_up() -> None:
    code, _, _ = run(
        """
        from pump.runtime.signals import LastResort
        LastResort(lambda: 7).arm(3600.0)
        """
    )
    assert code == 0


def test_the_deadline_only_comes_forward() -> None:
    code, _, _ = run(
        """
        import threading
        from pump.runtime.signals import LastResort
        last = LastResort(lambda: 7)
        last.arm(3600.0)
        last.arm(0.2)
        last.arm(3600.0)
        threading.Event().wait()
        """
    )
    assert code == 7


def test_a_signal_is_heard_while_a_callback_blocks_the_loop() -> None:
    code, _, _ = run(
        """
        import asyncio, time
        from pump.runtime.signals import LastResort, Signals

        last = LastResort(lambda: 7)
        def stop(name: str) -> None:
            last.arm(0.2)

        async def main() -> None:
            Signals(stop, lambda: None).install()
            print("ready", flush=True)
            while True:
                time.sleep(3600)  # never lets the loop turn

        asyncio.run(main())
        """,
        after="ready",
    )
    assert code == 7


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_who_is_told_what(number: signal.Signals) -> None:
    former = {each: signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
    told: list[str] = []
    Signals(told.append, lambda: told.append("reload")).install()
    try:
        os.kill(os.getpid(), number)
        os.kill(os.getpid(), signal.SIGHUP)
    finally:
        for each, handler in former.items():
            signal.signal(each, handler)
    assert told == [number.name, "reload"]
