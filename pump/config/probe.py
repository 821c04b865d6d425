"""What of a configuration that is right in itself would not run on this machine: files, folders, descriptors.

It only looks: nothing is opened for writing, made or contacted.
"""

from __future__ import annotations

import grp
import ipaddress
import os
import pwd
import resource
import ssl
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from pump import registry
from pump.config.lines import Path as Keys
from pump.config.model import Config
from pump.core.files import given
from pump.core.settings import Settings
from pump.core.text import words_of
from pump.registry import Registry

RESERVE: Final = 128
"""File descriptors beside those of devices' connections: spool, ops listener, sinks, sources' own links."""
CERTIFICATES: Final = ("tls_cert", "tls_key", "ca", "ca_file", "cert_file", "key_file")
"""Settings of any table that name a PEM file to be read."""
_WRITTEN: Final = "path"
"""The setting of a sink that names the file it writes."""

Finding = tuple[Keys, str]
"""(key, sentence)."""


def faults(config: Config, kinds: Registry = registry.DEFAULT) -> Iterator[Finding]:
    """What `pump run` could not do as it is configured: each a mistake to be mended first."""
    yield from unusable(config, kinds)
    for what, parts in (("sources", config.sources), ("sinks", config.sinks)):
        for name, settings in parts.items():
            if settings.enabled:
                yield from _certificates((what, name), settings)
    for name, sink in config.sinks.items():
        path = getattr(sink, _WRITTEN, None)
        if sink.enabled and isinstance(path, str) and path != "-":
            yield from _written(("sinks", name, _WRITTEN), Path(path))


def unusable(config: Config, kinds: Registry = registry.DEFAULT) -> Iterator[Finding]:
    """Of these, what the daemon itself cannot begin without: it ends with 1 for them, to be started again.

    All of it is the machine's: a mount may be late, a certificate be renewed, a group come with the network.
    """
    if (wrong := _cannot_hold(config.state_dir)) is not None:
        yield ("pump", "state_dir"), f"{config.state_dir} cannot be the state directory: {wrong}"
    if config.control_group is not None:
        try:
            grp.getgrnam(config.control_group)
        except KeyError:
            yield ("pump", "control_group"), f'this machine has no group "{config.control_group}"'
    if _pushed(config, kinds):
        yield from _certificates(("server",), config.server)
    yield from _certificates(("ops",), config.ops)


def doubts(config: Config, kinds: Registry = registry.DEFAULT) -> Iterator[Finding]:
    """What runs, and yet probably not as it is meant."""
    server = config.server
    pushed = _pushed(config, kinds)
    host = server.listen.host
    for name, source in config.sources.items():
        open_to_all = not (server.allow or getattr(source, "allow", ()))
        if source.enabled and source.type == "avaeye" and open_to_all and not _is_inside(host):
            yield (
                ("sources", name),
                f"cameras have no password and {server.listen} is open to all: name their networks in allow",
            )
    ops = config.ops
    if ops.users and ops.tls_cert is None and not _is_loopback(ops.listen.host):
        yield (
            ("ops", "users"),
            f"passwords come to {ops.listen} over plain HTTP, which anybody on the way can read: give [ops] a tls_cert",
        )
    yield from _open_to_others(config)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if pushed and hard != resource.RLIM_INFINITY and hard < server.max_connections + RESERVE:
        yield (
            ("server", "max_connections"),
            f"{server.max_connections} connections need {server.max_connections + RESERVE} file descriptors, and this "
            f"process may have {hard} (ulimit -Hn; LimitNOFILE= of the unit): more are refused",
        )


