"""POST and GET /commands over a real socket: tokens, statuses, waiting."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from prometheus_client import CollectorRegistry
from pydantic import SecretStr

from pump.core.clock import Clock
from pump.ops.commands.web import CommandPage
from pump.ops.http import Ops, Views
from tests.unit.ops.commands.site import Site, no_status, site

_TOKEN = "a-token-of-the-board"
_BOARD = {"Authorization": f"Bearer {_TOKEN}"}
_ASKED = {"target": "gate/obeys", "verb": "gate.open"}
_GRANTS: Mapping[str, Any] = {
    "grants": [{"callers": ["token:board"], "verbs": ["gate.*", "list.add"], "targets": ["gate/*"]}], "per_minute": 3
}  # fmt: skip


@asynccontextmanager
async def page(folder: Path) -> AsyncIterator[tuple[Site, str, aiohttp.ClientSession]]:
    async with site(folder, Clock(), _GRANTS) as there:
        tokens = {"board": SecretStr(_TOKEN), "other": SecretStr("another-token")}
        views = Views(list, list, no_status, lambda: asyncio.sleep(0), CollectorRegistry())
        ops = Ops("127.0.0.1", 0, views, CommandPage(lambda: there.desk, tokens).pages())
        async with ops, aiohttp.ClientSession() as session:
            yield there, f"{ops.url}/commands", session


async def _post(session: aiohttp.ClientSession, url: str, body: Any = _ASKED, **more: Any) -> tuple[int, Any]:
    kind = "data" if isinstance(body, bytes) else "json"
    async with session.post(url, **{kind: body}, **{"headers": _BOARD, **more}) as answer:
        assert "token" not in " ".join(answer.headers.values()).lower()
        return answer.status, await answer.json()


async def test_a_command_is_taken_and_its_result_given_to_who_waits(tmp_path: Path) -> None:
    async with page(tmp_path) as (there, url, session):
        status, taken = await _post(session, url)
        assert (status, taken["status"]) == (202, "under way")
        status, done = await _post(session, f"{url}?wait=60s")
        assert (status, done["status"]) == (200, "done")
        assert taken["request_id"] != done["request_id"]
        status, late = await _post(session, f"{url}?wait=10ms", {**_ASKED, "target": "gate/silent", "expires": "300s"})
        assert (status, late["status"]) == (202, "under way")
        assert [target for target, *_ in there.gates.did] == ["gate/obeys", "gate/obeys", "gate/silent"]


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, b""), (400, b"{"), (400, b"[]"), (400, {}), (400, {"target": "gate/obeys"}),
        (400, {**_ASKED, "caller": "socket"}), (400, {**_ASKED, "expires": "never"}), (400, {**_ASKED, "target": 7}),
        (403, {**_ASKED, "verb": "display.show"}), (403, {**_ASKED, "target": "door/1"}),
        (404, {**_ASKED, "target": "gate/none"}), (422, {**_ASKED, "verb": "gate.release"}),
        (422, {**_ASKED, "arguments": {"speed": 1}}), (413, b" " * 20_000),
    ],
)  # fmt: skip
async def test_what_is_not_taken_has_its_status(tmp_path: Path, status: int, body: Any) -> None:
    async with page(tmp_path) as (there, url, session):
        found, said = await _post(session, url, body)
        assert found == status
        assert said["error"]
        assert there.gates.did == []


async def test_too_many_is_429(tmp_path: Path) -> None:
    async with page(tmp_path) as (there, url, session):
        assert [(await _post(session, url))[0] for _ in range(4)] == [202, 202, 202, 429]
        assert len(there.gates.did) <= 3


@pytest.mark.parametrize(
    "authorization",
    [
        None, "", "Bearer", "Bearer ", f"Basic {_TOKEN}", _TOKEN, f"Bearer {_TOKEN}x", f"Bearer {_TOKEN[:-1]}",
        f"Bearer {_TOKEN.upper()}", "Bearer board", f"Bearer x {_TOKEN}", f"Token {_TOKEN}", "Bearer \xff\xfe",
    ],
)  # fmt: skip
async def test_without_a_token_nothing_is_taken_and_nothing_listed(tmp_path: Path, authorization: str | None) -> None:
    headers = {} if authorization is None else {"Authorization": authorization}
    async with page(tmp_path) as (there, url, session):
        assert (await _post(session, url, headers=headers))[0] == 401
        async with session.get(url, headers=headers) as answer:
            assert answer.status == 401
            assert answer.headers["WWW-Authenticate"] == "Bearer"
            assert _TOKEN not in await answer.text()
        assert there.gates.did == []
        assert await there.events() == []


async def test_a_token_without_a_grant_is_known_and_may_nothing(tmp_path: Path) -> None:
    other = {"Authorization": "Bearer another-token"}
    async with page(tmp_path) as (there, url, session):
        assert (await _post(session, url, headers=other))[0] == 403
        async with session.get(url, headers=other) as answer:
            assert (answer.status, await answer.json()) == (200, {"targets": []})
        async with session.get(url, headers=_BOARD) as answer:
            listed = (await answer.json())["targets"]
        assert {"target": "gate/obeys", "source": "gates", "verbs": ["gate.close", "gate.open", "list.add"]} in listed
        assert there.gates.did == []
