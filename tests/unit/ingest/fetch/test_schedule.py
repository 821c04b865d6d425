"""The order of fetches, by itself."""

from __future__ import annotations

import random

from pump.ingest.fetch.schedule import BURST, PACE, Job, Schedule
from pump.spool import Fetch

HOST = "pictures.example.com"


def link(number: int, facts: bytes = b"{}") -> Fetch:
    return Fetch("teams", f"{number}", "event", 0, 0, 0, f"http://{HOST}/{number}", facts)


def schedule(count: int, *, per_host: int = 64) -> Schedule:
    """Links of one host, all of which may be asked."""
    made = Schedule(per_host=per_host, at_once=64, rng=random.Random(1))
    for number in range(count):
        made.add(link(number), HOST, 900.0, 0.0)
    return made


def ready(of: Schedule, now: float) -> list[Job]:
    """Those to be asked."""
    ask, dead = of.ready(now)
    assert not dead
    return ask


def test_a_burst_of_a_host_is_asked_in_parts_unless_it_answers() -> None:
    links = schedule(40)
    first = ready(links, 10.0)
    assert len(first) == BURST
    assert ready(links, 10.01) == []
    for job in first[:3]:
        links.answered(job)
        links.ended(job, there=True)
    assert len(ready(links, 10.02)) == 3  # a near host is asked for as many as it has given
    assert links.next(10.02) == 10.0 + PACE


def test_a_host_that_is_far_away_has_all_that_it_may_have() -> None:
    links = schedule(40, per_host=20)
    now, asked = 10.0, len(ready(links, 10.0))
    while (wake := links.next(now)) is not None and wake < 100.0:
        assert wake > now
        now = wake
        asked += len(ready(links, now))
    assert asked == 20
    assert 10.0 + PACE < now < 10.0 + 3 * PACE


def test_a_link_that_lives_for_a_day_is_asked_less_often_than_one_that_dies_soon() -> None:
    tries = {}
    for life in (900.0, 86_400.0):
        links = Schedule(per_host=4, at_once=4, rng=random.Random(1))
        links.add(link(1), HOST, life, 0.0)
        now, tries[life] = 0.0, 0
        while True:
            for job in ready(links, now):
                tries[life] += 1
                links.ended(job, there=True)
                links.again(job, now)
            if (wake := links.next(now)) is None or wake >= life:
                break
            now = wake
        assert now >= life - 30.0, "there is a last try"
    assert tries[900.0] > 40
    assert tries[86_400.0] < 600


def test_strangers_come_behind_and_leave_half_of_the_places() -> None:
    links = Schedule(per_host=4, at_once=4, rng=random.Random(1))
    for number in range(10):
        links.add(link(number, b'{"stranger":true}'), HOST, 100.0, 0.0)
    strange = ready(links, 1.0)
    assert len(strange) == 2
    assert links.next(1.0) == 100.0
    for number in range(20, 23):
        links.add(link(number), HOST, 900.0, 0.0)
    assert [job.fetch.medium for job in ready(links, 2.0)] == ["20", "21"]
    links.answered(strange[0])
    links.ended(strange[0], there=True)
    assert [job.fetch.medium for job in ready(links, 3.0)] == ["22"]
    links.answered(strange[1])
    links.ended(strange[1], there=True)
    assert len(ready(links, 4.0)) == 1
    ask, dead = links.ready(200.0)
    assert (ask, dead) == ([], []), "one that was never asked is asked once, if late"
