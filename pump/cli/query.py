"""pump query."""

from __future__ import annotations

import re
import sys
from array import array
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import click

from pump.cli import CONFIGURATION
from pump.cli.shared.commanding import table
from pump.cli.shared.finding import find, state_dir_option
from pump.cli.shared.options import config_option, moment, shown_json, utf8
from pump.core.files import given
from pump.core.text import words_of

if TYPE_CHECKING:
    import sqlite3

_TERM: Final = re.compile(r"([a-z_]+)\s*(!=|>=|<=|=|>|<)\s*(.*)", re.DOTALL)
_PIECE: Final = re.compile(r"""(?<![^\s=<>,])(["'])(.*?)\1(?=[\s,]|$)|\\([\s"'\\])|(\s+)|(.)""", re.DOTALL)
"""A part in quotes, an escaped letter, a blank between terms, any other letter. Quotes are quotes only around a whole
term or value, for O'Brien has one in his name."""
_SHOWN: Final = "time,type,source,subject,plate,space,severity,name"
_TIMES: Final = {"since": ">=", "until": "<"}
_TRUTHS: Final = frozenset(("occupied", "granted"))
"""Columns of truth, and the words for what they hold; all else is compared as the column's type wants."""
_TRUTH: Final = {"true": 1, "yes": 1, "false": 0, "no": 0}
_DEFAULT_LIMIT: Final = 1000
_PART: Final = 500
"""Rows that are read at a time where there may be more than that; older SQLites bind 999 values."""
_MOST_TYPES: Final = 200
"""Types of which each is a part of one question; SQLite takes 500 parts."""
_TYPES: Final = """WITH RECURSIVE types(type) AS (
    SELECT min(type) FROM events
    UNION ALL SELECT (SELECT min(type) FROM events WHERE type > types.type) FROM types WHERE type IS NOT NULL
) SELECT type FROM types WHERE type IS NOT NULL AND {condition}"""
"""Steps from type to type of the index, and reads no event."""


@click.command()
@config_option
@state_dir_option
@click.argument("terms", nargs=-1, callback=utf8, metavar="[TERM]...")
@click.option("--sink", metavar="NAME", help="Which archive, where FILE has several sinks of type sqlite.")
@click.option("--file", "file", type=click.Path(path_type=Path), metavar="PATH", help="The archive itself.")
@click.option(
    "--format", "form", type=click.Choice(["table", "csv", "json"]), default="table", show_default=True,
    help="json is each event whole, a line each.",
)  # fmt: skip
@click.option("--columns", default=_SHOWN, show_default=True, metavar="NAMES", help="Of the table and of CSV.")
@click.option(
    "--limit", type=click.IntRange(0, (1 << 63) - 1), default=_DEFAULT_LIMIT, show_default=True, metavar="N",
    help="The newest N; 0: all.",
)  # fmt: skip
def command(
    config: Path,
    state_dir: Path | None,
    terms: tuple[str, ...],
    sink: str | None,
    file: Path | None,
    form: str,
    columns: str,
    limit: int,
) -> None:
    """Search an archive (a sink of type sqlite), whether or not the daemon runs. Oldest first; times are UTC.

    A TERM is a column, one of = != < <= > >=, and a value: plate=A12345. With * or ? in it the value is a pattern;
    values between commas are alternatives; a value with blanks wants quotes of its own. since= and until= take "7d"
    (ago) or a time. All terms must be true. A relative path of the archive is looked for here, beside FILE and in the
    state directory.

    \b
    Examples:
      pump query "plate=A12345 since=7d"
      pump query "person=O'Brien" "name='Vehicle capture'"
      pump query type='vehicle.*' lot=10000 since=2026-11-20 --format csv > passes.csv
      pump query level'>=2' source!=pump --format json | jq .data.name
    """
    import sqlite3
    from contextlib import closing

    path = file or _archive(config, sink, state_dir)
    names = [name.strip() for name in columns.split(",") if name.strip()]
    asked = _asked([part for term in terms for part in _split(term)])
    try:
        if not path.is_file():
            raise click.ClickException(f"there is no archive {path}")
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as db:
            known = [name for _, name, *_ in db.execute("PRAGMA table_info(events)")]
            _check([*(term.column for term in asked), *names], known, path)
            chosen = ["json"] if form == "json" else names
            rows = _rows(db, chosen, asked, limit)
            _FORMS[form](names, rows)
    except sqlite3.Error as error:
        raise click.ClickException(f"{path} cannot be read: {error}") from None


