"""Raw calls: refused unless switched on and granted, journalled without their bodies, made once at the most."""

from __future__ import annotations

import asyncio
import base64
import json
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from pump.commands.calls import CALL, RawCall
from pump.commands.contract import Command, CommandResult, NotTaken
from pump.config.model import RESERVED, CommandSettings
from pump.core.clock import Clock
from pump.ops.commands.calls import RawCalls, judged, masked
from pump.ops.commands.desk import Asked
from pump.ops.commands.journal import PREFIX
from pump.telemetry.redact import redact
from pump.testing import ManualClock
from tests.unit.ops.commands.site import Site, site

BODY = b'{"pin": "open-sesame-4711"}'
ALL: dict[str, Any] = {
    "raw": True, "per_minute": 600, "grants": [{"callers": ["socket"], "verbs": ["call"], "targets": ["call/gates/*"]}],
}  # fmt: skip


class Calling:
    def __init__(self, there: Site, settings: dict[str, Any]) -> None:
        self.site = there
        self.calls = RawCalls(there.desk, CommandSettings.model_validate_json(json.dumps(settings)), there.sources, {})
        self.told: list[dict[str, Any]] = []

    async def __call__(self, path: object = "/api/things", method: object = "GET", **more: Any) -> dict[str, Any]:
        asked = {"name": "gates", "method": method, "path": path, **more}

        async def tell(progress: dict[str, Any]) -> None:
            self.told.append(progress)

        return await self.calls.ask(asked, tell)


@asynccontextmanager
async def calling(
    folder: Path, clock: Clock | None = None, settings: dict[str, Any] = ALL
) -> AsyncIterator[tuple[Calling, Site]]:
    async with site(folder, clock or Clock(), settings) as there:
        yield Calling(there, settings), there


async def test_a_call_is_made_and_its_answer_given_back_as_it_came(tmp_path: Path) -> None:
    async with calling(tmp_path) as (call, there):
        there.gates.answers["things"] = b'{ "a" : [1.50] }\n'
        found = await call("/api/things?page=1", "post", body=base64.b64encode(BODY).decode())
        assert base64.b64decode(found["body"]) == b'{ "a" : [1.50] }\n'
        assert (found["status"], found["http"], found["content_type"]) == ("done", 200, "application/json")
        assert call.told == [{"request_id": found["request_id"]}]
        assert there.gates.did == [("POST", "/api/things?page=1", {"body": BODY, "device": None})]


async def test_the_journal_has_method_and_path_and_neither_query_nor_body(tmp_path: Path) -> None:
    async with calling(tmp_path) as (call, there):
        there.gates.answers["things"] = BODY
        await call("/api/things?pin=open-sesame-4711", "POST", body=base64.b64encode(BODY).decode())
        asked, result = await there.events()
        assert asked["data"]["command"] | {"expires": None, "request_id": None} == {
            "request_id": None, "verb": "call", "target": "call/gates", "caller": "socket", "expires": None,
            "arguments": {"method": "POST", "path": "/api/things", "bytes": len(BODY)},
        }  # fmt: skip
        assert (asked["source"], asked["subject"]) == ("/s/gates", "call/gates")
        assert result["data"]["command"]["status"] == "done"
        assert result["data"]["command"]["answer"] == {"http": 200, "bytes": len(BODY)}
        assert "sesame" not in json.dumps(await there.events())
        assert there.intake.state(PREFIX) == {}


@pytest.mark.parametrize(
    ("path", "status", "made"),
    [
        ("/204", "done", 1), ("/302", "refused", 1), ("/404", "refused", 1), ("/500", "unknown", 1),
        ("/no", "refused", 1), ("/vanishes", "unknown", 1), ("/unreachable", "failed", 0),
    ],
)  # fmt: skip
async def test_what_became_of_a_call(tmp_path: Path, path: str, status: str, made: int) -> None:
    async with calling(tmp_path) as (call, there):
        assert (await call(path))["status"] == status
        assert len(there.gates.did) == made
        assert await there.statuses() == ["requested", status]


