"""Every main page after a full day: both languages, light and dark, nothing that shuts people out; and their pictures."""

import pytest
import pytest_asyncio
from playwright.async_api import Page, ViewportSize, expect

from lab.browser import HEIGHT, WIDTH, Language, Theme, denied
from tests.browser.conftest import Office
from tests.browser.day import a_full_day
from tests.browser.people import ADMIN, NUMBERS, WANG
from tests.browser.seen import shows, taken

#: What is not in the frame's menus.
MORE = ("/tickets/1001", "/customers/C1", "/contacts/P1")

SCREEN, TELEPHONE = ViewportSize(width=WIDTH, height=HEIGHT), ViewportSize(width=390, height=844)
TOO_WIDE = "document.documentElement.scrollWidth - document.documentElement.clientWidth"

#: What is pictured, as whom, in which language and theme; and under which name.
PICTURED = {
    (WANG, "/tickets", "zh-CN", "light"): "tickets",
    (WANG, "/customers/C1", "en", "light"): "customer",
    (ADMIN, "/today", "en", "light"): "today",
    (ADMIN, "/agents", "zh-CN", "light"): "agents",
    (ADMIN, "/", "en", "dark"): "calls",
}

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def day(opened_office: Office) -> Office:
    await a_full_day(opened_office.site)
    return opened_office


async def in_the_menus(page: Page) -> list[str]:
    """The addresses the frame leads to."""
    links = page.locator("header a[href^='/']")
    found = [await links.nth(n).get_attribute("href") for n in range(await links.count())]
    return list(dict.fromkeys(address for address in found if address))


@pytest.mark.parametrize(
    ("user", "language", "theme"),
    [
        # Language and theme are apart: one page in both of each, not in all four of the two.
        (WANG, "en", "light"),
        (WANG, "zh-CN", "light"),
        (ADMIN, "en", "light"),
        (ADMIN, "en", "dark"),
        (ADMIN, "zh-CN", "light"),
    ],
)
async def test_no_page_shuts_anybody_out(day: Office, user: str, language: Language, theme: Theme) -> None:
    async with day.desk(user, language=language, theme=theme) as page:
        found: dict[str, list[str]] = {}
        for address in (*await in_the_menus(page), *MORE):
            await page.goto(address)
            await expect(page.locator("main")).to_be_visible()
            await expect(page.locator("html")).to_have_attribute("lang", {"en": "en", "zh-CN": "zh-Hans"}[language])
            findings = await denied(page)
            for screen in (TELEPHONE, SCREEN):
                await page.set_viewport_size(screen)
                if wide := await page.evaluate(TOO_WIDE):
                    findings.append(f"it is {wide} pixels wider than a screen of {screen['width']}")
            if findings:
                found[address] = findings
            if (user, address, language, theme) in PICTURED:
                await taken(page, PICTURED[user, address, language, theme])
        assert found == {}


@pytest.mark.parametrize(
    ("language", "theme", "name", "who"),
    [("en", "light", "desk", "Tom Hale"), ("zh-CN", "dark", "desk-zh", "Maria Costa")],
)
async def test_the_desk_in_a_call_shuts_nobody_out(
    day: Office, language: Language, theme: Theme, name: str, who: str
) -> None:
    await day.centre.tidy()
    number = NUMBERS[who]
    async with day.desk(WANG, at="/desk", language=language, theme=theme) as page, day.site.call(number) as call:
        await shows(page, who, "answered")
        await expect(page.locator("#ticket-form")).to_be_visible()
        assert await denied(page) == []
        await taken(page, name)
        await call.hang_up()
        await shows(page, who, "ended")
