"""The golden daemon: the names that a running one shows on its ops listener and its control socket."""

from __future__ import annotations

import asyncio
import json
import re
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final

import aiohttp

from tests.golden import subjects
from tests.golden.interface import keys
from tests.golden.vendors import DATA

_PATIENCE: Final = 60.0
"""Seconds that the parts have to come up."""
_PAGE: Final = Path(__file__).parents[2] / "docs" / "metrics.md"
_TABLE: Final = "|---|---|---|---|\n"
_PAUSE: Final = 0.1
_SINKS: Final = """
[sinks.file]
type = "jsonl"
path = "FOLDER/events.jsonl"
[sinks.archive]
type = "sqlite"
path = "FOLDER/archive.db"
[sinks.log]
type = "log"
[sinks.broker]
type = "mqtt"
url = "mqtt://127.0.0.1:9"
[sinks.hook]
type = "webhook"
url = "http://127.0.0.1:9/"
secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
allow_private = true
[sinks.stream]
type = "nats"
servers = ["nats://127.0.0.1:9"]
[sinks.lot]
type = "tuya"
host = "http://127.0.0.1:9"
client_id = "golden"
client_secret = "golden-secret"
device_id = "golden"
"""
"""Every kind; what speaks to another machine finds nobody there."""

Seen = dict[str, list[str]]


def look(wanted: Seen | None = None) -> Seen:
    """What a daemon with every kind of source and sink shows; waits a while until it is as wanted."""
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(_run(Path(folder), wanted))


async def _run(folder: Path, wanted: Seen | None) -> Seen:
    seen: Seen = {}
    async with daemon(folder, play=False) as (running, http, state), _within(wanted):
        while wanted is None or not _holds(seen, wanted):
            for what, lines in (await _seen(running, http, state)).items():
                seen[what] = sorted({*seen.get(what, ()), *lines})  # some details come and go
            await asyncio.sleep(_PAUSE)
    return seen


@asynccontextmanager
async def _within(wanted: Seen | None) -> AsyncIterator[None]:
    with suppress(TimeoutError):
        async with asyncio.timeout(_PATIENCE if wanted is not None else _PATIENCE / 10):
            yield


@asynccontextmanager
async def daemon(folder: Path, *, play: bool) -> AsyncIterator[tuple[Any, aiohttp.ClientSession, Path]]:
    """One with every kind of source and sink before simulators, a client of its ops listener, its state directory.

    With `play` the simulators make traffic and a few faults.
    """
    async with AsyncExitStack() as stack:
        state = folder / "state"
        lines = ["[pump]", f"site = {json.dumps(subjects.SITE)}", f"state_dir = {json.dumps(str(state))}"]
        lines += ["[ops]", 'listen = "127.0.0.1:0"', "[server]", 'listen = "127.0.0.1:0"']
        stages: list[Any] = []
        for kind in subjects.registry.demo_kinds():
            stage: Any = await stack.enter_async_context(subjects.registry.demo(kind).stage())
            stages.append(stage)
            lines += [f"[sources.{kind}]", *(f"{key} = {json.dumps(value)}" for key, value in stage.source.items())]
        path = folder / "pump.toml"
        path.write_text("\n".join(lines) + _SINKS.replace("FOLDER", str(folder)))
        subject = subjects.Daemon(subjects.load(path))
        running = asyncio.create_task(subject.run(signals=False))
        ready = asyncio.create_task(subject.ready.wait())
        players: list[asyncio.Task[None]] = []
        try:
            await asyncio.wait({running, ready}, return_when=asyncio.FIRST_COMPLETED)
            assert not running.done(), "the daemon did not start"
            for stage in stages:
                if hasattr(stage, "reached_at"):
                    stage.reached_at(subject.push_url)
            players += [asyncio.create_task(stage.play(lambda words: None)) for stage in stages if play]
            yield subject, await stack.enter_async_context(aiohttp.ClientSession(subject.ops_url)), state
        finally:
            for task in (ready, *players):
                task.cancel()
            await asyncio.wait({ready, *players})
            subject.stop()
            if not play:
                subject.stop()  # at once: nobody is there for half of the sinks
            await running


