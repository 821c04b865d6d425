"""The figures of the house, and its shape: `python -m tests.house [CHECKOUT ...]` prints a column for each.

Reads text alone, so that it measures any checkout, whatever its rooms and its names.
"""

from __future__ import annotations

import ast
import io
import re
import sys
import tokenize
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

SHORT: Final = 60
"""Lines below which a file is more likely a piece of a concept than one."""
MANY: Final = 9
"""Parameters from which a constructor counts."""
SHARED: Final = 3
"""Classes of one name from which the name counts."""
LIMITS: Final = {"root": 6, "folder": 18, "file": 450, "class": 320, "constructor": 8}
"""Modules in the root, files of a folder, lines of a file and of a class, parameters of a constructor: at the most."""
_PLAYERS: Final = re.compile(r"^(simulator|simulation|testing)(_|$)")
"""Rooms and files that play somebody else; the shape's limits are not theirs."""
_RIDDLES: Final = re.compile(r"(What|Whether|Where|How|Which)\b")
_TOLD: Final = re.compile(r"\b(tell|tells|told|telling)\b", re.IGNORECASE)
_LEVELS: Final = frozenset({"debug", "info", "warning", "error", "exception", "critical"})

_Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(slots=True)
class File:
    """A file of Python, read."""

    path: Path
    """Below the package's folder."""
    text: str
    tree: ast.Module = field(repr=False)

    @property
    def lines(self) -> int:
        """All of them."""
        return self.text.count("\n")

    @property
    def plays(self) -> bool:
        """Is it a simulator's, a stand-in's or a test's support?"""
        return any(_PLAYERS.match(part) for part in self.path.with_suffix("").parts)

    @property
    def room(self) -> str:
        """The module or package of the root that it belongs to; "" for the root itself."""
        return "" if self.path.name == "__init__.py" and len(self.path.parts) == 1 else _stem(self.path.parts[0])


