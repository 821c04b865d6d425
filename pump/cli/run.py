"""pump run."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import click

from pump.cli import FAILED
from pump.cli.shared.options import config_option, load

_DESCRIPTORS: Final = 32
"""File descriptors without which no start comes to its end."""


@click.command()
@config_option
@click.option(
    "--log-level", type=click.Choice(["debug", "info", "warning", "error"]), default="info", show_default=True,
    help="The least that is logged.",
)  # fmt: skip
def command(config: Path, log_level: str) -> None:
    """Run the daemon until SIGTERM or Ctrl-C; a second one ends it at once.

    The log goes to standard error: readable on a terminal, JSON elsewhere. Standard output carries events alone,
    where a jsonl sink has path = "-".

    \b
    Examples:
      pump run
      pump run -c /etc/pump/pump.toml
    """
    _spare_memory()
    _need_descriptors()
    settings = load(config, running=True)
    import structlog

    from pump.telemetry import log

    log.configure(level=log_level)
    for warning in settings.warnings:
        structlog.get_logger().warning("The configuration is used, with a warning", warning=warning.text(str(config)))
    from pump.runtime.daemon import Daemon

    async def main() -> int:
        return await Daemon(settings).run()

    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            status = runner.run(main())
    except Exception:  # noqa: BLE001  # logged whole; the log is where an operator looks
        structlog.get_logger().exception("The daemon ends by an error nobody caught")
        status = FAILED
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # the interpreter's end gives all others their deadly meaning back
    raise click.exceptions.Exit(status)


def _spare_memory() -> None:
    """Keep out of a process that runs for months what libraries load only because it happens to be installed."""
    sys.modules.setdefault("rich", None)  # type: ignore[arg-type]  # structlog's tracebacks in colour: 5 MB
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")  # looking for them loads importlib.metadata


def _need_descriptors() -> None:
    """End with 1 where not even files can be opened: what is read without them looks like a wrong configuration."""
    opened: list[int] = []
    try:
        for _ in range(_DESCRIPTORS):
            opened.append(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
    except OSError as error:
        os.write(2, f"pump cannot start: {os.strerror(error.errno or 0)}; systemd starts it again\n".encode())
        raise click.exceptions.Exit(FAILED) from None
    finally:
        for descriptor in opened:
            os.close(descriptor)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop's where the extra "fast" is installed."""
    try:
        import uvloop
    except ImportError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory
