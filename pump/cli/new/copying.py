"""Copying a template under names of its own: what `pump new-source` and `pump new-sink` share."""

from __future__ import annotations

import keyword
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_TEMPLATES: Final = Path(__file__).parent / "templates"
_PACKAGE: Final = "pump.cli.new.templates"
_NAME: Final = re.compile(r"[a-z][a-z0-9]*([-_][a-z0-9]+)*")
_LONGEST: Final = 32
_IMPORTS: Final = re.compile(r"(?:^from \S+ import .+\n)+", re.MULTILINE)
_TAKEN: Final = frozenset({"common", "pump", "test", "tests", "simulator"})
"""Names that mean something else where the folder would stand."""


class CannotMake(Exception):
    """The folder cannot be made; the text is for the person who asked."""


@dataclass(frozen=True)
class Template:
    """A folder of the templates, the word that stands for the name in it, and the folder of its tests."""

    what: str
    """As people call it: "source", "sink"."""
    word: str
    """The name in file names and modules: letters and underscores."""
    tests: str
    home: Path
    """The package of those that ship; a new one joins them unless another folder is named."""


@dataclass(frozen=True)
class Made:
    """One source or sink that was written."""

    kind: str
    folder: Path
    tests: list[Path]
    readme: str


def make(template: Template, name: str, folder: Path | None) -> Made:
    """Copy `template` under `name` into `folder`, and its tests into the `tests` of the checkout that `folder` is in.

    No tests are made where that is none. Raises CannotMake for a bad name, and for anything that is there already.
    """
    module = _module(name)
    home = (folder or template.home).resolve()
    if not home.is_dir():
        raise CannotMake(f"there is no folder {home}")
    package, top = _package(home)
    if not package:
        raise CannotMake(f"{home} is no package, where a kind could be found: it has no __init__.py")
    names = _names(template.word, module, f"{package}.{module}")
    copies = [(path, home / _renamed(relative, names)) for path, relative in _files(_TEMPLATES, template.word)]
    tests = top / "tests"
    checkout = tests.is_dir() and (top / "pyproject.toml").is_file()  # unlike site-packages, where `tests` is anybody's
    beside = _files(_TEMPLATES / template.tests) if checkout else ()
    copies_of_tests = [(path, tests / _renamed(relative, names)) for path, relative in beside]
    for target in (home / module, home / f"{module}.py", *(target for _, target in copies_of_tests)):
        if _holds_something(target):
            raise CannotMake(f"{target} is there already: take another name, or remove it")
    try:
        for path, target in (*copies, *copies_of_tests):
            target.parent.mkdir(parents=True, exist_ok=True)
            text = _renamed(path.read_text(encoding="utf-8"), names)
            target.write_text(_sorted(text) if path.suffix == ".py" else text, encoding="utf-8")
    except OSError as error:
        shutil.rmtree(home / module, ignore_errors=True)
        for _, target in copies_of_tests:
            target.unlink(missing_ok=True)
        raise CannotMake(f"{error.filename or home} cannot be written: {error.strerror}") from error
    readme = (home / module / "README.md").read_text(encoding="utf-8")
    return Made(module.replace("_", "-"), home / module, [target for _, target in copies_of_tests], readme)


def table_of(readme: str) -> str:
    """The table that a README shows, its first indented block, as the shipped pump.toml offers it: behind #."""
    lines = readme.partition("## In pump.toml")[2].splitlines()
    return "\n".join(f"#{line[4:].removeprefix('# ')}" for line in lines if line.startswith("    "))


def _module(name: str) -> str:
    if not _NAME.fullmatch(name) or len(name) > _LONGEST:
        raise CannotMake(
            f'"{name}" is no name: small letters, digits and dashes are wanted, a letter first, {_LONGEST} at the most'
        )
    module = name.replace("-", "_")
    if keyword.iskeyword(module) or keyword.issoftkeyword(module) or module in _TAKEN:
        raise CannotMake(f'"{name}" means something else here: take another name')
    return module


def _holds_something(path: Path) -> bool:
    """Is it there? A folder with nothing but compiled files is what git leaves of a branch's folder: it is not."""
    inside = (file for file in path.rglob("*") if file.is_file() and file.suffix != ".pyc")
    return next(inside, None) is not None if path.is_dir() else path.exists()


def _package(home: Path) -> tuple[str, Path]:
    """A folder's dotted name, empty where it is no package, and the folder that its topmost package stands in."""
    parts: list[str] = []
    while (home / "__init__.py").is_file():
        parts.insert(0, home.name)
        home = home.parent
    return ".".join(parts), home


def _names(word: str, module: str, package: str) -> dict[str, str]:
    """Each spelling of the template's word and its replacement, the longest first: it holds the others."""
    return {
        f"{_PACKAGE}.{word}": package,
        word: module,
        word.upper(): module.upper(),
        word.replace("_", "-"): module.replace("_", "-"),
        _joined(word): _joined(module),
        _spaced(word): _spaced(module),
    }


def _joined(module: str) -> str:
    return "".join(part.capitalize() for part in module.split("_"))


def _spaced(module: str) -> str:
    return module.replace("_", " ").capitalize()


def _renamed(text: str, names: dict[str, str]) -> str:
    return re.sub("|".join(map(re.escape, names)), lambda found: names[found[0]], text)


def _sorted(text: str) -> str:
    """The imports in their order, which goes by the modules' names: some have another now."""
    return _IMPORTS.sub(lambda run: "".join(sorted(run[0].splitlines(True), key=lambda line: line.split()[1])), text)


def _files(root: Path, part: str = "") -> Iterator[tuple[Path, str]]:
    """Each file below `root`/`part`, and its path from `root`."""
    for path in sorted((root / part).rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            yield path, str(path.relative_to(root))