async def test_a_call_expires_unmade_and_one_without_an_answer_times_out(tmp_path: Path) -> None:
    clock = ManualClock()
    async with calling(tmp_path, clock) as (call, there):
        first = asyncio.create_task(call("/silent", expires=5))
        while not there.gates.did:
            await asyncio.sleep(0)
        second = asyncio.create_task(call("/waits", expires="2s"))
        while len(call.told) < 2:
            await asyncio.sleep(0)
        await clock.run(10.0)
        silent, waits = await asyncio.wait_for(asyncio.gather(first, second), 60)
        assert (silent["status"], waits["status"]) == ("timed-out", "expired")
        assert [one[1] for one in there.gates.did] == ["/silent"]


_GRANT: dict[str, Any] = {"callers": ["socket"], "verbs": ["call"], "targets": ["call/gates/GET/api/*"]}


@pytest.mark.parametrize(
    ("settings", "asked", "reason"),
    [
        ({"raw": False}, {}, "raw = true"),
        ({"grants": []}, {}, "no grant"),
        ({"grants": [_GRANT | {"verbs": ["gate.*"]}]}, {}, "no grant"),
        ({"grants": [_GRANT | {"callers": ["token:board"]}]}, {}, "no grant"),
        ({"grants": [_GRANT | {"targets": ["gate/*", "gates/*", "call/gate/*", "camera/*"]}]}, {}, "no grant"),
        ({"grants": [_GRANT]}, {"method": "POST"}, "no grant"),
        ({"grants": [_GRANT]}, {"path": "/other"}, "no grant"),
        ({"grants": [_GRANT]}, {"path": "/API/things"}, "no grant"),
        ({"grants": [_GRANT]}, {"path": "/api/../other"}, "no . or .."),
        ({"grants": [_GRANT]}, {"path": "/api/%2e%2e/other"}, "no . or .."),
        ({"grants": [_GRANT]}, {"path": "http://192.0.2.1/api/things"}, "begins with /"),
        ({"grants": [_GRANT]}, {"path": "//192.0.2.1/api/things"}, "empty segment"),
        ({"grants": [_GRANT]}, {"device": "camera/10000/1001"}, "no grant"),
        ({"grants": [_GRANT | {"targets": ["call/gates:10000/1001/*"]}]}, {}, "no grant"),
        ({"grants": [_GRANT | {"targets": ["call/gates/GET/*"]}]}, {"method": "PUT", "device": "GET/api"}, "no grant"),
        ({"grants": [_GRANT | {"targets": ["*"]}]}, {"name": "twins", "device": "camera/1/2"}, "leave the device out"),
        ({"grants": [_GRANT | {"targets": ["*"]}]}, {"name": "stranger"}, "no source or sink"),
        ({"grants": [_GRANT | {"targets": ["*"]}]}, {"method": "CONNECT"}, "method"),
        ({"grants": [_GRANT | {"targets": ["*"]}]}, {"body": "not base64!"}, "base64"),
        ({"grants": [_GRANT | {"targets": ["*"]}]}, {"path": 5}, "texts"),
    ],
)  # fmt: skip
async def test_what_is_not_switched_on_granted_or_written_rightly_is_refused_and_noted(
    tmp_path: Path, settings: dict[str, Any], asked: dict[str, Any], reason: str
) -> None:
    async with calling(tmp_path, settings=ALL | settings) as (call, there):
        found = await call(**{"path": "/api/things", **asked})
        assert (found["status"], reason in found["reason"]) == ("refused", True), found
        assert there.gates.did == []
        assert await there.statuses() == ["refused"]


