"""The kinds of sources and sinks there are, found by looking at the folders; only the one asked for is imported.

A vendor is a folder under `pump.vendors` whose `__init__` says `SOURCE` and/or `SINK`; a sink is a module or a folder
under `pump.sinks` that says `SINK`. The kind is its name with dashes: "hik-connect" is `pump/vendors/hik_connect/`.
Either may have a simulator in its folder: of a vendor, or of the cloud that a sink talks to.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import os
import pkgutil
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.abc import InspectLoader
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

from pump.core.vocabulary import nearest

if TYPE_CHECKING:  # the registry serves commands that gather nothing, and must not cost them aiohttp
    from pump.sink import Sink
    from pump.source import Source


DISTRIBUTION: Final = "event-pump"
"""The project's name where packages are fetched from; "pump" there is somebody else's."""
_DEMO: Final = "simulator.demo"
"""A vendor's part in `pump demo`, below its folder."""


class MissingDependency(ImportError):
    """A kind needs a package that is not installed; the text names the extra that brings it."""


@dataclass(frozen=True)
class Registry:
    """The places where kinds are looked for: the packages that hold the vendors and the sinks."""

    vendors: str = "pump.vendors"
    sinks: str = "pump.sinks"

    def source_kinds(self) -> list[str]:
        """Every kind of source, sorted."""
        return sorted(self._saying("SOURCE", self.vendors))

    def sink_kinds(self) -> list[str]:
        """Every kind of sink, sorted."""
        return sorted({**self._saying("SINK", self.vendors), **self._saying("SINK", self.sinks)})

    def simulator_kinds(self) -> list[str]:
        """Every vendor and every sink that has a simulator, sorted."""
        return sorted(self._having("simulator", self.sinks, self.vendors))

    def demo_kinds(self) -> list[str]:
        """Every vendor that takes part in `pump demo`, sorted."""
        return sorted(self._having(_DEMO, self.vendors))

    def sink_demo_kinds(self) -> list[str]:
        """Every sink whose peer's simulator takes part in `pump demo`, sorted."""
        return sorted(self._having(_DEMO, self.sinks))

    def source(self, kind: str) -> type[Source[Any]]:
        """The class of a kind of source. Raises LookupError for no such kind, MissingDependency."""
        module = self._load("source", kind, self._saying("SOURCE", self.vendors))
        found: type[Source[Any]] = module.SOURCE
        return found

    def sink(self, kind: str) -> type[Sink[Any]]:
        """The class of a kind of sink. Raises LookupError for no such kind, MissingDependency."""
        places = {**self._saying("SINK", self.vendors), **self._saying("SINK", self.sinks)}
        found: type[Sink[Any]] = self._load("sink", kind, places).SINK
        return found

    def simulator(self, kind: str) -> ModuleType:
        """The `simulator` module of a vendor or a sink. Raises LookupError for no such kind, MissingDependency."""
        return self._inside("simulator", kind)

    def demo(self, kind: str) -> ModuleType:
        """The `simulator.demo` module of either. Raises LookupError for no such kind, MissingDependency."""
        return self._inside(_DEMO, kind)

    def _having(self, name: str, *packages: str) -> dict[str, str]:
        """Kind to module, of those folders of the packages that have a module `name` (dotted, below the folder).

        Looks at files: importing a vendor's folder to ask would import its source.
        """
        *rooms, leaf = name.split(".")
        found = {}
        for kind, module, is_package in (each for package in packages for each in _modules(package)):
            inside = importlib.util.find_spec(module) if is_package else None
            folders = (inside.submodule_search_locations if inside is not None else None) or ()
            places = [str(Path(folder, *rooms)) for folder in folders]
            if any(entry.name == leaf for entry in pkgutil.iter_modules(places)):
                found[kind] = f"{module}.{name}"
        return found

    def _inside(self, name: str, kind: str) -> ModuleType:
        return self._load(name.rpartition(".")[2], kind, self._having(name, self.sinks, self.vendors))

    def _saying(self, name: str, package: str) -> dict[str, str]:
        """Kind to module, of those modules of the package that bind `name` at their top level."""
        return {kind: module for kind, module, _ in _modules(package) if name in _bound(module)}

    def _load(self, what: str, kind: str, places: dict[str, str]) -> ModuleType:
        if kind not in places:
            raise LookupError(_no_such(what, kind, sorted(places)))
        try:
            return importlib.import_module(places[kind])
        except ModuleNotFoundError as error:
            top = (error.name or "").partition(".")[0]
            if not top or top in {self.vendors.partition(".")[0], self.sinks.partition(".")[0], "pump"}:
                raise  # a mistake in our own code, not a missing package
            raise MissingDependency(_advice(kind, top), name=error.name) from error


