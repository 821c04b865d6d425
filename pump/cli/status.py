"""pump status."""

from __future__ import annotations

import json
import math
import urllib.error
import urllib.request
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import click

from pump.cli import FAILED
from pump.cli.shared.commanding import command_daemon
from pump.cli.shared.finding import find, state_dir_option
from pump.cli.shared.options import config_option, places
from pump.core.text import printable, words_of

_ANY: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}
_RUNNING: Final = "it runs"
_TIMEOUT: Final = 5.0
_SPANS: Final = (("m", "s", 60, 1, 3600), ("h", "m", 3600, 60, 86400), ("d", "h", 86400, 3600, math.inf))
"""The two units that are shown, their lengths in seconds, below how many."""
_COUNTS: Final = ("events", "duplicates", "unparsed", "refused", "gaps")
"""Of a source since the daemon's start."""
_COLOURS: Final = {"up": "green", "starting": "yellow", "stalled": "yellow", "failing": "red", "down": "red"}


@click.command()
@config_option
@state_dir_option
@click.option("--json", "as_json", is_flag=True, help="The daemon's own JSON.")
@click.option("--check", is_flag=True, help="One line, for a monitor: exit status 0 where all is well, else 1.")
def command(config: Path, state_dir: Path | None, as_json: bool, check: bool) -> None:
    """Print how the running daemon is: its parts, its spool, what each source brought, how far each sink has come.

    It is asked at the address of [ops], or at its control socket where that is any free port, speaks TLS, or
    --state-dir is given.
    Exit status: 0 it answered, 1 it did not; with --check 0 means that it is ready too.

    \b
    Examples:
      pump status
      pump status --check || mail -s "pump is not well" operator
      pump status --json | jq .sinks
    """
    ops = places(config).ops
    listen = ops.listen
    if state_dir is not None or listen.port == 0 or ops.tls_cert is not None:
        found = find(config, state_dir)
        url, body = f"the control socket in {found.folder}", json.dumps(command_daemon(found, "status", {}))
    else:
        host = _ANY.get(listen.host, listen.host)
        url = f"http://[{host}]:{listen.port}/status" if ":" in host else f"http://{host}:{listen.port}/status"
        body = _ask(url)
    try:
        status = json.loads(body)
        reasons = [str(reason) for reason in status.get("reasons", ())]
        lines = [_verdict(status, reasons)] if check else list(_lines(status))
    except (ValueError, KeyError, TypeError, AttributeError):
        raise click.ClickException(f"what answers at {url} is not a pump") from None
    for line in [body.rstrip()] if as_json else lines:
        click.echo(line)
    if check and reasons:
        raise click.exceptions.Exit(FAILED)


def _verdict(status: dict[str, Any], reasons: Sequence[str]) -> str:
    """One line for a monitor."""
    told = "; ".join(map(printable, reasons)) or f"up {_span(status['uptime_s'])}"
    return f"{'NOT READY' if reasons else 'OK'}: site {status['site']}: {told}"


def _ask(url: str) -> str:
    # a proxy of the environment is for the outside: it does not know this machine's loopback
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=_TIMEOUT) as answer:
            body: bytes = answer.read()
    except urllib.error.HTTPError as error:
        error.close()
        raise click.ClickException(f"{url} answers {error.code} {error.reason}: is it a pump?") from None
    except (OSError, ValueError) as error:
        raise click.ClickException(f"no daemon answers at {url}: {words_of(error)}") from None
    return body.decode("utf-8", "replace")


def _lines(status: dict[str, Any]) -> Iterable[str]:
    spool = status["spool"]
    phase = status.get("phase", _RUNNING)
    doing = "" if phase == _RUNNING else f", {printable(phase)}"
    yield f"site {status['site']}, pump {status['version']}, up {_span(status['uptime_s'])}{doing}"
    if (last := status.get("reload")) and not last["ok"]:
        yield f"pump.toml could not be taken up at {_when(last['at'])}: {'; '.join(map(printable, last['reasons']))}"
    share = 100 * spool["bytes"] / spool["max_bytes"] if spool["max_bytes"] else 0.0
    full = ", FULL: new events are refused" if spool["full"] else ""
    oldest = f", oldest of {_when(spool['oldest'])}" if spool.get("oldest") else ""
    yield f"spool at number {spool['head']}, {_size(spool['bytes'])} ({share:.0f} %){oldest}{full}"
    if status["components"]:
        yield ""
        rows = [_part(part) for part in status["components"]]
        yield from _table(("PART", "STATE", "SINCE", "IDLE", "REASON"), rows)
    if status.get("sources"):
        yield ""
        counts = [(name, *(count[key] for key in _COUNTS)) for name, count in status["sources"].items()]
        yield from _table(("SOURCE", *(key.upper() for key in _COUNTS)), counts)
    if status["sinks"]:
        yield ""
        numbers = [(name, sink["position"], sink["lag"], _dead(sink)) for name, sink in status["sinks"].items()]
        yield from _table(("SINK", "POSITION", "BEHIND", "DEAD"), numbers)


def _part(part: dict[str, Any]) -> tuple[str, str, str, str, str]:
    """A row; "failing" where its calls fail and it does not count as down yet."""
    failing = part.get("failing")
    state, since, why = ("failing", *(failing[key] for key in ("since", "reason"))) if failing else (
        part[key] for key in ("state", "since", "reason")
    )  # fmt: skip
    return part["name"], state, _when(since), _span(part["idle_s"]), printable(why)


def _dead(sink: dict[str, Any]) -> str:
    removed = sink.get("dead_removed")
    return f"{sink['dead']} ({removed} older ones removed)" if removed else str(sink["dead"])


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> Iterable[str]:
    texts = [list(head), *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in texts) for column in range(len(head))]
    widths[-1] = 0  # nothing stands behind the last column
    for number, row in enumerate(texts):
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        if number == 0:
            cells = [click.style(cell, bold=True) for cell in cells]
        elif head[1] == "STATE":
            cells[1] = click.style(cells[1], fg=_COLOURS.get(row[1]))
        yield "  ".join(cells).rstrip()


def _span(seconds: float) -> str:
    """ "1.2s", "3m 20s", "5h 12m", "9d 4h"."""
    if seconds < 60:
        return f"{seconds:.1f}s"
    big, small, length, part, _ = next(row for row in _SPANS if seconds < row[4])
    return f"{int(seconds // length)}{big} {int(seconds % length // part)}{small}"


def _when(time: str) -> str:
    return str(time)[:19].replace("T", " ")


def _size(size: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024 or unit == "GiB":
            break
        size /= 1024
    return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
