"""GET /board. The stored events are folded when somebody looks: first those of the last days, then what came since."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from aiohttp import web

from pump.core.settings import SinkSettings
from pump.ops.page.access.visits import Route, Visit
from pump.ops.page.acting.noted import Noted
from pump.ops.page.behind import Behind
from pump.ops.page.board.devices import Table, table, unreachable
from pump.ops.page.board.fold import HOURS, Board, Lot, Thing
from pump.ops.page.reading import FARTHEST
from pump.ops.page.render import Renderer, threads
from pump.ops.page.rows import noted_by
from pump.spool.offline import events

PATIENCE: Final = 3.0
"""Seconds that a reader waits for the fold; what is not in it by then comes with the next look."""
_BREATH: Final = 64
"""Events from one rest to the next."""
_DAY: Final = 86_400
_NONE: Final[Table] = {}
_LISTED: Final = 60
"""Things of a kind that are shown; the count has all."""


class BoardPages:
    """The handler, with the board that all readers share."""

    def __init__(self, behind: Behind, renderer: Renderer, noted: Noted) -> None:
        self._behind = behind
        self._renderer = renderer
        self._noted = noted
        self._board: Board | None = None
        self._folding: asyncio.Task[None] | None = None

    def routes(self) -> list[Route]:
        """The pages that it has."""
        return [("GET", "/board", "look", self.board)]

    async def board(self, request: web.Request, visit: Visit) -> web.Response:
        """The page; while the first fold is under way, as far as it has come."""
        spool, devices = self._behind.spool(), _NONE
        if spool is not None:
            if self._folding is None or self._folding.done():
                zone, ways = self._behind.config.time_zone, directions(self._behind.config.sinks.values())
                if self._board is None or (self._board.zone, self._board.directions) != (zone, ways):
                    self._board = Board(zone, ways)
                    self._board.position = max(spool.floor, spool.head - FARTHEST)
                fold = threads.run(_fold, spool.folder, self._board, spool.head)
                self._folding = asyncio.create_task(fold, name="operators' page: board")
            devices = await threads.run(table, spool.folder)
            await asyncio.wait({self._folding}, timeout=PATIENCE)
            if self._folding.done():
                self._folding.result()
        board, words = self._board or Board(self._behind.config.time_zone), visit.words
        whole = self._folding is not None and self._folding.done()
        now = self._behind.clock.now()
        return await self._renderer.page(
            "board", visit=visit, t=visit.texts, nav="board", reasons=self._behind.reasons(), whole=whole,
            lots=_lots(board, now.astimezone(self._behind.config.time_zone).date().isoformat()),
            partitions=_things(board.partitions, visit), doors=_things(board.doors, visit),
            offline=_things(unreachable(board.offline, devices), visit),
            alarms=self._alarms(board, now, visit), batteries=_batteries(board, visit),
            chart=_chart(board, now, visit), at=words.time(now.isoformat()),
        )  # fmt: skip

    def _alarms(self, board: Board, now: datetime, visit: Visit) -> dict[str, Any]:
        """Those that are not over, without what is said once and is older than a day; who has taken note of each."""
        spool = self._behind.spool()
        things = {key: one for key, one in list(board.alarms.items()) if _is_recent(one, now)}
        found = _things(things, visit)
        for one in found["shown"]:
            by = "" if spool is None else self._noted.by(spool, one["facts"]["id"])
            one["noted"] = noted_by(by, visit.texts) if by else ""
        return found

    def close(self) -> None:
        """End a fold that nobody waits for."""
        if self._folding is not None:
            self._folding.cancel()


def _fold(folder: Path, board: Board, head: int) -> None:
    """In a thread, one at a time: take in what is stored above the board's position, to the head as it was."""
    with suppress(sqlite3.Error, OSError):  # it goes on from there at the next look
        for number, record in enumerate(events(folder, after=board.position)):
            board.fold((record,))
            if record.seq >= head:
                return
            if number % _BREATH == 0:
                time.sleep(0.0005)


def directions(sinks: Iterable[SinkSettings]) -> dict[str, str]:
    """The direction tables of all sinks that have one; of a camera that several name, what the first says."""
    found: dict[str, str] = {}
    for sink in sinks:
        for camera, way in getattr(sink, "directions", {}).items():
            found.setdefault(camera, way)
    return found


def _is_recent(alarm: Thing, now: datetime) -> bool:
    with suppress(ValueError, TypeError):
        return (now - datetime.fromisoformat(alarm.since)).total_seconds() < _DAY
    return True


def _things(things: Mapping[str, Thing], visit: Visit) -> dict[str, Any]:
    """The newest of them for the page, and how many there are."""
    newest = sorted([*things.values()], key=lambda one: one.number, reverse=True)
    return {"count": len(newest), "shown": [_shown(one, visit) for one in newest[:_LISTED]]}


def _shown(thing: Thing, visit: Visit) -> dict[str, Any]:
    t = visit.texts
    said = t.get(f"thing.{thing.state}", "") or t.of_type(thing.state)
    if (mode := thing.facts.get("mode")) and mode != thing.state:
        said = f"{said} ({mode})"
    return {
        "name": thing.name,
        "place": thing.place,
        "state": thing.state,
        "said": said,
        "since": visit.words.time(thing.since),
        "n": thing.number,
        "facts": thing.facts,
    }


def _lots(board: Board, today: str) -> list[dict[str, Any]]:
    """Each lot with its bays and today's passes; bays without a lot stand together."""
    occupied: Counter[str] = Counter()
    known: Counter[str] = Counter()
    for bay in list(board.bays.values()):
        known[bay.facts["lot"]] += 1
        occupied[bay.facts["lot"]] += bay.state == "occupied"
    lots = dict(board.lots)
    found = []
    for name in sorted({*known, *lots}):
        passes = lots[name].passes if name in lots and lots[name].day == today else Lot().passes
        share = round(100 * occupied[name] / known[name]) if known[name] else 0
        found.append(
            {"name": name, "bays": known[name], "occupied": occupied[name], "share": share, "passes": dict(passes)}
        )
    return found


def _batteries(board: Board, visit: Visit) -> dict[str, Any]:
    """Those that have least left first."""

    def left(thing: Thing) -> tuple[bool, float]:
        volts = thing.facts.get("volts")
        return thing.state != "low", float(volts) if isinstance(volts, int | float) else 99.0

    things: Iterable[Thing] = sorted([*board.batteries.values()], key=left)
    return {"count": len(board.batteries), "shown": [_shown(one, visit) for one in [*things][:_LISTED]]}


def _chart(board: Board, now: datetime, visit: Visit) -> dict[str, Any]:
    """The bars of the last hours, oldest first, in a field of 100 by 100."""
    this = int(now.timestamp()) // 3600
    counts = [board.hours.get(hour, [0, 0]) for hour in range(this - HOURS + 1, this + 1)]
    most = max(1, *(count for count, _ in counts))
    bars = []
    for place, (count, bad) in enumerate(counts):
        hour = datetime.fromtimestamp((this - HOURS + 1 + place) * 3600, UTC).astimezone(visit.words.zone)
        bars.append(
            {
                "x": round(place * 100 / HOURS, 2),
                "height": round(100 * count / most, 2),
                "bad": round(100 * bad / most, 2),
                "hour": hour.strftime("%H:%M"),
                "count": count,
                "warnings": bad,
            }
        )
    return {"bars": bars, "most": most, "width": round(100 / HOURS - 0.6, 2), "all": sum(count for count, _ in counts)}
