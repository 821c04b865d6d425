"""Completion for shells: names that the running pump gives, at once or not at all; where none runs there are none.

Each function is a `shell_complete` of click: the context with what stands before, and the beginning of the word.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator
from contextlib import redirect_stderr
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from pump.cli.shared.finding import find

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

Complete = Callable[[click.Context, click.Parameter, str], "list[CompletionItem]"]
PATIENCE: Final = 1.0
"""Seconds for the daemon's answer: a person waits for it with a finger on the key."""

Named = tuple[str, str | None]
"""A word, and a line about it, which zsh and fish show."""


def targets(context: click.Context, _: click.Parameter, begin: str) -> list[CompletionItem]:
    """What can be commanded."""
    return _items(begin, ((one["target"], one.get("name")) for one in _targets(context)))


def verbs(context: click.Context, _: click.Parameter, begin: str) -> list[CompletionItem]:
    """Those that the target takes; all that there are, where it is not known."""
    from pump.commands.verbs import VERBS

    taken = {
        verb for one in _targets(context) if one["target"] == context.params.get("target") for verb in one["verbs"]
    }
    return _items(begin, ((name, verb.says) for name, verb in VERBS.items() if not taken or name in taken))


def arguments(context: click.Context, _: click.Parameter, begin: str) -> list[CompletionItem]:
    """The verb's: "mode=stay" where there are values to choose from, else "plate="."""
    from pump.commands.verbs import VERBS

    def named() -> Iterator[Named]:
        verb = VERBS.get(context.params.get("verb") or "")
        for name, argument in verb.arguments.items() if verb is not None else ():
            yield from ((f"{name}={value}", argument.says) for value in argument.choices or ("",))

    return _items(begin, named())


def sources(context: click.Context, _: click.Parameter, begin: str) -> list[CompletionItem]:
    """Names of sources."""
    return _items(begin, ((name, None) for name in _asked(context, "status").get("sources", ())))


def sinks(context: click.Context, _: click.Parameter, begin: str) -> list[CompletionItem]:
    """Names of sinks."""
    return _items(begin, ((name, None) for name in _asked(context, "status").get("sinks", ())))


def parts(context: click.Context, _: click.Parameter, begin: str) -> list[CompletionItem]:
    """Names of both."""
    found = _asked(context, "status")
    return _items(begin, ((name, kind[:-1]) for kind in ("sources", "sinks") for name in found.get(kind, ())))


def _targets(context: click.Context) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = _asked(context, "command.list").get("targets", [])
    return found


def _asked(context: click.Context, command: str) -> dict[str, Any]:
    """The daemon's answer; empty where there is none, whatever the reason: a prompt is no place for it."""
    from pump.ops.control import ask

    given = context.params
    with context.scope(cleanup=False), redirect_stderr(io.StringIO()):
        try:
            found = find(given.get("config") or Path("pump.toml"), given.get("state_dir"))
        except (Exception, SystemExit):  # noqa: BLE001  # a pump.toml that is wrong, or may not be read
            return {}
        for folder in found.sockets:
            named = found.folder if folder != found.folder else None
            try:
                return ask(folder, command, {}, lambda progress: None, state_dir=named, timeout=PATIENCE)
            except Exception:  # noqa: BLE001  # nobody there, not for us, or too slow
                continue
    return {}


def _items(begin: str, named: Iterable[Named]) -> list[CompletionItem]:
    from click.shell_completion import CompletionItem

    found = dict(named)  # two sources may have one target
    return [
        CompletionItem(word, help=says) for word, says in found.items() if word.startswith(begin) and word.isprintable()
    ]
