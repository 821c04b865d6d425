"""The health page and its buttons: what is wrong is said, with what to do; who may does it, and sees the result."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiohttp import web

from pump.telemetry.health import Failing
from pump.testing.receiver import Received, Receiver
from tests.unit.ops.page.looking import Looking, looking, numbers, plain
from tests.unit.ops.page.test_access import USERS, sign_in

HOOK = """
[sinks.hook]
type = "webhook"
url = "{}"
allow_private = true
types = ["security.*"]
"""


def token_of(page: str) -> str:
    """The token of a page's forms."""
    return str(re.findall(r'name="token" value="([0-9a-f]{64})"', page)[0])


async def press(there: Looking, path: str, **form: Any) -> tuple[int, str]:
    """A button, with the page's token and what follows the redirect; status and page."""
    if "token" not in form:
        form["token"] = token_of((await there.get("/health"))[1])
    async with there.session.post(there.url + path, data=form) as answer:
        return answer.status, await answer.text()


@asynccontextmanager
async def _refused(folder: Path, count: int = 3) -> AsyncIterator[tuple[Looking, Receiver, list[int]]]:
    """A sink whose receiver refuses everything, and so has dead letters; anna and leo may sign in."""

    def no(received: Received) -> web.Response:
        return web.Response(status=422, text="no <b>thanks</b>")

    async with Receiver() as receiver:
        receiver.reply = no
        async with looking(folder, HOOK.format(receiver.url) + USERS) as there:
            put = [await there.event("security.burglary", severity="critical") for _ in range(count)]
            while there.daemon.spool.dead_letters.counts.get("hook", 0) < count:
                await asyncio.sleep(0.01)
            yield there, receiver, put


async def _until(there: Looking, count: int) -> None:
    while there.daemon.spool.dead_letters.counts.get("hook", 0) != count:
        await asyncio.sleep(0.01)


async def test_a_dead_letter_is_retried_and_dropped(tmp_path: Path) -> None:
    async with _refused(tmp_path) as (there, receiver, put):
        await sign_in(there, "anna", "anna's password")
        _, page = await there.get("/health")
        assert "Dead letters: 3" in page
        assert "<b>thanks</b>" not in page
        ids = re.findall(r'name="ids" value="(\d+)"', page)
        status, page = await press(there, "/do/retry", ids=ids[0])
        assert (status, "sent 0, refused 1" in page) == (200, True)
        receiver.reply = lambda received: None
        status, page = await press(there, "/do/retry", ids=ids[0])
        assert (status, "sent 1, refused 0" in page, "anna" in page) == (200, True, True)
        await _until(there, 2)
        status, page = await press(there, "/do/drop", ids=ids[1])
        assert (status, "This is meant:" in page, f"ids {ids[1]}" in plain(page)) == (200, True, True)
        await _until(there, 2)
        status, page = await press(there, "/do/drop", ids=ids[1], sure="yes")
        assert (status, "dropped 1" in page) == (200, True)
        status, page = await press(there, "/do/retry", sink="hook")
        assert (status, "Dead letters: 0" in page) == (200, True)
        assert [event["id"] for one in receiver.requests for event in one.events].count(put[0]) == 0
        _, page = await there.get(f"/event/{put[0]}")
        assert '<span class="tag had">delivered</span>' in page


@pytest.mark.parametrize("user", ["leo", None])
async def test_who_may_not_act_does_nothing(tmp_path: Path, user: str | None) -> None:
    async with _refused(tmp_path, 1) as (there, _, put):
        form = {"ids": "1", "sure": "yes", "number": str(put[0]), "sink": "hook", "token": "0" * 64}
        if user:
            await sign_in(there, user, f"{user}'s password")
            form["token"] = token_of((await there.get("/health"))[1])
        for path in ("retry", "drop", "restart", "enable", "replay", "command", "acknowledge"):
            status, page = await press(there, f"/do/{path}", **form)
            assert (status, "You may look" in page or "sign in" in page) == (403, True), path
        assert (await there.get("/doing"))[0] == 403
        _, page = await there.get("/health")
        assert "/do/" not in page
        assert there.daemon.spool.dead_letters.counts["hook"] == 1


@pytest.mark.parametrize("token", ["", "0" * 64, "ü"])
async def test_a_form_without_its_token_does_nothing(tmp_path: Path, token: str) -> None:
    async with _refused(tmp_path, 1) as (there, _, put):
        await sign_in(there, "anna", "anna's password")
        for path in ("retry", "drop", "restart", "enable", "replay", "command", "acknowledge"):
            form = {"ids": "1", "sure": "yes", "number": str(put[0]), "sink": "hook", "token": token}
            assert (await press(there, f"/do/{path}", **form))[0] == 403, path
        right = token_of((await there.get("/health"))[1])
        url, evil = f"{there.url}/do/drop", {"Origin": "https://evil.example"}
        async with there.session.post(url, data={"ids": "1", "sure": "yes", "token": right}, headers=evil) as answer:
            assert answer.status == 403
        assert there.daemon.spool.dead_letters.counts["hook"] == 1


async def test_a_part_that_is_down_says_why_and_what_to_do_and_begins_anew(tmp_path: Path) -> None:
    async with looking(tmp_path, '[sources.gate]\ntype = "broken"\n' + USERS) as there:
        await sign_in(there, "anna", "anna's password")
        while not there.daemon.status.unready():
            await asyncio.sleep(0.01)
        _, page = await there.get("/health")
        said = plain(page)
        assert '<article class="part down" data-part="source gate"' in page
        assert "failed unexpectedly" in said
        assert "The pump tries again by itself" in said
        assert "1 part needs a look" in said
        status, page = await press(there, "/do/restart", part="source gate")
        assert (status, "done" in page) == (200, True)
        status, page = await press(there, "/do/restart", part="source <none>")
        assert (status, "no source and no sink &#34;source &lt;none&gt;&#34; runs" in page) == (200, True)
        async with there.session.get(f"{there.url}/health/now") as answer:
            now = await answer.json()
        assert now["reasons"] == 1
        assert {part["part"]: part["state"] for part in now["parts"]}["source gate"] == "down"