def _split(text: str) -> Iterator[str]:
    """The terms of an argument, which blanks part."""
    term: str | None = None
    for _, quoted, escaped, blank, letter in _PIECE.findall(text):
        if blank:
            if term is not None:
                yield term
            term = None
        else:
            term = (term or "") + (quoted or escaped or letter)
    if term is not None:
        yield term


class _Term(NamedTuple):
    """What is asked of a column: as SQL, with the values that it binds."""

    column: str
    sql: str
    values: list[Any]


def _rows(
    db: sqlite3.Connection, names: Sequence[str], terms: Sequence[_Term], limit: int
) -> Iterator[tuple[Any, ...]]:
    """The rows in their order, and nothing of the file is held between two of them: else a reader that stops (a pager)
    would have the archive's WAL grow for as long."""
    listed = ", ".join(f'"{name}"' for name in names)
    if limit:
        # Only numbers are sorted, and the rows read that are shown.
        newest, values = _newest_by_type(db, terms, limit) or _newest(terms, limit)
        condition = f"number IN (SELECT number FROM ({newest}))"
    else:
        condition, values = _condition(terms)
    order = "ORDER BY time, number"
    if 0 < limit <= _DEFAULT_LIMIT:
        yield from db.execute(f"SELECT {listed} FROM events WHERE {condition} {order}", values).fetchall()
        return
    found = db.execute(f"SELECT number FROM events WHERE {condition} {order}", values)
    numbers = array("q", (number for (number,) in found))
    for begin in range(0, len(numbers), _PART):
        part = tuple(numbers[begin : begin + _PART])
        marks = ",".join("?" * len(part))
        yield from db.execute(f"SELECT {listed} FROM events WHERE number IN ({marks}) {order}", part).fetchall()


def _condition(terms: Iterable[_Term]) -> tuple[str, list[Any]]:
    """All that is asked as one condition, and what it binds."""
    terms = list(terms)
    return " AND ".join(term.sql for term in terms) or "TRUE", [value for term in terms for value in term.values]


def _newest(terms: Iterable[_Term], limit: int) -> tuple[str, list[Any]]:
    """The question for time and number of the newest that fit, and what it binds."""
    condition, values = _condition(terms)
    asked = f"SELECT time, number FROM events WHERE {condition} ORDER BY time DESC, number DESC LIMIT ?"
    return asked, [*values, limit]


def _newest_by_type(db: sqlite3.Connection, terms: Sequence[_Term], limit: int) -> tuple[str, list[Any]] | None:
    """The same by the index of types and times, where types are asked for: the newest of each type, and of these.

    For a pattern SQLite would sort all that fit it, and the types of an archive are few. None where it is no help.
    """
    asked = [term for term in terms if term.column == "type"]
    if not asked:
        return None
    condition, values = _condition(asked)
    types = [type_ for (type_,) in db.execute(_TYPES.format(condition=condition), values)]
    if not types or len(types) > _MOST_TYPES:
        return None
    others = [term for term in terms if term.column != "type"]
    parts = [_newest([_Term("type", "type = ?", [type_]), *others], limit) for type_ in types]
    every = " UNION ALL ".join(f"SELECT * FROM ({part})" for part, _ in parts)
    bound = [value for _, some in parts for value in some]
    return f"SELECT number FROM ({every}) ORDER BY time DESC, number DESC LIMIT ?", [*bound, limit]


