"""The line of pump.toml on which a key stands: tomllib keeps none, and an error without its line is half an error."""

from __future__ import annotations

import tomllib
from typing import Final

Path = tuple[str | int, ...]
"""Keys from the top of the file; a number is the place in an array of tables."""

_BARE_END: Final = frozenset(" \t.=]")


def lines(text: str) -> dict[Path, int]:
    """The line, counted from 1, of each table and key of a valid TOML text.

    What stands inside an array or an inline table has the line of the key it is the value of: `line_of` finds it.
    A table that is only implied has the line of the first header or key that implies it.
    """
    scanner = _Scanner(text)
    scanner.run()
    return scanner.found


def line_of(found: dict[Path, int], path: Path) -> int | None:
    """The line of the longest beginning of `path` that has one; None where none has."""
    for end in range(len(path), 0, -1):
        if path[:end] in found:
            return found[path[:end]]
    return None


class _Scanner:
    """One pass over the text. It relies on tomllib having accepted it."""

    def __init__(self, text: str) -> None:
        self.text = text.replace("\r\n", "\n") + "\n"
        self.at = 0
        self.line = 1
        self.found: dict[Path, int] = {}
        self.arrays: dict[Path, int] = {}
        """The number of tables that each array of tables has so far."""

    def run(self) -> None:
        table: Path = ()
        while self._skip_blank():
            line = self.line
            if self.text.startswith("[[", self.at):
                self.at += 2
                array = self._resolve(self._key())
                self._imply(array, line)
                self.found.setdefault(array, line)
                number = self.arrays.get(array, 0)
                self.arrays[array] = number + 1
                table = (*array, number)
                self.found[table] = line
                self.at += 2
            elif self.text[self.at] == "[":
                self.at += 1
                table = self._enter(self._key(), line)
                self.at += 1
            else:
                key = (*table, *self._key())
                self._imply(key, line)
                self.found[key] = line
                self.at += 1
                self._skip_value()

    def _enter(self, key: Path, line: int) -> Path:
        table = self._resolve(key)
        self._imply(table, line)
        self.found[table] = line  # a header of its own tells more than one that only implied it
        return table

    def _imply(self, path: Path, line: int) -> None:
        for end in range(1, len(path)):
            self.found.setdefault(path[:end], line)

    def _resolve(self, key: Path) -> Path:
        """The key with the newest table's number behind each array of tables but the last part."""
        path: Path = ()
        for part in key:
            if path in self.arrays:
                path = (*path, self.arrays[path] - 1)
            path = (*path, part)
        return path

    def _skip_blank(self) -> bool:
        """Go to the next character that begins something; False at the end."""
        while self.at < len(self.text):
            character = self.text[self.at]
            if character == "#":
                self.at = self.text.index("\n", self.at)
            elif character == "\n":
                self.line += 1
                self.at += 1
            elif character in " \t":
                self.at += 1
            else:
                return True
        return False

    def _key(self) -> Path:
        """A dotted key; stops at the "=" or "]" behind it."""
        parts: list[str] = []
        while True:
            self._skip_spaces()
            begin = self.at
            if self.text[begin] in "\"'":
                self._skip_string()
                # tomllib knows the escapes: let it read the one quoted part
                parts.append(next(iter(tomllib.loads(f"{self.text[begin : self.at]}=0"))))
            else:
                while self.text[self.at] not in _BARE_END:
                    self.at += 1
                parts.append(self.text[begin : self.at])
            self._skip_spaces()
            if self.text[self.at] != ".":
                return tuple(parts)
            self.at += 1

    def _skip_spaces(self) -> None:
        while self.text[self.at] in " \t":
            self.at += 1

    def _skip_value(self) -> None:
        """Go to the end of the line on which the value ends."""
        depth = 0
        while True:
            character = self.text[self.at]
            if character in "\"'":
                self._skip_string()
                continue
            if character == "#":
                self.at = self.text.index("\n", self.at)
                continue
            if character == "\n":
                if depth == 0:
                    return
                self.line += 1
            depth += (character in "[{") - (character in "]}")
            self.at += 1

    def _skip_string(self) -> None:
        """Go behind the string that begins here, of any of TOML's four kinds."""
        quote = self.text[self.at]
        triple = quote * 3
        end = triple if self.text.startswith(triple, self.at) else quote
        self.at += len(end)
        while not self.text.startswith(end, self.at):
            if self.text[self.at] == "\\" and quote == '"':
                self.at += 1
            self.line += self.text[self.at] == "\n"
            self.at += 1
        self.at += len(end)
        if end == triple:  # one or two quotes may stand directly before the closing three
            while self.text.startswith(quote, self.at):
                self.at += 1
