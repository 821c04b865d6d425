"""The control socket: commands that change something, from people of this machine, by a Unix socket in state_dir.

A client sends one line of JSON, {"command": "dead.drop", "arguments": {…}}, and reads lines: any number of
{"progress": {…}}, then one {"result": {…}} or {"error": "…"}. A client that leaves cancels its command. Who may open
the socket (mode 0600, the daemon's own user and root) may do everything. A second one, in $RUNTIME_DIRECTORY, is for
the group of `[pump] control_group` too (mode 0660): the state directory itself stays closed, for tokens lie there.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import stat
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import orjson
import structlog

from pump.core.errors import Refusal
from pump.core.failure import scarcity
from pump.core.text import words_of

log = structlog.get_logger()

NAME: Final = "control.sock"
LONGEST: Final = 1 << 20
"""Bytes of a request."""
MOST: Final = 16
"""Clients at a time."""
ASKING: Final = 10.0
"""Seconds that a client has for its request."""
_LONGEST_PATH: Final = 100
"""Bytes; the kernel takes 107 (unix(7))."""

Tell = Callable[[dict[str, Any]], Awaitable[None]]
"""Sends a progress line; waits while the client does not read."""
Handler = Callable[[Mapping[str, Any], Tell], Awaitable[dict[str, Any]]]
"""A command: its arguments, the function that takes its progress; returns the result. Raises Refusal."""


class NoDaemon(Exception):
    """Nobody listens at the socket."""


class Ended(Refusal):
    """The daemon ended the connection before its answer."""


class Control:
    """The listener. `commands` may be filled before and after it is open; names are "group.verb"."""

    def __init__(self, folder: Path, *, runtime: Path | None = None, group: str | None = None) -> None:
        """`runtime` is where the socket for `group` goes, if there is one."""
        self.commands: dict[str, Handler] = {}
        self._folder = folder
        self._real = os.path.realpath(folder)
        self._runtime = runtime
        self._group = group
        self._servers: dict[Path, asyncio.Server] = {}
        self._clients: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Listen. The folder must be locked: a socket that is there was left by a daemon that was killed. OSError."""
        await self._listen(self._folder, None)
        if self._runtime is None:
            if self._group is not None:
                log.error("There is no $RUNTIME_DIRECTORY: control_group has no socket to use", group=self._group)
            return
        try:
            await self._listen(self._runtime, self._group)
        except (OSError, LookupError) as error:  # the other one serves all that root asks for
            log.error(
                "The control socket for a group cannot be opened",
                folder=str(self._runtime), group=self._group, reason=words_of(error),
            )  # fmt: skip

    async def _listen(self, folder: Path, group: str | None) -> None:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            os.fchmod(listener.fileno(), stat.S_IRUSR | stat.S_IWUSR)  # before it can be found
            with suppress(FileNotFoundError):
                (folder / NAME).unlink()
            with _short(folder) as path:
                listener.bind(path)
                if group is not None:
                    shutil.chown(path, group=group)
                    os.chmod(path, 0o660)
            self._servers[folder] = await asyncio.start_unix_server(self._serve, sock=listener, limit=LONGEST)
        except BaseException:
            listener.close()
            raise

    async def close(self) -> None:
        """Stop listening; commands under way are cancelled."""
        servers, self._servers = self._servers, {}
        for folder, server in servers.items():
            server.close()
            with suppress(FileNotFoundError):
                (folder / NAME).unlink()
        for client in self._clients:
            client.cancel("the control socket closes")
        if self._clients:
            await asyncio.wait(self._clients)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # asyncio starts one for each client
        task.set_name("control client")
        self._clients.add(task)
        try:
            if len(self._clients) > MOST:
                await _send(writer, {"error": "too many commands are under way"})
            else:
                await self._answer(reader, writer)
        except (OSError, asyncio.CancelledError):
            pass  # the client has left, or the daemon stops: nobody is there to be told
        except Exception:
            log.exception("A client of the control socket met a bug")
        finally:
            self._clients.discard(task)
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(ASKING):
                line = await reader.readline()
        except (TimeoutError, ValueError):
            await _send(writer, {"error": "no request came, or one that is too long"})
            return
        if not line:
            return
        try:
            request = orjson.loads(line)
            name, arguments = request["command"], request.get("arguments") or {}
            wanted = request.get("state_dir")
            handler = self.commands[name]
            if not isinstance(arguments, dict):
                raise TypeError("arguments")
        except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
            known = ", ".join(sorted(self.commands))
            await _send(writer, {"error": f"an object with a command and its arguments is wanted; there are: {known}"})
            return
        if wanted is not None and wanted != self._real:
            await _send(writer, {"error": f"another daemon answers here, with the state directory {self._folder}"})
            return
        # The command runs in a task of its own, so that the client's leaving is noticed meanwhile.
        doing = asyncio.create_task(self._do(name, handler, arguments, writer), name=f"command {name}")
        leaving = asyncio.create_task(reader.read(1), name=f"client of {name}")
        try:
            await asyncio.wait({doing, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (doing, leaving):
                task.cancel()
            await asyncio.wait({doing, leaving})
        if not doing.cancelled():
            doing.result()

    async def _do(
        self, name: str, handler: Handler, arguments: Mapping[str, Any], writer: asyncio.StreamWriter
    ) -> None:
        async def tell(progress: dict[str, Any]) -> None:
            await _send(writer, {"progress": progress})

        log.info("A command is asked for", command=name)
        try:
            answer: dict[str, Any] = {"result": await handler(arguments, tell)}
        except Refusal as refusal:
            answer = {"error": str(refusal)}
        except ConnectionError:
            raise
        except Exception as error:
            lack = scarcity(error)
            if lack is None:
                log.exception("A command failed unexpectedly", command=name)
            answer = {"error": lack or "it failed unexpectedly; the daemon's log has it whole"}
        await _send(writer, answer)


async def _send(writer: asyncio.StreamWriter, message: Mapping[str, Any]) -> None:
    writer.write(orjson.dumps(message, option=orjson.OPT_APPEND_NEWLINE, default=str))
    await writer.drain()


def ask(
    folder: Path,
    command: str,
    arguments: Mapping[str, Any],
    on_progress: Callable[[dict[str, Any]], object],
    *,
    state_dir: Path | None = None,
    timeout: float | None = None,
) -> dict[str, Any]:
    """The client's side, blocking: the command's result. `state_dir`: of no other daemon than the one that uses it.
    `timeout`: seconds of silence after which TimeoutError is raised.

    Raises NoDaemon where nobody listens, Refusal for an error's text, OSError where the socket may not be used.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(timeout)
        try:
            with _short(folder) as path:
                connection.connect(path)
        except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError):
            raise NoDaemon(f"no daemon runs with the state directory {folder}") from None
        request: dict[str, Any] = {"command": command, "arguments": dict(arguments)}
        if state_dir is not None:
            request["state_dir"] = os.path.realpath(state_dir)
        connection.sendall(orjson.dumps(request, option=orjson.OPT_APPEND_NEWLINE))
        with connection.makefile("rb") as lines, suppress(ConnectionResetError):
            for line in lines:
                answer = orjson.loads(line)
                if "progress" in answer:
                    on_progress(answer["progress"])
                elif "error" in answer:
                    raise Refusal(answer["error"])
                else:
                    result: dict[str, Any] = answer["result"]
                    return result
    raise Ended("the daemon ended the connection: is it stopping?")


@contextmanager
def _short(folder: Path) -> Iterator[str]:
    """A name for the socket that the kernel takes, however long the folder's own is."""
    plain = str(folder / NAME)
    if len(os.fsencode(plain)) <= _LONGEST_PATH:
        yield plain
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}/{NAME}"
    finally:
        os.close(descriptor)
