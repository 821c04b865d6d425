"""The command line: one module a command, imported only when it is the one that was asked for."""

from __future__ import annotations

import errno
import importlib
import io
import os
import sys
import traceback
from typing import TYPE_CHECKING, Final

import click

from pump import __version__
from pump.telemetry.redact import clean

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

COMMANDS: Final[dict[str, str]] = {
    "run": "Run the daemon until it is told to stop.",
    "check": "Check pump.toml and tell everything that is wrong with it.",
    "demo": "Show it all at work, against simulated vendors.",
    "simulate": "Run a vendor's simulator on its own.",
    "record": "Record what a source receives, without what is personal.",
    "events": "Print the events of the spool.",
    "status": "Print how a running daemon is.",
    "bundle": "Write an archive for whoever helps, without secrets.",
    "test-callback": "Have a vendor send a test to our callback address.",
    "devices": "List devices, panels, zones, cameras: are they there?",
    "gaps": "List the times in which events may be missing.",
    "backfill": "Ask a source's vendor for what is missing of a time.",
    "route": "Tell which sinks would take an event, and why.",
    "query": "Search an SQLite archive.",
    "dead": "List, show, retry or drop dead letters.",
    "replay": "Send stored events to one sink again.",
    "reconcile": "Show what a parking lot has agreed to, window by window.",
    "enable": "Switch a sink on whose receiver wanted no more.",
    "reload": "Have the daemon take up a changed pump.toml.",
    "restart": "Try a source or a sink again now, whatever it waits for.",
    "subscribe": "Change what a source asks its vendor for, while it runs.",
    "command": "Have a device do something: open a gate, arm a partition.",
    "commands": "List what can be commanded, and by which verbs.",
    "call": "Make one call of a vendor's document, signed as our own.",
    "passwd": "Make the hash of a password for [ops.users].",
    "schema": "Print the JSON Schema of pump.toml or of an event.",
    "new-source": "Write the folder of a new vendor, which works at once.",
    "new-sink": "Write the folder of a new sink, which works at once.",
}
"""Name and short help; `pump --help` is printed without importing any of them."""
_ELSEWHERE: Final = {
    "new-source": "new.source",
    "new-sink": "new.sink",
    "command": "control.command",
    "commands": "control.commands",
    "call": "control.call",
    "passwd": "control.passwd",
    "reload": "control.reload",
    "record": "recording.record",
    "bundle": "bundle.writing",
    "gaps": "gaps.listing",
    "backfill": "gaps.backfill",
}
"""Commands whose module is not named like them."""

OK: Final = 0
FAILED: Final = 1
CONFIGURATION: Final = 78
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})


class _Commands(click.Group):
    """The table above, as click wants it."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = _ELSEWHERE.get(cmd_name, cmd_name.replace("-", "_"))
        command: click.Command = importlib.import_module(f"pump.cli.{module}").command
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """As click's, without importing every command for the names of all."""
        from click.shell_completion import CompletionItem

        found = [CompletionItem(name, help=says) for name, says in COMMANDS.items() if name.startswith(incomplete)]
        return found + click.Command.shell_complete(self, ctx, incomplete)

    def invoke(self, ctx: click.Context) -> object:
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:  # caught here, for click would make it a failure
            return _reader_left()
        return result

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.command(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="pump", message="%(prog)s %(version)s")
def group() -> None:
    """Gather the events of parking and security sites, store each durably, hand them on in one form.

    \b
    pump demo              see it work, without an account or hardware
    pump check             is pump.toml right?
    pump run               run it (systemd does this)
    pump events --follow   watch what arrives

    Exit status: 0 stopped as asked; 78 no restart helps, for the configuration is wrong or the spool
    is a newer pump's; 1 anything else.
    """


def main() -> None:
    """Run the command line of this process and exit."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a locale that lacks a letter ends no command
    sys.exit(_run())


def _reader_left() -> int:
    """head or less has had enough: that is its right, and Python's own flush at the end must not complain."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return OK


def _no_room(error: OSError) -> int:
    """Standard output goes to a disk that takes no more: one line, and nothing for Python's flush at the end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    click.echo(f"Error: standard output cannot be written: {error.strerror}", err=True)
    return FAILED


def _run() -> int:
    try:
        status = group.main(standalone_mode=False)
        sys.stdout.flush()
    except click.ClickException as error:
        error.show()
        return FAILED
    except (click.Abort, KeyboardInterrupt):
        return FAILED
    except BrokenPipeError:
        return _reader_left()
    except OSError as error:
        if error.errno in _FULL and error.filename is None:
            return _no_room(error)
        sys.stderr.write(clean(traceback.format_exc()))
        return FAILED
    except Exception:  # noqa: BLE001  # the last place there is: told whole, but clean of secrets
        sys.stderr.write(clean(traceback.format_exc()))
        return FAILED
    return status if isinstance(status, int) else OK
