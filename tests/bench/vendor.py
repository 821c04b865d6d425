"""The simulator in a process of its own, so that its work is not counted as the pump's."""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection

import orjson

from pump.core.clock import Clock
from pump.runtime.tuning import tuned
from pump.vendors.hik_connect.simulator.account import QueueName
from pump.vendors.hik_connect.simulator.messages import Record, identity
from pump.vendors.hik_connect.simulator.server import Simulator

Records = dict[QueueName, list[Record]]


class Vendor:
    """A simulator without a limit that holds back its records until it is told to offer them."""

    def __init__(self, line: Connection) -> None:
        self._line = line
        self.url: str = line.recv()

    async def offer(self) -> None:
        """Put all records into their queues, once all are subscribed; returns as soon as they can be had."""
        self._line.send("offer")
        await asyncio.to_thread(self._line.recv)

    async def log(self) -> None:
        """Have all records happened, and reach no queue: the logs have them alone."""
        self._line.send("log")
        await asyncio.to_thread(self._line.recv)

    def completed(self) -> int:
        """How many records the vendor was told that we have."""
        self._line.send("completed")
        found: int = self._line.recv()
        return found


@contextmanager
def vendor(records: Records) -> Iterator[Vendor]:
    """Run one, for as long as the context lasts."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(
        target=_serve, args=(theirs, orjson.dumps(records)), daemon=True
    )
    process.start()
    theirs.close()  # it is the process's own now: where that ends, asking it fails and waits for nobody
    try:
        yield Vendor(ours)
    finally:
        with suppress(OSError):
            ours.send("end")
        process.join()
        ours.close()


def _serve(line: Connection, records: bytes) -> None:
    with tuned():
        found = orjson.loads(records)
        gc.collect()
        gc.freeze()
        asyncio.run(_simulate(line, found))


async def _simulate(line: Connection, records: Records) -> None:
    async with Simulator(clock=Clock(), rate_limit=None) as simulator:
        line.send(simulator.url)
        queues = [simulator.account.queues[queue] for queue in records]
        while (word := await asyncio.to_thread(line.recv)) != "end":
            if word == "offer":
                while not all(queue.subscribed for queue in queues):
                    await asyncio.sleep(0.01)
                for queue, content in records.items():
                    simulator.put(queue, *content)
            if word == "log":
                for queue, content in records.items():
                    for record in content:
                        simulator.logs.add(queue, identity(record), orjson.dumps(record))
            line.send(sum(len(queue.completed) for queue in queues))
