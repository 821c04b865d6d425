"""The man pages say what the command line's help and the shipped pump.toml say."""

from __future__ import annotations

import re
import runpy
import shutil
import subprocess
from pathlib import Path

import click
import pytest

from pump.cli import group

_ROOT = Path(__file__).parents[2]


@pytest.fixture
def pages(tmp_path: Path) -> Path:
    runpy.run_path(str(_ROOT / "packaging" / "man.py"))["main"](tmp_path)
    return tmp_path


def _plain(page: Path) -> str:
    return page.read_text(encoding="utf-8").replace(r"\-", "-").replace(r"\fB", "").replace(r"\fR", "")


def test_pump_1_has_every_command_with_every_option(pages: Path) -> None:
    text = _plain(pages / "pump.1")
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        section = text.partition(f".SS pump {name} ")[2].partition("\n.SS pump ")[0]
        assert section, name
        for parameter in command.params:
            if isinstance(parameter, click.Option) and not parameter.hidden:
                assert parameter.opts[-1] in section, (name, parameter.opts)


def test_pump_toml_5_has_every_key_of_the_shipped_file(pages: Path) -> None:
    text = _plain(pages / "pump.toml.5")
    shipped = (_ROOT / "pump.toml").read_text(encoding="utf-8")
    for table in re.findall(r"^#?\[+([a-z_.]+)\]", shipped, re.MULTILINE):
        assert f".SS [{table}]" in text
    for line in shipped.splitlines():
        if not re.match(r"#?\[", line):
            assert line.strip("#- ").partition(" = ")[0] in text


@pytest.mark.skipif(not shutil.which("groff"), reason="groff is not installed")
@pytest.mark.parametrize("name", ["pump.1", "pump.toml.5"])
def test_groff_finds_no_fault_with_the_pages(pages: Path, name: str) -> None:
    ended = subprocess.run(
        ["groff", "-man", "-K", "utf8", "-T", "utf8", "-ww", "-z", pages / name], capture_output=True, text=True
    )
    assert (ended.returncode, ended.stderr) == (0, "")
