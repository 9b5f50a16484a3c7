"""After the call, on a site that gives time for it: the wrap-up as the agent sees, extends and ends it."""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest
from playwright.async_api import Page, expect

from lab.browser import NO_NETWORK
from tests.browser.conftest import Office
from tests.browser.people import NUMBERS, WANG
from tests.browser.seen import is_now, shows, slot

SITE = {"wrap_up_seconds": 29}

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_the_wrap_up_counts_down_is_extended_outlives_a_reload_and_is_ended_by_keys(office: Office) -> None:
    async with office.desk(WANG, at="/desk") as page:
        left = slot(page.locator("#state"), "left")
        async with office.site.call(NUMBERS["周海"]) as call:
            await shows(page, "周海", "answered")
            await expect(left).to_be_hidden()
            await call.hang_up()
        await is_now(page, "wrap_up")
        await expect(left).to_have_text(re.compile(r"^0:[012]\d$"))
        await page.keyboard.press("Alt+m")
        await expect(left).to_have_text(re.compile(r"^0:[345]\d$"))
        await office.centre.in_the_books(NUMBERS["周海"])
        await page.reload()
        await is_now(page, "wrap_up")
        await expect(left).to_have_text(re.compile(r"^0:[345]\d$"))
        await shows(page, "周海", "ended")
        await page.keyboard.press("Alt+o")
        asked = page.locator("#disposition-disposition")
        await expect(asked).to_be_focused()
        await asked.select_option(index=1)
        await page.locator("#disposition button[type=submit]").press("Enter")
        await expect(page.locator("#disposition [role=status]")).to_contain_text("Saved")
        await page.keyboard.press("Alt+i")
        await is_now(page, "idle")
        await expect(left).to_be_hidden()


async def test_a_call_over_before_the_books_have_it_is_asked_about_as_soon_as_they_do(office: Office) -> None:
    asked = "#disposition-disposition"
    async with office.desk(WANG, at="/desk") as page:
        with locked(office):
            await short_call(office, page)
            await expect(page.locator("#afterwards [role=status]")).to_contain_text("One moment")
            await expect(page.locator(asked)).to_have_count(0)
        await expect(page.locator(asked)).to_be_visible()
        await page.keyboard.press("Alt+i")
        await is_now(page, "idle")


async def test_a_call_over_while_the_web_was_away_is_asked_about_when_it_is_back(office: Office) -> None:
    async with office.desk(WANG, at="/desk", forgives=NO_NETWORK) as page:
        with locked(office):
            await short_call(office, page)
            await expect(page.locator("#afterwards [role=status]")).to_contain_text("One moment")
            assert office.site.web is not None
            await office.site.web.stop()
        await office.centre.in_the_books(NUMBERS["周海"])
        await office.site.start_web()
        await expect(page.locator("#disposition-disposition")).to_be_visible(timeout=20_000)
        await expect(page.locator("#lost")).to_be_hidden(timeout=20_000)
        await page.keyboard.press("Alt+i")
        await is_now(page, "idle")


@contextmanager
def locked(office: Office) -> Iterator[None]:
    """The books can be read and not written."""
    with closing(sqlite3.connect(office.site.state / "ctid.db", isolation_level=None)) as lock:
        lock.execute("BEGIN IMMEDIATE")
        yield
        lock.execute("ROLLBACK")


async def short_call(office: Office, page: Page) -> None:
    async with office.site.call(NUMBERS["周海"]) as call:
        await shows(page, "周海", "answered")
        await call.hang_up()
