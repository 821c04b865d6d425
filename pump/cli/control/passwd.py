"""pump passwd."""

from __future__ import annotations

import sys

import click

_SHORTEST = 10
"""Characters of a password."""


@click.command()
def command() -> None:
    """Make the hash of a password, for `password` of [ops.users.NAME]. It asks for the password, and keeps it nowhere.

    Without a terminal the first line of standard input is the password. The hash is scrypt's; it may stand in
    pump.toml, and is better kept beside it: password = "${ANNA_HASH}", { file = "…" } or { credential = "…" }.

    \b
    Examples:
      pump passwd
      pump passwd < secret.txt > /etc/pump/anna.hash
    """
    from pump.config.passwords import LONGEST, hashed

    if sys.stdin.isatty():
        password = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    else:
        password = sys.stdin.readline().rstrip("\r\n")
    if len(password) < _SHORTEST:
        raise click.ClickException(f"at least {_SHORTEST} characters are wanted")
    if len(password.encode("utf-8", "surrogateescape")) > LONGEST:
        raise click.ClickException(f"at the most {LONGEST} bytes are taken")
    click.echo(hashed(password))
