"""Somebody before a browser: events come, filters, search, pictures, signing in, acting, a restart, hostile texts."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from pump.core.clock import Clock
from pump.simulation.pictures import jpeg
from pump.testing.receiver import Received, Receiver
from pump.vendors.hik_connect.simulator.server import Simulator
from tests.browser.driving import browsing, screenshot, sign_in, violations
from tests.unit.ops.page.looking import Looking, looking, many
from tests.unit.ops.page.test_access import USERS
from tests.unit.ops.page.test_health import HOOK
from tests.unit.ops.page.test_page import HOSTILE

SIZES = {"wide": (1280, 900), "tablet": (820, 1100), "phone": (390, 844)}


async def _site(there: Looking) -> int:
    """A few events as a site has them; the number of the one with a picture."""
    kept = await there.daemon.media.store(jpeg("a car at the gate"))
    medium = {
        "id": "pass/0", "kind": "picture", "mime": "image/jpeg", "state": "stored", "sha256": kept.sha256,
        "bytes": kept.bytes, "path": kept.path,
    }  # fmt: skip
    gate = {"id": "1", "name": "North gate"}
    number = await there.event(
        id="pass", device=gate, vehicle={"plate": "GRAB123", "direction": "in"}, place={"lot": "North"}, media=[medium]
    )
    await there.event(
        "security.burglary", severity="critical", phase="start", incident="i", place={"zone": "Back door"}
    )
    await there.event("access.denied", severity="notice", access={"granted": False, "person": "Ada Lovelace"})
    await there.event("device.offline", severity="warning", phase="start", subject="camera/7", device={"id": "7"})
    await there.event(
        "parking.space.occupied", phase="start", parking={"occupied": True}, place={"lot": "North", "space": "B12"},
        power={"volts": 3.6, "low": False}, radio={"rssi": -80.0}, subject="sensor/12",
    )  # fmt: skip
    await there.event(
        "security.armed", alarm={"mode": "away"}, place={"partition": 1}, device={"id": "p", "name": "Panel"}
    )
    await there.event("access.door.opened", subject="door/1", device={"id": "d", "name": "Side door"})
    return number


async def test_events_come_filters_stand_in_the_address_and_a_picture_is_shown(tmp_path: Path) -> None:
    async with looking(tmp_path) as there, browsing(zone="Asia/Tokyo") as page:
        number = await _site(there)
        await page.goto(f"{there.url}/")
        await page.locator(f"#e{number} .plate", has_text="GRAB123").wait_for()
        await page.locator("#state.on").wait_for()
        coming = await there.event(vehicle={"plate": "NEW1"}, device={"id": "1", "name": "North gate"})
        await page.locator(f"#e{coming} .plate", has_text="NEW1").wait_for()
        assert "your time" in await page.locator(f"#e{coming} .yours").inner_text()
        assert await page.locator("#rows > li").first.get_attribute("id") == f"e{coming}"

        await page.get_by_label("How bad").select_option("critical")
        await page.wait_for_url(re.compile(r"\?severity=critical$"))
        await page.locator("#rows > li.critical").wait_for()
        assert await page.locator("#rows > li").count() == 1
        await there.event("vehicle.passed")
        fire = await there.event("security.fire", severity="critical")
        await page.locator(f"#e{fire}").wait_for()
        assert await page.locator("#rows > li").count() == 2

        await page.get_by_role("link", name="Search").click()
        await page.get_by_label("Plate").fill("grab")
        await page.get_by_role("button", name="Search").click()
        await page.wait_for_url(re.compile(r"/search\?plate=grab$"))
        await page.locator(f"#e{number} .what a").click()
        image = page.locator(".pictures img")
        await image.wait_for()
        await page.wait_for_function("() => document.querySelector('.pictures img').naturalWidth > 100")
        await page.get_by_text("The whole event, as sinks get it").click()
        await page.locator("details[open] pre", has_text="GRAB123").wait_for()


async def test_after_a_restart_no_row_is_lost_or_doubled(tmp_path: Path) -> None:
    async with browsing() as page:
        async with looking(tmp_path) as there:
            url = there.url
            first = [await there.event(id=f"first {number}") for number in range(3)]
            await page.goto(f"{url}/?source=gate")
            await page.locator("#state.on").wait_for()
            first.append(await there.event(id="live"))
            await page.locator(f"#e{first[-1]}").wait_for()
        await page.locator("#state.off").wait_for()
        async with looking(tmp_path, listen=url.removeprefix("http://")) as there:
            missed = [await there.event(id=f"second {number}") for number in range(3)]
            await page.locator(f"#e{missed[-1]}").wait_for()
            await page.locator("#state.on").wait_for()
            last = await there.event(id="last")
            await page.locator(f"#e{last}").wait_for()
            shown = await page.locator("#rows > li").evaluate_all("rows => rows.map(row => Number(row.id.slice(1)))")
            assert shown == [last, *missed[::-1], *first[::-1]]


async def test_signed_in_a_dead_letter_is_retried_and_an_alarm_taken_note_of(tmp_path: Path) -> None:
    def no(received: Received) -> web.Response:
        return web.Response(status=422)

    async with Receiver() as receiver:
        receiver.reply = no
        async with looking(tmp_path, HOOK.format(receiver.url) + USERS) as there, browsing() as page:
            number = await there.event("security.burglary", severity="critical")
            while there.daemon.spool.dead_letters.counts.get("hook", 0) < 1:
                await asyncio.sleep(0.01)
            await page.goto(f"{there.url}/health")
            assert await page.get_by_role("button", name="Retry").count() == 0
            await sign_in(page, there.url, "leo", "leo's password")
            await page.goto(f"{there.url}/health")
            assert await page.get_by_role("button", name="Retry").count() == 0
            answer: Any = await page.goto(f"{there.url}/doing")
            assert answer.status == 403
            await page.get_by_role("button", name="Sign out").click()
            await page.get_by_label("Name").wait_for()

            await sign_in(page, there.url, "anna", "anna's password")
            receiver.reply = lambda received: None
            await page.goto(f"{there.url}/health")
            await page.get_by_role("checkbox").first.check()
            await page.get_by_role("button", name="Retry", exact=True).click()
            await page.get_by_text("sent 1, refused 0").wait_for()
            await page.get_by_text("Dead letters: 0").wait_for()
            await page.goto(f"{there.url}/event/{number}")
            await page.locator(".tag.had").wait_for()
            beside = await page.context.new_page()
            await beside.goto(f"{there.url}/")
            await beside.locator("#state.on").wait_for()
            await page.get_by_label("Note").fill("It was the cat")
            await page.get_by_role("button", name="Take note of this").click()
            await page.locator(".rows .note", has_text="It was the cat").wait_for()
            await beside.locator(f"#e{number} .noted", has_text="noted by anna").wait_for()
            critical = await page.context.new_page()
            await critical.goto(f"{there.url}/?severity=critical")
            await critical.locator("#state.on").wait_for()
            other = await there.event("security.burglary", severity="critical")
            await critical.locator(f"#e{other}").wait_for()
            await page.goto(f"{there.url}/event/{other}")
            await page.get_by_role("button", name="Take note of this").click()
            await critical.locator(f"#e{other} .noted", has_text="noted by anna").wait_for()
            await beside.reload()
            await beside.locator(f"#e{number} .noted", has_text="noted by anna").wait_for()


async def test_a_source_that_is_gone_is_red_and_green_again_when_it_is_back(tmp_path: Path) -> None:
    async with Simulator(clock=Clock()) as simulator:
        source = f"""
