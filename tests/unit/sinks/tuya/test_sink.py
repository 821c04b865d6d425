"""The tuya sink against the simulated cloud, which verifies every byte of every signature."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from pump.core.clock import Clock
from pump.core.errors import Gone, Misconfigured, Unavailable
from pump.sinks.tuya.settings import TuyaSettings
from pump.sinks.tuya.simulator.server import SECRET
from pump.testing import ManualClock
from tests.unit.sinks.tuya.lot import HOUR, Site, event, settings, site


class Right(Clock):
    """The vendor's clock: as the other one began, without its jumps."""

    def __init__(self, other: ManualClock) -> None:
        self._other = other
        self._begin = other.now() - timedelta(seconds=other.monotonic())

    def now(self) -> datetime:
        return self._begin + timedelta(seconds=self._other.monotonic())

    def now_ms(self) -> int:
        return int(self.now().timestamp() * 1000)


async def _one_hour(here: Site, **keys: Any) -> None:
    """Three vehicles in, one out, and the hour's end with its lag."""
    begin = here.now()
    async with here.sink(**keys) as sink:
        batch = [event(1, begin), event(2, begin + 1), event(3, begin + HOUR - 1), event(4, begin + 5, camera="1002")]
        await sink.send(batch)
        await here.elapse(sink, 3600 + 301)


async def test_a_window_is_reported_a_lag_after_its_end_by_direction() -> None:
    async with site(knows=False) as here:
        begin = here.now()
        async with here.sink() as sink:
            await sink.send([event(1, begin), event(2, begin + HOUR - 1), event(3, begin + 5, camera="1002")])
            await here.elapse(sink, 3600 + 299)
            assert here.counts() == {}
            await here.elapse(sink, 2)
            assert here.counts() == {(0, 0, begin): 2, (0, 1, begin): 1}
            assert {claim.end for claim in here.lot.claims} == {begin + HOUR}
            await here.elapse(sink, 3600)
        assert here.counts()[0, 0, begin + HOUR] == 0, "an hour without a vehicle is reported too"
        kept = here.memory[f"window/{begin}"]
        assert kept["sent"] == {"in": 2, "out": 1}
        assert kept["sn"] == {"0": "135000001"}


async def test_nothing_is_reported_before_anything_was_counted() -> None:
    async with site() as here, here.sink() as sink:
        await here.elapse(sink, 86400)
        assert (here.cloud.calls, here.cloud.tokens_given) == (0, 0)


async def test_bills_are_reported_where_something_feeds_them_and_never_before() -> None:
    async with site(knows=False) as here, here.sink(bills=["parking.*"]) as sink:
        begin = here.now()
        await sink.send([event(1, begin)])
        await here.elapse(sink, 3600 + 301)
        assert {claim.data_type for claim in here.lot.claims} == {0}
        bill = event(2, begin + HOUR + 1, type_="parking.space.vacated")
        await sink.send([bill])
        await here.elapse(sink, 2 * 3600)
        assert [claim for claim in here.lot.claims if claim.data_type == 1] == [
            (1, None, begin + HOUR, begin + 2 * HOUR, 1),
            (1, None, begin + 2 * HOUR, begin + 3 * HOUR, 0),
        ]


async def test_bills_are_reported_no_more_where_the_filter_is_taken_out() -> None:
    async with site(knows=False) as here:
        begin = here.now()
        async with here.sink(bills=["parking.*"]) as sink:
            await sink.send([event(1, begin), event(2, begin, type_="parking.space.vacated")])
            await here.elapse(sink, 3600 + 301)
        async with here.sink() as sink:
            await here.elapse(sink, 3600)
        assert (1, None, begin) in here.counts()
        assert (1, None, begin + HOUR) not in here.counts()
        assert (0, 0, begin + HOUR) in here.counts()


async def test_a_direction_that_no_camera_feeds_is_not_reported() -> None:
    async with site(knows=False) as here, here.sink(directions={"10000/1001": "in"}) as sink:
        begin = here.now()
        await sink.send([event(1, begin)])
        await here.elapse(sink, 3600 + 301)
        assert here.counts() == {(0, 0, begin): 1}


