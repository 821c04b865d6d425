"""The pump runs no code from outside: no pickle, no eval, no shell, anywhere in the package."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

import pump

_MODULES: Final = {"pickle", "cPickle", "marshal", "shelve", "dill", "codeop", "pty"}
"""They run what they read."""
_CALLS: Final = {"eval", "exec", "compile", "__import__"}
_OF_OS: Final = {"system", "popen", "execv", "execve", "execvp", "spawnl", "spawnv"}
_SHELLS: Final = {"getoutput", "getstatusoutput", "create_subprocess_shell", "subprocess_shell"}


def dangers(tree: ast.AST) -> Iterator[str]:
    """Each danger, with its line."""
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names) if found := {each.name for each in names} & _MODULES:
                yield f"{node.lineno}: import of {', '.join(found)}"
            case ast.ImportFrom(module=str(module)) if module in _MODULES:
                yield f"{node.lineno}: import from {module}"
            case ast.Call(func=ast.Name(id=name)) if name in _CALLS:
                yield f"{node.lineno}: {name}()"
            case ast.Call(func=ast.Attribute(value=ast.Name(id="os"), attr=name)) if name in _OF_OS:
                yield f"{node.lineno}: os.{name}()"
            case ast.Call(func=ast.Attribute(attr=name)) if name in _SHELLS:
                yield f"{node.lineno}: {name}()"
            case ast.keyword(arg="shell", value=value) if not (isinstance(value, ast.Constant) and not value.value):
                yield f"{node.value.lineno}: shell="


def test_no_file_of_the_package_has_one() -> None:
    root = Path(pump.__file__).parent
    found = [
        f"{path.relative_to(root)}:{danger}"
        for path in sorted(root.rglob("*.py"))
        for danger in dangers(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "text",
    [
        "import pickle",
        "from marshal import loads",
        "eval(text)",
        "os.system(text)",
        "subprocess.run(text, shell=True)",
        "subprocess.run(text, shell=how)",
        "await asyncio.create_subprocess_shell(text)",
    ],
)
def test_each_kind_is_found(text: str) -> None:
    assert list(dangers(ast.parse(f"async def main():\n    {text}")))
    assert not list(dangers(ast.parse("async def main():\n    await run(['a'], shell=False); re.compile('a')")))
