"""The mistakes of a pump.toml, in words for the person who wrote it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, get_args

from pydantic import BaseModel, SecretStr, ValidationError
from pydantic_core import ErrorDetails

from pump.config.lines import Path, line_of
from pump.core.errors import Absent
from pump.core.settings import duration_text, parse_duration, parse_size, size_text
from pump.core.vocabulary import nearest
from pump.telemetry.redact import clean

_LONGEST: Final = 60
_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")
_SECRET_NAME: Final = re.compile(r"(secret|password|passwd|token|passphrase|_key|^key)s?$", re.IGNORECASE)
_USERINFO: Final = re.compile(r"//[^/@\s]*@")
_MESSAGE_END: Final = re.compile(r" is wanted$")


@dataclass(frozen=True)
class Problem:
    """One mistake, or one warning: `found` alone may say it all, then `wanted` is empty."""

    line: int | None
    """Counted from 1; None where the file has no place for it."""
    where: str
    """The dotted key ("sources.teams.batch_size"), or "" for the whole file."""
    found: str
    wanted: str = ""
    hint: str = ""
    """The nearest known key or word."""
    absent: bool = False
    """True where the words are right, and this machine does not give what they name, or not yet."""

    def text(self, file: str = "pump.toml") -> str:
        """`pump.toml:12: sources.teams.batch_size: found 250, wanted 100 or 200`."""
        place = file if self.line is None else f"{file}:{self.line}"
        found = f"found {self.found}, wanted {self.wanted}" if self.wanted else self.found
        hint = f'; did you mean "{self.hint}"?' if self.hint else ""
        return clean(": ".join(part for part in (place, self.where, found + hint) if part))


class ConfigError(Exception):
    """A pump.toml that cannot be used: every problem found in it, in the file's order."""

    def __init__(self, problems: Sequence[Problem], file: str = "pump.toml") -> None:
        super().__init__("\n".join(problem.text(file) for problem in problems))
        self.problems = list(problems)
        self.file = file
        self.absent = all(problem.absent for problem in problems)
        """True where no word of the file is wrong: the same file may do at the next start."""


def dotted(path: Iterable[str | int]) -> str:
    """A path as TOML would write it; a place in an array in brackets."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += ("." if text else "") + (part if _BARE.fullmatch(part) else json.dumps(part, ensure_ascii=False))
    return text


def from_pydantic(
    error: ValidationError, model: type[BaseModel], at: Path, raw: Any, lines: dict[Path, int]
) -> list[Problem]:
    """The problems of the table at `at`, whose content is `raw`; several about one key (a union's) become one."""
    merged: dict[str, Problem] = {}
    for detail in error.errors(include_url=False):
        inside = _real_path(detail["loc"], raw)
        path = (*at, *inside)
        if detail["loc"][-1:] != ("[key]",):  # pydantic's way to say that a key is wrong, not its value
            detail["input"] = _at(raw, inside, detail["input"])
        problem = _problem(detail, model, path, inside, line_of(lines, path))
        before = merged.get(problem.where)
        if before is None:
            merged[problem.where] = problem
        elif before.wanted and problem.wanted and problem.wanted not in before.wanted:
            wanted = f"{before.wanted} or {problem.wanted}"
            merged[problem.where] = Problem(before.line, before.where, before.found, wanted, before.hint)
    return list(merged.values())


def _problem(detail: ErrorDetails, model: type[BaseModel], path: Path, inside: Path, line: int | None) -> Problem:
    kind, where = detail["type"], dotted(path)
    if kind == "extra_forbidden":
        known = _known_keys(model, inside[:-1])
        close = nearest(str(inside[-1]), known)
        return Problem(line, where, "unknown key", "" if close else f"one of {', '.join(known)}", close or "")
    if kind == "missing":
        return Problem(line, where, "nothing", "a value: this key is required")
    message = detail["msg"].removeprefix("Value error, ")
    if kind == "value_error" and not _MESSAGE_END.search(message):
        return Problem(line, where, message, absent=isinstance(detail["ctx"].get("error"), Absent))
    found = "a value that is not shown" if _hides(model, inside) else show(detail["input"])
    hint = ""
    if kind in {"literal_error", "enum"} and isinstance(detail["input"], str):
        hint = nearest(detail["input"], re.findall(r"'([^']*)'", str(detail["ctx"]["expected"]))) or ""
    return Problem(line, where, found, _wanted(detail, message), hint)


_WANTED: Final[dict[str, str]] = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "string_type": "a text in quotes",
    "tuple_type": "a list in brackets",
    "list_type": "a list in brackets",
    "set_type": "a list in brackets",
    "frozen_set_type": "a list in brackets",
    "dict_type": "a table",
    "model_type": "a table",
    "model_attributes_type": "a table",
    "literal_error": "one of {expected}",
    "enum": "one of {expected}",
    "greater_than": "more than {gt}",
    "greater_than_equal": "at least {ge}",
    "less_than": "less than {lt}",
    "less_than_equal": "at most {le}",
    "string_too_short": "at least {min_length} characters",
    "string_too_long": "at most {max_length} characters",
    "too_short": "a list of at least {min_length}",
    "too_long": "a list of at most {max_length}",
    "string_pattern_mismatch": "a text like {pattern}",
    "ip_any_network": 'a network such as "10.0.0.0/8"',
    "ip_any_address": 'an address such as "192.0.2.1"',
    "path_type": "a path in quotes",
}