def _open_to_others(config: Config) -> Iterator[Finding]:
    """Folders above what the pump writes in which anybody may put another file in its place; files anybody may read."""
    written: dict[Keys, Path] = {("pump", "state_dir"): config.state_dir, ("media", "dir"): config.media.dir}
    for name, sink in config.sinks.items():
        path = getattr(sink, _WRITTEN, None)
        if sink.enabled and isinstance(path, str) and path != "-":
            written["sinks", name, _WRITTEN] = Path(path)
    said: set[Path] = set()
    for keys, path in written.items():
        for parent, mode in _parents(path):
            if parent not in said:
                said.add(parent)
                yield keys, f"everybody may write to {parent} ({mode:04o}), and so replace {path}: chmod o-w {parent}"
        mode = _mode(path)
        if keys[0] == "sinks" and mode & stat.S_IROTH:
            yield keys, f"everybody may read {path} ({mode:04o}): chmod o= {path}"
        elif keys == ("pump", "state_dir") and mode & 0o077:
            yield keys, f"others may look into {path} ({mode:04o}): the pump makes it 0700 when it starts"


def _parents(path: Path) -> Iterator[tuple[Path, int]]:
    """The folders above a path to which everybody may write, with their modes.

    In one with the sticky bit nobody can move what is another's; but who is first makes what is not there yet.
    """
    below = Path(os.path.realpath(path))
    for parent in below.parents:
        mode = _mode(parent)
        if mode & stat.S_IWOTH and not (mode & stat.S_ISVTX and below.exists()):
            yield parent, mode
        below = parent


def _mode(path: Path) -> int:
    """0 for what is not there, or may not be looked at."""
    try:
        return stat.S_IMODE(path.stat().st_mode)
    except OSError:
        return 0


def _pushed(config: Config, kinds: Registry) -> bool:
    """Whether a source wants the push listener."""
    return any(source.enabled and hasattr(kinds.source(source.type), "claims") for source in config.sources.values())


def _certificates(keys: Keys, settings: Settings) -> Iterator[Finding]:
    found: dict[str, Path] = {}
    for key in CERTIFICATES:
        value = getattr(settings, key, None)
        if not isinstance(value, (str, Path)):
            continue
        try:
            given.require_file(value)
            given.read(value, 1)
            found[key] = Path(value)
        except OSError as error:
            yield (*keys, key), f"{value} cannot be read: {words_of(error)}"
    if {"tls_cert", "tls_key"} <= found.keys():
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(found["tls_cert"], found["tls_key"])
        except (ssl.SSLError, OSError) as error:
            reason = getattr(error, "reason", None) or "no PEM"
            yield (*keys, "tls_cert"), f"{found['tls_cert']} and tls_key cannot be used together: {reason}"
    for key in ("ca", "ca_file"):
        if key in found:
            try:
                ssl.create_default_context(cafile=found[key])
            except (ssl.SSLError, OSError) as error:
                reason = getattr(error, "reason", None) or "no PEM"
                yield (*keys, key), f"{found[key]} holds no certificate: {reason}"


def _written(keys: Keys, path: Path) -> Iterator[Finding]:
    """A sink's file: its folder must be there, for no sink makes one."""
    folder = path.parent
    try:
        if path.is_dir():
            yield keys, f"{path} is a folder: a file is wanted"
        elif not folder.exists():
            yield keys, f"the folder {folder} is missing: make it, for the user that the daemon runs as"
        elif not folder.is_dir():
            yield keys, f"{folder} is no folder"
        elif not os.access(path if path.exists() else folder, os.W_OK):
            yield keys, f"{path if path.exists() else folder} is not writable for the user {_user()}"
    except OSError as error:
        yield keys, f"{path} cannot be looked at: {words_of(error)}"


def _cannot_hold(folder: Path) -> str | None:
    """Why the folder cannot be made or written; None where it can."""
    try:
        here = folder.absolute()
        while not os.path.lexists(here):
            here = here.parent
        if not here.is_dir():
            return f"{here} is no folder"
        if not os.access(here, os.W_OK | os.X_OK):
            return f"{here} is not writable for the user {_user()}"
        if os.statvfs(here).f_flag & os.ST_RDONLY:
            return f"{here} is on a file system that is read-only"
    except OSError as error:
        return words_of(error)
    return None


def _user() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _is_inside(host: str) -> bool:
    """Whether an address to listen on is reached from inside alone; every address ("0.0.0.0") is not."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost"
    return not address.is_unspecified and (address.is_private or address.is_loopback or address.is_link_local)
