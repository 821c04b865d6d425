"""The scanner of lines against tomllib: the same keys, each on the line where it begins to exist."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pump.config.lines import Path, line_of, lines

EXAMPLE = '''\
# a comment with [brackets] and = signs
top = 1
[pump]                       # comment
site = "a # no comment"
"quo.ted" = \'it\'
  [sources.teams]
type = """
[not.a.table]
key = 1 \\""" still """
queues = [
  "combine", # ] a bracket in a comment
  { a = "}" },
]
devices = { "x.y" = [1, 2], z = { w = 1 } }
odd = \'\'\'two quotes\'\'\'\'\'
dotted."k e y".deep = 1979-05-27 07:32:00
[[list]]
a = 1
[[list.inner]]
b = 2
[[list.inner]]
b = 3
[list.table]
c = 4
[[list]]
a = 5
[sources]
last = "\\"\\\\"
'''
WHERE: dict[Path, int] = {
    ("top",): 2,
    ("pump",): 3,
    ("pump", "site"): 4,
    ("pump", "quo.ted"): 5,
    ("sources",): 27,
    ("sources", "teams"): 6,
    ("sources", "teams", "type"): 7,
    ("sources", "teams", "queues"): 10,
    ("sources", "teams", "devices"): 14,
    ("sources", "teams", "odd"): 15,
    ("sources", "teams", "dotted"): 16,
    ("sources", "teams", "dotted", "k e y"): 16,
    ("sources", "teams", "dotted", "k e y", "deep"): 16,
    ("list",): 17,
    ("list", 0): 17,
    ("list", 0, "a"): 18,
    ("list", 0, "inner"): 19,
    ("list", 0, "inner", 0): 19,
    ("list", 0, "inner", 0, "b"): 20,
    ("list", 0, "inner", 1): 21,
    ("list", 0, "inner", 1, "b"): 22,
    ("list", 0, "table"): 23,
    ("list", 0, "table", "c"): 24,
    ("list", 1): 25,
    ("list", 1, "a"): 26,
    ("sources", "last"): 28,
}


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_every_form_of_toml_has_its_line(end: str) -> None:
    text = EXAMPLE.replace("\n", end)
    tomllib.loads(text)
    assert lines(text) == WHERE


def test_what_is_inside_a_value_has_the_line_of_its_key() -> None:
    found = lines(EXAMPLE)
    assert line_of(found, ("sources", "teams", "queues", 1, "a")) == 10
    assert line_of(found, ("sources", "teams", "devices", "z", "w")) == 14
    assert line_of(found, ("sources", "teams", "absent")) == 6
    assert line_of(found, ("nowhere",)) is None


KEYS = st.one_of(
    st.from_regex(r"[A-Za-z0-9_-]{1,3}", fullmatch=True),
    st.sampled_from(['"a.b"', "'c d'", '"#"', '"\\u0041="', "'[x]'", '""']),
)
DOTTED = st.lists(KEYS, min_size=1, max_size=3).map(".".join)
VALUES = st.sampled_from(
    [
        "1", "-0.5e3", "true", '"text"', "'lit # eral'", '"""\nmany\n  # lines = [\n"""', "'''a\n'b'''''", '"""q"""""',
        "[1, 2]", "[\n  1, # ]\n  [ '}' ],\n]", "{ a = 1, 'b.c' = { d = '}' } }", "[{ a = 1 }, { a = '''x\ny''' }]",
        "2026-11-20T08:00:00Z", "07:32:00", '"\\" # \\\\"', "[]", "{}", "inf",
    ]
)  # fmt: skip
PAIRS = st.builds(
    "{}{}={}{}".format, DOTTED, st.sampled_from(["", " ", "\t"]), VALUES, st.sampled_from(["", " # c = '"])
)
HEADERS = st.builds("{}[{}]{}".format, st.sampled_from(["", "  "]), DOTTED, st.sampled_from(["", " # [x]"]))
ARRAYS = st.builds("[[ {} ]]".format, DOTTED)
STATEMENTS = st.lists(
    st.one_of(PAIRS, PAIRS, HEADERS, ARRAYS, st.sampled_from(["", "# just = a comment", " \t"])), max_size=14
)


def paths(value: Any, at: Path = ()) -> set[Path]:
    """Every path of what tomllib read, arrays' elements included."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return {path for key, child in inside for path in {(*at, key)} | paths(child, (*at, key))}


@settings(max_examples=400, deadline=None)
@given(STATEMENTS)
def test_a_key_begins_to_exist_on_its_line(statements: list[str]) -> None:
    """Whatever tomllib accepts: the text before a statement lacks the keys that the scanner places on its line."""
    kept: list[str] = []
    begins: dict[int, set[Path]] = {}
    for statement in statements:
        before = "\n".join(kept)
        try:
            after = tomllib.loads("\n".join([*kept, statement]))
        except tomllib.TOMLDecodeError:
            continue  # this one does not go with those before: leave it out
        begins[before.count("\n") + 2 if kept else 1] = paths(after) - paths(tomllib.loads(before))
        kept.append(statement)
    text = "\n".join(kept)
    found = lines(text)
    assert found.keys() <= paths(tomllib.loads(text))
    headers = {number for number, row in enumerate(text.splitlines(), 1) if row.lstrip().startswith("[")}
    for line, new in begins.items():
        for path in new:
            assert line_of(found, path) in {line, *headers}  # an implied table may get its header later