def _check(names: Iterable[str], known: Sequence[str], path: Path) -> None:
    if not known:
        raise click.ClickException(f"{path} is no archive: it has no table of events")
    for name in names:
        if name not in known:
            raise click.ClickException(f'there is no column "{name}"; there are: {", ".join(known)}')


def _asked(texts: Sequence[str]) -> list[_Term]:
    """The terms of the command line, as SQL."""
    terms: list[_Term] = []
    for text in texts:
        found = _TERM.fullmatch(text)
        if found is None:
            raise click.BadParameter(f'"{text}": a column, one of = != < <= > >= and a value are wanted: plate=A12345')
        name, operator, value = found.groups()
        if name in _TIMES:
            terms.append(_Term("time", f"time {_TIMES[name]} ?", [_time(value)]))
            continue
        wanted = value.split(",") if operator in ("=", "!=") else [value]
        tests = [f'"{name}" {_test(operator, one)}' for one in wanted]
        values = [_TRUTH.get(one.lower(), one) if name in _TRUTHS else one for one in wanted]
        terms.append(_Term(name, f"({(' OR ' if operator == '=' else ' AND ').join(tests)})", values))
    return terms


def _test(operator: str, text: str) -> str:
    if operator in ("=", "!=") and ("*" in text or "?" in text):
        return "GLOB ?" if operator == "=" else "NOT GLOB ?"
    # what has no value is something else than any value
    return {"=": "= ?", "!=": "IS NOT ?"}.get(operator, f"{operator} ?")


def _time(text: str) -> str:
    from datetime import UTC, datetime

    ms = moment(click.get_current_context(), click.Option(["--since"]), text)
    assert ms is not None  # only no text gives nothing
    # without "Z": so it sorts before every fraction of its second
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _archive(config: Path, sink: str | None, state_dir: Path | None) -> Path:
    """The file of the only sink of type sqlite, or of the one named. Nothing else of pump.toml is looked at: whoever
    searches has not its secrets."""
    path = _configured(config, sink)
    return next((found for found in _places(path, config, state_dir) if found.exists()), path)


def _places(path: Path, config: Path, state_dir: Path | None) -> Iterator[Path]:
    """Where a relative path may lie: the daemon's working folder is not the reader's."""
    if state_dir is None:
        yield path
        yield config.parent / path
    yield find(config, state_dir).folder / path


def _configured(config: Path, sink: str | None) -> Path:
    import tomllib

    try:
        sinks = tomllib.loads(given.read(config, given.LARGEST).decode()).get("sinks", {})
        archives = {
            name: Path(part["path"]) for name, part in sinks.items() if part["type"] == "sqlite" and part.get("path")
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        click.echo(f"{config} cannot be read: {words_of(error)}; --file names the archive itself", err=True)
        raise click.exceptions.Exit(CONFIGURATION) from None
    listed = ", ".join(archives) or "none"
    if sink is not None and sink not in archives:
        raise click.ClickException(f'{config} has no sink "{sink}" of type sqlite; there are: {listed}')
    if sink is None and len(archives) != 1:
        raise click.ClickException(f"which archive? --sink or --file names it; sinks of type sqlite: {listed}")
    return archives[sink] if sink is not None else next(iter(archives.values()))


def _table(names: Sequence[str], rows: Iterator[tuple[Any, ...]]) -> None:
    table([name.upper() for name in names], [["" if cell is None else cell for cell in row] for row in rows])


def _csv(names: Sequence[str], rows: Iterator[tuple[Any, ...]]) -> None:
    import csv

    from pump.core.text import printable, spreadsheet_cell

    shown = printable if sys.stdout.isatty() else lambda cell: cell
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([spreadsheet_cell(shown(cell)) if isinstance(cell, str) else cell for cell in row] for row in rows)


def _json(_: Sequence[str], rows: Iterator[tuple[Any, ...]]) -> None:
    for (body,) in rows:
        click.echo(shown_json(body.encode()))


_FORMS: Final = {"table": _table, "csv": _csv, "json": _json}
