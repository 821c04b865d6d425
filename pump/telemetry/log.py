"""The log: structlog on standard error, readable on a terminal, JSON elsewhere, clean of secrets everywhere.

Parts call `structlog.get_logger()` and log a fixed sentence plus keys. Standard output is for events alone.
"""

from __future__ import annotations

import atexit
import json as stdlib_json
import logging
import os
import sys
import threading
from collections.abc import MutableMapping
from types import TracebackType
from typing import Any, BinaryIO, Final, TextIO, cast

import orjson
import structlog
from structlog.typing import Processor

from pump.core.text import printable
from pump.telemetry.outlet import Outlet
from pump.telemetry.redact import DEFAULT, Redactor, clean, redact

__all__ = ["clean", "configure", "lines_lost", "redact", "say"]

_PRIORITIES: Final = {"critical": 2, "exception": 3, "error": 3, "warning": 4, "warn": 4, "info": 6, "debug": 7}
"""syslog's numbers: the journal cuts a prefix such as "<4>" off a line and takes it as its priority."""
_FIRST: Final = ("timestamp", "level", "event")
_LIBRARIES: Final = ("asyncio", "aiohttp", "aiosqlite", "concurrent", "py.warnings")


def configure(
    stream: TextIO | None = None, json: bool | None = None, *, level: str = "info", redactor: Redactor = DEFAULT
) -> None:
    """Set up the process's logging; the last call counts.

    `stream` is standard error by default; `json` None means: readable where the stream is a terminal, else JSON,
    one object a line. Libraries' own logging joins at warning; uncaught exceptions, also of threads, are logged.
    """
    stream = stream if stream is not None else sys.stderr
    as_json = json if json is not None else not stream.isatty()
    render = _json_lines(_journal(stream)) if as_json else _readable(stream)
    writer = _Writer(stream)
    processors: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.ExceptionRenderer(),
        _cleaner(redactor),
        render,
    ]
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *_: writer,
        cache_logger_on_first_use=False,
    )
    _route_libraries()
    sys.excepthook = _uncaught
    threading.excepthook = _uncaught_in_thread


def _cleaner(redactor: Redactor) -> Processor:
    def clean_values(_: object, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        for key, value in event.items():
            event[key] = redactor.value(value)
        return event

    return clean_values


def _json_lines(journal: bool) -> Processor:
    def render(_: object, __: str, event: MutableMapping[str, Any]) -> bytes:
        event = {**{key: event[key] for key in _FIRST}, **event}
        try:
            line = orjson.dumps(event, default=str, option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_NON_STR_KEYS)
        except TypeError:  # a lone surrogate or a number over 64 bits; the slow route knows both
            line = stdlib_json.dumps(event, default=str).encode() + b"\n"
        return b"<%d>%b" % (_PRIORITIES.get(event["level"], 6), line) if journal else line

    return render


def _readable(stream: TextIO) -> Processor:
    colours = stream.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
    console = structlog.dev.ConsoleRenderer(
        colors=colours, exception_formatter=structlog.dev.plain_traceback, pad_event_to=40, repr_native_str=True
    )

    def render(logger: object, name: str, event: MutableMapping[str, Any]) -> bytes:
        for key in {"event", "exception", "stack"} & event.keys():  # the others are shown by their repr
            event[key] = "\n".join(map(printable, str(event[key]).split("\n")))
        return f"{console(logger, name, event)}\n".encode("utf-8", "backslashreplace")

    return render


def _journal(stream: TextIO) -> bool:
    """True for the socket to the journal that systemd names in $JOURNAL_STREAM (device:inode)."""
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


class _Writer:
    """The end of the chain: one write a line. A log that cannot be written must not stop the pump."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._outlet = _outlet(stream)

    def msg(self, line: bytes) -> None:
        if self._outlet is not None:
            self._outlet.write(line)
            return
        try:
            output = cast(BinaryIO | None, getattr(self._stream, "buffer", None))
            if output is None:
                self._stream.write(line.decode("utf-8"))
            else:
                output.write(line)
            self._stream.flush()
        except (OSError, ValueError):  # a closed pipe or file: there is nowhere left to report it
            return

    debug = info = warning = warn = error = critical = exception = fatal = log = msg


_STANDARD_ERROR: Final = 2
_outlets: Final[dict[int, Outlet]] = {}
"""By descriptor: two of the same one would mix their lines."""


def _outlet(stream: TextIO) -> Outlet | None:
    """The way to standard error; None for another stream, whose descriptor may be closed and be another file's then."""
    try:
        if stream.fileno() != _STANDARD_ERROR:
            return None
    except (OSError, ValueError):
        return None
    if _STANDARD_ERROR not in _outlets:
        _outlets[_STANDARD_ERROR] = outlet = Outlet(_STANDARD_ERROR, resumed=_read_again)
        atexit.register(outlet.close)
    return _outlets[_STANDARD_ERROR]


def _read_again(lines: int) -> None:
    structlog.get_logger().warning("Lines of the log are lost, for nobody read them; they are read again", lines=lines)


def say(words: str) -> None:
    """Lines to standard error as they are, in turn with the log's; who does not read them keeps nobody waiting."""
    _Writer(sys.stderr).msg(words.encode("utf-8", "backslashreplace"))


def lines_lost() -> int:
    """Lines of the log that were not written, for nobody read them, since the process began."""
    return sum(outlet.lost for outlet in _outlets.values())


class _Route(logging.Handler):
    """The standard library's records into structlog."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            text = record.getMessage()
        except (TypeError, ValueError, KeyError):
            text = f"{record.msg} {record.args}"
        structlog.get_logger().log(record.levelno, text, logger=record.name, exc_info=record.exc_info or None)


def _route_libraries() -> None:
    root = logging.getLogger()
    root.handlers[:] = [_Route()]
    root.setLevel(logging.WARNING)
    for name in _LIBRARIES:
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
        logger.setLevel(logging.WARNING)
    logging.captureWarnings(True)


def _uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    structlog.get_logger().critical("The process ends by an error nobody caught", exc_info=(kind, error, trace))


def _uncaught_in_thread(args: threading.ExceptHookArgs) -> None:
    if args.exc_type is SystemExit or args.exc_value is None:
        return
    told = (args.exc_type, args.exc_value, args.exc_traceback)
    name = args.thread.name if args.thread else "?"
    structlog.get_logger().critical("A thread ended by an error nobody caught", thread=name, exc_info=told)
