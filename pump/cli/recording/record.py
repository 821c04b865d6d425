"""pump record."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import click

from pump.cli.shared import completing
from pump.cli.shared.commanding import command_daemon
from pump.cli.shared.finding import Found, find, state_dir_option
from pump.cli.shared.options import config_option
from pump.core.text import printable

_MODE: Final = 0o600


def _duration(context: click.Context, parameter: click.Parameter, value: str) -> float:
    from pump.core.settings import parse_duration

    try:
        return float(parse_duration(value))
    except ValueError as error:
        raise click.BadParameter(str(error), context, parameter) from None


def _size(context: click.Context, parameter: click.Parameter, value: str) -> int:
    from pump.core.settings import parse_size

    try:
        return int(parse_size(value))
    except ValueError as error:
        raise click.BadParameter(str(error), context, parameter) from None


@click.command()
@config_option
@state_dir_option
@click.argument("source", metavar="NAME", shell_complete=completing.sources)
@click.option(
    "--for", "seconds", default="10m", show_default=True, callback=_duration, metavar="TIME", help="How long."
)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
    help="The file, which must not be there yet. Default: NAME.recording.jsonl.",
)  # fmt: skip
@click.option(
    "--max-bytes", "size", default="64MiB", show_default=True, callback=_size, metavar="SIZE",
    help="It ends when so much has come.",
)  # fmt: skip
@click.option("--anew", is_flag=True, help="Restart the source first, so that its login and lists are recorded too.")
def command(
    config: Path, state_dir: Path | None, source: str, seconds: float, output: Path | None, size: int, anew: bool
) -> None:  # fmt: skip
    """Record what a source of the running daemon receives, for pump simulate --from.

    What is personal or secret is replaced before it leaves the daemon: plates, names, cards, numbers of devices,
    addresses, keys, pictures, and all text that is not known to be harmless; equal values get equal stand-ins. Codes,
    times and small numbers stay, and so does every oddity of the firmware's form. The source is neither slowed nor
    changed. It ends at its time, at its size, at Ctrl-C, and when the source begins anew.

    \b
    Examples:
      pump record gate --for 10m
      pump record teams --for 1h -o teams.jsonl && pump simulate --from teams.jsonl
    """
    path = output or Path(f"{source.replace('/', '_')}.recording.jsonl")
    found = find(config, state_dir)
    arguments = {"source": source, "seconds": seconds, "bytes": size, "anew": anew}
    try:
        with _File(path) as file, _asked_to_end(found, source):
            result = command_daemon(found, "record", arguments, show=file.take)
    except FileExistsError:
        raise click.ClickException(f"{path} is there already: name another file with -o") from None
    except (OSError, _WritingError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        kept = "what was written of it is good" if path.exists() else "there is none"
        raise click.ClickException(f"{path} cannot be written: {why}; {kept}") from None
    click.echo(f"{path}: {file.lines} lines; it ended because {printable(result['why'])}", err=True)
    if result["left_out"]:
        click.echo(
            f"{result['left_out']} frames were left out, for they came faster than they could be taken", err=True
        )


@contextmanager
def _asked_to_end(found: Found, source: str) -> Iterator[None]:
    """Ctrl-C ends the recording in order; the second one ends the command as ever."""

    def end(number: int, frame: object) -> None:
        signal.signal(signal.SIGINT, before)
        command_daemon(found, "record.stop", {"source": source})

    before = signal.signal(signal.SIGINT, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


class _WritingError(Exception):
    """The file could not be written; unlike an OSError it is none of the control socket's."""


class _File:
    """The file, whole lines at any moment; removed again where not even its first line came."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = -1
        self._good = 0
        """Bytes up to the end of the last whole line."""
        self.lines = 0

    def __enter__(self) -> Self:
        self._descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _MODE)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            os.ftruncate(self._descriptor, self._good)
        finally:
            os.close(self._descriptor)
            if not self._good:
                self._path.unlink()

    def take(self, progress: dict[str, Any]) -> None:
        """Write the lines of the daemon's progress. Raises _WritingError."""
        import orjson

        try:
            for line in progress["lines"]:
                self._write(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))
        except OSError as error:
            raise _WritingError(error.strerror) from None

    def _write(self, line: bytes) -> None:
        os.ftruncate(self._descriptor, self._good)  # a line that was cut short
        os.lseek(self._descriptor, self._good, os.SEEK_SET)
        place = 0
        while place < len(line):
            place += os.write(self._descriptor, line[place:])
        self._good += len(line)
        self.lines += 1
