"""`SpoolState`: cursors never go back by themselves, nothing noted is lost between commits, holders hold."""

from __future__ import annotations

import random

import pytest

from pump.spool import Cursor
from pump.spool.state import News, Noted, SpoolState


def _state(**cursors: int) -> SpoolState:
    return SpoolState(head=100, floor=10, cursors={sink: Cursor(seq, None) for sink, seq in cursors.items()})


def test_a_cursor_moves_back_by_a_rewind_alone() -> None:
    state = _state(out=50)
    with pytest.raises(ValueError, match="the cursor of out would move back from 50 to 49"):
        state.set_cursor("out", Cursor(49, None))
    assert state.cursor("out") == Cursor(50, None)
    assert not state.unstored
    state.set_cursor("out", Cursor(50, {"again": True}))
    state.set_cursor("out", Cursor(60, None))
    state.set_cursor("out", Cursor(20, None), rewind=True)
    assert state.cursor("out") == Cursor(20, None)


def test_head_and_floor_never_fall() -> None:
    state = _state()
    state.advance(120)
    state.advance(110)
    state.removed_through(40)
    state.removed_through(30)
    assert (state.head, state.floor) == (120, 40)


def test_retention_waits_for_stored_cursors_of_holding_sinks_alone() -> None:
    state = _state(out=50, hook=20)
    assert (state.held_through(), state.holder()) == (100, "")
    state.set_holders({"out": True, "hook": False})
    assert (state.held_through(), state.holder()) == (50, "out")
    state.set_holders({"hook": True, "new": False})
    assert (state.held_through(), state.holder()) == (20, "hook")
    state.set_holders({"new": True})
    assert (state.held_through(), state.holder()) == (0, "new"), "a sink without a cursor has had nothing"
    state.set_holders({"new": False})
    state.set_cursor("hook", Cursor(90, None))
    assert state.held_through() == 20, "a cursor counts once it is stored"
    state.stored(state.take_unstored())
    assert state.held_through() == 50


def test_what_a_failed_commit_gives_back_stands_behind_anything_newer() -> None:
    state = _state(out=50)
    state.set_cursor("out", Cursor(60, None))
    state.set_cursor("hook", Cursor(5, None))
    state.remember(("pump", "run"), 1)
    taken = state.take_unstored()
    assert not state.unstored
    state.set_cursor("out", Cursor(70, None))
    state.remember(("pump", "run"), 2)
    state.put_back(taken)
    assert state.take_unstored() == Noted({"out": Cursor(70, None), "hook": Cursor(5, None)}, {("pump", "run"): 2})


def test_a_note_waits_until_the_very_same_is_taken() -> None:
    state = _state(out=50)
    state.set_cursor("out", Cursor(60, None))
    noted = state.noted()
    assert state.waits(noted)
    state.set_cursor("out", Cursor(70, None))
    assert not state.waits(noted), "a newer one has taken its place"
    state.take_unstored()
    assert not state.waits(state.noted())


def test_state_of_a_source_is_given_by_prefix_and_removed_by_none() -> None:
    state = _state()
    state.apply({("teams", "queue/a"): 1, ("teams", "token"): "t", ("door", "token"): "d"})
    assert state.values("teams") == {"queue/a": 1, "token": "t"}
    assert state.values("teams", "queue/") == {"queue/a": 1}
    state.apply({("teams", "token"): None})
    state.remember(("door", "token"), None)
    assert state.values("teams") == {"queue/a": 1}
    assert state.values("door") == {}
    assert state.take_unstored().values == {("door", "token"): None}, "the file is to forget it too"


def test_a_prefix_is_a_range_whatever_came_and_went() -> None:
    chance, state = random.Random(13), _state()
    model: dict[tuple[str, str], int] = {}
    for number in range(2_000):
        key = (chance.choice("ab"), "".join(chance.choices("a/\uffff\U0010ffff", k=chance.randrange(4))))
        value = chance.choice((None, number))
        state.apply({key: value})
        model |= {key: number} if value is not None else {}
        if value is None:
            model.pop(key, None)
    for prefix in ("", "a", "a/", "/", "\uffff", "\U0010ffff", "a/a/a", "b"):
        mine = {key: value for (source, key), value in model.items() if source == "a" and key.startswith(prefix)}
        assert [*state.values("a", prefix).items()] == sorted(mine.items())
    assert all(state.value(key) == value for key, value in model.items())


def test_bytes_and_letters_are_counted() -> None:
    state = _state()
    state.add_quarantined("teams", 100)
    state.add_quarantined("teams", 20)
    assert (state.quarantined("teams"), state.quarantined("door")) == (120, 0)
    state.take_quarantined({"teams": 100, "door": 7})
    assert (state.quarantined("teams"), state.quarantined("door")) == (20, 0)
    state.count_dead("out", 3, 300)
    state.count_dead("out", -1, -90)
    assert (state.dead, state.dead_bytes) == ({"out": 2}, {"out": 210})
    state.recount_dead({"in": (1, 5)})
    assert (state.dead, state.dead_bytes) == ({"in": 1}, {"in": 5})


def test_news_from_before_somebody_listens_is_kept() -> None:
    news, filling, damaged = News(), list[tuple[str, int, int]](), list[int]()
    news.filling("out", 9, 10)
    news.damaged([4])
    news.listen(filling=lambda *facts: filling.append(facts), damaged=damaged.extend)
    assert (filling, damaged) == ([("out", 9, 10)], [4])
    news.damaged([5])
    news.filling("", 10, 10)
    assert (filling, damaged) == ([("out", 9, 10), ("", 10, 10)], [4, 5])
