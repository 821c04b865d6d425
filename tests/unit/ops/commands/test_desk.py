"""Commands: allowed, checked, written down before they are sent, sent once, ended once."""

from __future__ import annotations

import asyncio
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from pump.commands.contract import CommandResult, NotTaken
from pump.core.clock import Clock
from pump.ops.commands.journal import PREFIX
from pump.testing import ManualClock
from tests.unit.ops.commands.site import EVERYTHING, site


async def test_a_command_is_on_disk_before_it_is_sent_and_its_result_follows(tmp_path: Path) -> None:
    async with site(tmp_path, Clock()) as there:
        ticket = await there.ask("gate/waits", "display.show", arguments={"text": "Welcome", "seconds": "5"})
        (asked,) = await there.events()
        assert there.gates.did == []
        assert asked["source"] == "/s/gates"
        assert asked["subject"] == "gate/waits"
        assert asked["data"]["command"] | {"expires": None} == {
            "request_id": ticket.request_id, "verb": "display.show", "target": "gate/waits", "caller": "socket",
            "arguments": {"text": "Welcome", "seconds": 5.0}, "expires": None,
        }  # fmt: skip
        there.gates.go_on.set()
        assert (await ticket.result).status == "done"
        assert there.gates.did == [("gate/waits", "display.show", {"text": "Welcome", "seconds": 5.0})]
        _, result = await there.events()
        assert result["data"]["command"]["status"] == "done"
        assert result["data"]["command"]["request_id"] == ticket.request_id
        assert result["data"]["incident"] == asked["data"]["incident"]
        assert there.intake.state(PREFIX) == {}


@pytest.mark.parametrize(
    ("gate", "status", "sent"),
    [
        ("obeys", "done", 1), ("refuses", "refused", 1), ("unreachable", "failed", 0), ("breaks", "failed", 0),
        ("vanishes", "unknown", 1), ("breaks-late", "unknown", 1),
    ],
)  # fmt: skip
async def test_what_a_device_does_is_what_the_result_says(tmp_path: Path, gate: str, status: str, sent: int) -> None:
    async with site(tmp_path, Clock()) as there:
        assert (await there.result(f"gate/{gate}")).status == status
        assert len(there.gates.did) == sent
        assert await there.statuses() == ["requested", status]


@pytest.mark.parametrize("gate", ["breaks", "breaks-late"])
async def test_the_text_of_a_bug_is_for_the_log_alone(tmp_path: Path, gate: str) -> None:
    async with site(tmp_path, Clock()) as there:
        result = await there.result(f"gate/{gate}")
        assert result.reason == "the source met a bug; the daemon's log has it whole"
        assert "planted-secret" not in str(await there.events())


def _deep() -> dict[str, Any]:
    found: dict[str, Any] = {}
    for _ in range(2000):
        found = {"a": found}
    return found


_LEFT_OUT = "what else was answered cannot be written down"


@pytest.mark.parametrize(
    ("answer", "reason", "facts"),
    [
        (CommandResult("done", facts={"guid": "\ud800"}), _LEFT_OUT, None),
        (CommandResult("done", facts={"guid": 1 << 70}), _LEFT_OUT, None),
        (CommandResult("done", facts={"guid": b"x"}), _LEFT_OUT, None),
        (CommandResult("done", facts={"guid": "x" * 3_000_000}), _LEFT_OUT, None),
        (CommandResult("done", facts=_deep()), _LEFT_OUT, None),
        (CommandResult("done", "no \ud800", {"level": float("nan")}), "no \\ud800", {"level": None}),
        (CommandResult("failed", "a\nb\x00" + "x" * 9000), None, None),
    ],
)  # fmt: skip
async def test_whatever_a_device_answers_the_command_has_its_end(
    tmp_path: Path, answer: CommandResult, reason: str | None, facts: dict[str, Any] | None
) -> None:
    async with site(tmp_path, Clock()) as there:
        there.gates.answer = answer
        result = await there.result()
        _, event = await there.events()
        command = event["data"]["command"]
        assert (command["status"], command["reason"]) == (answer.status, result.reason)
        assert command.get("answer") == facts
        assert result.reason == reason if reason else len(result.reason) <= 256


