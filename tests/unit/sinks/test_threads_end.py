"""Threads of the pump's own: none keeps a process, though a call hangs in it or nobody closed it."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable

import pytest

from pump.sinks.common.thread import SinkThread


def ends(body: str, folder: object) -> str:
    """What `body` prints; it must end by itself, for nothing here ends it before the test's own time is up."""
    code = textwrap.dedent(body)
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=False, timeout=90
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    return done.stdout


def test_connections_that_nobody_closed_keep_no_process(tmp_path: object) -> None:
    said = ends(
        """
        import asyncio, sys
        from pathlib import Path
        from pump.spool.connection import reading, writing

        async def main():
            path = Path(sys.argv[1]) / "spool.db"
            kept.append(await writing(path))
            kept.append(await reading(path))
            print("left open")

        kept = []
        asyncio.run(main())
        """,
        tmp_path,
    )
    assert said == "left open\n"


def test_an_archive_that_nobody_closed_keeps_no_process(tmp_path: object) -> None:
    said = ends(
        """
        import asyncio, sys
        from pump.core.clock import Clock
        from pump.sinks.sqlite.sink import SqliteSettings, SqliteSink

        async def main():
            settings = SqliteSettings(type="sqlite", path=sys.argv[1] + "/archive.db")
            kept.append(await SqliteSink("a", settings, state=None, clock=Clock(), site="s").__aenter__())
            print("left open")

        kept = []
        asyncio.run(main())
        """,
        tmp_path,
    )
    assert said == "left open\n"


def test_a_sinks_call_that_hangs_keeps_no_process(tmp_path: object) -> None:
    said = ends(
        """
        import asyncio, threading
        from pump.sinks.common.thread import SinkThread

        async def main():
            begun = threading.Event()

            def hang():
                begun.set()
                threading.Event().wait()

            worker = SinkThread("sink a")
            worker._begin(hang)
            while not begun.is_set():
                await asyncio.sleep(0)
            worker.close()
            print("it hangs")

        asyncio.run(main())
        """,
        tmp_path,
    )
    assert said == "it hangs\n"


def test_an_answer_after_the_loop_has_ended_is_dropped(tmp_path: object) -> None:
    said = ends(
        """
        import asyncio, sys, threading
        from pathlib import Path
        from pump.sinks.common.thread import SinkThread
        from pump.spool.connection import writing

        go_on = threading.Event()

        async def main():
            worker, db = SinkThread("sink a"), await writing(Path(sys.argv[1]) / "spool.db")
            kept.extend((worker, db))
            worker._begin(go_on.wait)
            work = asyncio.create_task(db.run(lambda _: go_on.wait()))
            await asyncio.sleep(0)
            work.cancel()

        kept = []
        asyncio.run(main())
        go_on.set()
        for thread in threading.enumerate():
            if thread.name == "spool writer":
                thread.join()
        kept[0].close()
        print("quiet")
        """,
        tmp_path,
    )
    assert said == "quiet\n"


async def test_calls_run_one_after_another_in_one_thread_and_none_after_the_end() -> None:
    worker = SinkThread("sink a")
    names = [await worker.run(lambda: threading.current_thread().name) for _ in range(3)]
    assert names == ["sink a"] * 3
    with pytest.raises(ZeroDivisionError):
        await worker.run(lambda: 1 // 0)
    assert await worker.run(lambda: 7) == 7
    worker.close()
    with pytest.raises(RuntimeError):
        await worker.run(lambda: 7)


async def test_calls_that_hang_delay_no_other_sinks() -> None:
    hanging, others = [SinkThread("sink a"), SinkThread("sink b")], [SinkThread("sink c"), SinkThread("sink d")]
    go_on = threading.Event()
    for worker in hanging:
        worker._begin(go_on.wait)
    for _ in range(3):
        await asyncio.gather(*(worker.run(threading.get_ident) for worker in others))
    go_on.set()
    for worker in (*hanging, *others):
        worker.close()


async def test_the_calls_of_a_pass_of_the_loop_cost_it_one_waking(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pump.sinks.common.thread._PATIENCE", 60.0)  # no look helps
    loop, wakings = asyncio.get_running_loop(), []
    wake = loop.call_soon_threadsafe

    def waking(callback: Callable[..., object], *arguments: object) -> asyncio.Handle:
        wakings.append(callback)
        return wake(callback, *arguments)

    workers = [SinkThread(f"sink {number}") for number in range(20)]
    await asyncio.gather(*(worker.run(threading.get_ident) for worker in workers))
    monkeypatch.setattr(loop, "call_soon_threadsafe", waking)
    idents = await asyncio.gather(*(worker.run(threading.get_ident) for worker in workers))
    assert (len(set(idents)), len(wakings)) == (1, 1)
    for worker in workers:
        worker.close()


async def test_an_end_is_seen_though_a_call_behind_it_hangs() -> None:
    quick, hanging, go_on = SinkThread("sink a"), SinkThread("sink b"), threading.Event()
    await asyncio.gather(quick.run(threading.get_ident), hanging.run(threading.get_ident))
    ended = asyncio.create_task(quick.run(lambda: 7))
    stays = asyncio.create_task(hanging.run(go_on.wait))
    assert await ended == 7
    go_on.set()
    assert await stays
    quick.close()
    hanging.close()


async def test_what_was_begun_is_done_though_its_sinks_have_gone() -> None:
    workers, done = [SinkThread("sink a"), SinkThread("sink b")], [threading.Event(), threading.Event()]
    await asyncio.gather(*(worker.run(threading.get_ident) for worker in workers))
    for worker, event in zip(workers, done, strict=True):
        worker._begin(event.set)
    for worker in workers:
        worker.close()
    while not all(event.is_set() for event in done):
        await asyncio.sleep(0.001)


async def test_a_call_waits_until_the_system_gives_a_thread_again(monkeypatch: pytest.MonkeyPatch) -> None:
    nobody_caught: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: nobody_caught.append(context))
    hung, one, other = threading.Event(), SinkThread("one"), SinkThread("other")
    hanging = asyncio.create_task(one.run(hung.wait))
    await asyncio.sleep(0)
    refused: list[object] = []
    start = threading.Thread.start

    def refuse(thread: threading.Thread) -> None:
        if len(refused) < 3:
            refused.append(thread)
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert await other.run(lambda: "done") == "done"
    assert (len(refused), nobody_caught) == (3, [])
    hung.set()
    await hanging
    one.close()
    other.close()


async def test_sinks_share_a_thread_which_ends_with_the_last_of_them() -> None:
    first, second, go_on = SinkThread("sink a"), SinkThread("sink b"), threading.Event()
    thread = await first.run(threading.current_thread)
    assert await second.run(threading.current_thread) is thread
    first._begin(go_on.wait)
    other = await second.run(threading.current_thread)
    assert other is not thread
    first.close()
    assert await second.run(lambda: 7) == 7
    second.close()
    other.join()  # idle
    go_on.set()
    thread.join()


async def test_a_cancelled_call_is_waited_for_however_often_it_is_cancelled() -> None:
    worker, go_on, aborted = SinkThread("sink a"), threading.Event(), []
    running = asyncio.ensure_future(worker.run(go_on.wait, abort=lambda: aborted.append(1)))
    for _ in range(3):
        await asyncio.sleep(0)
        running.cancel()
    await asyncio.sleep(0)
    assert not running.done()
    assert aborted == [1, 1, 1]
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await running
    worker.close()
