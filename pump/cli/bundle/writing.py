"""pump bundle."""

from __future__ import annotations

import io
import os
import sqlite3
import tarfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
import orjson

from pump.cli.bundle import contents
from pump.cli.bundle.cleaning import Cleaner
from pump.cli.shared.finding import UNIT_STATE, Found, find, state_dir_option
from pump.cli.shared.options import config_option

if TYPE_CHECKING:
    from pump.config import Places

_MODE: Final = 0o600
_ABOUT: Final = """A support archive of a pump, made by `pump bundle`.

Secrets of the configuration are stars. Names of persons, users, plates and cards are too, as far as the spool's newest
events and dead letters name them; events themselves, messages of vendors and pictures are not in here. Names of
sources, sinks and the site are. Look through it before you send it.
"""


@click.command()
@config_option
@state_dir_option
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="FILE", help="The archive to be written.")
@click.option(
    "--log",
    "log_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Where the log goes, if not to the journal.",
)
@click.option("--unit", metavar="NAME", help="The unit in the journal.  [default: pump, and pump@ of the file's name]")
@click.option(
    "--lines", type=click.IntRange(0, 1_000_000), default=5000, show_default=True, metavar="N",
    help="Lines of the log, at the most.",
)  # fmt: skip
def command(
    config: Path, state_dir: Path | None, output: Path | None, log_file: Path | None, unit: str | None, lines: int
) -> None:
    """Write an archive for whoever helps: configuration, status, metrics, the log's end, the spool's figures, versions.

    Secrets, names of persons and plates are not in it. It works whether or not the daemon runs; what could not be had
    is named, here and in the archive. Only you can read the file.

    \b
    Examples:
      pump bundle
      pump bundle -c /etc/pump/pump.toml -o /tmp/for-support.tar.gz
      pump bundle --log /var/log/pump.log --lines 20000
    """
    notes: list[str] = []
    cleaner = Cleaner()
    parts: dict[str, str] = {}
    near = _configuration(config, parts, notes, cleaner)
    found = find(config, state_dir) if near is not None else _without(state_dir)
    gathered: dict[str, Callable[[], Any]] = {
        "spool.json": lambda: _spool(found, cleaner),
        "status.json": lambda: contents.status(found),
        "metrics.txt": lambda: contents.metrics(near) if near is not None else _lacking("where [ops] listens"),
        "machine.json": lambda: contents.machine(found.folder),
        "log.txt": lambda: contents.log_lines(_log(log_file, unit, config, lines), cleaner),
    }
    for name, gather in gathered.items():
        try:
            value = gather()
        except (LookupError, OSError, sqlite3.Error) as error:
            notes.append(f"{name}: {error}")
            continue
        except Exception as error:  # noqa: BLE001  # a damaged spool or a bug must not cost the other parts
            notes.append(f"{name}: it failed unexpectedly ({type(error).__name__}: {error})")
            continue
        parts[name] = value if isinstance(value, str) else _json(value)
    site = near.site if near is not None else "unknown"
    stem = f"pump-bundle-{site}-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}"
    path = output if output is not None else Path(f"{stem}.tar.gz")
    parts["README.txt"] = "\n".join([_ABOUT, *(f"Not in here: {note}" for note in notes)]) + "\n"
    # the last step, when all names are known
    _write(path, stem, {name: cleaner.text(text) for name, text in sorted(parts.items())})
    for note in notes:
        click.echo(f"not in it: {cleaner.text(note)}", err=True)
    click.echo(f"{path}: {path.stat().st_size / 1024:.0f} KiB, for your eyes alone; look through it before you send it")


def _configuration(file: Path, parts: dict[str, str], notes: list[str], cleaner: Cleaner) -> Places | None:
    """The configuration, as far as it is understood: whole, or [pump] and [ops]."""
    from pump.config import ConfigError, load, places

    absent: list[str] = []
    try:
        config = load(file, absent_credentials=absent)
    except ConfigError as error:
        wrong = [f"line {one.line}: {one.where}: {one.wanted or 'it is wrong'}" for one in error.problems]
        outline, users = contents.outline(file)
        cleaner.add(users)
        parts["configuration.json"] = _json({"problems": wrong, "outline": outline})
        lacking = outline if isinstance(outline, str) else "it is not understood here; its outline alone is there"
        notes.append(f"configuration.json: {lacking}")
    else:
        parts["configuration.json"] = _json(contents.configuration(config))
        cleaner.add(contents.people(config))
        return config
    try:
        return places(file)
    except ConfigError:
        return None


def _without(state_dir: Path | None) -> Found:
    """Where the state may be, if the configuration does not say."""
    folder = state_dir if state_dir is not None else UNIT_STATE
    return Found(folder, (folder,), (folder,))


def _lacking(what: str) -> str:
    raise LookupError(f"the configuration does not say {what}")


def _spool(found: Found, cleaner: Cleaner) -> dict[str, Any]:
    from pump.cli.bundle.spooled import summary

    try:
        return summary(found.folder, cleaner)
    except FileNotFoundError:
        raise LookupError(f"there is no spool in {found.folder} ({found.where()})") from None


def _log(file: Path | None, unit: str | None, config: Path, lines: int) -> list[str]:
    if file is not None:
        return contents.tail(file, lines)
    units = [unit] if unit is not None else ["pump.service", f"pump@{config.stem}.service"]
    try:
        return contents.journal(units, lines)
    except LookupError as error:
        raise LookupError(f"{error}; --log names the file that the log goes to") from None


def _write(path: Path, folder: str, parts: dict[str, str]) -> None:
    """The archive, whole or not at all; readable for its owner alone from its first byte on."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _MODE)
        try:
            with os.fdopen(handle, "wb") as file, tarfile.open(fileobj=file, mode="w:gz") as archive:
                for name, text in parts.items():
                    content = text.encode("utf-8", "replace")
                    member = tarfile.TarInfo(f"{folder}/{name}")
                    member.size, member.mode, member.mtime = len(content), _MODE, int(time.time())
                    archive.addfile(member, io.BytesIO(content))
            os.link(beside, path)
        finally:
            os.unlink(beside)
    except FileExistsError:
        raise click.ClickException(f"{path} is there already; -o names another file") from None
    except OSError as error:
        raise click.ClickException(f"{path} cannot be written: {error.strerror}") from None


def _json(value: Any) -> str:
    options = orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS
    return orjson.dumps(value, option=options, default=str).decode() + "\n"
