"""A seed played from its beginning to the oracle's word, many of them in a row, and a report."""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pump.testing.brokers import Mosquitto, NatsServer
from tests.chaos.harness.faults import FAULTS, Fault, perform, schedule
from tests.chaos.harness.oracle import Account, Verdict, judge, out_of_order
from tests.chaos.harness.site import PATIENCE, Site, site

_BEFORE: Final = 0.5
_AFTER: Final = 1.0
"""Seconds of traffic after everything was mended: it must flow."""
_LOT: Final = 30.0
"""Seconds from which on a seed waits for the lot's windows too, which are 10 s."""
_FARTHEST_BACK: Final = -600.0
"""Beyond it the daemon's clock makes passes of later windows, which are due when it is that late again."""
_DEFAULT: Final = 15.0


@dataclass(slots=True)
class Outcome:
    """What became of a seed."""

    seed: int
    seconds: float
    wrong: list[str]
    verdict: Verdict = field(default_factory=Verdict)
    faults: Counter[str] = field(default_factory=Counter)
    left_out: frozenset[str] = frozenset()
    """Faults that this machine cannot make."""
    notes: list[str] = field(default_factory=list)
    starts: int = 0
    took: float = 0.0

    def line(self) -> str:
        """One line that says it all, with the sentences of what is wrong."""
        verdict = self.verdict
        words = [
            f"seed {self.seed}", f"{self.seconds:g} s of faults", "WRONG" if self.wrong else "fine",
            f"{verdict.events} events", f"{verdict.due.total()} due", f"{sum(self.faults.values())} faults",
            f"{self.starts} starts", f"{verdict.in_gaps.total()} in {verdict.gaps.total()} gaps",
            f"{verdict.lost} lost by damage in {verdict.repaired} repairs", f"{verdict.dead.total()} dead letters",
            f"{verdict.again.total()} again", f"took {self.took:.0f} s", *self.notes, *self.wrong,
        ]  # fmt: skip
        return "; ".join(words)


def missing() -> str:
    """Why the harness cannot run here; empty where it can."""
    for server in (Mosquitto, NatsServer):
        if server.found() is None:
            return f"{server.program} is not installed"
    return "" if shutil.which("openssl") else "openssl is not installed"


async def play(seed: int, seconds: float, folder: Path, say: Callable[[str], object] = lambda text: None) -> Outcome:
    """Play one seed in a folder of its own."""
    begun = time.monotonic()
    outcome = Outcome(seed, seconds, [])
    try:
        async with site(folder, seed) as here:
            try:
                await _play(here, outcome, say)
            finally:
                outcome.starts, outcome.notes = here.daemon.starts, here.notes
    except AssertionError as error:
        outcome.wrong.append(str(error))
    except Exception:  # noqa: BLE001  # a fault of the harness: the seeds behind it are played all the same
        outcome.wrong.append(traceback.format_exc().strip().replace("\n", " | "))
    outcome.took = time.monotonic() - begun
    return outcome


async def _play(here: Site, outcome: Outcome, say: Callable[[str], object]) -> None:
    has = {"": True, "library": here.daemon.library is not None, "disk": here.daemon.small_disk}
    outcome.left_out = frozenset(name for name, (kind, _) in FAULTS.items() if not has[kind.needs])

    def able(fault: Fault) -> bool:
        return has[fault.needs]

    keeping = asyncio.create_task(here.keep_running(), name="what systemd would do")
    try:
        await here.ask("flow", on=True)
        await asyncio.sleep(_BEFORE)
        outcome.faults.update(await perform(here, schedule(outcome.seed, outcome.seconds), say, able))
        await here.connected()
        await asyncio.sleep(_AFTER)
        await here.ask("flow", on=False)
        say("everything is mended; it must become quiet")
        await here.quiet()
        passes = await _passes(here, outcome, say)
    finally:
        keeping.cancel()
        with suppress(asyncio.CancelledError):
            await keeping
    status = await here.daemon.end(signal.SIGTERM)
    due = await here.due()
    sinks = await here.peers.held(await asyncio.to_thread(here.dead))
    account = Account(due, here.daemon.offsets, here.daemon.jumps, here.damaged)
    outcome.verdict = judge(account, sinks)
    outcome.wrong += outcome.verdict.wrong
    outcome.wrong += out_of_order(sinks)
    outcome.wrong += passes
    outcome.wrong += await asyncio.to_thread(here.pictures)
    if status != 0:
        outcome.wrong.append(f"asked to stop, it ended with {status}")
    if bugs := here.bugs():
        outcome.wrong.append(f"the log has bugs: {bugs}")


async def _passes(here: Site, outcome: Outcome, say: Callable[[str], object]) -> list[str]:
    """The lot must have been given each vehicle once, whichever window it fell into."""
    if outcome.seconds < _LOT or here.damaged or min(here.daemon.offsets) < _FARTHEST_BACK:
        return []
    say("the parking lot's windows are waited for")
    end = time.monotonic() + PATIENCE
    wanted = await asyncio.to_thread(here.vehicles)
    while (given := here.peers.counted()) != wanted and time.monotonic() < end:
        await asyncio.sleep(0.5)
    return [] if given == wanted else [f"lot: it was given {given} vehicles, and {wanted} passed"]


