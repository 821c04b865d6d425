"""pump command."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Final

import click

from pump.cli.shared import completing
from pump.cli.shared.commanding import command_daemon
from pump.cli.shared.finding import find, state_dir_option
from pump.cli.shared.options import config_option

_UNKNOWN: Final = 75
"""Exit status where nobody can say what became of it (EX_TEMPFAIL of sysexits.h)."""
STATUSES: Final = {"done": 0, "under way": 0, "unknown": _UNKNOWN, "timed-out": _UNKNOWN}
"""By what became of the command; 1 for all else."""
_WAIT: Final = 15.0
"""Seconds that are waited for the end of a command without an expiry of its own: its 10 s, and what an answer takes."""
_LATER: Final = 5.0


def _pairs(_: click.Context, __: click.Parameter, given: tuple[str, ...]) -> dict[str, str]:
    found: dict[str, str] = {}
    for one in given:
        name, equals, value = one.partition("=")
        if not equals or not name:
            raise click.BadParameter(f'"{one}": key=value is wanted')
        found[name] = value
    return found


def duration(_: click.Context, __: click.Parameter, given: str | None) -> float | None:
    """Seconds of an option."""
    if given is None:
        return None
    from pump.core.settings import parse_duration

    try:
        return parse_duration(given)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


@click.command()
@click.argument("target", shell_complete=completing.targets)
@click.argument("verb", shell_complete=completing.verbs)
@click.argument("arguments", nargs=-1, callback=_pairs, metavar="[KEY=VALUE]...", shell_complete=completing.arguments)
@config_option
@state_dir_option
@click.option(
    "--expires", callback=duration, metavar="TIME", help='Not sent any more after this long; "10s" unless said.'
)
@click.option("--wait", is_flag=True, help="Wait for what becomes of it.")
@click.option("--key", metavar="TEXT", help="Asked again under the same key, it is the same command.")
@click.option(
    "--source", metavar="NAME", help="The source, where two have such a target.", shell_complete=completing.sources
)
@click.option("--json", "as_json", is_flag=True, help="The answer as JSON.")
def command(
    target: str, verb: str, arguments: dict[str, str], config: Path, state_dir: Path | None, expires: float | None,
    wait: bool, key: str | None, source: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Have the running daemon make a device do something.

    TARGET is the subject of the device's own events, VERB one of `pump commands`. The daemon's [commands] must grant it
    to "socket". It is written down before it is sent, and never sent twice.

    \b
    Exit status: 0 taken, with --wait done; 1 refused, failed or expired; 75 nobody knows what became of it.

    \b
    Examples:
      pump command camera/10000/1001 gate.open --wait
      pump command partition/arc/1 partition.arm mode=stay --expires 30s --wait
      pump command camera/10000/1001 list.add plate=AB123 list=allow until=2030-01-01T00:00:00Z
    """
    patience = (_WAIT if expires is None else expires + _LATER) if wait else 0.0
    asked: dict[str, Any] = {
        "target": target, "verb": verb, "arguments": arguments, "expires": expires, "key": key, "source": source,
        "wait": patience,
    }  # fmt: skip
    answer = command_daemon(find(config, state_dir), "command.ask", asked, lost=_lost)
    if as_json:
        click.echo(json.dumps(answer, ensure_ascii=False))
    else:
        words = [answer["status"], answer.get("reason", ""), *(f"{k}={v}" for k, v in answer.get("answer", {}).items())]
        click.echo(": ".join(word for word in words[:2] if word) + "".join(f"\n  {word}" for word in words[2:]))
    status = answer["status"] if answer["status"] != "under way" or not wait else "unknown"
    sys.exit(STATUSES.get(status, 1))


def _lost() -> dict[str, Any]:
    """The daemon went before it answered: the command may have been sent."""
    return {"status": "unknown", "reason": "the daemon ended before it answered; it has the end as an event"}