async def test_an_answer_that_does_not_come_is_a_time_out_and_one_too_late_to_send_expires(tmp_path: Path) -> None:
    clock = ManualClock()
    async with site(tmp_path, clock) as there:
        silent = await there.ask("gate/silent", expires=5)
        behind = await there.ask("gate/silent", expires=4)
        held = await there.ask("gate/waits", expires="2s")
        results = asyncio.gather(silent.result, behind.result, held.result)
        await clock.sleeping(3)
        await clock.run(9.0)
        there.gates.go_on.set()
        assert [one.status for one in await asyncio.wait_for(results, 60)] == ["timed-out", "expired", "expired"]
        assert [target for target, *_ in there.gates.did] == ["gate/silent"]


async def test_one_target_does_one_thing_at_a_time_in_order(tmp_path: Path) -> None:
    async with site(tmp_path, Clock()) as there:
        first = await there.ask("gate/waits", "gate.open")
        second = await there.ask("gate/waits", "gate.close")
        other = await there.result("gate/obeys")  # who waits holds up nobody else
        assert other.status == "done"
        there.gates.go_on.set()
        assert [(await one.result).status for one in (second, first)] == ["done", "done"]
        assert [verb for target, verb, _ in there.gates.did if target == "gate/waits"] == ["gate.open", "gate.close"]


@pytest.mark.parametrize("gate", ["waits", "silent"])
async def test_after_a_kill_a_command_is_unknown_and_not_sent_again(tmp_path: Path, gate: str) -> None:
    killed = tmp_path / "killed"
    async with site(tmp_path / "live", Clock()) as there:
        ticket = await there.ask(f"gate/{gate}", key="k1")
        while gate == "silent" and not there.gates.did:
            await asyncio.sleep(0)
        shutil.copytree(tmp_path / "live", killed)  # the disk as a kill leaves it
    for _ in range(2):
        async with site(killed, Clock()) as there:
            while (await there.statuses())[-1] == "requested":
                await asyncio.sleep(0.01)  # the condition is what another task writes
            assert await there.statuses() == ["requested", "unknown"]
            again = await there.ask(f"gate/{gate}", key="k1")
            assert again.request_id == ticket.request_id
            assert (await again.result).status == "unknown"
            assert there.gates.did == []


async def test_all_that_a_kill_left_open_is_ended_by_one_commit(tmp_path: Path) -> None:
    async with site(tmp_path / "live", Clock()) as there:
        await asyncio.gather(*(there.ask(f"gate/{gate}") for gate in there.gates.gates for _ in range(12)))
        shutil.copytree(tmp_path / "live", tmp_path / "killed")
    async with site(tmp_path / "killed", Clock(), run=False) as there:
        left = len(there.intake.state(PREFIX))
        gate = there.intake.gate = asyncio.Event()
        running = asyncio.create_task(there.desk.run())
        while there.intake.waiting < left:  # one by one there would be one alone
            await asyncio.sleep(0)
        gate.set()
        while there.intake.state(PREFIX):
            await asyncio.sleep(0.001)
        running.cancel()
        assert Counter(await there.statuses())["unknown"] == left > 10


async def test_a_stop_says_of_what_was_sent_that_nobody_knows_and_of_the_rest_that_it_expired(tmp_path: Path) -> None:
    async with site(tmp_path, Clock()) as there:
        sent, waiting = await there.ask("gate/silent"), await there.ask("gate/waits")
        while not there.gates.did:
            await asyncio.sleep(0)
        await there.desk.close()
        assert [(await one.result).status for one in (sent, waiting)] == ["unknown", "expired"]
        with pytest.raises(NotTaken, match="stopping"):
            await there.ask()
        assert sorted(await there.statuses()) == ["expired", "requested", "requested", "unknown"]


async def test_a_key_names_one_command(tmp_path: Path) -> None:
    async with site(tmp_path, Clock()) as there:
        first = await there.ask(key="tuesday")
        again = await there.ask(key="tuesday")
        assert first.request_id == again.request_id
        assert [(await one.result).status for one in (first, again)] == ["done", "done"]
        assert (await there.ask(key="tuesday", caller="token:board")).request_id != first.request_id
        with pytest.raises(NotTaken, match="another command"):
            await there.ask(verb="gate.close", key="tuesday")
        await there.result(verb="display.show", arguments={"text": "A", "line": "1"}, key="shown")
        await there.result(verb="display.show", arguments={"text": "A", "line": 1}, key="shown")
        with pytest.raises(NotTaken, match="another command"):
            await there.ask(verb="display.show", arguments={"text": "B", "line": 1}, key="shown")
        assert len(there.gates.did) == 3
    async with site(tmp_path, Clock()) as there:
        await there.result(verb="display.show", arguments={"text": "A", "line": "1"}, key="shown")
        assert (await there.ask(key="tuesday")).request_id == first.request_id
        assert there.gates.did == []


