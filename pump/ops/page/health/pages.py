"""GET /health, and GET /health/now with what changes of it."""

from __future__ import annotations

import platform
import sqlite3
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import aiohttp
import orjson
from aiohttp import web

import pump
from pump.config import Config
from pump.ops.page.access.visits import Route, Visit
from pump.ops.page.acting.jobs import Jobs
from pump.ops.page.behind import Behind
from pump.ops.page.health.parts import parts_of
from pump.ops.page.render import Renderer, json, threads
from pump.ops.page.rows import mapping, text
from pump.spool import DeadLetter, Gap
from pump.spool.offline import gaps, newest_letters
from pump.telemetry.redact import clean

_LETTERS: Final = 50
_GAPS: Final = 30
_UNITS: Final = ("B", "KiB", "MiB", "GiB", "TiB")


class HealthPages:
    """The two handlers."""

    def __init__(self, behind: Behind, renderer: Renderer, jobs: Jobs) -> None:
        self._behind = behind
        self._renderer = renderer
        self._jobs = jobs
        self._settings: tuple[Config, str] | None = None
        """The configuration, and its text; made when it is looked at for the first time."""

    def routes(self) -> list[Route]:
        """The pages that it has."""
        return [("GET", "/health", "look", self.health), ("GET", "/health/now", "look", self.now)]

    async def health(self, request: web.Request, visit: Visit) -> web.Response:
        """The whole page."""
        status, spool = await self._behind.status(), self._behind.spool()
        dead, holes = ([], []) if spool is None else await threads.run(_lists, spool.folder)
        config = self._behind.config
        if self._settings is None or self._settings[0] is not config:
            self._settings = config, await threads.run(_settings, config)
        return await self._renderer.page(
            "health", visit=visit, t=visit.texts, nav="health", reasons=self._behind.reasons(),
            phase=text(status.get("phase")), parts=parts_of(status, visit),
            letters=[_letter(one, visit) for one in dead],
            dead=sum(int(mapping(one).get("dead", 0)) for one in mapping(status.get("sinks")).values()),
            gaps=[_gap(one, visit) for one in holes], gap_counts=mapping(status.get("gaps")), stores=_stores(status),
            oldest=_moment(mapping(status.get("spool")).get("oldest"), visit), jobs=self._jobs.shown(visit),
            versions=_versions(), settings=self._settings[1], sinks=[*mapping(status.get("sinks"))],
            uptime=_span(float(status.get("uptime_s") or 0.0)), file=str(config.file),
        )  # fmt: skip

    async def now(self, request: web.Request, visit: Visit) -> web.Response:
        """What changes, for a page that is open."""
        status = await self._behind.status()
        return json(
            {
                "reasons": len(self._behind.reasons()),
                "parts": parts_of(status, visit),
                "stores": _stores(status),
                "jobs": self._jobs.shown(visit),
            }
        )


def _lists(folder: Path) -> tuple[list[DeadLetter], list[Gap]]:
    """In a thread: the newest dead letters and gaps, newest first; none of what cannot be read."""
    try:
        return newest_letters(folder, _LETTERS), [*deque(gaps(folder), _GAPS)][::-1]
    except (sqlite3.Error, OSError):
        return [], []


def _letter(letter: DeadLetter, visit: Visit) -> dict[str, Any]:
    return {
        "id": letter.id,
        "sink": letter.sink,
        "n": letter.record.seq,
        "what": visit.texts.of_type(letter.record.type),
        "reason": letter.reason,
        "attempts": letter.attempts,
        "at": visit.words.moment(letter.at),
    }


def _gap(gap: Gap, visit: Visit) -> dict[str, Any]:
    return {
        "source": gap.source,
        "since": visit.words.moment(gap.since),
        "until": visit.words.moment(gap.until),
        "reason": gap.reason,
        "state": gap.state,
        "said": visit.texts(f"gap.{gap.state}"),
        "count": gap.count,
        "filled": gap.filled,
        "notes": gap.notes,
    }


def _stores(status: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Spool and media against their limits."""
    found = []
    for name in ("spool", "media"):
        figures = mapping(status.get(name))
        used, most = int(figures.get("bytes") or 0), int(figures.get("max_bytes") or 0)
        share = min(100.0, 100.0 * used / most) if most else 0.0
        found.append({"name": name, "used": _size(used), "most": _size(most), "share": round(share, 1)})
    return found


def _size(size: float) -> str:
    for unit in _UNITS[:-1]:
        if size < 1024:
            return f"{size:.0f} {unit}" if size >= 10 or unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} {_UNITS[-1]}"


def _span(seconds: float) -> str:
    days, rest = divmod(int(seconds), 86_400)
    hours, rest = divmod(rest, 3600)
    minutes, rest = divmod(rest, 60)
    return f"{days} d {hours} h" if days else f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def _moment(moment: Any, visit: Visit) -> str:
    return "" if moment is None else visit.words.time(moment.isoformat())


def _versions() -> dict[str, str]:
    return {
        "pump": pump.__version__,
        "Python": platform.python_version(),
        "SQLite": sqlite3.sqlite_version,
        "aiohttp": aiohttp.__version__,
        "system": f"{platform.system()} {platform.release()}",
    }


def _settings(config: Config) -> str:
    """pump.toml as it was understood, without what is secret: each secret is stars, wherever it stands."""
    tables = config.model_dump(mode="json", exclude={"warnings", "file", "state_named"}, fallback=str)
    # sources and sinks are typed as what all have in common; each has keys of its own
    for what in ("sources", "sinks"):
        parts = getattr(config, what).items()
        tables[what] = {name: part.model_dump(mode="json", fallback=str) for name, part in parts}
    return clean(orjson.dumps(tables, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS, default=str).decode())
