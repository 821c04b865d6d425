"""The golden interface: schemas, help texts, discovery, and what other processes may ask a simulator."""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import Iterator
from typing import Any, Final

import aiohttp
import click
from click.testing import CliRunner

from tests.golden import subjects
from tests.golden.vendors import DATA

SCHEMAS: Final = ("config", "event")
WIDTH: Final = 100
_RECORD: Final = {"eventId": "golden-1", "eventType": "10002", "basicInfo": {"occurrenceTime": "2026-11-20T08:00:00Z"}}
_ASKED: Final = (
    ("GET", "account", None),
    ("POST", "put", {"queue": "combine", "records": [_RECORD]}),
    ("POST", "make", {"queue": "combine", "n": 2, "kind": "mix"}),
    ("POST", "make", {"queue": "combine", "n": 1, "kind": "mix", "put": False}),
    ("POST", "fault", {"kind": "delay", "seconds": 3, "times": 2}),
    ("GET", "fault", None),
    ("DELETE", "fault", None),
    ("POST", "pump", {"url": "http://127.0.0.1:9"}),
    ("GET", "nothing", None),
)
"""Requests below /_simulator/, in this order."""
_WITH_CONTROL: Final = ("avaeye", "hik-connect")


def schema(name: str) -> dict[str, Any]:
    """`pump schema NAME`."""
    found: dict[str, Any] = json.loads(_invoke("schema", name))
    return found


def command_line() -> dict[str, Any]:
    """By command: its help as words, for the layout is click's, and each of its parameters."""
    return {" ".join(["pump", *path]): _described(path, command) for path, command in _commands((), subjects.group)}


def discovery() -> dict[str, Any]:
    """Kinds by what they are, and the simulators' calls."""
    kinds = subjects.registry
    return {
        "sources": kinds.source_kinds(),
        "sinks": kinds.sink_kinds(),
        "simulators": kinds.simulator_kinds(),
        "demos": kinds.demo_kinds(),
        "simulate": {
            kind: list(inspect.signature(kinds.simulator(kind).simulate).parameters) for kind in kinds.simulator_kinds()
        },
        "control": {kind: asyncio.run(_asked(kind)) for kind in _WITH_CONTROL},
    }


def keys(value: Any, path: str = "") -> Iterator[str]:
    """The key paths of a JSON value, each with its kind of value where it is no object."""
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from keys(inner, f"{path}.{key}" if path else key)
    elif isinstance(value, list) and value:
        for inner in value:
            yield from keys(inner, f"{path}[]")
    else:
        yield f"{path}: {'number' if type(value) in (int, float) else type(value).__name__}"


def _invoke(*arguments: str) -> str:
    result = CliRunner().invoke(subjects.group, arguments, prog_name="pump", terminal_width=WIDTH)
    assert result.exit_code == 0, result.output
    return result.output


def _commands(path: tuple[str, ...], command: click.Command) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None, name
            yield from _commands((*path, name), inner)


def _described(path: tuple[str, ...], command: click.Command) -> dict[str, Any]:
    return {
        "help": " ".join(_invoke(*path, "--help").split()),
        "parameters": {
            one.name or "": {
                "kind": one.param_type_name,
                "spelled": [*one.opts, *one.secondary_opts],
                "type": one.type.name,
                "values": list(one.type.choices) if isinstance(one.type, click.Choice) else None,
                "required": one.required,
                "many": one.nargs != 1 or one.multiple,
                "flag": bool(getattr(one, "is_flag", False)),
            }
            for one in command.params
        },
    }


async def _asked(kind: str) -> list[str]:
    """Each request below /_simulator/, with the status and the keys of its answer."""
    ready: asyncio.Queue[str] = asyncio.Queue()
    simulate = subjects.registry.simulator(kind).simulate
    running = asyncio.create_task(simulate(host="127.0.0.1", port=0, rate=0.0, seed=1, on_ready=ready.put_nowait))
    found = []
    try:
        url = await ready.get()
        async with aiohttp.ClientSession() as http:
            for method, path, body in _ASKED:
                async with http.request(method, f"{url}/_simulator/{path}", json=body) as answer:
                    read = "json" in answer.content_type
                    shape = sorted(set(keys(await answer.json()))) if read else [answer.content_type]
                    found.append(f"{method} {path} {json.dumps(body)}: {answer.status} {', '.join(shape)}")
    finally:
        running.cancel()
        await asyncio.wait({running})
    return found


def write() -> None:
    """Write all of it."""
    for name in SCHEMAS:
        _write(f"schema-{name}", schema(name))
    _write("command-line", command_line())
    _write("discovery", discovery())


def read(name: str) -> dict[str, Any]:
    """What was written."""
    found: dict[str, Any] = json.loads((DATA / f"{name}.json").read_text(encoding="utf-8"))
    return found


def _write(name: str, value: Any) -> None:
    text = json.dumps(value, indent=1, ensure_ascii=False)
    (DATA / f"{name}.json").write_text(text + "\n", encoding="utf-8")
