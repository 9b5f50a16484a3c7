"""Debian's Chromium, and people who sit before it: each signed in at a site, with a language and a theme of their own.

Law: a person sees what a person sees; what a page does wrong behind their back (an error in its console, a rule of its
Content-Security-Policy broken, a question to anybody but its own site) is noted, and fails whoever used it.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, Request, async_playwright
from playwright.async_api import Error as PlaywrightError

from lab.process import LAB, tool
from lab.site import Site

#: The screen most agents sit before.
WIDTH, HEIGHT = 1366, 768
ARGUMENTS = (
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--autoplay-policy=no-user-gesture-required",
    "--force-color-profile=srgb",
    "--font-render-hinting=none",
)
#: What a browser without a network says of it, and what tests that take it away expect.
NO_NETWORK = (
    r"ERR_INTERNET_DISCONNECTED|ERR_CONNECTION_REFUSED|ERR_CONNECTION_RESET|WebSocket connection to|ERR_EMPTY_RESPONSE"
    r"|htmx:sendError"
)
#: A request that a page gives up for a newer one is no fault, though htmx says so; whatever else fails has a line of its own
#: before that of every request that did not succeed.
_GIVEN_UP = ("htmx:sendAbort", "htmx:afterRequest")

Language = Literal["en", "zh-CN"]
Theme = Literal["light", "dark"]


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """One Chromium without a window, for as many people as there are."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=tool("chromium"), args=list(ARGUMENTS))
        try:
            yield browser
        finally:
            await browser.close()


class Desk:
    """One person at a browser of their own: ``async with Desk(browser, site, "agent1") as page``.

    ``name`` is a user of the site. They are signed in and stand on the page ``at``. ``forgives`` is a pattern of faults
    that the test itself brings about; ``script`` runs in each of their pages before the page's own.
    Leaving raises AssertionError for every other fault.
    """

    def __init__(
        self,
        browser: Browser,
        site: Site,
        name: str,
        *,
        at: str = "/",
        language: Language = "en",
        theme: Theme = "light",
        forgives: str | None = None,
        script: str | None = None,
    ) -> None:
        self.faults: list[str] = []
        self.forgives = forgives
        self._browser, self._site, self._name, self._at = browser, site, name, at
        self._language, self._theme, self._script = language, theme, script
        self._context: BrowserContext | None = None

    @property
    def context(self) -> BrowserContext:
        """Where all tabs of this person live."""
        assert self._context is not None, "nobody sits here yet"
        return self._context

    async def __aenter__(self) -> Page:
        self._context = await self._browser.new_context(
            base_url=self._site.web_url,
            viewport={"width": WIDTH, "height": HEIGHT},
            locale="en-GB" if self._language == "en" else self._language,
            timezone_id="Asia/Shanghai",
            color_scheme=self._theme,
            reduced_motion="reduce",
            permissions=["notifications"],
        )
        self._context.set_default_timeout(10_000)
        if self._script is not None:
            await self._context.add_init_script(self._script)
        self._context.on("console", self._heard)
        self._context.on("weberror", lambda error: self.faults.append(f"page error: {error.error}"))
        self._context.on("request", self._asked)
        page = await self._context.new_page()
        await page.goto(f"/sign-in?next={self._at}")
        await page.locator("input[name=name]").fill(self._name)
        password = page.locator("input[name=password]")
        await password.fill(self._site.password)
        await password.press("Enter")
        await page.wait_for_url(f"**{self._at}")
        return page

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.context.close()
        if kind is None:
            self.check()

    def check(self) -> None:
        """Raise AssertionError for what went wrong unseen so far."""
        faults = [f for f in self.faults if self.forgives is None or not re.search(self.forgives, f)]
        assert not faults, f"behind {self._name}'s back:\n" + "\n".join(faults)

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not message.text.startswith(_GIVEN_UP):
            self.faults.append(f"console: {message.text} ({message.location.get('url')})")

    def _asked(self, request: Request) -> None:
        if not request.url.startswith((self._site.web_url, "data:", "blob:")):
            self.faults.append(f"asked somebody else: {request.url}")


@cache
def _axe() -> str:
    return (LAB / "npm" / "node_modules" / "axe-core" / "axe.min.js").read_text(encoding="utf-8")


async def denied(page: Page) -> list[str]:
    """What axe-core finds that shuts people out, serious and critical findings only: rule, what to do, where; best empty."""
    await told_by(page, _axe() + "; null")
    found = json.loads(await told_by(page, "axe.run().then((found) => JSON.stringify(found.violations))"))
    return [
        f"{one['id']}: {one['help']}: {'; '.join(node['target'][0] for node in one['nodes'][:5])}"
        for one in found
        if one["impact"] in ("serious", "critical")
    ]


async def told_by(page: Page, script: str) -> Any:
    """What a script gives (or its promise), run by the debugger's own door: the page's policy would forbid it."""
    debugger = await page.context.new_cdp_session(page)
    try:
        asked = {"expression": script, "awaitPromise": True, "returnByValue": True}
        answer = await debugger.send("Runtime.evaluate", asked)
    finally:
        await debugger.detach()
    if "exceptionDetails" in answer:
        raise PlaywrightError(str(answer["exceptionDetails"].get("exception", answer["exceptionDetails"])))
    return answer["result"].get("value")


async def picture(page: Page, path: Path) -> None:
    """The page as it stands on the screen, as a PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    await page.screenshot(path=path, animations="disabled", caret="hide", scale="css")