def _holds(seen: Seen, wanted: Seen) -> bool:
    return all(set(lines) <= set(seen.get(what, ())) for what, lines in wanted.items())


async def _seen(daemon: Any, http: aiohttp.ClientSession, folder: Path) -> Seen:
    async with http.get("/metrics") as answer:
        exposed = await answer.text()
    async with http.get("/status") as answer:
        status = await answer.json()
    verdicts = []
    for path in ("/healthz", "/readyz"):
        async with http.get(path) as answer:
            verdicts += [f"{path} {line}" for line in sorted(set(keys({**await answer.json(), "reasons": [""]})))]
    return {
        "metrics": _metrics(exposed, daemon.metrics.registry),
        "status": _status(status),
        "verdicts": verdicts,
        "commands": await asyncio.to_thread(_commands, folder),
    }


def _metrics(exposed: str, registry: Any) -> list[str]:
    """Name, type, labels and help of each family; labels of one without children are known to its collector alone.

    The moments of creation are left out, for they come with the first child.
    """
    known: dict[str, tuple[str, ...]] = {}
    for collector in list(registry._collector_to_names):
        for family in collector.collect():
            labels = getattr(collector, "_labelnames", None)
            known[family.name] = labels or tuple(
                sorted({label for sample in family.samples for label in sample.labels if label != "le"})
            )
    types: dict[str, str] = dict(re.findall(r"^# TYPE (\S+) (\S+)$", exposed, re.MULTILINE))
    helps: dict[str, str] = dict(re.findall(r"^# HELP (\S+) (.+)$", exposed, re.MULTILINE))
    return sorted(
        f"{name} {kind} ({', '.join(known.get(name.removesuffix('_total'), ()))}): {helps[name]}"
        for name, kind in types.items()
    )


def _status(body: Mapping[str, Any]) -> list[str]:
    """Key paths; a component's and a sink's own name stands where it is an entry's."""
    components = {f"components[{component['name']}]": component for component in body["components"]}
    rest = {key: value for key, value in body.items() if key != "components"} | {"reasons": [""]}  # at times none
    found = [*keys(rest), *(line for path, component in components.items() for line in keys(component, path))]
    # What is none until something happened is of no kind yet; a device's own entry is a name and a text.
    lines = {re.sub(r"(details\.devices)\b.*", r"\1", re.sub(r": (NoneType|str|number)$", "", line)) for line in found}
    return sorted(line for line in lines if not line.endswith(".details: dict"))


def _commands(folder: Path) -> list[str]:
    """The names, from the refusal of one that is none."""
    try:
        subjects.ask(folder, "nothing", {}, lambda progress: None)
    except subjects.Refusal as refusal:
        return sorted(str(refusal).rpartition("there are: ")[2].split(", "))
    raise AssertionError("the control socket took a command that is none")


def read() -> Seen:
    """What was written."""
    found: Seen = json.loads((DATA / "running.json").read_text(encoding="utf-8"))
    return found


def write() -> None:
    """Write what today's daemon shows, and the table of docs/metrics.md."""
    seen = look()
    (DATA / "running.json").write_text(json.dumps(seen, indent=1) + "\n", encoding="utf-8")
    above, head, _ = _PAGE.read_text(encoding="utf-8").partition(_TABLE)
    rows = (re.sub(r"^(\S+) (\S+) \((.*?)\): (.+)$", r"| `\1` | \2 | \3 | \4 |", line) for line in seen["metrics"])
    table = "\n".join(row for row in rows if row.startswith("| `pump_"))
    _PAGE.write_text(f"{above}{head}{table}\n", encoding="utf-8")