def played(seeds: list[int], seconds: float, keep: Path | None, say: Callable[[str], object]) -> Iterator[Outcome]:
    """Play seeds one by one; the folder of one that went wrong is kept in `keep`."""
    for seed in seeds:
        folder = Path(tempfile.mkdtemp(prefix=f"pump-chaos-{seed}-"))
        try:
            outcome = asyncio.run(play(seed, seconds, folder, say))
            if outcome.wrong and keep is not None:
                keep.mkdir(parents=True, exist_ok=True)
                place = keep / f"seed-{seed}"
                shutil.rmtree(place, ignore_errors=True)
                shutil.copytree(folder, place, ignore=shutil.ignore_patterns("state", "*.sock"))
            yield outcome
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def report(outcomes: list[Outcome]) -> str:
    """Figures of some seeds, in Markdown."""
    total = Counter[str]()
    by_source: dict[str, Counter[str]] = {"due": Counter(), "in gaps": Counter(), "gaps": Counter()}
    by_sink: dict[str, Counter[str]] = {"again": Counter(), "dead": Counter()}
    faults: Counter[str] = Counter()
    for one in outcomes:
        verdict = one.verdict
        faults += one.faults
        total += Counter(events=verdict.events, lost=verdict.lost, repairs=verdict.repaired, starts=one.starts)
        for name, counted in (("due", verdict.due), ("in gaps", verdict.in_gaps), ("gaps", verdict.gaps)):
            by_source[name] += counted
        for name, counted in (("again", verdict.again), ("dead", verdict.dead)):
            by_sink[name] += counted
    wrong = [one for one in outcomes if one.wrong]
    seconds = sum(one.seconds for one in outcomes)
    lines = [
        f"{len(outcomes)} seeds ({_spans([one.seed for one in outcomes])}), {seconds:g} s of faults: "
        f"{len(wrong)} with something wrong.",
        "",
        f"{total['events']} events; {by_source['due'].total()} records that vendors were told of or had written; "
        f"{total['starts']} starts of the daemon; {total['repairs']} repairs of the spool, "
        f"which reported {total['lost']} events lost.",
        "",
        "| source | due | gaps reported | due and missing, inside a gap |",
        "|---|---|---|---|",
        *(
            f"| {name} | {by_source['due'][name]} | {by_source['gaps'][name]} | {by_source['in gaps'][name]} |"
            for name in sorted(by_source["due"] | by_source["gaps"])
        ),
        "",
        "| sink | came again | dead letters |",
        "|---|---|---|",
        *(
            f"| {name} | {by_sink['again'][name]} | {by_sink['dead'][name]} |"
            for name in ("out", "archive", "stream", "broker", "hook", "choosy")
        ),
        "",
        "| fault | times |",
        "|---|---|",
        *(f"| {name} | {faults[name]} |" for name in FAULTS),
    ]
    if left := sorted({name for one in outcomes for name in one.left_out}):
        lines += ["", f"Left out, for this machine cannot make them: {', '.join(left)}."]
    lines += ["", *(f"- {one.line()}" for one in wrong)]
    return "\n".join(lines).rstrip() + "\n"


def _spans(seeds: list[int]) -> str:
    return str(seeds[0]) if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"


def _seeds(text: str) -> list[int]:
    first, _, last = text.partition("-")
    return list(range(int(first), int(last or first) + 1))


def main() -> None:
    """The command line; exit status 1 where the oracle found something wrong, 77 where the harness cannot run."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.harness", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="one seed")
    parser.add_argument("--seeds", type=_seeds, help="several, such as 1-200")
    parser.add_argument("--seconds", type=float, default=_DEFAULT, help="of faults, for each seed")
    parser.add_argument("--schedule", action="store_true", help="print the faults, and play nothing")
    parser.add_argument("--report", type=Path, help="write the figures as Markdown")
    parser.add_argument("--log", type=Path, help="append a line for each seed; seeds that it has are not played again")
    parser.add_argument("--keep", type=Path, help="where the folder of a seed that went wrong is kept")
    parser.add_argument("--quiet", action="store_true", help="say nothing while a seed is played")
    given = parser.parse_args()
    seeds: list[int] = given.seeds or [given.seed]
    if given.schedule:
        for seed in seeds:
            print(f"seed {seed}")
            print("\n".join(map(str, schedule(seed, given.seconds))))
        return
    if why := missing():
        print(f"the chaos harness cannot run: {why}", file=sys.stderr)
        sys.exit(77)
    # Asked to end it mends nothing, but leaves no process behind either.
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's job in the background would ignore it
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    done = _done(given.log)
    outcomes = []
    say = (lambda text: None) if given.quiet else (lambda text: print(text, file=sys.stderr, flush=True))
    for outcome in played([seed for seed in seeds if seed not in done], given.seconds, given.keep, say):
        outcomes.append(outcome)
        print(outcome.line(), flush=True)
        if given.log is not None:
            with given.log.open("a") as file:
                file.write(outcome.line() + "\n")
                file.flush()
                os.fsync(file.fileno())
    if given.report is not None and outcomes:
        given.report.write_text(report(outcomes))
    sys.exit(any(one.wrong for one in outcomes))


def _done(log: Path | None) -> set[int]:
    """The seeds that a log says were fine."""
    if log is None or not log.exists():
        return set()
    lines = [line.split("; ") for line in log.read_text().splitlines()]
    return {int(parts[0].removeprefix("seed ")) for parts in lines if len(parts) > 2 and parts[2] == "fine"}