async def test_two_who_ask_at_once_under_one_key_ask_for_one_command(tmp_path: Path) -> None:
    async with site(tmp_path, Clock()) as there:
        first, second = await asyncio.gather(there.ask(key="k"), there.ask(key="k"))
        assert first.request_id == second.request_id
        assert [(await one.result).status for one in (first, second)] == ["done", "done"]
        assert len(there.gates.did) == 1
        assert await there.statuses() == ["requested", "done"]


@pytest.mark.parametrize("jump", [-20 * 365 * 86_400.0, 2 * 86_400.0, 400 * 86_400.0])
async def test_a_clock_that_jumps_lets_no_key_ask_for_a_second_action(tmp_path: Path, jump: float) -> None:
    clock = ManualClock()
    async with site(tmp_path, clock) as there:
        first = await there.ask(key="tuesday")
        await first.result
        clock.ages.look()
        clock.jump(jump)
        await there.result("gate/refuses", key="another")  # each end forgets what is old
        assert (await there.ask(key="tuesday")).request_id == first.request_id
    async with site(tmp_path, clock) as there:
        await there.result("gate/refuses", key="a third")
        assert (await there.ask(key="tuesday")).request_id == first.request_id
        assert there.gates.did == [("gate/refuses", "gate.open", {})]
        clock.advance(86_401.0)
        await there.result("gate/refuses", key="a fourth")
        assert (await there.ask(key="tuesday")).request_id != first.request_id, "once a day has passed it is free"


@pytest.mark.parametrize("refusing", ["", "the disk is full"])
async def test_who_asks_while_the_first_is_being_written_down_hears_nothing_before_it_is(
    tmp_path: Path, refusing: str
) -> None:
    async with site(tmp_path, Clock()) as there:
        gate = there.intake.gate = asyncio.Event()
        asking = [asyncio.create_task(there.ask(key="k")) for _ in range(3)]
        while not there.intake.waiting:
            await asyncio.sleep(0)
        for _ in range(20):
            await asyncio.sleep(0)
        assert not any(one.done() for one in asking), "an id was given away that a kill would make nobody's"
        there.intake.refusing = refusing
        gate.set()
        taken = await asyncio.gather(*asking, return_exceptions=True)
        if refusing:
            assert [getattr(one, "why", None) for one in taken] == ["not now"] * 3
            assert there.gates.did == []
        else:
            assert len({one.request_id for one in taken if not isinstance(one, BaseException)}) == 1
            assert not any(isinstance(one, BaseException) for one in taken)


async def test_a_target_is_not_commanded_more_often_than_it_may(tmp_path: Path) -> None:
    async with site(tmp_path, ManualClock(), {**EVERYTHING, "per_minute": 3}) as there:
        for _ in range(3):
            assert (await there.result()).status == "done"
        with pytest.raises(NotTaken, match="3 a minute") as refused:
            await there.ask()
        assert refused.value.why == "too many"
        assert len(there.gates.did) == 3


async def test_a_dry_run_sends_nothing_and_says_so(tmp_path: Path) -> None:
    async with site(tmp_path, Clock(), {**EVERYTHING, "dry_run": True}) as there:
        result = await there.result()
        assert result.status == "done"
        assert "dry_run" in result.reason
        assert there.gates.did == []
        assert [event["data"]["command"]["dry_run"] for event in await there.events()] == [True, True]


_BOARD = [{"callers": ["token:board"], "verbs": ["gate.open"], "targets": ["gate/ob*"]}]
_SOCKET = [{"callers": ["socket"], "verbs": ["gate.*"], "targets": ["gate/*"]}]
_STARS = [{"callers": ["token:*"], "verbs": ["*"], "targets": ["*"]}]
_TOPICS, _SUBJECTS = "mqtt:pump/north/command", "nats:pump.north.command.gate.obeys"
_TOPIC = [{"callers": [f"{_TOPICS}/*"], "verbs": ["gate.open"], "targets": ["gate/ob*"]}]
_SUBJECT = [{"callers": [_SUBJECTS], "verbs": ["*"], "targets": ["*"]}]
_ANY_TOPIC = [{"callers": ["mqtt"], "verbs": ["*"], "targets": ["*"]}]


