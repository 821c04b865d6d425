"""From the file to the typed settings, all its problems gathered on the way."""

from __future__ import annotations

import errno
import json
import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ValidationError

from pump import registry
from pump.config import fleet
from pump.config.checks import across, advice, unmatched
from pump.config.lines import Path as Keys
from pump.config.lines import line_of, lines
from pump.config.model import (
    NAME,
    RESERVED,
    CommandSettings,
    Config,
    MediaSettings,
    OpsSettings,
    Places,
    PumpSettings,
    ServerSettings,
)
from pump.config.problems import ConfigError, Problem, dotted, from_pydantic, show
from pump.core.errors import Absent
from pump.core.failure import scarcity
from pump.core.files import given
from pump.core.settings import Settings, SinkSettings, SourceSettings
from pump.core.text import words_of
from pump.core.vocabulary import nearest
from pump.registry import MissingDependency, Registry
from pump.spool.types import SpoolSettings
from pump.telemetry import redact

M = TypeVar("M", bound=BaseModel)

TABLES: Final[dict[str, type[Settings]]] = {
    "pump": PumpSettings,
    "server": ServerSettings,
    "ops": OpsSettings,
    "spool": SpoolSettings,
    "media": MediaSettings,
    "commands": CommandSettings,
}
"""The tables with one fixed form."""
PARTS: Final = ("sources", "sinks")
"""The tables of named tables, each of which has a `type`."""


def load(
    path: Path,
    environ: Mapping[str, str] | None = None,
    *,
    kinds: Registry = registry.DEFAULT,
    absent_credentials: list[str] | None = None,
) -> Config:
    """Read and check a pump.toml; secrets are resolved and from then on hidden in the log.

    `environ` stands for the process's environment. Outside of systemd's unit a credential cannot be had: with
    `absent_credentials` that is no mistake, and the names are added to the list. Raises ConfigError with every problem
    found.
    """
    reader = _Reader(path, os.environ if environ is None else environ, absent=absent_credentials)
    config = reader.config(kinds)
    if reader.problems:
        raise ConfigError(sorted(reader.problems, key=lambda problem: problem.line or 0), str(path))
    return config


def places(path: Path, environ: Mapping[str, str] | None = None) -> Places:
    """Only [pump] and [ops], for commands that look at a running daemon: an operator's shell has not its secrets.

    Raises ConfigError for problems of these two tables.
    """
    reader = _Reader(path, os.environ if environ is None else environ, unopened=True)
    found = reader.places()
    if reader.problems:
        raise ConfigError(reader.problems, str(path))
    return found


def routes(path: Path) -> dict[str, SinkSettings]:
    """Of each [sinks.NAME] what every sink knows: which events it takes, and what of them. No secret is opened.

    Its other keys are not looked at, nor are other tables. Raises ConfigError for problems of these keys.
    """
    reader = _Reader(path, {}, unopened=True)
    found = reader.routes()
    if reader.problems:
        raise ConfigError(reader.problems, str(path))
    return found


def located(path: Path, found: Iterable[tuple[Keys, str]]) -> list[Problem]:
    """(key, sentence) of a file that was read as problems with their lines, in the file's order."""
    known: dict[Keys, int] = {}
    with suppress(ConfigError):  # a pipe gives its content once, and somebody may be writing the file
        known = lines(_read(path))
    problems = [Problem(line_of(known, keys), dotted(keys), sentence) for keys, sentence in found]
    return sorted(problems, key=lambda problem: problem.line or 0)


