"""The harness of all faults, one seed of it; and its oracle, which has to notice what is planted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.chaos.harness.account import Due, Held, Seen
from tests.chaos.harness.faults import FAULTS, schedule
from tests.chaos.harness.oracle import GAP, REPAIRED, Account, Verdict, judge, out_of_order
from tests.chaos.harness.run import missing, play

_AT = 1_790_000_000.0


def _event(number: int, source: str = "door", type_: str = "vehicle.passed", **data: object) -> Seen:
    return Seen((f"/chaos/{source}", f"id-{number}"), type_, None if data else str(number), f"content-{number}", data)


def _gap(since: float, until: float, source: str = "door") -> Seen:
    begin, end = (f"2026-09-21T14:13:{20 + at - _AT:06.3f}Z" for at in (since, until))
    return Seen((f"/chaos/{source}", f"gap-{since}"), GAP, None, "gap", {"from": begin, "to": end})


_SOUND = [_event(number) for number in range(10)]
_DUE = [Due("door", str(number), _AT + number, _AT + number + 0.1) for number in range(10)]


def _judged(events: list[Seen], due: list[Due] = _DUE, **more: object) -> Verdict:
    """One sink that has these events once, beside one that has all of them at least once."""
    sinks = {"out": Held(events, once=True), "broker": Held([*_SOUND, *events], once=False)}
    return judge(Account(due, **more), sinks)  # type: ignore[arg-type]


def test_the_oracle_has_nothing_to_say_where_everything_adds_up() -> None:
    found = _judged(_SOUND)
    assert found.wrong == []
    assert (found.due["door"], found.again["broker"], found.again["out"]) == (10, 10, 0)


def test_the_oracle_notices_a_planted_loss() -> None:
    wrong = _judged(_SOUND[:-1]).wrong
    assert any("out: 1 records that vendors were told of are missing" in one for one in wrong)
    assert any("out: 1 events that other sinks have are missing" in one for one in wrong)


def test_the_oracle_notices_a_loss_that_all_sinks_share() -> None:
    due = [*_DUE, Due("gate", "a plate")]
    wrong = _judged(_SOUND, due).wrong
    assert [one.partition(":")[0] for one in wrong] == ["out", "broker"]
    assert all("gate a plate" in one for one in wrong)


def test_the_oracle_notices_a_planted_doubling_of_an_event_and_of_a_record() -> None:
    [wrong] = _judged([*_SOUND, _SOUND[3]]).wrong
    assert "out: 1 events are there more than once" in wrong
    again = replace(_SOUND[3], key=("/chaos/door", "another id"))
    sinks = {"out": Held([*_SOUND, again], once=True)}
    [wrong] = judge(Account(_DUE), sinks).wrong
    assert "1 records are two events each" in wrong


def test_the_oracle_notices_one_id_with_two_contents() -> None:
    changed = [*_SOUND[:-1], replace(_SOUND[-1], digest="another")]
    assert any("have two contents" in one for one in _judged(changed).wrong)


def test_a_gap_excuses_what_lies_in_it_and_nothing_else() -> None:
    lost = _SOUND[:4] + _SOUND[7:]

    def judged(*gaps: Seen, due: list[Due] = _DUE, **more: object) -> Verdict:
        return judge(Account(due, **more), {"out": Held([*lost, *gaps], once=True)})  # type: ignore[arg-type]

    found = judged(_gap(_AT + 4, _AT + 6.2))
    assert found.wrong == []
    assert found.in_gaps["door"] == 3
    assert judged(_gap(_AT + 8, _AT + 9)).wrong, "the gap is another"
    assert judged(_gap(_AT + 4, _AT + 6.2, "arc")).wrong, "the gap is another source's"
    acknowledged = [Due("door", one.identity) for one in _DUE]
    assert judged(_gap(_AT + 4, _AT + 6.2), due=acknowledged).wrong, "what was acknowledged may be in no gap"
    assert judged(_gap(_AT + 4 + 30, _AT + 6.2 + 30)).wrong
    assert judged(_gap(_AT + 4 + 30, _AT + 6.2 + 30), offsets=(0.0, 30.0)).wrong == [], "the clock was ahead"


def test_damage_excuses_as_many_as_it_reported() -> None:
    def judged(count: int) -> list[str]:
        news = [
            _event(100, "pump", REPAIRED, lost=count),
            Seen(("/chaos/pump", "gap"), GAP, None, "gap", {"from": "x", "to": "x", "count": count}),
        ]
        return judge(Account(_DUE), {"out": Held([*_SOUND[:-2], *news], once=True)}).wrong

    assert judged(2) == []
    assert judged(1)


def test_a_dead_letter_is_no_loss_and_a_delivered_one_is_wrong() -> None:
    def judged(events: list[Seen]) -> list[str]:
        dead = frozenset({_SOUND[-1].key})
        return judge(Account(_DUE), {"out": Held(_SOUND, once=True), "hook": Held(events, once=False, dead=dead)}).wrong

    assert judged(_SOUND[:-1]) == []
    [wrong] = judged(_SOUND)
    assert "hook: 1 events are delivered and dead letters" in wrong


def test_a_dead_letter_that_a_repair_reports_as_lost_is_excused_and_no_other_event() -> None:
    """A byte that flips in a dead letter takes it, and the report is all that is left of it."""

    def judged(reason: str, gone: int = 1, *, refused: int = 2, sink: str = "choosy") -> list[str]:
        """The verdict on a sink that refuses the last `refused` events, and lacks the last `gone`."""
        news = [*_SOUND, _event(100, "pump", REPAIRED, lost=0, reason=reason)]
        refuses = {one.key for one in _SOUND[len(_SOUND) - refused :]}
        left = [one for one in news if one.key not in refuses and one not in _SOUND[len(_SOUND) - gone :]]
        dead = frozenset(refuses) - {one.key for one in _SOUND[len(_SOUND) - gone :]}
        held = Held(left, once=False, dead=dead, refuses=refuses.__contains__)
        return judge(Account(_DUE), {"out": Held(news, once=True), "choosy": Held(news, once=False), sink: held}).wrong

    said = "damaged rows were set aside: 1 of dead (8/choosy)"
    assert judged(said) == []
    assert judged("damaged rows were set aside: 2 of dead, 1 of state (lot/open, 7/choosy, 8/choosy)", 2) == []
    assert judged("damaged rows were set aside: 1 of dead, 1 of limited (17/door, 8/choosy)") == []
    assert judged("the file's header is damaged; left out: damaged rows were set aside: 1 of dead (1/choosy)") == []
    assert judged(f"damaged rows were set aside: 1 of cursors (out/7); {said}") == [], "two that were reported at once"
    assert judged("damaged rows were set aside: 2 of dead (8/choosy)", 2) == [], "not all are named"
    assert judged("database disk image is malformed; left out: what could not be read of state, dead", 2) == []

    for wrong in (
        judged("damaged rows were set aside: 1 of state (lot/open)"),
        judged(said, 2),
        judged(said, 2, refused=1),  # an event that it would have taken
        judged(said, refused=0),
        judged(said, sink="hook"),
        judged("damaged rows were set aside: 1 of state (lot/open); the numbers of 1 blocks of events were mended"),
        judged("database disk image is malformed; left out: what could not be read of state"),
    ):
        assert any("events that other sinks have are missing" in one for one in wrong)


def test_another_order_is_noticed_and_a_repetition_is_none() -> None:
    def wrong(events: list[Seen]) -> list[str]:
        return [*out_of_order({"out": Held(_SOUND, once=True), "hook": Held(events, once=False)})]

    assert wrong([*_SOUND[:5], *_SOUND[2:]]) == []
    [one] = wrong([*_SOUND[:5], _SOUND[6], _SOUND[5], *_SOUND[7:]])
    assert "hook: the events of door are out of order from the 6th on" in one


def test_a_seed_has_always_the_same_faults_and_many_seeds_have_all_of_them() -> None:
    printed: Callable[[int], list[str]] = lambda seed: [str(item) for item in schedule(seed, 60.0)]  # noqa: E731
    assert printed(7) == printed(7) != printed(8)
    assert {item.name for seed in range(20) for item in schedule(seed, 60.0)} == FAULTS.keys()


@pytest.mark.skipif(bool(missing()), reason=f"the harness cannot run: {missing()}")
@pytest.mark.timeout(600)
@pytest.mark.long  # .ci/run plays a minute of the commit's own seed
@pytest.mark.parametrize("seed", [119])
def test_all_vendors_all_sinks_and_the_faults_of_a_seed(tmp_path: Path, seed: int) -> None:
    outcome = asyncio.run(play(seed, 10.0, tmp_path))
    print(outcome.line())
    assert outcome.wrong == []
    assert outcome.verdict.due.total() > 0