@pytest.mark.parametrize(
    ("grants", "caller", "target", "verb"),
    [
        *[([], caller, "gate/obeys", "gate.open") for caller in ("socket", "token:board", "mqtt", "nats", "", "*")],
        *[(_BOARD, caller, "gate/obeys", "gate.open") for caller in ("socket", "mqtt", "nats", "token:", "token:boar",
                                                                     "token:boards", "token:Board", "board")],
        *[(_BOARD, "token:board", target, "gate.open") for target in ("gate/refuses", "gate/o", "gate", "Gate/obeys",
                                                                      "/gate/obeys", "gate/../ok", "*", "door/ok")],
        *[(_BOARD, "token:board", "gate/obeys", verb) for verb in ("gate.close", "gate.open ", "GATE.OPEN", "gate",
                                                                   "gate.*", "*", "gate.open.x", "list.add")],
        *[(_SOCKET, "socket", "gate/obeys", verb) for verb in ("list.add", "display.show", "gates.open", "gate")],
        *[(_SOCKET, caller, "gate/obeys", "gate.open") for caller in ("token:socket", "mqtt", "nats", "Socket")],
        *[(_STARS, caller, "gate/obeys", "gate.open") for caller in ("socket", "mqtt", "nats", "token")],
        *[(_TOPIC, caller, "gate/obeys", "gate.open") for caller in (
            "mqtt", "mqtt:", _TOPICS[5:], _TOPICS, f"{_TOPICS}s/gate/obeys", f"mqtt:x/{_TOPICS[5:]}/gate/obeys",
            f"MQTT:{_TOPICS[5:]}/gate/obeys", f"nats:{_TOPICS[5:]}/gate/obeys", f"{_TOPICS[5:]}/gate/obeys", "socket",
            f"mqttx:{_TOPICS[5:]}/gate/obeys", "token:mqtt", "nats", "mqtt:pump/south/command/gate/obeys")],
        *[(_TOPIC, f"{_TOPICS}/gate/obeys", *asked) for asked in (
            ("gate/obeys", "gate.close"), ("gate/refuses", "gate.open"), ("*", "gate.open"), ("gate/obeys", "*"))],
        *[(_SUBJECT, caller, "gate/obeys", "gate.open") for caller in (
            "nats", "nats:", _SUBJECTS[:-11], _SUBJECTS[:-6], _SUBJECTS[:-1], f"{_SUBJECTS}.x", f"mqtt:{_SUBJECTS[5:]}",
            _SUBJECTS.replace(".", "/"), "mqtt", "socket", _SUBJECTS.upper(), _SUBJECTS[5:])],
        *[(_ANY_TOPIC, caller, "gate/obeys", "gate.open") for caller in (
            "nats", "nats:mqtt", "mqttx", "socket", "token:mqtt", "mqt", "")],
    ],
)  # fmt: skip
async def test_nothing_happens_without_a_grant(
    tmp_path: Path, grants: list[dict[str, Any]], caller: str, target: str, verb: str
) -> None:
    async with site(tmp_path, Clock(), {"grants": grants}) as there:
        with pytest.raises(NotTaken) as refused:
            await there.ask(target, verb, caller)
        assert refused.value.why == "forbidden"
        (event,) = await there.events()
        assert event["data"]["command"]["status"] == "refused"
        assert event["data"]["command"]["request_id"] == refused.value.request_id
        assert there.gates.did == []


_MANY = {"x" * n: 3 for n in range(3000)}


@pytest.mark.parametrize(
    ("why", "asked"),
    [
        ("no target", {"target": "gate/none"}), ("no target", {"target": "gate/twin"}),
        ("no target", {"source": "nobody"}), ("no verb", {"verb": "gate.hold-open"}), ("no verb", {"verb": "gate.opn"}),
        ("arguments", {"arguments": {"speed": 3}}), ("arguments", {"arguments": _MANY}),
        ("arguments", {"verb": "list.add", "arguments": {"plate": "A1"}}),
        ("arguments", {"verb": "list.add", "arguments": {"plate": "A1", "list": "vip"}}),
        ("arguments", {"verb": "list.add", "arguments": {"plate": "A\n1", "list": "allow"}}),
        ("arguments", {"verb": "list.add", "arguments": {"plate": "A1", "list": "allow", "until": "tomorrow"}}),
        ("arguments", {"verb": "list.add", "arguments": {"plate": "A1", "list": "block", "until": "2030-01-31"}}),
        ("arguments", {"verb": "display.show", "arguments": {"text": "x", "line": 0}}),
        ("arguments", {"verb": "display.show", "arguments": {"text": "x", "line": "--1"}}),
        ("arguments", {"verb": "display.show", "arguments": {"text": "x", "line": "\u0663"}}),
        ("arguments", {"verb": "display.show", "arguments": {"text": "x", "seconds": "--1"}}),
        ("arguments", {"verb": "display.show", "arguments": {"text": "x", "seconds": "."}}),
        ("arguments", {"verb": "display.show", "arguments": {"text": "x", "seconds": "1e3"}}),
        ("arguments", {"verb": "display.show", "arguments": {"text": ["x"]}}),
    ],
)  # fmt: skip
async def test_what_cannot_be_done_is_refused_before_anything_is_sent(
    tmp_path: Path, why: str, asked: dict[str, Any]
) -> None:
    async with site(tmp_path, Clock()) as there:
        with pytest.raises(NotTaken) as refused:
            await there.ask(**asked)
        assert refused.value.why == why
        assert len(refused.value.reason) < 300
        assert "literal" not in refused.value.reason
        assert await there.statuses() == ["refused"]
        assert there.gates.did == []


