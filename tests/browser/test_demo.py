"""Somebody before a browser, and all five vendors of `pump demo` behind the page."""

from __future__ import annotations

import asyncio
import re
import time
from pathlib import Path

from aiohttp import web

from pump.spool.offline import events
from pump.testing.receiver import Received, Receiver
from tests.browser.driving import browsing, figure, screenshot, sign_in
from tests.browser.showing import showing
from tests.unit.ops.page.test_access import LEO

VENDORS = ("avaeye", "hik-camera", "hik-connect", "hik-gateway", "kinot")
LIVE = """
() => Number(document.querySelector("#rows > li")?.id.slice(1)) > Number(document.getElementById("rows").dataset.after)
"""
"""A row has come since the page was made."""
LOOKS = f'\n[ops.users.leo]\npassword = "{LEO}"\n'


async def test_what_happens_is_seen_filtered_found_and_has_its_picture(tmp_path: Path) -> None:
    async with showing(tmp_path) as there, browsing() as page:
        begun = time.monotonic()
        await page.goto(f"{there.url}/")
        await page.wait_for_function(LIVE)
        figure("first event visible after the page was asked for", time.monotonic() - begun, tmp_path)
        for vendor in VENDORS:
            await page.goto(f"{there.url}/?source={vendor}")
            await page.locator("#rows > li").first.wait_for()
            assert {*await page.locator("#rows .source").all_text_contents()} == {vendor}
        await page.goto(f"{there.url}/")
        await page.get_by_label("How bad").select_option("critical")
        await page.wait_for_url(re.compile(r"\?severity=critical"))
        await page.locator("#rows > li.critical").first.wait_for()
        assert await page.locator("#rows > li:not(.critical)").count() == 0

        await page.goto(f"{there.url}/?source=avaeye")
        seen = page.locator("#rows > li:has(img) .plate", has_text=re.compile("^[A-Z0-9]{5,}$")).first
        plate = await seen.inner_text()
        await page.get_by_role("link", name="Search").click()
        await page.get_by_label("Plate").fill(plate.lower())
        await page.get_by_role("button", name="Search").click()
        await page.wait_for_url(re.compile(r"/search\?plate="))
        await page.locator("#rows > li, .rows > li", has_text=plate).first.wait_for()
        assert {*await page.locator(".rows .plate").all_text_contents()} == {plate}
        await page.locator(".rows > li:has(img) .what a").first.click()
        await page.wait_for_function("() => document.querySelector('.pictures img')?.naturalWidth > 100")


async def test_a_vendor_that_dies_is_red_and_green_again_when_it_is_back(tmp_path: Path) -> None:
    async with showing(tmp_path) as there, browsing() as page:
        await page.goto(f"{there.url}/health")
        for source in ("hik-gateway", "hik-camera", "hik-connect"):
            up, red, down = (
                f'.part{state}[data-part="source {source}"]' for state in (".up", ":is(.down, .failing)", ".down")
            )
            await page.locator(up).wait_for()
            killed = time.monotonic()
            await there.vendor(source).go_away()
            await page.locator(red).wait_for()
            figure(f"{source} red after its vendor was killed", time.monotonic() - killed, tmp_path)
            await page.locator("#well.bad").wait_for()
            await screenshot(page, f"demo-red-{source}", tmp_path / "seen")
            await page.locator(down).wait_for()
            figure(f"{source} down after its vendor was killed", time.monotonic() - killed, tmp_path)
            back = time.monotonic()
            await there.vendor(source).come_back()
            await page.locator(up).wait_for()
            figure(f"{source} green after it came back", time.monotonic() - back, tmp_path)


async def test_a_dead_letter_is_retried_by_who_may(tmp_path: Path) -> None:
    def no(received: Received) -> web.Response:
        return web.Response(status=422)

    async with Receiver() as receiver:
        receiver.reply = no
        hook = f'\n[sinks.hook]\ntype = "webhook"\nurl = "{receiver.url}"\nallow_private = true\n'
        hook += 'types = ["vehicle.*"]\nsources = ["avaeye"]\n'
        async with showing(tmp_path, hook + LOOKS) as there, browsing() as page:
            answer = await page.goto(f"{there.url}/doing")
            assert answer is not None
            assert answer.status == 403, "who has not signed in does nothing"
            while there.daemon.spool.dead_letters.counts.get("hook", 0) < 1:
                await asyncio.sleep(0.01)
            await sign_in(page, there.url, "leo", "leo's password")
            await page.goto(f"{there.url}/health")
            await page.locator('.part[data-part="sink hook"]').wait_for()
            assert await page.get_by_role("button", name="Retry").count() == 0
            answer = await page.goto(f"{there.url}/doing")
            assert answer is not None
            assert answer.status == 403, "who looks does nothing"
            await page.get_by_role("button", name="Sign out").click()
            await page.get_by_label("Name").wait_for()

            await sign_in(page, there.url, "demo", there.password)
            receiver.reply = lambda received: None
            await page.goto(f"{there.url}/health")
            await page.get_by_role("checkbox").first.check()
            await page.get_by_role("button", name="Retry", exact=True).click()
            await page.get_by_text("sent 1, refused 0").wait_for()


async def test_over_a_restart_no_row_is_lost_or_doubled(tmp_path: Path) -> None:
    async with showing(tmp_path) as there, browsing() as page:
        await page.goto(f"{there.url}/?source=kinot")
        await page.locator("#state.on").wait_for()
        await page.wait_for_function(LIVE)
        before = there.daemon.spool.head
        await there.stop()
        await page.locator("#state.off").wait_for()
        await there.start_again()
        await page.locator("#state.on").wait_for()
        newest = "() => Number(document.querySelector('#rows > li').id.slice(1))"
        await page.wait_for_function(f"before => ({newest})() > before", arg=before)
        shown = await page.locator("#rows > li").evaluate_all("rows => rows.map(row => Number(row.id.slice(1)))")
        stored = [record.seq for record in events(there.daemon.spool.folder) if record.source == "kinot"]
        assert shown == [number for number in reversed(stored) if shown[-1] <= number <= shown[0]]
