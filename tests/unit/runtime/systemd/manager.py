"""A service manager's end of the notification socket."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path


class Manager:
    """Hears what a process says, in order."""

    def __init__(self, folder: Path) -> None:
        self.name = str(folder / "notify")
        self.heard: list[str] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.name)
        self._socket.setblocking(False)

    async def until(self, beginning: str, after: str = "") -> str:
        """The next message that begins so; each before it must not begin with `after`, if that is given."""
        loop = asyncio.get_running_loop()
        while True:
            message = (await loop.sock_recv(self._socket, 4096)).decode()
            self.heard.append(message)
            if message.startswith(beginning):
                return message
            assert not after or not message.startswith(after), self.heard

    def drain(self) -> list[str]:
        """All that has come meanwhile."""
        found: list[str] = []
        try:
            while True:
                found.append(self._socket.recv(4096).decode())
        except BlockingIOError:
            self.heard += found
            return found

    def close(self) -> None:
        self._socket.close()