async def test_a_late_event_has_its_window_reported_again_once_all_is_quiet() -> None:
    async with site(knows=False) as here:
        begin = here.now()
        await _one_hour(here)
        calls = here.cloud.calls
        async with here.sink() as sink:
            for number in range(3):
                await sink.send([event(10 + number, begin + 9, arrived=here.now())])
                await here.elapse(sink, 200)
            assert here.cloud.calls == calls, "events are still coming"
            await here.elapse(sink, 101)
            assert here.cloud.calls == calls + 1
            assert here.counts()[0, 0, begin] == 6
            await here.elapse(sink, 900)
            assert here.cloud.calls == calls + 1


async def test_what_comes_again_is_not_counted_again() -> None:
    async with site(knows=False) as here:
        begin = here.now()
        async with here.sink() as sink:
            await sink.send([event(1, begin), event(2, begin)])
            await sink.send([event(2, begin), event(3, begin)])
            assert sink.duplicates == 1
        async with here.sink() as sink:  # a crash came before the cursor was stored
            await sink.send([event(1, begin), event(2, begin), event(3, begin), event(4, begin)])
            assert sink.duplicates == 3
            await here.elapse(sink, 3600 + 301)
        assert here.counts()[0, 0, begin] == 4


async def test_only_passes_count_each_once() -> None:
    async with site(knows=False) as here, here.sink() as sink:
        begin = here.now()
        await sink.send(
            [
                event(1, begin),
                event(2, begin, type_="vehicle.captured"),
                event(3, begin, type_="device.online"),
                event(4, begin, update=True, updates="x", phase="update"),
                event(5, begin, late=True),
            ]
        )
        await here.elapse(sink, 3600 + 301)
        assert here.counts() == {(0, 0, begin): 2, (0, 1, begin): 0}


@pytest.mark.parametrize(
    ("directions", "data"),
    [
        ({"10000/7": "out"}, {}),
        ({"camera/10000/7": "out"}, {}),
        ({"gate/north": "out"}, {"place": {"lane": "north"}}),
        ({"gate/2": "out"}, {"place": {"channel": 2}}),
        ({"SN1": "out"}, {"device": {"id": "7", "serial": "SN1"}}),
        ({"gate": "out", "other": "in"}, {}),
        ({"gate": "in", "10000/7": "out"}, {}),
        ({"other": "in"}, {"vehicle": {"direction": "out"}}),
    ],
)
async def test_the_direction_is_found(directions: dict[str, str], data: dict[str, Any]) -> None:
    async with site(knows=False) as here, here.sink(directions=directions) as sink:
        await sink.send([event(1, here.now(), camera="7", **data)])
        await here.elapse(sink, 3600 + 301)
        assert {key[1]: count for key, count in here.counts().items()}[1] == 1
        assert not sink.left_out


async def test_a_pass_of_unknown_direction_is_left_out_named_once_and_counted() -> None:
    async with site() as here, here.sink() as sink:
        await sink.send([event(1, here.now(), camera="9"), event(2, here.now(), camera="9")])
        assert sink.left_out == {"no direction": 2}
        assert here.memory["nameless"] == {"10000/9": 2}
        await here.elapse(sink, 2 * 3600)
        assert here.cloud.calls == 0


async def test_snake_case_is_a_setting() -> None:
    async with site(knows=False, naming="snake") as here:
        begin = here.now()
        async with here.sink(naming="snake") as sink:
            await sink.send([event(1, begin)])
            await here.elapse(sink, 3600 + 301)
        assert here.counts()[0, 0, begin] == 1
        assert not here.cloud.refusals


async def test_the_token_is_kept_over_restarts_and_renewed_before_its_end() -> None:
    async with site(knows=False) as here:
        await _one_hour(here)
        async with here.sink() as sink:
            await here.elapse(sink, 3600)
        assert (here.cloud.calls, here.cloud.tokens_given) == (2, 1)
        async with here.sink() as sink:
            await here.elapse(sink, 3600)
        assert (here.cloud.calls, here.cloud.tokens_given) == (3, 2)
        assert not here.cloud.refusals


@pytest.mark.parametrize("code", [1010, 1011])
async def test_a_refused_token_is_renewed_once_within_the_call(code: int) -> None:
    async with site(knows=False) as here:
        here.cloud.failures.append(code)
        await _one_hour(here)
        assert (here.cloud.calls, here.cloud.tokens_given) == (1, 2)
        assert here.downs == []
        here.cloud.failures.extend([code, code])
        async with here.sink() as sink:
            await here.elapse(sink, 3600)
        assert (here.cloud.calls, here.cloud.tokens_given) == (2, 3)
        assert len(here.downs) == 1
        assert "new token" in here.downs[0]