async def test_events_are_sent_again_as_asked(tmp_path: Path) -> None:
    async with _refused(tmp_path, 2) as (there, receiver, _):
        await sign_in(there, "anna", "anna's password")
        receiver.reply = lambda received: None
        status, page = await press(there, "/do/replay", sink="hook", since="")
        assert (status, "Say from when." in page) == (409, True)
        status, page = await press(there, "/do/replay", sink="hook", since="2020-01-01T00:00")
        assert (status, "This is meant:" in page) == (200, True)
        before = len(receiver.requests)
        status, page = await press(there, "/do/replay", sink="hook", since="2020-01-01T00:00", sure="yes")
        await receiver.until(lambda: len(receiver.requests) >= before + 2)
        assert status == 200


async def test_settings_are_shown_without_secrets(tmp_path: Path) -> None:
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    sink = f'[sinks.hook]\ntype = "webhook"\nurl = "https://hook.example.com"\nsecret = "{secret}"\n'
    async with looking(tmp_path, sink + USERS, ops='tokens = { board = "of-the-board" }') as there:
        _, page = await there.get("/health")
        assert "hook.example.com" in page
        for word in (secret, "of-the-board", "$scrypt$"):
            assert word not in page


async def test_an_alarm_is_taken_note_of_on_disk(tmp_path: Path) -> None:
    async with looking(tmp_path, USERS) as there:
        await sign_in(there, "anna", "anna's password")
        place = {"zone": "Back door"}
        number = await there.event(
            "security.burglary", severity="critical", incident="i-1", place=place, id="the-alarm"
        )
        note = "Was the <b>cat</b>"
        for _ in range(2):  # sent twice, it is stored once
            status, page = await press(there, "/do/acknowledge", number=number, note=note)
            assert (status, "cat" in page, "<b>cat" in page) == (200, True, False)
        assert len(numbers(page)) == 1
        stored = [orjson.loads(record.body) for record in await there.daemon.spool.read(number)]
        (event,) = [one for one in stored if one["type"] == "alarm.acknowledged"]
        assert event["source"] == "/garage/pump"
        assert event["data"]["updates"] == "the-alarm"
        assert event["data"]["incident"] == "i-1"
        assert event["data"]["alarm"] == {"acknowledged": True, "user": "anna"}
        assert (event["data"]["note"], event["data"]["place"]) == (note, place)
        assert (await press(there, "/do/acknowledge", number=99999, note=""))[0] == 404


async def test_an_alarm_that_was_taken_note_of_says_so_in_its_row_and_on_the_board(tmp_path: Path) -> None:
    async with looking(tmp_path, USERS) as there:
        await sign_in(there, "anna", "anna's password")
        alarm = {"severity": "critical", "phase": "start", "id": "the-alarm"}
        number = await there.event("security.burglary", **alarm)
        assert "noted by" not in plain((await there.get("/?severity=critical"))[1])
        async with there.live(f"?after={number}") as live:
            await press(there, "/do/acknowledge", number=number, note="")
            (row,) = await live.rows(lambda one: bool(one["notes"]))
            assert (row["notes"], row["noted"]) == ("the-alarm", "noted by anna")
        async with there.live(f"?severity=critical&after={number - 1}") as live:
            async for kind, value in live.messages():
                if kind == "marks":
                    assert value == [{"notes": "the-alarm", "noted": "noted by anna"}]
                    break
        for path in ("/?severity=critical", "/board"):
            assert "noted by anna" in plain((await there.get(path))[1]), path
        assert plain((await there.get("/"))[1]).count("noted by anna") == 1, "in its alarm's row, not in its own"
    async with looking(tmp_path, USERS) as there:
        assert "noted by anna" in plain((await there.get("/?severity=critical"))[1]), "after a restart too"


@pytest.mark.parametrize(("language", "word"), [("en", "failing"), ("de", "Aufrufe misslingen")])
async def test_a_source_whose_calls_fail_is_red_before_it_is_down(tmp_path: Path, language: str, word: str) -> None:
    async with looking(tmp_path) as there:
        part = there.daemon.health.component("source gate")
        part.up()
        now = there.daemon.clock.now()
        begun = now + timedelta(hours=1)
        part.failing = Failing(begun, "the server <i>cannot</i> be reached", begun)
        _, page = await there.get("/health", **{"Accept-Language": language})
        assert '<article class="part failing" data-part="source gate" aria-label="gate">' in page
        assert f'<span class="tag failing" data-f="said">{word}</span>' in page
        assert "the server &lt;i&gt;cannot&lt;/i&gt; be reached" in page
        assert 'class="well bad"' in page
        assert page.count(begun.strftime("%M:%S")) >= 3, "since when it fails, and when the next call is due"
        async with there.session.get(f"{there.url}/status") as answer:
            status = await answer.json()
        assert status["reasons"] == []
        (shown,) = [one["failing"] for one in status["components"] if one["name"] == "source gate"]
        assert {*shown} == {"since", "reason", "again"}
        async with there.session.get(f"{there.url}/health/now") as answer:
            assert (await answer.json())["reasons"] == 1
