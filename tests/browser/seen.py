"""What stands on a desk, in the words of the tests."""

import os
import re

from playwright.async_api import Locator, Page, expect

from lab.browser import picture
from lab.process import TOP

PICTURES = TOP / "docs" / "screenshots"


async def taken(page: Page, name: str) -> None:
    """The picture of the page for the documentation, where pictures are wanted."""
    if os.environ.get("CTID_SCREENSHOTS") == "1":
        await picture(page, PICTURES / f"{name}.png")


def slot(part: Locator, name: str) -> Locator:
    return part.locator(f'[data-slot="{name}"]')


async def shows(page: Page, who: str, state: str, *, within: float = 5) -> None:
    """Wait until the desk shows this caller in this state (ringing, answered, ended or withdrawn), each for so many seconds."""
    pop = page.locator("#pop")
    await expect(slot(pop, "who")).to_have_text(who, timeout=within * 1000)
    await expect(slot(pop, "state").first).to_have_class(re.compile(rf"\bmark-{state}\b"), timeout=within * 1000)
    await expect(pop).to_be_visible()


async def shows_nobody(page: Page) -> None:
    await expect(page.locator("#quiet")).to_be_visible()
    await expect(page.locator("#pop")).to_be_hidden()


async def is_now(page: Page, state: str) -> None:
    """Wait until the line stands and the bar says the agent is in this state."""
    await expect(page.locator("#link")).to_have_attribute("data-state", "up")
    await expect(slot(page.locator("#state"), "state")).to_have_class(re.compile(rf"\bmark-{state}\b"))