class _Reader:
    """One reading of one file. A table that is wrong stands in with its defaults, so that the others are still read."""

    def __init__(
        self, path: Path, environ: Mapping[str, str], *, unopened: bool = False, absent: list[str] | None = None
    ) -> None:
        self.path = path
        self.environ = environ
        self.unopened = unopened
        self.absent = absent
        self.withheld: set[str] = set()
        """"sources" and "sinks" of which one cannot be read without its credential."""
        self.problems: list[Problem] = []
        self.secrets: list[str] = []
        text = _read(path)
        self.raw = _parse(text, path)
        self.lines = lines(text)

    def places(self) -> Places:
        pump = self.pump()
        return Places(
            site=pump.site,
            state_dir=pump.state_dir,
            state_named=self.names_state(),
            ops=self.table("ops", OpsSettings),
        )

    def names_state(self) -> bool:
        table = self.raw.get("pump")
        return bool(self.environ.get("STATE_DIRECTORY")) or (isinstance(table, dict) and "state_dir" in table)

    def routes(self) -> dict[str, SinkSettings]:
        tables = self.raw.get("sinks", {})
        if not isinstance(tables, dict):
            self.problem(("sinks",), show(tables), "tables [sinks.NAME]")
            return {}
        found: dict[str, SinkSettings] = {}
        for name, raw in tables.items():
            own = {key: raw[key] for key in SinkSettings.model_fields if key in raw} if isinstance(raw, dict) else raw
            if (settings := self.validate(("sinks", name), own, SinkSettings, {})) is not None:
                found[name] = settings
                self.problems += self.unmatched(name, settings)
        return found

    def unmatched(self, name: str, sink: SinkSettings) -> list[Problem]:
        """The sink's names of types and fields that no event has."""
        return [
            Problem(line_of(self.lines, keys), dotted(keys), told, hint=hint or "")
            for keys, told, hint in unmatched(name, sink)
        ]

    def config(self, kinds: Registry) -> Config:
        for key in self.raw.keys() - TABLES.keys() - {*PARTS}:
            known = [*TABLES, *PARTS]
            close = nearest(key, known)
            self.problem((key,), "unknown table", "" if close else f"one of {', '.join(known)}", hint=close or "")
        pump = self.pump()
        sources = self.parts("sources", SourceSettings, kinds, {"time_zone": pump.time_zone.key})
        sinks = self.parts("sinks", SinkSettings, kinds, {})
        config = Config(
            file=self.path,
            site=pump.site,
            state_dir=pump.state_dir,
            state_named=self.names_state(),
            control_group=pump.control_group,
            clock_ahead=timedelta(seconds=pump.clock_ahead),
            time_zone=pump.time_zone,
            server=self.table("server", ServerSettings),
            ops=self.table("ops", OpsSettings),
            spool=self.table("spool", SpoolSettings),
            media=self.table("media", MediaSettings, {"dir": str(pump.state_dir / "media")}),
            commands=self.table("commands", CommandSettings),
            sources=sources,
            sinks=sinks,
            warnings=(),
        )
        redact.redact(*self.secrets)
        for keys, found, wanted in across(config):
            self.problem(keys, found, wanted)
        for name, sink in sinks.items():
            self.problems += self.unmatched(name, sink)
        warnings = [Problem(line_of(self.lines, keys), dotted(keys), found) for keys, found in advice(config, self.raw)]
        kept = tuple(warning for warning in warnings if warning.where not in self.withheld)
        return config.model_copy(update={"warnings": kept})

    def pump(self) -> PumpSettings:
        # systemd gives several directories where a unit asks for several
        state = self.environ.get("STATE_DIRECTORY", "").partition(":")[0] or "pump-state"
        return self.table("pump", PumpSettings, {"state_dir": state})

    def table(self, name: str, model: type[M], defaults: Mapping[str, Any] | None = None) -> M:
        raw = self.raw.get(name, {})
        return self.validate((name,), raw, model, defaults or {}) or model.model_validate(defaults or {})

    def parts(self, what: str, base: type[M], kinds: Registry, defaults: Mapping[str, Any]) -> dict[str, M]:
        """Every [sources.NAME] or [sinks.NAME] that is right."""
        tables = self.raw.get(what, {})
        if not isinstance(tables, dict):
            self.problem((what,), show(tables), f"tables [{what}.NAME]")
            return {}
        found: dict[str, M] = {}
        for name, raw in tables.items():
            keys = (what, name)
            if name == RESERVED:
                self.problem(keys, f'the name "{RESERVED}" is the daemon\'s own: choose another')
            elif not re.fullmatch(NAME, name):
                self.problem(keys, f"the name {show(name)}", f"small letters, digits, - and _ ({NAME})")
            model = self.model(keys, raw, kinds)
            if model is not None and issubclass(model, SourceSettings) and fleet.is_fleet(raw, model):
                parts: Mapping[str, Settings] = self.fleet(keys, raw, model, defaults)
            else:
                settings = self.validate(keys, raw, model, defaults) if model else None
                parts = {} if settings is None else {name: settings}
            for part, settings in parts.items():
                if part in found or (part != name and part in tables):
                    self.problem(keys, f'a device that becomes the source "{part}", which there is too')
                elif isinstance(settings, base):
                    found[part] = settings
        return found

    def fleet(
        self, keys: Keys, raw: dict[str, Any], model: type[SourceSettings], defaults: Mapping[str, Any]
    ) -> dict[str, SourceSettings]:
        """The sources of a fleet that are right, by their names; a mistake of the table itself is noted once."""
        where = (*keys, fleet.KEY)
        try:
            rows = fleet.tables(raw, model, self.path.parent)
        except ValueError as error:
            found = Problem(line_of(self.lines, where), dotted(where), words_of(error))
            self.problems.append(replace(found, absent=isinstance(error, Absent)))
            return {}
        parts: dict[str, SourceSettings] = {}
        noted: set[str] = set()
        for device, (table, own) in rows.items():
            if not re.fullmatch(NAME, device):
                self.problem((*where, device), f"the name {show(device)}", f"small letters, digits, - and _ ({NAME})")
                continue
            before = len(self.problems)
            settings = self.validate(keys, table, model, defaults)
            fresh, self.problems[before:] = self.problems[before:], []
            for problem in fresh:
                key = problem.where.removeprefix(f"{dotted(keys)}.")
                if re.split(r"[.\[]", key)[0] in own or problem.found == "nothing":
                    place = f"{dotted((*where, device))}.{key}"
                    problem = replace(problem, where=place, line=line_of(self.lines, (*where, device, key)))
                if problem.where not in noted:
                    noted.add(problem.where)
                    self.problems.append(problem)
            if settings is not None:
                parts[f"{keys[1]}-{device}"] = settings
        return parts

    def model(self, keys: Keys, raw: object, kinds: Registry) -> type[Settings] | None:
        """The settings' class that the table's `type` asks for; None where it cannot be had, which is then reported."""
        what, name = keys
        known = kinds.source_kinds() if what == "sources" else kinds.sink_kinds()
        if not isinstance(raw, dict):
            self.problem(keys, show(raw), f"a table [{what}.{name}] with a type")
            return None
        kind = raw.get("type")
        if not isinstance(kind, str) or kind not in known:
            close = nearest(kind, known) if isinstance(kind, str) else None
            found = "no type" if kind is None else f"type {show(kind)}"
            self.problem((*keys, "type"), found, f"one of {', '.join(known)}", hint=close or "")
            return None
        try:
            return kinds.source(kind).Settings if what == "sources" else kinds.sink(kind).Settings
        except MissingDependency as error:
            self.problem((*keys, "type"), str(error))
            return None

    def validate(self, keys: Keys, raw: Any, model: type[M], defaults: Mapping[str, Any]) -> M | None:
        """The table as settings, or None and its problems noted."""
        if not isinstance(raw, dict):
            self.problem(keys, show(raw), f"a table [{dotted(keys)}]")
            return None
        if (nul := _nul(raw)) is not None:
            self.problem((*keys, *nul), "a text with a NUL in it, which no path, name or address may hold")
        context = {
            "environ": self.environ, "secrets": self.secrets, "unopened": self.unopened, "folder": self.path.parent,
            "absent_credentials": self.absent,
        }  # fmt: skip
        # as JSON, for there strict means what TOML's own types mean: "500" is no number, a list is a tuple
        text = json.dumps({**defaults, **raw}, default=str)
        try:
            found = model.model_validate_json(text, strict=True, context=context)
            return found if nul is None else None
        except ValidationError as error:
            wrong = from_pydantic(error, model, keys, raw, self.lines)
            if self.absent:
                real = [one for one in wrong if not _is_credential(raw, one.where.removeprefix(f"{dotted(keys)}."))]
                if not real:
                    self.withheld.add(str(keys[0]))
                wrong = real
            self.problems += wrong
            return None

    def problem(self, keys: Keys, found: str, wanted: str = "", hint: str = "") -> None:
        self.problems.append(Problem(line_of(self.lines, keys), dotted(keys), found, wanted, hint))


