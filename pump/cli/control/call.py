"""pump call."""

from __future__ import annotations

import base64
import sys
from pathlib import Path
from typing import Any, Final

import click

from pump.cli.control.command import STATUSES, duration
from pump.cli.shared.commanding import command_daemon
from pump.cli.shared.finding import find, state_dir_option
from pump.cli.shared.options import config_option
from pump.core.text import printable

_TYPES: Final = ((b"{", "application/json"), (b"[", "application/json"), (b"<", "application/xml"))
"""The content type of a body, by how it begins; JSON's where there is no body."""


def _body(_: click.Context, __: click.Parameter, given: str | None) -> bytes:
    """The bytes: of a file, of standard input, or the text itself."""
    from pump.commands.calls import LARGEST_BODY
    from pump.core.files import given as files

    try:
        if given == "-":
            content = sys.stdin.buffer.read(LARGEST_BODY + 1)
        elif given is not None and given.startswith("@"):
            content = files.read(given[1:], LARGEST_BODY)
        else:
            content = (given or "").encode("utf-8", "surrogateescape")
    except OSError as error:
        raise click.BadParameter(f"{given}: {error.strerror}") from None
    if len(content) > LARGEST_BODY:
        raise click.BadParameter(f"a body has {LARGEST_BODY >> 10} KiB at the most")
    return content


@click.command()
@click.argument("name")
@click.argument("method")
@click.argument("path")
@config_option
@state_dir_option
@click.option("--body", callback=_body, metavar="@FILE|-|TEXT", help="Of the call: a file, standard input, a text.")
@click.option("--content-type", metavar="TYPE", help="Of the body; JSON's or XML's, as it begins, unless said.")
@click.option("--device", metavar="TARGET", help="Which device, where each has an address of its own (avaeye).")
@click.option("--expires", callback=duration, metavar="TIME", help='Not sent any more after this long; "10s".')
def command(
    name: str, method: str, path: str, config: Path, state_dir: Path | None, body: bytes, content_type: str | None,
    device: str | None, expires: float | None,
) -> None:  # fmt: skip
    """Have the running daemon make one call of a vendor's document, with the credentials of the source or sink NAME.

    PATH goes to the server of NAME alone, percent-encoded, with its query. [commands] wants raw = true, and a grant of
    the verb "call" for "call/NAME/METHOD/path". It is written down before it is sent, and never sent twice.

    The answer goes to standard output as it came, but for its secrets, and what became of the call to standard error.

    \b
    Exit status: 0 answered with success; 1 refused, failed or expired; 75 nobody knows what became of it.

    \b
    Examples:
      pump call teams POST /api/hccgw/resource/v1/areas/get --body '{"pageIndex": 1, "pageSize": 100}'
      pump call arc GET '/ISAPI/System/deviceInfo?format=json&devIndex=1'
      pump call gate GET /LAPI/V1.0/Channel/0/Media/LivingStream --device camera/10000/1001
    """
    kind = content_type or next((kind for mark, kind in _TYPES if body.lstrip().startswith(mark)), None)
    if kind is None:
        kind = "text/plain" if body else "application/json"
    asked: dict[str, Any] = {
        "name": name, "method": method, "path": path, "body": base64.b64encode(body).decode(), "content_type": kind,
        "device": device, "expires": expires,
    }  # fmt: skip
    answer = command_daemon(find(config, state_dir), "command.call", asked, lost=_lost)
    content = base64.b64decode(answer.get("body", ""))
    if sys.stdout.isatty():  # which strangers' texts must not steer
        for line in content.decode("utf-8", "backslashreplace").splitlines():
            click.echo(printable(line))
    else:
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
    words = [answer["status"], answer.get("reason", "")]
    if "http" in answer:
        words.append(f"HTTP {answer['http']}, {len(content)} bytes, {answer['content_type'] or 'of no type'}")
    click.echo(printable(": ".join(word for word in words if word)), err=True)
    sys.exit(STATUSES.get(answer["status"], 1))


def _lost() -> dict[str, Any]:
    """The daemon went before it answered: the call may have been made."""
    return {"status": "unknown", "reason": "the daemon ended before it answered; it has the end as an event"}