def read(folder: Path) -> list[File]:
    """Every file of Python below the folder, in order."""
    found = []
    for path in sorted(folder.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        found.append(File(path.relative_to(folder), text, ast.parse(text)))
    return found


# --- figures ----------------------------------------------------------------------------------------------------------


def figures(checkout: Path) -> dict[str, int | str]:
    """All of them, by name, in the order in which they are printed."""
    pump, tests = read(checkout / "pump"), read(checkout / "tests")
    folder, most = _fullest(pump)
    rooms, arrows = graph(pump)
    constructors = [size for one in pump for _, size in _constructors(one.tree)]
    docstrings = [text for one in pump for text in _docstrings(one)]
    all_docstrings = docstrings + [text for one in tests for text in _docstrings(one)]
    sentences = [sentence for one in pump for sentence in _log_sentences(one.tree)]
    names = Counter(name for one in pump for name in _classes(one.tree))
    return {
        "files in the root": sum(len(one.path.parts) == 1 for one in pump),
        "files of the fullest folder": f"{most} ({folder})",
        "files": len(pump),
        f"files under {SHORT} lines": sum(one.lines < SHORT for one in pump),
        f"files under {SHORT} lines, without __init__ and __main__": sum(
            one.lines < SHORT for one in pump if not one.path.name.startswith("__")
        ),
        f"constructors of {MANY} and more parameters": sum(size >= MANY for size in constructors),
        f"dataclasses of {MANY} and more fields": sum(size >= MANY for one in pump for size in _records(one.tree)),
        f"class names that {SHARED} or more share": sum(count >= SHARED for count in names.values()),
        "lines of the package": sum(one.lines for one in pump),
        "lines of production (no simulators, no testing)": sum(one.lines for one in pump if not one.plays),
        "of these, lines of code": sum(_code_lines(one.text, one.tree) for one in pump if not one.plays),
        "rooms": len(rooms),
        "arrows between rooms": len(arrows),
        "asyncio.run( in tests": sum(_runs(one.tree) for one in tests),
        "docstrings of the package": len(docstrings),
        "docstrings that begin with What, Whether, Where, How, Which": sum(map(_is_riddle, docstrings)),
        "the same with tests": sum(map(_is_riddle, all_docstrings)),
        "docstrings with tell or told": sum(_TOLD.search(text) is not None for text in docstrings),
        "log sentences": len(sentences),
        "log sentences without a capital": sum(not sentence[0].isupper() for sentence in sentences if sentence),
    }


def graph(files: list[File]) -> tuple[set[str], set[tuple[str, str]]]:
    """The rooms, the package itself among them, and who imports whom; imports of types and within functions count.

    A room is a module or package of the root. What only asks the package for its version draws no arrow.
    """
    modules = {_module(one.path) for one in files}
    arrows: set[tuple[str, str]] = set()
    for one in files:
        if one.room == "__main__":
            continue
        for name in _imported(one.tree, modules):
            room = name.split(".")[1] if "." in name else ""
            if room and one.room and room != one.room:
                arrows.add((one.room, room))
    return {one.room for one in files if one.room != "__main__"}, arrows


def _imported(tree: ast.Module, modules: set[str]) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            if name.split(".")[0] == "pump":
                while name not in modules and "." in name:
                    name = name.rpartition(".")[0]
                yield name


def _module(path: Path) -> str:
    parts = ("pump", *path.with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _stem(name: str) -> str:
    return name.removesuffix(".py")


def _fullest(files: list[File]) -> tuple[str, int]:
    counts = Counter(one.path.parent for one in files)
    folder, count = counts.most_common(1)[0]
    return folder.as_posix() if folder.parts else "the root", count


def _classes(tree: ast.Module) -> Iterator[str]:
    return (node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef))


def _constructors(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Each class that writes its constructor, with the number of its parameters."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            for inner in node.body:
                if isinstance(inner, ast.FunctionDef) and inner.name == "__init__":
                    given = inner.args
                    yield node.name, len([*given.posonlyargs, *given.args, *given.kwonlyargs]) - 1


def _records(tree: ast.Module) -> Iterator[int]:
    """The number of fields of each dataclass that its constructor takes."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and any("dataclass" in ast.unparse(one) for one in node.decorator_list):
            yield sum(
                isinstance(inner, ast.AnnAssign)
                and "ClassVar" not in ast.unparse(inner.annotation)
                and not (inner.value is not None and "init=False" in ast.unparse(inner.value))
                for inner in node.body
            )


def _runs(tree: ast.Module) -> int:
    """The calls that make an event loop of their own."""
    return sum(isinstance(node, ast.Call) and ast.unparse(node.func) == "asyncio.run" for node in ast.walk(tree))


def _docstrings(one: File) -> Iterator[str]:
    """Those of modules, classes and functions, and the texts below an attribute or a constant."""
    for node in ast.walk(one.tree):
        if isinstance(node, _Documented) and (text := ast.get_docstring(node)):
            yield text
        for before, after in zip(body := getattr(node, "body", []), body[1:], strict=False) if _has_body(node) else ():
            if isinstance(before, ast.Assign | ast.AnnAssign) and isinstance(after, ast.Expr):
                value = after.value
                if isinstance(value, ast.Constant) and isinstance(value.value, str):
                    yield value.value.strip()


def _has_body(node: ast.AST) -> bool:
    return isinstance(getattr(node, "body", None), list)


def _is_riddle(text: str) -> bool:
    return _RIDDLES.match(text) is not None


def _log_sentences(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in _LEVELS
            and isinstance(node.func.value, ast.Name)
            and node.func.value.id in ("log", "logger", "_log")
            and node.args
        ):
            said = node.args[0]
            if isinstance(said, ast.IfExp):
                said = said.body
            if isinstance(said, ast.Constant) and isinstance(said.value, str):
                yield said.value


def _code_lines(text: str, tree: ast.Module) -> int:
    """Lines that are neither blank nor comment nor docstring."""
    skipped = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER)
    kept: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in skipped:
            kept.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            kept.difference_update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return len(kept)


# --- shape ------------------------------------------------------------------------------------------------------------


def violations(root: Path, limits: dict[str, int] = LIMITS) -> list[str]:
    """Each place where the package in this folder is larger than the limits allow; simulators are let off."""
    files = read(root)
    folders: dict[Path, list[File]] = defaultdict(list)
    for one in files:
        folders[one.path.parent].append(one)
    found = [
        f"{folder.as_posix()}/ has {len(inside)} files, {limits['folder']} are the most"
        for folder, inside in folders.items()
        if folder.parts and len(inside) > limits["folder"]
    ]
    if (count := len(folders[Path()])) > limits["root"]:
        found.append(f"the root has {count} modules, {limits['root']} are the most")
    for one in files:
        if not one.plays:
            found += _too_large(one, limits)
    return found


def _too_large(one: File, limits: dict[str, int]) -> Iterator[str]:
    if one.lines > limits["file"]:
        yield f"{one.path} has {one.lines} lines, {limits['file']} are the most"
    for node in ast.walk(one.tree):
        if isinstance(node, ast.ClassDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > limits["class"]:
                yield f"{one.path}: class {node.name} has {lines} lines, {limits['class']} are the most"
    for name, count in _constructors(one.tree):
        if count > limits["constructor"]:
            yield f"{one.path}: {name} is made of {count} parameters, {limits['constructor']} are the most"


def main(checkouts: list[Path], say: Callable[[str], None] = print) -> None:
    """Print a row for each figure and a column for each checkout."""
    columns = [figures(checkout) for checkout in checkouts]
    width = max(map(len, columns[0]))
    for name in columns[0]:
        say("  ".join([name.ljust(width), *(str(column[name]).rjust(14) for column in columns)]))
    for checkout in checkouts:
        found = violations(checkout / "pump")
        say(f"\nviolations of the shape in {checkout.name or checkout}: {len(found)}")
        for text in found:
            say(f"  {text}")


if __name__ == "__main__":
    main([Path(name) for name in sys.argv[1:]] or [Path(__file__).parents[1]])
