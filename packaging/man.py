"""Write pump(1) and pump.toml(5) into a folder: `python packaging/man.py FOLDER`.

Their sources are the command line's own help and the shipped pump.toml, so that neither says what the other does not.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click

from pump import __version__
from pump.cli import group

_ROOT: Final = Path(__file__).parents[1]
_TABLE: Final = re.compile(r"#?\[+([a-z_.]+)\]+(?:\s+#\s*(.*))?$")


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "pump.1").write_text("\n".join(_command_page()) + "\n", encoding="utf-8")
    toml = (_ROOT / "pump.toml").read_text(encoding="utf-8")
    (folder / "pump.toml.5").write_text("\n".join(_file_page(toml)) + "\n", encoding="utf-8")


def _command_page() -> Iterator[str]:
    context = click.Context(group, info_name="pump", **group.context_settings)  # -h is one, and click remembers it
    yield _title("PUMP", 1)
    yield ".SH NAME"
    yield r"pump \- gather events of parking and security sites, store each durably, hand them on in one form"
    yield ".SH SYNOPSIS"
    yield r".B pump"
    yield r"\fICOMMAND\fR [\fIOPTIONS\fR] [\fIARGUMENTS\fR]"
    yield ".SH DESCRIPTION"
    yield from _help(group.help)
    yield ".SH COMMANDS"
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is not None and not command.hidden:
            yield from _command(command, f"pump {name}", context)
    yield ".SH EXIT STATUS"
    yield "0 as asked; 78 no restart helps, for the configuration is wrong or the spool is a newer pump's; 1 anything"
    yield "else. What a command adds to these stands with it."
    yield ".SH FILES"
    yield from _entry("/etc/pump/pump.toml", "The configuration of the shipped unit; see \\fBpump.toml\\fR(5).")
    yield from _entry("/var/lib/pump", "The spool, tokens, pictures: what must survive.")
    yield ".SH SEE ALSO"
    yield r"\fBpump.toml\fR(5), \fBsystemctl\fR(1), \fBjournalctl\fR(1)"


def _command(command: click.Command, name: str, above: click.Context) -> Iterator[str]:
    context = click.Context(command, info_name=name.rpartition(" ")[2], parent=above)
    yield f".SS {_escaped(name)} {_escaped(' '.join(command.collect_usage_pieces(context)))}"
    yield from _help(command.help)
    for parameter in command.get_params(context):
        if isinstance(parameter, click.Option) and (record := parameter.get_help_record(context)):
            yield from _entry(record[0], _escaped(record[1]))
    if isinstance(command, click.Group):
        for inner in command.list_commands(context):
            if (found := command.get_command(context, inner)) is not None:
                yield from _command(found, f"{name} {inner}", context)


def _file_page(text: str) -> Iterator[str]:
    """The file's own words; each of its tables is a section."""
    yield _title("PUMP.TOML", 5)
    yield ".SH NAME"
    yield r"pump.toml \- configuration of pump"
    yield ".SH DESCRIPTION"
    lines = text.splitlines()
    start = next(number for number, line in enumerate(lines) if _TABLE.match(line))
    yield from (_escaped(line.removeprefix("#").strip()) or ".PP" for line in lines[:start])
    yield ".SH TABLES"
    verbatim = False
    for line in lines[start:]:
        table = _TABLE.match(line)
        if table or line.startswith("# ---"):
            if verbatim:
                yield ".fi"
            verbatim = bool(table)
            if table is None:
                yield ".PP"
                yield _escaped(line.strip("# -"))
                continue
            yield f".SS [{_escaped(table[1])}]"
            if table[2]:
                yield _escaped(table[2])
                yield ".PP"
            yield ".nf"
        elif verbatim:
            yield _escaped(line)
        elif line.strip("# "):
            yield _escaped(line.strip("# "))
    if verbatim:
        yield ".fi"
    yield ".SH SEE ALSO"
    yield r"\fBpump\fR(1); \fBpump schema config\fR prints the JSON Schema of this file"


def _title(name: str, section: int) -> str:
    return f'.TH {name} {section} "" "pump {__version__}" "pump"'


def _help(text: str | None) -> Iterator[str]:
    """A command's help; what click leaves as it is (after \\b) is left here too."""
    for part in re.split(r"\n\s*\n", (text or "").strip()):
        kept = part.lstrip().startswith("\b")
        lines = [line.strip("\b") for line in part.splitlines() if line.strip("\b ")]
        if kept:
            yield ".PP"
            yield ".nf"
            yield from map(_escaped, lines)
            yield ".fi"
        else:
            yield ".PP"
            yield _escaped(" ".join(line.strip() for line in lines))


def _entry(term: str, says: str) -> Iterator[str]:
    yield ".TP"
    yield rf"\fB{_escaped(term)}\fR"
    yield says


def _escaped(text: str) -> str:
    """As roff prints it: no escape, no request at the line's beginning."""
    text = text.replace("\\", r"\e").replace("-", r"\-")
    return rf"\&{text}" if text.startswith((".", "'")) else text


if __name__ == "__main__":
    main(Path(sys.argv[1]))