def _modules(package: str) -> Iterator[tuple[str, str, bool]]:
    """(kind, module's full name, whether it is a package) of every public module directly in `package`.

    Raises OSError where the folder cannot be read, for want of descriptors: "there is no such kind" would be wrong.
    """
    places = importlib.import_module(package).__path__
    entries = [*pkgutil.iter_modules(places)]
    if not entries:  # which is also what pkgutil makes of an error
        for place in places:
            os.listdir(place)
    for entry in entries:
        if not entry.name.startswith("_"):
            yield entry.name.replace("_", "-"), f"{package}.{entry.name}", entry.ispkg


def _bound(module: str) -> set[str]:
    """The names a module binds at its top level, read from its text: importing it would load the vendor's libraries."""
    spec = importlib.util.find_spec(module)
    loader = spec.loader if spec else None
    source = loader.get_source(module) if isinstance(loader, InspectLoader) else None
    names: set[str] = set()
    for node in ast.parse(source or "").body:
        match node:
            case ast.Assign(targets=targets):
                names |= {target.id for target in targets if isinstance(target, ast.Name)}
            case ast.AnnAssign(target=ast.Name(id=name)) | ast.ClassDef(name=name):
                names.add(name)
            case ast.ImportFrom(names=aliases):
                names |= {alias.asname or alias.name for alias in aliases}
    return names


def _folder(kind: str) -> str:
    return kind.replace("-", "_")


def _no_such(what: str, kind: str, kinds: list[str]) -> str:
    close = nearest(kind, kinds)
    advice = f'did you mean "{close}"? ' if close else ""
    return f'there is no {what} "{kind}"; {advice}there are: {", ".join(kinds) or "none"}'


def _advice(kind: str, module: str) -> str:
    """The extra to install: the one named like the kind, else one that brings a package named like the module."""
    from importlib import metadata  # 2 MB that only this mistake needs

    try:
        about = metadata.metadata(DISTRIBUTION)
    except metadata.PackageNotFoundError:  # run from its folder, without having been installed
        return f'"{kind}" needs the package {module}, which is not installed; install {module}'
    extras = about.get_all("Provides-Extra") or []
    brought = (
        found[1]
        for line in about.get_all("Requires-Dist") or []
        if _plain(line).startswith(_plain(module)) and (found := re.search(r"extra\s*==\s*['\"]([^'\"]+)", line))
    )
    extra = kind if kind in extras else next(brought, None)
    remedy = f'install the extra "{extra}": pip install "{DISTRIBUTION}[{extra}]"' if extra else f"install {module}"
    return f'"{kind}" needs the package {module}, which is not installed; {remedy}'


def _plain(name: str) -> str:
    return name.replace("-", "_").lower()


DEFAULT = Registry()
source_kinds = DEFAULT.source_kinds
sink_kinds = DEFAULT.sink_kinds
simulator_kinds = DEFAULT.simulator_kinds
demo_kinds = DEFAULT.demo_kinds
sink_demo_kinds = DEFAULT.sink_demo_kinds
source = DEFAULT.source
sink = DEFAULT.sink
simulator = DEFAULT.simulator
demo = DEFAULT.demo