@pytest.mark.parametrize(
    "asked",
    [
        {"target": None}, {"target": ""}, {"target": "x" * 201}, {"target": "gate/\n"}, {"target": ["gate/obeys"]},
        {"verb": 3}, {"verb": "\x00"}, {"arguments": []}, {"arguments": {3: 4}}, {"expires": 0}, {"expires": -1},
        {"expires": "soon"}, {"expires": 301}, {"expires": True}, {"expires": float("nan")}, {"expires": "1d"},
        {"key": 5}, {"source": {}},
    ],
)  # fmt: skip
async def test_what_is_no_request_is_malformed_and_leaves_nothing(tmp_path: Path, asked: dict[str, Any]) -> None:
    async with site(tmp_path, Clock()) as there:
        with pytest.raises(NotTaken) as refused:
            await there.ask(**asked)
        assert refused.value.why == "malformed"
        assert await there.events() == []
        assert there.gates.did == []


@pytest.mark.parametrize(
    ("grants", "caller"),
    [(_TOPIC, f"{_TOPICS}/gate/obeys"), (_SUBJECT, _SUBJECTS),
     (_ANY_TOPIC, "mqtt:any/thing"), (_ANY_TOPIC, "mqtt")],
)  # fmt: skip
async def test_a_granted_topic_or_subject_may(tmp_path: Path, grants: list[dict[str, Any]], caller: str) -> None:
    async with site(tmp_path, Clock(), {"grants": grants}) as there:
        assert (await there.result(caller=caller)).status == "done"


async def test_a_flood_of_refusals_does_not_become_a_flood_of_events(tmp_path: Path) -> None:
    async with site(tmp_path, ManualClock(), {"grants": []}) as there:
        for _ in range(100):
            with pytest.raises(NotTaken):
                await there.ask()
        assert len(await there.events()) == 60
        counted = there.metrics.registry.get_sample_value(
            "pump_commands_total", {"source": "pump", "verb": "gate.open", "status": "refused"}
        )
        assert counted == 100


async def test_what_was_sent_is_ended_also_where_the_spool_is_full(tmp_path: Path) -> None:
    async with site(tmp_path, Clock()) as there:
        ticket = await there.ask("gate/waits", expires=60)
        there.spool._writer.refuse("the disk is full")
        with pytest.raises(NotTaken, match="so it is not sent: the spool refuses: the disk is full"):
            await there.ask("gate/obeys")
        there.gates.go_on.set()
        assert (await ticket.result).status == "done"
        assert await there.statuses() == ["requested", "done"]
        assert [target for target, *_ in there.gates.did] == ["gate/waits"]


async def test_a_machine_that_slept_sends_nothing_that_is_late(tmp_path: Path) -> None:
    clock = ManualClock()
    async with site(tmp_path, clock) as there:
        ticket = await there.ask("gate/waits", expires=10)
        clock.jump(60.0)  # monotonic time stands still while it sleeps
        there.gates.go_on.set()
        assert (await ticket.result).status == "expired"
        assert there.gates.did == []
        clock.jump(-600.0)
        assert (await there.result("gate/obeys")).status == "done"


async def test_a_spool_that_takes_nothing_lets_nothing_be_sent(tmp_path: Path) -> None:
    async with site(tmp_path, Clock()) as there:
        await there.spool.close()
        there.closed = True
        with pytest.raises(NotTaken) as refused:
            await there.ask()
        assert refused.value.why == "not now"
        assert there.gates.did == []