def _is_credential(raw: dict[str, Any], key: str) -> bool:
    """Whether the table's value there is, or holds, a credential: what stands for it may not look like a secret."""
    value = raw.get(key.partition("[")[0].partition(".")[0])
    return any(isinstance(one, dict) and "credential" in one for one in (value if isinstance(value, list) else [value]))


def _nul(value: object) -> Keys | None:
    """The place of a NUL in a text: files, environment and resolver all take that for their caller's bug."""
    if isinstance(value, str):
        return () if "\0" in value else None
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in inner:
        if (found := _nul(part)) is not None:
            return (key, *found)
    return None


def _read(path: Path) -> str:
    try:
        found = given.read(path, given.LARGEST)
        if len(found) > given.LARGEST:  # put in its place by mistake
            raise ConfigError([Problem(None, "", "more than 16 MiB: this is no pump.toml")], str(path))
        return found.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise ConfigError([Problem(line, "", "bytes that are not UTF-8")], str(path)) from None
    except OSError as error:
        absent = scarcity(error) is not None or error.errno == errno.EIO
        told = Problem(None, "", f"the file cannot be read: {words_of(error)}", absent=absent)
        raise ConfigError([told], str(path)) from None


def _parse(text: str, path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ConfigError([Problem(None, "", "not TOML that can be read: it is nested too deep")], str(path)) from None
    except tomllib.TOMLDecodeError as error:
        message = str(error)
        place = re.search(r" \(at (?:line (\d+), column \d+|end of document)\)$", message)
        line = int(place[1]) if place and place[1] else text.count("\n") + 1
        what = message[: place.start()] if place else message
        raise ConfigError([Problem(line, "", f"not TOML: {what}")], str(path)) from None
