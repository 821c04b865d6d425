"""Errors that are kept: they hold nothing of where they were raised."""

from __future__ import annotations

import gc
import weakref

import pytest

from pump.core.errors import Unavailable, anew, bare


class _Body:
    """Something large."""


def _read(body: _Body) -> None:
    raise OSError("it is cut")


def _translated(body: _Body) -> None:
    try:
        _read(body)
    except OSError as error:
        raise Unavailable(f"away: {error}") from error


def _kept() -> tuple[Unavailable | None, weakref.ref[_Body]]:
    body = _Body()
    kept: Unavailable | None = None
    try:
        _translated(body)
    except Unavailable as error:
        kept = bare(error)
    return kept, weakref.ref(body)


def test_a_kept_error_holds_its_words_and_nothing_of_the_frames_it_went_through() -> None:
    gc.disable()
    try:
        kept, body = _kept()
        assert body() is None, "without the collector"
    finally:
        gc.enable()
    assert kept is not None
    assert kept.reason == "away: it is cut"
    assert isinstance(kept.__cause__, OSError), "what it came of can still be said"


def test_errors_that_name_each_other_are_come_to_an_end_with() -> None:
    one, other = ValueError("one"), ValueError("other")
    one.__cause__, other.__cause__ = other, one
    with pytest.raises(ValueError, match="one"):
        raise one
    assert bare(one) is one
    assert one.__traceback__ is None


class _Link:
    """Keeps why it ended, for everybody who asks."""

    def __init__(self) -> None:
        self.lost = Unavailable("the broker is gone", retry_after=3.0, done=[1, 2])

    def use(self, body: _Body) -> None:
        raise anew(self.lost)


def _used() -> tuple[_Link, weakref.ref[_Body]]:
    body, link = _Body(), _Link()
    for _ in range(2):
        with pytest.raises(Unavailable) as raised:
            link.use(body)
        assert (raised.value.reason, raised.value.retry_after) == ("the broker is gone", 3.0)
        assert raised.value.done == {1, 2}
        del raised
    return link, weakref.ref(body)


def test_an_error_that_an_object_keeps_holds_nothing_of_where_it_was_raised() -> None:
    gc.disable()
    try:
        link, body = _used()
        assert body() is None, "without the collector"
        assert link.lost.__traceback__ is None
    finally:
        gc.enable()


class _Wanting(Unavailable):
    """Made of more than its words."""

    def __init__(self, host: str, *, nearby: bool) -> None:
        super().__init__(f"{host} is away", retry_after=7.0)
        self.nearby = nearby


def test_an_error_is_made_anew_whatever_its_first_making_wanted() -> None:
    found = anew(_Wanting("gate", nearby=True))
    assert (type(found), str(found), found.reason) == (_Wanting, "gate is away", "gate is away")
    assert (found.nearby, found.retry_after) == (True, 7.0)
    lost = anew(ConnectionRefusedError(111, "Connection refused"))
    assert (lost.errno, lost.strerror) == (111, "Connection refused")