async def test_a_grant_names_a_device(tmp_path: Path) -> None:
    grant = _GRANT | {"targets": ["call/gates:10000/1001/GET/*"]}
    async with calling(tmp_path, settings=ALL | {"grants": [grant]}) as (call, there):
        assert (await call(device="camera/10000/1001"))["status"] == "done"
        assert (await call(device="camera/10000/1002"))["status"] == "refused"
        assert [one[2]["device"] for one in there.gates.did] == ["10000/1001"]


async def test_what_is_no_request_leaves_nothing(tmp_path: Path) -> None:
    async with calling(tmp_path) as (call, there):
        for asked in (
            {"name": "Gates"},
            {"name": 5},
            {"name": "a/b"},
            {"device": ""},
            {"device": "a/b/c"},
            {"device": "one"},
            {"name": "a" * 201},
            {"device": "a\nb"},
            {"expires": -1},
        ):
            assert (await call(**asked))["status"] == "refused"
        assert await there.events() == []


async def test_a_dry_run_makes_no_call(tmp_path: Path) -> None:
    async with calling(tmp_path, settings=ALL | {"dry_run": True}) as (call, there):
        found = await call()
        assert (found["status"], "body" in found, there.gates.did) == ("done", False, [])


async def test_calls_have_their_pace_and_no_other_way_in(tmp_path: Path) -> None:
    grants = [{"callers": ["socket"], "verbs": ["*"], "targets": ["*"]}]
    async with calling(tmp_path, settings=ALL | {"per_minute": 1, "grants": grants}) as (call, there):
        found = [(await call())["status"] for _ in range(70)]
        assert found.count("done") < 70 == found.count("done") + found.count("refused")
        assert len(there.gates.did) == found.count("done")
        with pytest.raises(NotTaken, match="no verb"):
            await there.ask("call/gates", "call")


def test_secrets_are_hidden_in_answers() -> None:
    redact("conf-secret-1")
    assert masked(b'{"token":"conf-secret-1","a":1}') == b'{"token":"*****","a":1}'
    for text in (
        b'{"password": "x\\"y1"}', b'{"bt_match_code":"6151"}', b'{"Secret_Key" : 4711}', b'{"accessToken":"t"}',
        b'{"accessKeySecret":"s","b":2}', b"<password>geheim</password>", b'<ns:password a="1">geheim</ns:password>',
    ):  # fmt: skip
        shown = masked(text)
        assert b"*****" in shown
        assert not any(one in shown for one in (b"y1", b"6151", b"4711", b'"t"', b'"s"', b"geheim")), shown
    in_gbk = '{"name":"大门","password":"geheim","key":"conf-secret-1"}'.encode("gbk")
    assert masked(in_gbk) == in_gbk.replace(b'"geheim"', b'"*****"').replace(b"conf-secret-1", b"*****")
    for text in (b'{"passwordLevel":3,"tokens":1}', b"\xff\xd8\xff\xe0password", b"", b'{"a":"password"}'):
        assert masked(text) == text


@pytest.mark.parametrize("name", ["gates", RESERVED])
async def test_after_a_kill_a_call_is_unknown_and_not_made_again(tmp_path: Path, name: str) -> None:
    killed = tmp_path / "killed"
    async with site(tmp_path / "live", Clock(), ALL) as there:
        asked = Asked("call/lot", CALL, {}, 10.0, None, None)
        entry = there.desk.entry(asked, {"method": "POST", "path": "/api/silent", "bytes": 0}, "socket")
        call = RawCall("POST", "/api/silent")

        async def doing(command: Command) -> CommandResult:
            return judged(await there.gates.call(command, call))

        await there.desk.begin(entry, {}, 10.0, name, doing)
        while not there.gates.did:
            await asyncio.sleep(0)
        shutil.copytree(tmp_path / "live", killed)  # the disk as a kill leaves it
    for _ in range(2):
        async with site(killed, Clock(), ALL) as there:
            while (await there.statuses())[-1] == "requested":
                await asyncio.sleep(0.01)  # the condition is what another task writes
            assert (await there.statuses(), there.gates.did) == (["requested", "unknown"], [])