[sources.teams]
type = "hik-connect"
server = "{simulator.url}"
app_key = "ak"
secret_key = "sk"
poll_interval = "50ms"
timeout = "5s"
"""
        async with looking(tmp_path, source) as there, browsing() as page:
            await page.goto(f"{there.url}/health")
            await page.locator('.part.up[data-part="source teams"]').wait_for()
            await simulator.go_away()
            await page.locator('.part.down[data-part="source teams"]').wait_for()
            await page.locator("#well.bad").wait_for()
            said = await page.locator('[data-part="source teams"]').inner_text()
            assert "The pump tries again by itself" in said
            await simulator.come_back()
            await page.locator('.part.up[data-part="source teams"]').wait_for()
            await page.locator("#well.good").wait_for()


async def test_hostile_texts_are_texts_in_a_browser_too(tmp_path: Path) -> None:
    async with looking(tmp_path) as there, browsing() as page:
        await page.goto(f"{there.url}/?source=gate")
        await page.locator("#state.on").wait_for()
        number = 0
        for text in HOSTILE:
            number = await there.event(
                name=text, vehicle={"plate": text}, device={"id": "1", "name": text}, place={"lot": text},
                access={"person": text}, subject="x",
            )  # fmt: skip
        await page.locator(f"#e{number}").wait_for()
        live = await page.locator("#rows > li").evaluate_all("rows => rows.map(row => [row.id, row.innerText])")
        assert len(live) == len(HOSTILE)
        await page.reload()
        await page.locator(f"#e{number}").wait_for()
        served = await page.locator("#rows > li").evaluate_all("rows => rows.map(row => [row.id, row.innerText])")
        assert served == live
        kinds = "() => [...new Set([...document.querySelectorAll('main *')].map(one => one.localName))]"
        assert not {"script", "iframe", "svg", "object", "style", "base"} & set(await page.evaluate(kinds))


async def test_a_flood_leaves_the_page_with_few_rows_and_says_so(tmp_path: Path) -> None:
    async with looking(tmp_path) as there, browsing() as page:
        await page.goto(f"{there.url}/?source=gate")
        await page.locator("#state.on").wait_for()
        last = await many(there, 1500)
        await page.locator(f"#e{last}").wait_for()
        assert await page.locator("#rows > li").count() <= 250
        await page.locator("#skipped:visible").wait_for()


async def test_who_reads_further_down_is_not_moved(tmp_path: Path) -> None:
    async with looking(tmp_path) as there, browsing() as page:
        await many(there, 60)
        await page.goto(f"{there.url}/?source=gate")
        await page.locator("#state.on").wait_for()
        await page.evaluate("() => scrollTo(0, 800)")
        top = await page.locator("#rows > li").first.get_attribute("id")
        coming = await there.event(id="coming")
        await page.get_by_role("button", name="1 new event").wait_for()
        assert await page.locator("#rows > li").first.get_attribute("id") == top
        await page.get_by_role("button", name="1 new event").click()
        await page.locator(f"#e{coming}").wait_for()


async def test_without_scripts_everything_can_be_read(tmp_path: Path) -> None:
    async with looking(tmp_path) as there, browsing(scripts=False) as page:
        number = await _site(there)
        await page.goto(f"{there.url}/")
        await page.get_by_label("Plate").fill("grab123")
        await page.get_by_role("button", name="Show").click()
        await page.locator(f"#e{number} .what a").click()
        await page.locator("h1", has_text="A vehicle passed").wait_for()
        for name in ("Search", "Board", "Health"):
            await page.get_by_role("navigation").get_by_role("link", name=name).click()
            await page.locator("h1").wait_for()


PAGES = {
    "looking": {"events": "/?source=gate", "event": "/event/{0}"},
    "finding": {"search": "/search?text=a", "board": "/board"},
    "acting": {"alarm": "/event/{1}", "health": "/health", "do": "/doing"},
}


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("kind", PAGES)
async def test_axe_finds_nothing_and_each_page_fits_its_width(tmp_path: Path, kind: str, theme: str) -> None:
    async with looking(tmp_path, USERS) as there, browsing(theme=theme) as page:
        number = await _site(there)
        if kind == "acting":
            await page.goto(f"{there.url}/sign-in")
            assert await violations(page) == []
            await sign_in(page, there.url, "anna", "anna's password")
        for name, path in PAGES[kind].items():
            await page.goto(there.url + path.format(number, number + 1))
            await page.locator("h1").first.wait_for()
            assert await violations(page) == [], name
            for size, (width, height) in SIZES.items():
                await page.set_viewport_size({"width": width, "height": height})
                wide = await page.evaluate("() => document.documentElement.scrollWidth")
                assert wide <= width, (name, size)
                await screenshot(page, f"{name}-{size}-{theme}", tmp_path / "seen")
            await page.set_viewport_size({"width": 1280, "height": 900})
