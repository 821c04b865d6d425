"""A browser for a test, and axe-core in it."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from playwright.async_api import Page

_CHROMIUM: Final = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
_AXE: Final = Path(os.environ.get("PUMP_AXE", Path(__file__).parents[2] / "node_modules/axe-core/axe.min.js"))
SCREENSHOTS: Final = os.environ.get("PUMP_SCREENSHOTS")
"""A folder that keeps the screenshots of a run."""
PATIENCE: Final = 60_000
"""Milliseconds after which what does not come is a failure; no test depends on how soon it comes."""


@asynccontextmanager
async def browsing(
    *, width: int = 1280, height: int = 900, theme: str = "light", scripts: bool = True, zone: str = "UTC"
) -> AsyncIterator[Page]:
    """A page of a browser of its own. What its console complains of fails the test."""
    api = pytest.importorskip("playwright.async_api", reason="no playwright: pip install -e '.[browser]'")
    if _CHROMIUM is None:
        pytest.skip("no chromium: apt-get install chromium")
    wrong: list[str] = []
    async with api.async_playwright() as driver:
        # a container's root has no sandbox, and often no room in /dev/shm
        flags = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
        browser = await driver.chromium.launch(executable_path=_CHROMIUM, args=flags)
        try:
            context = await browser.new_context(
                viewport={"width": width, "height": height}, color_scheme=theme, java_script_enabled=scripts,
                locale="en-GB", timezone_id=zone,
            )  # fmt: skip
            context.set_default_timeout(PATIENCE)
            page = await context.new_page()
            page.on("pageerror", lambda error: wrong.append(str(error)))
            page.on("dialog", lambda dialog: wrong.append(f"a dialog: {dialog.message}"))
            page.on("console", lambda message: wrong.append(message.text) if _complains(message) else None)
            yield page
        finally:
            await browser.close()
    assert not wrong, wrong


def _complains(message: Any) -> bool:
    """True for an error of a script or of the policy; that a server is away is what some tests are about."""
    return message.type == "error" and "Failed to load resource" not in message.text


async def sign_in(page: Page, url: str, name: str, password: str) -> None:
    """By the form."""
    await page.goto(f"{url}/sign-in")
    await page.get_by_label("Name").fill(name)
    await page.get_by_label("Password").fill(password)
    await page.get_by_role("main").get_by_role("button", name="Sign in").click()
    await page.wait_for_url(f"{url}/")


async def violations(page: Page) -> list[str]:
    """What axe-core finds on the page, in a line each. Skips where it is not installed."""
    if not _AXE.exists():
        pytest.skip("no axe-core: npm install --no-save axe-core")
    found = await page.evaluate(f"{_AXE.read_text(encoding='utf-8')}; axe.run()")
    return [
        f"{one['id']}: {one['help']}: {[node['target'] for node in one['nodes']][:3]}" for one in found["violations"]
    ]


async def screenshot(page: Page, name: str, folder: Path) -> None:
    """Keep what is seen."""
    kept = Path(SCREENSHOTS) if SCREENSHOTS else folder
    kept.mkdir(parents=True, exist_ok=True)
    await page.screenshot(path=kept / f"{name}.png")


def figure(what: str, seconds: float, folder: Path) -> None:
    """Keep how long something took, for people: no test depends on it."""
    kept = Path(SCREENSHOTS) if SCREENSHOTS else folder
    kept.mkdir(parents=True, exist_ok=True)
    line = f"{what}: {seconds:.2f} s"
    print(line)
    with (kept / "figures.txt").open("a", encoding="utf-8") as file:
        file.write(f"{line}\n")
