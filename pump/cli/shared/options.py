"""Shared by several commands: the -c option, and the report of a wrong configuration."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeVar

import click

from pump.cli import CONFIGURATION, FAILED

if TYPE_CHECKING:  # the configuration's models load pydantic, which a command without one must not pay for
    from pump.config import Config, Places
    from pump.core.settings import SinkSettings

F = TypeVar("F", bound=Callable[..., Any])

_CALENDAR: Final = (-62_135_596_800, 253_402_300_799)
"""The years 1 to 9999, in seconds since 1970: dates know no others."""


def config_option(command: F) -> F:
    """-c/--config, as the argument `config`."""
    return click.option(
        "-c", "--config", type=click.Path(path_type=Path), default="pump.toml", show_default=True, metavar="FILE",
        help="The configuration.",
    )(command)  # fmt: skip


def load(path: Path, absent_credentials: list[str] | None = None, *, running: bool = False) -> Config:
    """The configuration; what is wrong goes to standard error and ends the process with 78.

    Names of credentials that only systemd's unit has go to `absent_credentials`, where given. `running`: a daemon
    begins, and ends with 1 where the file's words are right and only the machine lacks what they name.
    """
    from pump.config import ConfigError, load

    try:
        return load(path, absent_credentials=absent_credentials)
    except ConfigError as error:
        tell_wrong(error, FAILED if running and error.absent else CONFIGURATION)


def places(path: Path) -> Places:
    """The same of [pump] and [ops] alone; defaults where nobody named a file and none is there."""
    from pump.config import ConfigError, places

    try:
        return places(path)
    except ConfigError as error:
        if not path.exists() and _defaulted():
            return places(Path(os.devnull))
        tell_wrong(error)


def routes(path: Path) -> Mapping[str, SinkSettings]:
    """Of each sink which events it takes, and what of them; no secret is opened. Ends the process as `load` does."""
    from pump.config import ConfigError, routes

    try:
        return routes(path)
    except ConfigError as error:
        tell_wrong(error)


def _defaulted() -> bool:
    source = click.get_current_context().get_parameter_source("config")
    return source is click.core.ParameterSource.DEFAULT


def tell_wrong(error: Exception, status: int = CONFIGURATION) -> NoReturn:
    """What is wrong with the configuration goes to standard error and ends the process with `status`."""
    click.echo(str(error), err=True)
    raise click.exceptions.Exit(status)


def moment(_: click.Context, __: click.Parameter, value: str | None) -> int | None:
    """Milliseconds since 1970 of "10m" (ago) or an ISO time, which without an offset is UTC."""
    from pump.core.settings import parse_duration

    if value is None:
        return None
    try:
        return _within_calendar(time.time() - parse_duration(value))
    except ValueError:
        pass
    try:
        when = datetime.fromisoformat(value)
    except ValueError:
        raise click.BadParameter(
            'a duration such as "10m" or a time such as "2026-11-20T08:00:00Z" is wanted'
        ) from None
    return _within_calendar((when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp())


def _within_calendar(seconds: float) -> int:
    return int(max(_CALENDAR[0], min(seconds, _CALENDAR[1])) * 1000)


def utf8(_: click.Context, __: click.Parameter, value: Any) -> Any:
    """A text, or several, for SQLite and JSON, which take no other bytes than those of UTF-8."""
    for text in [value] if isinstance(value, str) else value or ():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise click.BadParameter("it is no UTF-8 text") from None
    return value


def shown_json(body: bytes) -> bytes:
    """JSON for standard output: as it is, but for a terminal without what would steer it."""
    from pump.core.text import printable_json

    return printable_json(body.decode()).encode() if sys.stdout.isatty() else body


def type_globs(_: click.Context, __: click.Parameter, globs: tuple[str, ...]) -> tuple[str, ...]:
    """Globs of event types; one that can match none is wrong use."""
    from pump.core.vocabulary import did_you_mean, matches_a_type, nearest_type

    for glob in globs:
        if not matches_a_type(glob):
            raise click.BadParameter(f'"{glob}" matches no event type{did_you_mean(nearest_type(glob))}')
    return globs


def coloured() -> bool:
    """True where standard output is a terminal that wants colours."""
    return sys.stdout.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
