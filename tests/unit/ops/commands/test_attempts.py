"""Attempts to command without a grant, by the real ways: each is refused, nothing is done, and no secret comes out."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aiohttp
from prometheus_client import CollectorRegistry
from pydantic import SecretStr
from structlog.testing import capture_logs

from pump.core.clock import Clock
from pump.ops.commands.socket import CommandSocket
from pump.ops.commands.web import CommandPage
from pump.ops.control import Control
from pump.ops.http import Ops, Views
from pump.testing import ManualClock
from tests.unit.ops.commands.site import Site, no_status, site

BOARD, OTHER = "planted-token-of-the-board", "planted-token-of-another"
SECRETS = (BOARD, OTHER)
GRANTS: Mapping[str, Any] = {
    "grants": [
        {"callers": ["token:board"], "verbs": ["gate.open"], "targets": ["gate/obeys", "gate/waits", "gate/gone"]},
        {"callers": ["token:third"], "verbs": ["gate.*"], "targets": ["gate/obeys"]},
    ],
    "per_minute": 3,
}
RIGHT = {"target": "gate/obeys", "verb": "gate.open"}
_BASIC = base64.b64encode(f"board:{BOARD}".encode()).decode()
_BEARER = f"Bearer {BOARD}"

STRANGERS: list[tuple[str, str, dict[str, str], int]] = [
    # method, path and query, headers, status: who has no token, or not where it belongs
    ("POST", "/commands", {}, 401),
    ("POST", "/commands", {"Authorization": ""}, 401),
    ("POST", "/commands", {"Authorization": "Bearer"}, 401),
    ("POST", "/commands", {"Authorization": "Bearer null"}, 401),
    ("POST", "/commands", {"Authorization": f"Bearer {BOARD}x"}, 401),
    ("POST", "/commands", {"Authorization": f"Bearer {BOARD[:-1]}"}, 401),
    ("POST", "/commands", {"Authorization": f"Bearer {BOARD.upper()}"}, 401),
    ("POST", "/commands", {"Authorization": f"Bearer {BOARD} {BOARD}"}, 401),
    ("POST", "/commands", {"Authorization": f"Bearer board:{BOARD}"}, 401),
    ("POST", "/commands", {"Authorization": "Bearer board"}, 401),
    ("POST", "/commands", {"Authorization": "Bearer socket"}, 401),
    ("POST", "/commands", {"Authorization": "Bearer *"}, 401),
    ("POST", "/commands", {"Authorization": BOARD}, 401),
    ("POST", "/commands", {"Authorization": f"Token {BOARD}"}, 401),
    ("POST", "/commands", {"Authorization": f"Basic {_BASIC}"}, 401),
    ("POST", "/commands", {"Authorization": f"Basic {BOARD}"}, 401),
    ("POST", "/commands", {"Proxy-Authorization": _BEARER}, 401),
    ("POST", "/commands", {"X-Authorization": _BEARER}, 401),
    ("POST", "/commands", {"X-Api-Key": BOARD}, 401),
    ("POST", "/commands", {"Cookie": f"token={BOARD}; Authorization={BOARD}"}, 401),
    ("POST", f"/commands?token={BOARD}", {}, 401),
    ("POST", f"/commands?access_token={BOARD}", {}, 401),
    ("POST", f"/commands?Authorization=Bearer%20{BOARD}", {}, 401),
    ("POST", "/%63ommands", {}, 401),
    ("GET", "/commands", {"X-HTTP-Method-Override": "POST"}, 401),
    ("GET", f"/commands?token={BOARD}", {}, 401),
    # with a token that may, but not so
    ("PUT", "/commands", {"Authorization": _BEARER}, 405),
    ("PATCH", "/commands", {"Authorization": _BEARER}, 405),
    ("POST", "/commands/", {"Authorization": _BEARER}, 404),
    ("POST", "/Commands", {"Authorization": _BEARER}, 404),
    ("POST", "/status/../commands/x", {"Authorization": _BEARER}, 404),
]
BODIES: list[tuple[str, dict[str, Any], int]] = [
    # whose token, what is changed of the right request, status
    ("other", {}, 403),
    ("other", {"key": "of the board"}, 403),
    ("third", {"target": "gate/waits"}, 403),
    ("board", {"verb": "gate.close"}, 403),
    ("board", {"verb": "gate.hold-open"}, 403),
    ("board", {"verb": "GATE.OPEN"}, 403),
    ("board", {"verb": "gate.open "}, 403),
    ("board", {"verb": " gate.open"}, 403),
    ("board", {"verb": "open"}, 403),
    ("board", {"verb": "gate_open"}, 403),
    ("board", {"verb": "gate/open"}, 403),
    ("board", {"verb": "gate.*"}, 403),
    ("board", {"verb": "gate.ope?"}, 403),
    ("board", {"verb": "gate.[o]pen"}, 403),
    ("board", {"verb": ["gate.open"]}, 400),
    ("board", {"target": "gate/refuses"}, 403),
    ("board", {"target": "Gate/obeys"}, 403),
    ("board", {"target": "GATE/OBEYS"}, 403),
    ("board", {"target": "gate/obeys "}, 403),
    ("board", {"target": "gate/obeys/"}, 403),
    ("board", {"target": "gate//obeys"}, 403),
    ("board", {"target": "gate/./obeys"}, 403),
    ("board", {"target": "gate/obeys/../refuses"}, 403),
    ("board", {"target": "gate/%6fbeys"}, 403),
    ("board", {"target": "gate/*"}, 403),
    ("board", {"target": "gate/[o]beys"}, 403),
    ("board", {"target": "gate\uff0fobeys"}, 403),
    ("board", {"target": "gate/obeys\u200b"}, 400),
    ("board", {"target": "gate/obeys\n"}, 400),
    ("board", {"target": "gate/gone"}, 404),
    ("board", {"source": "twins"}, 404),
    ("board", {"source": "*"}, 404),
    ("board", {"caller": "socket"}, 400),
    ("board", {"caller": "token:third", "verb": "gate.close"}, 400),
    ("board", {"dry_run": False}, 400),
    ("board", {"token": OTHER}, 400),
    ("board", {"arguments": {"verb": "gate.close"}}, 422),
    ("board", {"expires": "301s"}, 400),
    ("board", {"expires": -1}, 400),
]
SOCKET: list[dict[str, Any]] = [
    RIGHT,
    {**RIGHT, "key": "of the board"},
    {**RIGHT, "caller": "token:board"},
    {**RIGHT, "token": BOARD},
    {**RIGHT, "wait": 5},
    {"target": "gate/*", "verb": "gate.*"},
    {},
]


class Ways:
    """The ops listener and the control socket over one desk."""

    def __init__(self, there: Site, folder: Path) -> None:
        tokens = {name: SecretStr(text) for name, text in (("board", BOARD), ("other", OTHER), ("third", "third-one"))}
        self.tokens = {name: token.get_secret_value() for name, token in tokens.items()}
        views = Views(list, list, no_status, lambda: asyncio.sleep(0), CollectorRegistry())
        self.ops = Ops("127.0.0.1", 0, views, CommandPage(lambda: there.desk, tokens).pages())
        self.control = Control(folder)
        self.control.commands |= CommandSocket(there.desk).commands()
        self.said: list[str] = []
        """All that was answered."""

    async def __aenter__(self) -> Ways:
        await self.ops.open()
        await self.control.open()
        self.session = aiohttp.ClientSession()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.session.close()
        await self.control.close()
        await self.ops.close()

    async def web(self, method: str, path: str, headers: Mapping[str, str], body: object) -> tuple[int, dict[str, Any]]:
        async with self.session.request(method, self.ops.url + path, headers=headers, json=body) as answer:
            text = await answer.text()
            self.said.append(f"{dict(answer.headers)} {text}")
            return answer.status, json.loads(text) if text.startswith("{") else {}

    async def board(self, query: str = "", whose: str = "board", **more: Any) -> tuple[int, dict[str, Any]]:
        headers = {"Authorization": f"Bearer {self.tokens[whose]}"}
        return await self.web("POST", f"/commands{query}", headers, RIGHT | more)

    async def socket(self, arguments: Mapping[str, Any], folder: Path) -> dict[str, Any]:
        reader, writer = await asyncio.open_unix_connection(folder / "control.sock")
        writer.write(json.dumps({"command": "command.ask", "arguments": arguments}).encode() + b"\n")
        text = await reader.read()
        self.said.append(text.decode())
        writer.close()
        found: dict[str, Any] = json.loads(text.splitlines()[-1])
        return found


async def test_nobody_commands_without_a_grant_by_any_way(tmp_path: Path) -> None:
    assert len(STRANGERS) + len(BODIES) + len(SOCKET) >= 40
    with capture_logs() as logs:
        async with site(tmp_path, Clock(), GRANTS) as there, Ways(there, tmp_path) as ways:
            for method, path, headers, status in STRANGERS:
                found, _ = await ways.web(method, path, headers, RIGHT)
                assert found == status, (method, path, headers)
            for whose, more, status in BODIES:
                found, said = await ways.board(whose=whose, **more)
                assert (found, bool(said["error"])) == (status, True), (whose, more)
            for arguments in SOCKET:
                answer = await ways.socket(arguments, tmp_path)
                assert "error" in answer or answer["result"]["status"] == "refused", arguments
            assert there.gates.did == []
            events = await there.events()
            assert {event["data"]["command"]["status"] for event in events} == {"refused"}
            assert (await ways.board("?wait=60s"))[1]["status"] == "done", "and so it may"
            assert len(there.gates.did) == 1
        everything = json.dumps([logs, events, ways.said], default=str)
    assert [secret for secret in SECRETS if secret in everything] == []


async def test_another_caller_learns_nothing_of_a_command_by_its_key_nor_its_id(tmp_path: Path) -> None:
    async with site(tmp_path, Clock(), GRANTS) as there, Ways(there, tmp_path) as ways:
        _, mine = await ways.board(target="gate/waits", key="k", expires="60s")
        for token, status in (("other", 403), ("third", 403)):
            found, said = await ways.board("?wait=1s", token, target="gate/waits", key="k")
            assert found == status
            assert said.get("request_id") != mine["request_id"]
        for path in (f"/commands/{mine['request_id']}", f"/commands?request_id={mine['request_id']}"):
            _, said = await ways.web("GET", path, {"Authorization": f"Bearer {BOARD}"}, None)
            assert mine["request_id"] not in json.dumps(said)
        there.gates.go_on.set()
        _, again = await ways.board("?wait=60s", target="gate/waits", key="k", expires="60s")
        assert (again["request_id"], again["status"]) == (mine["request_id"], "done")
        assert len(there.gates.did) == 1


async def test_a_rate_is_the_targets_whoever_asks_and_however(tmp_path: Path) -> None:
    async with site(tmp_path, ManualClock(), GRANTS) as there, Ways(there, tmp_path) as ways:
        asked = [("board", {}), ("third", {"key": "a"}), ("third", {"verb": "gate.close"}), ("board", {"key": "b"}),
                 ("third", {"key": "c"}), ("third", {"source": "gates"}), ("board", {"expires": "1s"})]  # fmt: skip
        found = [(await ways.board("?wait=60s", token, **more))[0] for token, more in asked]
        assert found == [200, 200, 200, 429, 429, 429, 429]
        assert len(there.gates.did) == 3


async def test_what_expires_while_it_waits_is_not_done_later(tmp_path: Path) -> None:
    async with site(tmp_path, Clock(), GRANTS) as there, Ways(there, tmp_path) as ways:
        _, first = await ways.board(target="gate/waits", expires="60s")
        assert first["status"] == "under way"
        status, behind = await ways.board("?wait=60s", target="gate/waits", expires="10ms")
        assert (status, behind["status"]) == (200, "expired")
        there.gates.go_on.set()
        while not there.gates.did:
            await asyncio.sleep(0)
        assert len(there.gates.did) == 1