@pytest.mark.parametrize("fault", [500, 1199, 2001, 9999, "HTTP 502", "lost"])
async def test_a_failure_is_retried_until_it_is_accepted(fault: int | str) -> None:
    async with site(knows=False) as here:
        begin = here.now()
        here.cloud.failures.extend([fault] * 3)
        await _one_hour(here)
        async with here.sink() as sink:
            await here.elapse(sink, 600)
        assert here.counts() == {(0, 0, begin): 3, (0, 1, begin): 1}
        assert len(here.downs) == 3
        assert here.memory[f"window/{begin}"]["sent"] == {"in": 3, "out": 1}


async def test_events_are_counted_while_the_cloud_is_away_and_the_sink_stays_down() -> None:
    async with site(knows=False) as here:
        begin = here.now()
        async with here.sink() as sink:
            await sink.send([event(1, begin)])
            await here.cloud.go_away()
            here.clock.advance(3601 + 300)
            with pytest.raises(Unavailable, match="cannot be reached"):
                await sink.watch()
            with pytest.raises(Unavailable) as down:
                await sink.send([event(2, begin + 1), event(3, begin + 2)])
            assert down.value.done == {2, 3}
            await here.cloud.come_back()
            here.clock.advance(60)
            assert await sink.watch() is None, "it is back, which is news"
            await sink.send([event(4, here.now())])
            await here.elapse(sink, 600)
        assert here.counts()[0, 0, begin] == 3


async def test_an_event_that_comes_during_a_call_does_not_end_it() -> None:
    async with site(knows=False) as here:
        begin = here.now()
        async with here.sink() as sink:
            await sink.send([event(1, begin)])
            here.cloud.stalled.clear()
            here.clock.advance(3601 + 300)
            watching = asyncio.create_task(sink.watch())
            while sink._calling is None:
                await asyncio.sleep(0)
            watching.cancel()
            await asyncio.wait({watching})
            await sink.send([event(2, begin + 1, arrived=here.now())])
            here.cloud.stalled.set()
            await here.elapse(sink, 0)
            assert here.counts()[0, 0, begin] == 1
            assert here.memory[f"window/{begin}"]["sent"]["in"] == 1
            assert here.memory[f"window/{begin}"]["counts"]["in"] == 2
            await here.elapse(sink, 301)
        assert here.counts()[0, 0, begin] == 2
        assert here.cloud.calls == 2


async def test_a_jieshun_lot_is_reported_once_and_not_tried_again() -> None:
    async with site(supported=False) as here, here.sink() as sink:
        await sink.send([event(1, here.now())])
        here.clock.advance(3601 + 300)
        with pytest.raises(Gone, match="Jieshun"):
            await sink.watch()


async def test_a_lot_that_does_not_support_the_command_in_words_of_its_own_is_the_same() -> None:
    async with site() as here, here.sink() as sink:
        await sink.send([event(1, here.now())])
        here.clock.advance(3601 + 300)
        here.cloud.failures.append(77001)
        with pytest.raises(Unavailable):
            await sink.watch()


@pytest.mark.parametrize(
    ("keys", "code"),
    [({"client_secret": "another-secret"}, 1004), ({"client_id": "x"}, 1005), ({"device_id": "other"}, 2010)],
)
async def test_what_only_a_person_can_mend_is_said_so_without_a_secret(keys: dict[str, str], code: int) -> None:
    async with site() as here, here.sink(**keys) as sink:
        await sink.send([event(1, here.now())])
        here.clock.advance(3601 + 300)
        with pytest.raises(Misconfigured, match=f"code {code}") as wrong:
            await sink.watch()
        assert "secret" not in str(wrong.value).replace("client_secret", "").replace("secret invalid", "")
        assert SECRET not in str(wrong.value)


