"""The habits in which devices and tenants differ, as switches: a frozen dataclass whose fields are named values.

A switch with a few named values is a `Literal`, or a `bool`, so that `variants` can turn each; all others (numbers,
lists) are settings of a test's own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args, get_origin, get_type_hints

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Q = TypeVar("Q", bound="DataclassInstance")


def switches(quirks: type[Any]) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """The switches of a class of quirks, each with all its values, in their order."""
    hints: dict[str, Any] = get_type_hints(quirks)
    for field in fields(quirks):
        hint = hints[field.name]
        if hint is bool:
            yield field.name, (False, True)
        elif get_origin(hint) is Literal:
            yield field.name, get_args(hint)


def variants(base: Q) -> Iterator[tuple[str, Q]]:
    """`base` with one switch turned, for each other value of each switch; with a name like "pulse=digits"."""
    for name, values in switches(type(base)):
        for value in values:
            if value != getattr(base, name):
                change: dict[str, Any] = {name: value}
                # Only what a terminal cannot show, or what ends in a blank, needs its quotes.
                shown = str(value) if str(value).isprintable() and str(value) == str(value).strip() else repr(value)
                yield f"{name}={shown}", replace(base, **change)
