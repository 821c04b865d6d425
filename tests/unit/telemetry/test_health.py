"""Component states, and who is found to have fallen silent."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from pump.telemetry.health import Component, Failing, Health, HealthCollector
from pump.testing import ManualClock


def silent(clock: ManualClock, expects: float | None = 10.0) -> tuple[Health, Component]:
    health = Health(clock)
    component = health.component("source teams")
    component.expects = expects
    component.up()
    return health, component


def tick(health: Health, clock: ManualClock, seconds: int) -> None:
    """One second after another, as the daemon does."""
    for _ in range(seconds):
        clock.advance(1.0)
        health.check(1.0)


def test_silence_beyond_what_is_expected_is_a_stall_told_once() -> None:
    clock = ManualClock()
    health, component = silent(clock)
    with capture_logs() as logs:
        tick(health, clock, 10)
        assert health.reasons() == []
        tick(health, clock, 5)
    assert component.state == "stalled"
    assert component.stalls == 1
    assert [line["part"] for line in logs if line["event"] == "A part has stalled"] == ["source teams"]
    assert health.reasons() == ["source teams is stalled: no sign of life for 10 s"]


def test_a_sign_of_life_ends_the_stall() -> None:
    clock = ManualClock()
    health, component = silent(clock)
    tick(health, clock, 12)
    with capture_logs() as logs:
        component.activity()
        tick(health, clock, 2)
    assert component.state == "up"
    assert health.reasons() == []
    assert [line["event"] for line in logs] == ["A stalled part has come back"]


def test_a_loop_that_is_stuck_is_not_hidden_by_another_one() -> None:
    clock = ManualClock()
    health, component = silent(clock)
    component.expect(10.0, "alarm", "combine")
    with capture_logs() as logs:
        for _ in range(30):
            tick(health, clock, 1)
            component.activity("alarm")
            component.up()
    assert component.state == "stalled"
    assert component.stalls == 1, "the other's success ended it, and it stalled again"
    assert health.reasons() == ["source teams is stalled: no sign of life of combine for 10 s"]
    assert component.idle == 30.0
    assert [line["event"] for line in logs] == ["A part has stalled"]
    component.activity("combine")
    assert health.reasons() == []
    assert component.idle == 0.0


def test_loops_of_a_former_life_owe_nothing() -> None:
    clock = ManualClock()
    health, component = silent(clock)
    component.expect(10.0, "alarm", "combine")
    tick(health, clock, 20)
    assert component.state == "stalled"
    component.begin_anew()
    component.expect(10.0, "rawmsg")
    component.up()
    for _ in range(3):
        tick(health, clock, 9)
        component.activity("rawmsg")
    assert health.reasons() == []


def test_without_an_expectation_silence_is_no_stall() -> None:
    clock = ManualClock()
    health, component = silent(clock, expects=None)
    tick(health, clock, 1000)
    assert component.state == "up"


def test_a_part_that_is_down_does_not_stall() -> None:
    clock = ManualClock()
    health, component = silent(clock)
    component.down("no route")
    tick(health, clock, 100)
    assert (component.state, component.reason) == ("down", "no route")


def test_a_part_that_never_came_up_stalls() -> None:
    clock = ManualClock()
    health = Health(clock)
    component = health.component("source gate")
    component.expects = 5.0
    tick(health, clock, 7)
    assert component.state == "stalled"


@pytest.mark.parametrize("jump", [86400.0 * 365, -86400.0 * 365])
def test_a_jump_of_the_wall_clock_stalls_nobody(jump: float) -> None:
    clock = ManualClock()
    health, component = silent(clock)
    tick(health, clock, 3)
    clock.jump(jump)
    tick(health, clock, 3)
    assert component.state == "up"
    assert component.idle == 6.0


def test_a_loop_that_stood_still_is_told_and_the_parts_get_grace() -> None:
    clock = ManualClock()
    health, component = silent(clock)
    health.check(1.0)
    clock.advance(60.0)
    with capture_logs() as logs:
        health.check(1.0)
    assert health.reasons() == []
    assert [(line["event"], line["seconds"]) for line in logs] == [("The event loop stood still", 59.0)]
    assert health.stood == 59.0
    tick(health, clock, 1)
    assert component.state == "stalled"


def test_news_are_changes_only() -> None:
    component = Component("sink out", ManualClock())
    assert component.up()
    assert not component.up()
    assert component.down("away")
    assert not component.down("still away")
    assert component.reason == "still away"
    assert component.stopped()


@pytest.mark.parametrize("end", ["up", "down", "stopped"])
def test_failing_calls_are_seen_and_make_nothing_unready(end: str) -> None:
    clock = ManualClock()
    health, component = silent(clock)
    registry = CollectorRegistry()
    registry.register(HealthCollector(health))

    def shown() -> float | None:
        return registry.get_sample_value("pump_component_failing", {"part": "source teams"})

    component.failing = Failing(clock.now(), "no route", clock.now())
    component.activity()
    assert (component.state, health.reasons(), shown()) == ("up", [], 1.0)
    assert health.failing() == ["source teams fails: no route"]
    component.down("no route") if end == "down" else getattr(component, end)()
    assert component.failing is None
    assert health.failing() == []
    assert shown() == 0.0


def test_a_spell_of_up_is_measured() -> None:
    clock = ManualClock()
    component = Component("source teams", clock)
    assert component.lasted(0.0) == 0.0
    clock.advance(5.0)
    component.up()
    clock.advance(30.0)
    assert component.lasted(0.0) == 30.0
    assert component.lasted(15.0) == 20.0
    component.down("away")
    clock.advance(100.0)
    assert component.lasted(0.0) == 30.0
    assert component.lasted(50.0) == 0.0


def test_metrics_show_states_and_forget_who_is_gone() -> None:
    clock = ManualClock()
    health, _ = silent(clock)
    registry = CollectorRegistry()
    registry.register(HealthCollector(health))
    tick(health, clock, 12)

    def state(name: str) -> float | None:
        return registry.get_sample_value("pump_component_state", {"part": "source teams", "state": name})

    assert (state("stalled"), state("up")) == (1.0, 0.0)
    assert registry.get_sample_value("pump_component_stalls_total", {"part": "source teams"}) == 1.0
    assert registry.get_sample_value("pump_component_idle_seconds", {"part": "source teams"}) == 12.0
    health.remove("source teams")
    assert state("stalled") is None
