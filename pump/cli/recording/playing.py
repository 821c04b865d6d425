"""The part of `pump simulate` that plays a recording."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, NamedTuple

import click


class Wanted(NamedTuple):
    """The options."""

    file: Path
    vendor: str | None
    to: str | None
    pace: float
    """How many times faster than it was; 0: at once."""
    host: str
    port: int


def performance(
    wanted: Wanted, show: Callable[[str, dict[str, Any], str], object], say: Callable[[str], object]
) -> Coroutine[Any, Any, None]:
    """The playing, ready to run; `show` gets vendor, account and address once it listens, `say` lines meanwhile.

    Raises click's exceptions for a file that cannot be played.
    """
    from pump import registry
    from pump.core.clock import Clock
    from pump.core.files import given
    from pump.ingest.recording.lines import RecordingError, read
    from pump.simulation.playing.play import Play
    from pump.simulation.playing.running import Performance

    try:
        recording = read(given.read(wanted.file))
        module = registry.simulator(recording.vendor)
    except OSError as error:
        raise click.ClickException(f"{wanted.file} cannot be read: {error.strerror}") from None
    except (RecordingError, LookupError, registry.MissingDependency) as error:
        raise click.ClickException(f"{wanted.file} cannot be played: {error.args[0]}") from None
    if wanted.vendor not in (None, recording.vendor):
        raise click.UsageError(f"{wanted.file} was recorded of {recording.vendor}, not of {wanted.vendor}")
    part: Play = getattr(module, "PLAY", Play())
    try:
        show_ = Performance(
            recording, part, clock=Clock(), pace=wanted.pace, to=wanted.to, host=wanted.host, port=wanted.port
        )
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    whole = "" if recording.end else "; it was cut off before its end, and what stands in it is played"
    click.echo(f"{len(recording.frames)} frames of {recording.begun:%Y-%m-%d %H:%M} UTC{whole}", err=True)
    account = part.account if part.account is not None else getattr(module, "ACCOUNT", {})

    def played() -> None:
        sent = show_.account
        other = f", {sent.otherwise} of them otherwise than when they were recorded" if sent.otherwise else ""
        pushed = f": {sent.sent} requests were answered{other}" if sent.sent else ""
        say(f"Everything was played{pushed}\n")

    return show_.run(lambda url: show(recording.vendor, dict(account), url), played)