async def test_a_window_that_is_refused_for_what_it_holds_lets_others_go_first() -> None:
    async with site(knows=False) as here, here.sink() as sink:
        begin = here.now()
        await sink.send([event(1, begin), event(2, begin + HOUR)])
        here.clock.advance(2 * 3600 + 301)
        here.cloud.failures.append(1109)
        await here.elapse(sink, 1)
        assert here.counts() == {(0, 0, begin + HOUR): 1, (0, 1, begin + HOUR): 0}
        assert "1109" in here.memory[f"window/{begin}"]["refused"]
        await here.elapse(sink, 61)
        assert here.counts()[0, 0, begin] == 1
        assert "refused" not in here.memory[f"window/{begin}"]


async def test_one_report_that_is_refused_again_and_again_does_not_hold_up_the_others_for_ever() -> None:
    async with site(knows=False) as here, here.sink() as sink:
        begin = here.now()
        await sink.send([event(1, begin), event(2, begin + HOUR)])
        here.clock.advance(2 * 3600 + 301)
        here.cloud.failures.extend([9999] * 10)
        await here.elapse(sink, 0)
        assert next(claim.start for claim in here.lot.claims) == begin + HOUR
        await here.elapse(sink, 61)
        assert here.counts()[0, 0, begin] == 1


@pytest.mark.parametrize("strict", [True, False], ids=["the vendor refuses a wrong time", "the vendor takes any"])
async def test_a_clock_that_is_wrong_loses_no_window_and_counts_none_twice(strict: bool) -> None:
    async with site(knows=False) as here:
        begin = here.now()
        if strict:
            here.cloud.clock = Right(here.clock)
        async with here.sink() as sink:
            await sink.send([event(1, begin), event(2, begin + 1)])
            # ahead, behind, right, a little ahead, right
            for days in (400, -800, 400, 10, -10) if strict else (2, -2):
                here.clock.jump(days * 86400.0)
                await here.elapse(sink, 40, rests=False)
            with suppress(Unavailable):  # it is still down, and counts
                await sink.send([event(3, begin + 2, arrived=here.now())])
            await here.elapse(sink, 3600)
            await sink.send([event(4, begin + HOUR, arrived=here.now())])
            await here.elapse(sink, 2 * 3600 + 600)
            newest = {start: count for (_, direction, start), count in here.counts().items() if direction == 0}
            assert [newest[begin + number * HOUR] for number in range(3)] == [3, 1, 0]
            if strict:
                assert sorted(newest) == [begin + number * HOUR for number in range(3)]
                assert any("is this machine's clock right?" in why for why in here.downs)
                calls = here.cloud.calls
                await here.elapse(sink, 3600)
                assert here.cloud.calls == calls + 1


async def test_a_camera_in_2020_opens_one_window_at_most_and_no_years_of_empty_ones() -> None:
    async with site(knows=False) as here, here.sink() as sink:
        begin = here.now()
        await sink.send([event(1, begin - 6 * 365 * 24 * HOUR, arrived=begin), event(2, begin)])
        assert sink.left_out == {"too late": 1}
        await here.elapse(sink, 3600 + 301)
        assert len(here.counts()) == 2


@pytest.mark.parametrize(
    "wrong",
    [
        {"host": "http://openapi.tuyaeu.com"},
        {"host": "https://openapi.tuyaeu.com/v1.0"},
        {"host": "openapi.tuyaeu.com"},
        {"window": "5s"},
        {"window": "25h"},
        {"lag": "25h"},
        {"client_id": "two words"},
        {"naming": "kebab"},
        {"directions": {"10000/1": "up"}},
        {"device_id": "a/b"},
    ],
)
def test_wrong_settings_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        settings("https://openapi.tuyaeu.com", **wrong)


def test_settings_by_which_nothing_is_counted_are_warned_of() -> None:
    def told(**keys: Any) -> str:
        return "; ".join(settings("https://openapi.tuyaeu.com", **keys).warnings())

    assert told() == ""
    assert "no camera" in told(directions={})
    assert "no pass is counted" in told(types=["parking.*"])
    assert '"parking.bill.*" matches no event type' in told(bills=["parking.bill.*"])


def test_a_lot_is_known_by_host_and_device_alone() -> None:
    one = settings("https://openapi.tuyaeu.com")
    assert one.endpoint_digest() == settings("https://openapi.tuyaeu.com/", window="2h").endpoint_digest()
    assert one.endpoint_digest() != settings("https://openapi.tuyaeu.com", device_id="other").endpoint_digest()
    assert isinstance(one, TuyaSettings)