def _wanted(detail: ErrorDetails, message: str) -> str:
    if detail["type"] in _WANTED:
        limits = {name: _limit(value, detail["input"]) for name, value in detail.get("ctx", {}).items()}
        words = _WANTED[detail["type"]].format(**limits)
        return re.sub(r" or (?=['\d])", ", ", words).replace("'", '"') if "one of" in words else words
    return _MESSAGE_END.sub("", message)


def _limit(value: Any, found: object) -> Any:
    """A limit in the unit of what was found: a duration is compared as seconds, and written as "30s"."""
    if not isinstance(value, int | float):
        return value
    for parse, text in ((parse_duration, duration_text), (parse_size, size_text)):
        with suppress(ValueError):
            parse(found)
            return text(value)  # type: ignore[arg-type]  # each pair is of one type
    return f"{value:g}" if isinstance(value, float) else value


def show(value: object) -> str:
    """A value of the file as it was found: short, on one line, without a URL's user and password."""
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list):
        return "a list" if value else "an empty list"
    text = json.dumps(value, ensure_ascii=False, default=str)
    text = _USERINFO.sub("//…@", text)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _real_path(loc: tuple[str | int, ...], raw: Any) -> Path:
    """`loc` without what pydantic adds of its own (a union's member, a validator's name), which is not in the file."""
    path: list[str | int] = []
    for number, part in enumerate(loc):
        inside = part in raw if isinstance(raw, dict) else isinstance(raw, list) and isinstance(part, int)
        if inside:
            raw = raw[part]
        elif not (isinstance(raw, dict) and number == len(loc) - 1):
            continue  # but a missing key is told by its name
        path.append(part)
    return tuple(path)


def _at(raw: Any, inside: Path, default: Any) -> Any:
    """The value in the file: pydantic reports limits with the value as a validator before made it."""
    for part in inside:
        if isinstance(raw, dict) and part not in raw:
            return default
        raw = raw[part]
    return raw


def _known_keys(model: type[BaseModel], inside: Path) -> list[str]:
    """The keys of the table at `inside`, best guess first."""
    models: list[type[BaseModel]] = [model]
    for part in inside:
        models = [
            found for outer in models if part in outer.model_fields
            for found in _models(outer.model_fields[str(part)].annotation)
        ] or models  # fmt: skip
    return sorted({field.alias or name for found in models for name, field in found.model_fields.items()})


def _hides(model: type[BaseModel], inside: Path) -> bool:
    """True where what stands there is, holds or might be a secret."""
    if any(isinstance(part, str) and _SECRET_NAME.search(part) for part in inside):
        return True
    return _holds_secret(model, inside)


def _holds_secret(annotation: Any, inside: Path) -> bool:
    for leaf in _leaves(annotation):
        if leaf is SecretStr:
            return True
        if isinstance(leaf, type) and issubclass(leaf, BaseModel):
            rest = inside
            while rest and rest[0] not in leaf.model_fields:
                rest = rest[1:]
            if rest and _holds_secret(leaf.model_fields[str(rest[0])].annotation, rest[1:]):
                return True
    return False


def _models(annotation: Any) -> list[type[BaseModel]]:
    return [leaf for leaf in _leaves(annotation) if isinstance(leaf, type) and issubclass(leaf, BaseModel)]


def _leaves(annotation: Any) -> list[Any]:
    """The types an annotation is made of."""
    inner = get_args(annotation)
    if not inner:
        return [annotation]
    return [leaf for part in inner for leaf in _leaves(part)]
