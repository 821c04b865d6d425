"""The daemon that is attacked: a process with one source and one sink, watched from outside."""

from __future__ import annotations

import asyncio
import os
import ssl
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.bench.push_load import Server, pump
from tests.certificates import certificate
from tests.chaos.attacks.frame import Attack, calm, connect, memory, send, status
from tests.chaos.attacks.probe import Probe


@dataclass
class Attacked:
    """The daemon."""

    server: Server
    ops: int
    """The port of /healthz."""
    tls: ssl.SSLContext | None
    before: int = 0

    @property
    def port(self) -> int:
        """Where devices push."""
        return self.server.port

    def probe(self) -> Probe:
        """Asks for /healthz while the block lasts."""
        return Probe(self.ops, self.server.process.pid)

    def watch_memory(self) -> None:
        """Begin anew with what it has now."""
        process = self.server.process.pid
        self.before = memory(process, "VmRSS")
        Path(f"/proc/{process}/clear_refs").write_text("5")

    def growth(self) -> int:
        """Bytes of resident memory, at the highest since `watch_memory`."""
        return memory(self.server.process.pid, "VmHWM") - self.before

    def metric(self, name: str) -> float:
        """The sum of a metric's samples, 0 where there is none."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.ops}/metrics") as answer:
            lines = answer.read().decode().splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.partition("{")[0].split(" ")[0] == name)

    def processor(self) -> float:
        """Seconds of processor time that it has used so far."""
        fields = Path(f"/proc/{self.server.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    async def healthz(self) -> int:
        """The status of /healthz; 0 where the connection was closed."""
        (stream,) = await connect(self.ops, 1)
        await send(stream, [b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"])
        found = await status(stream)
        stream[1].close()
        return found

    async def push(self, record: int) -> int:
        """The status of an honest device's capture; 0 where the connection was closed."""
        return await calm(self.port, record, self.tls)

    async def served_again(self) -> None:
        """Wait until an honest push is taken."""
        record = 1000
        while await self.push(record) != 200:
            record += 1
            await asyncio.sleep(0.05)


@contextmanager
def attacked(folder: Path, attack: Attack) -> Iterator[Attacked]:
    """It runs, and has taken its first push."""
    config, context = attack.config, None
    if attack.tls:
        made, key = certificate(folder, "device")
        config += f'tls_cert = "{made}"\ntls_key = "{key}"\n'
        context = ssl.create_default_context(cafile=str(made))
    with pump(folder, server=config) as server:
        found = Attacked(server, server.ops_port, context)
        asyncio.run(found.served_again())
        yield found
