"""Commands by the page's buttons: only what is granted to the user, confirmed with its target, and once."""

from __future__ import annotations

import re
from pathlib import Path

from pump.core.clock import Clock
from pump.core.settings import SourceSettings
from tests.unit.ops.commands.site import Gates
from tests.unit.ops.page.looking import Looking, looking
from tests.unit.ops.page.test_access import USERS, sign_in
from tests.unit.ops.page.test_health import press

GRANTED = (
    '[sources.gates]\ntype = "gates"\n[commands]\nper_minute = 600\n[[commands.grants]]\ncallers = ["user:anna"]\n'
    'verbs = ["gate.open", "display.show"]\ntargets = ["gate/obeys", "gate/refuses"]\n'
)


class ConfiguredGates(Gates):
    """Those gates, made as pump.toml makes a source."""

    Settings = SourceSettings

    def __init__(self, name: str, settings: SourceSettings, clock: Clock) -> None:
        super().__init__(name, clock)


def _gates(there: Looking) -> Gates:
    desk = there.daemon.services.desk
    assert desk is not None
    found = desk._sources["gates"]
    assert isinstance(found, Gates)
    return found


async def test_a_granted_command_is_confirmed_and_done_once(tmp_path: Path) -> None:
    async with looking(tmp_path, GRANTED + USERS, sources={"gates": ConfiguredGates}) as there:
        await sign_in(there, "anna", "anna's password")
        _, page = await there.get("/doing")
        assert re.findall(r'name="verb" value="([^"]+)"', page) == ["display.show", "gate.open"] * 2
        form = {"target": "gate/obeys", "verb": "gate.open", "source": "gates"}
        status, page = await press(there, "/do/command", **form)
        assert (status, "This is meant:" in page, "gate/obeys" in page) == (200, True, True)
        assert _gates(there).did == []
        key = re.findall(r'name="key" value="([0-9a-f]{32})"', page)[0]
        for _ in range(2):
            status, page = await press(there, "/do/command", **form, key=key, sure="yes")
            assert (status, "status done" in page) == (200, True)
        assert [target for target, *_ in _gates(there).did] == ["gate/obeys"]
        stored = [record.type for record in await there.daemon.spool.read(0)]
        assert (stored.count("command.requested"), stored.count("command.result")) == (1, 1)


async def test_arguments_are_asked_for_and_given(tmp_path: Path) -> None:
    async with looking(tmp_path, GRANTED + USERS, sources={"gates": ConfiguredGates}) as there:
        await sign_in(there, "anna", "anna's password")
        form = {"target": "gate/obeys", "verb": "display.show", "source": "gates"}
        _, page = await press(there, "/do/command", **form)
        assert 'name="argument.text"' in page
        more = {"argument.text": "Full <b>", "argument.line": "2", "argument.color": ""}
        await press(there, "/do/command", **form, **more, sure="yes")
        assert [arguments for *_, arguments in _gates(there).did] == [{"text": "Full <b>", "line": 2}]


async def test_what_is_not_granted_or_not_obeyed_is_said(tmp_path: Path) -> None:
    async with looking(tmp_path, GRANTED + USERS, sources={"gates": ConfiguredGates}) as there:
        await sign_in(there, "anna", "anna's password")
        for target, verb, said in (
            ("gate/obeys", "gate.close", "no grant of [commands] lets user:anna do this"),
            ("gate/silent", "gate.open", "no grant of [commands] lets user:anna do this"),
            ("gate/refuses", "gate.open", "the gate is locked by hand"),
        ):
            status, page = await press(there, "/do/command", target=target, verb=verb, source="gates", sure="yes")
            assert (status, said in page) == (200, True), target
