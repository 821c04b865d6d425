"""The parts of a bundle that do not come from the spool: configuration, versions, the daemon's own words, its log."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import resource
import shutil
import sqlite3
import ssl
import subprocess
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
import orjson

import pump
from pump.cli.bundle.cleaning import COUNTED, Cleaner, safe
from pump.core.files import given
from pump.core.text import words_of

if TYPE_CHECKING:
    from pump.config import Config
    from pump.core.naming import Named

TAIL: Final = 4 << 20
"""Bytes of a log file that are looked at, from its end."""
_PLAIN: Final = frozenset({"type", "listen", "min_severity", "mode", "version"})
"""Keys whose texts are shown even where the configuration is not understood."""


def configuration(config: Config) -> Any:
    """pump.toml as it was understood, without secrets, persons, names of devices, and paths of addresses."""
    tables = config.model_dump(mode="json", exclude={"warnings", "file", "state_named"}, fallback=str)
    for what in ("sources", "sinks"):
        parts = getattr(config, what).items()
        tables[what] = {name: part.model_dump(mode="json", fallback=str) for name, part in parts}
    return safe(tables)


def outline(file: Path) -> tuple[Any, list[str]]:
    """The tables and keys of a pump.toml that is not understood here, of its texts hardly any; and its users' names."""
    try:
        found = tomllib.loads(given.read(file, given.LARGEST).decode())
    except (OSError, ValueError) as error:
        # what is wrong with its words may hold some of them
        return f"it cannot be read: {words_of(error) if isinstance(error, OSError) else 'it is no TOML'}", []
    ops = found.get("ops")
    users = ops.get("users") if isinstance(ops, dict) else None
    return _outlined(found), [*users] if isinstance(users, dict) else []


def _outlined(value: Any, key: str = "") -> Any:
    if isinstance(value, Mapping):
        if key in COUNTED or key == "users":
            return f"{len(value)} entries"
        return {name: _outlined(inner, name) for name, inner in value.items()}
    if isinstance(value, list):
        return [_outlined(inner, key) for inner in value]
    return value if key in _PLAIN or isinstance(value, bool) else "…"


def people(config: Config) -> Iterator[str]:
    """Names of the configuration that may be persons': users, and devices' names of more than one word."""
    yield from config.ops.users
    for source in config.sources.values():
        for row in source.named().values():
            yield from (text for text in _texts(row) if " " in text.strip())


def _texts(row: Named) -> Iterator[str]:
    yield from (value for value in row.model_dump().values() if isinstance(value, str))


def machine(folder: Path) -> dict[str, Any]:
    """Versions, the platform, limits, room."""
    packages = {one.metadata["Name"]: one.version for one in importlib.metadata.distributions()}
    found: dict[str, Any] = {
        "pump": pump.__version__,
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "sqlite": sqlite3.sqlite_version,
        "openssl": ssl.OPENSSL_VERSION,
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cpus": os.cpu_count(),
        "descriptors": resource.getrlimit(resource.RLIMIT_NOFILE),
        "packages": dict(sorted(packages.items(), key=lambda one: one[0].lower())),
    }
    try:
        found["distribution"] = platform.freedesktop_os_release().get("PRETTY_NAME")
    except OSError:
        found["distribution"] = None
    try:
        found["disk"] = dict(zip(("total", "used", "free"), shutil.disk_usage(folder), strict=True))
    except OSError as error:
        found["disk"] = str(error.strerror)
    return found


def tail(path: Path, count: int) -> list[str]:
    """The last lines of a log file. Raises OSError."""
    given.require_file(path)
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - TAIL))
        return file.read().decode("utf-8", "replace").splitlines()[-count:]


def journal(units: list[str], count: int) -> list[str]:
    """The last lines of these units in the journal. Raises LookupError where it has none, or there is none."""
    program = shutil.which("journalctl")
    if program is None:
        raise LookupError("this machine has no journalctl")
    line = [program, "--no-pager", "--quiet", "--output=cat", f"--lines={count}"]
    line += [f"--unit={unit}" for unit in units]
    try:
        done = subprocess.run(line, capture_output=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise LookupError(f"journalctl cannot be used: {words_of(error)}") from None
    lines = done.stdout.decode("utf-8", "replace").splitlines()
    if not lines:
        raise LookupError(f"the journal has nothing of {' or '.join(units)}, or you may not read it")
    return lines


def log_lines(lines: list[str], cleaner: Cleaner) -> str:
    """The daemon's own lines, cleaned; of all others, such as the events of a sink `log`, their number alone."""
    kept, left_out = [], 0
    for line in lines:
        try:
            found = orjson.loads(line)
        except orjson.JSONDecodeError:
            found = None
        if isinstance(found, dict) and {"event", "level", "timestamp"} <= found.keys():
            kept.append(cleaner.text(line))
        else:
            left_out += 1
    if left_out:
        kept.append(f"({left_out} lines that are none of the daemon's own, such as events of a sink log, are left out)")
    return "\n".join(kept) + "\n"


def status(found: Any) -> Any:
    """/status as the running daemon gives it. Raises LookupError where none answers."""
    from pump.cli.shared.commanding import command_daemon

    try:
        return command_daemon(found, "status", {})
    except click.ClickException as error:
        raise LookupError(error.message) from None


def metrics(config: Any) -> str:
    """The metrics page. Raises LookupError where it cannot be had."""
    import urllib.request

    listen = config.ops.listen
    if config.ops.tls_cert is not None or listen.port == 0:
        raise LookupError("the metrics page is asked for over plain HTTP at a fixed port alone")
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(listen.host, listen.host)
    url = f"http://{f'[{host}]' if ':' in host else host}:{listen.port}/metrics"
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=10) as answer:
            body: bytes = answer.read(64 << 20)
    except (OSError, ValueError) as error:
        raise LookupError(f"nothing answers at {listen}: {words_of(error)}") from None
    return body.decode("utf-8", "replace")
