"""The whole chain in a real browser: a SIP call, the PBX, ctid, the broker, the page; and what breaks on the way."""

import re

import pytest
from playwright.async_api import expect

from lab.browser import NO_NETWORK, denied
from tests.browser.conftest import Office
from tests.browser.people import CHEN, CHIEF, LI, NUMBERS, WANG, ZHANG
from tests.browser.seen import is_now, shows, shows_nobody, slot

SITE = {"ring_seconds": 4}

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_the_caller_stands_on_the_right_agents_screen_while_the_phone_rings_and_on_no_other(
    office: Office,
) -> None:
    await office.site.phones["agent2"].behave("answer", ring=2)
    async with (
        office.desk(LI, at="/desk") as lis,
        office.desk(WANG, at="/desk") as wangs,
        office.desk(ZHANG, at="/desk") as zhangs,
        office.site.call(CHEN) as call,
    ):
        await shows(wangs, "陈小明", "ringing")
        for part in ("华东精密机械有限公司", "设备部", "主轴运行十分钟后停机"):
            await expect(wangs.locator("#pop")).to_contain_text(part)
        for part in ("冷却液泄漏", "Annual inspection"):
            await expect(wangs.locator("#history")).to_contain_text(part)
        await expect(slot(wangs.locator("#pop"), "why")).not_to_be_empty()
        await shows_nobody(lis)
        await shows_nobody(zhangs)
        assert await denied(wangs) == []
        await shows(wangs, "陈小明", "answered")
        await is_now(wangs, "talking")
        await call.hang_up()
        await shows(wangs, "陈小明", "ended")
        await is_now(wangs, "idle")


async def test_a_caller_who_gives_up_while_it_rings_is_withdrawn_and_told_as_missed(office: Office) -> None:
    await office.site.phones["agent2"].behave("never")
    async with office.desk(WANG, at="/desk") as page, office.site.call(NUMBERS["周海"]) as call:
        await shows(page, "周海", "ringing")
        await call.hang_up()
        await shows(page, "周海", "ended")  # its owner is told at once that they missed it
        await expect(page.locator("#pop")).not_to_have_class(re.compile("pop-ringing"))
        await expect(page.locator(".missed")).to_contain_text("周海")
        await page.locator(".missed button[type=submit]").first.click()
        await expect(page.locator(".missed")).to_have_count(0)


async def test_the_screen_of_an_agent_who_misses_is_cleared_and_the_next_ones_shows_the_caller(office: Office) -> None:
    await office.site.phones["agent2"].behave("never")
    await office.centre.listener.command("agent3", "pause", reason="away")
    async with (
        office.desk(WANG, at="/desk") as wangs,
        office.desk(LI, at="/desk") as lis,
        office.site.call(CHEN) as call,
    ):
        await shows(wangs, "陈小明", "ringing")
        await shows_nobody(lis)
        await shows(lis, "陈小明", "answered")
        await shows(wangs, "陈小明", "withdrawn")
        await call.hang_up()


async def test_a_reload_in_mid_call_brings_the_caller_back(office: Office) -> None:
    async with office.desk(WANG, at="/desk") as page, office.site.call(NUMBERS["吴敏"]) as call:
        await shows(page, "吴敏", "answered")
        await page.reload()
        await shows(page, "吴敏", "answered")
        await call.hang_up()
        await shows(page, "吴敏", "ended")
        await expect(page.locator("#disposition")).to_be_visible()
        await office.centre.in_the_books(NUMBERS["吴敏"])
        await page.reload()
        await is_now(page, "idle")
        await shows(page, "吴敏", "ended")
        await page.locator("#disposition-disposition").select_option(index=1)
        await page.locator("#disposition-disposition").press("Tab")
        await page.locator("#disposition button[type=submit]").click()
        await expect(page.locator("#disposition [role=status]")).to_contain_text("Saved")
        await page.reload()
        await is_now(page, "idle")
        await shows_nobody(page)


async def test_a_desk_that_lost_its_network_says_so_and_shows_who_rang_meanwhile_once_it_is_back(
    office: Office,
) -> None:
    desk = office.desk(WANG, at="/desk", forgives=NO_NETWORK)
    async with desk as page:
        await is_now(page, "idle")
        await desk.context.set_offline(True)
        await expect(page.locator("#lost")).to_be_visible()
        async with office.site.call(NUMBERS["Maria Costa"]) as call:
            await office.centre.listener.popped("agent2", "answered")
            await desk.context.set_offline(False)
            await shows(page, "Maria Costa", "answered")
            await expect(page.locator("#lost")).to_be_hidden()
            await desk.context.set_offline(True)
            await expect(page.locator("#lost")).to_be_visible()
            await call.hang_up()
        await office.centre.ended(NUMBERS["Maria Costa"])
        await desk.context.set_offline(False)
        await is_now(page, "idle")
        await expect(page.locator("#lost")).to_be_hidden()


#: Milliseconds: the feed's longest pause is 15 s, and Chromium itself holds a WebSocket back up to 5 s after others failed.
BACK = 30_000


async def test_desks_outlive_a_restart_of_the_web_in_mid_call(office: Office) -> None:
    async with office.desk(WANG, at="/desk", forgives=NO_NETWORK) as page, office.site.call(NUMBERS["郑强"]) as call:
        await shows(page, "郑强", "answered")
        assert office.site.web is not None
        await office.site.web.stop()
        await expect(page.locator("#lost")).to_be_visible()
        await office.site.start_web()
        await expect(page.locator("#lost")).to_be_hidden(timeout=BACK)
        await page.reload()  # nothing is left but what the daemon tells anew
        await shows(page, "郑强", "answered")
        await expect(page.locator("#ticket-form")).to_be_visible()
        await office.site.web.stop()
        await expect(page.locator("#lost")).to_be_visible()
        await call.hang_up()
        await office.centre.ended(NUMBERS["郑强"])
        await office.site.start_web()
        await expect(page.locator("#lost")).to_be_hidden(timeout=BACK)
        await is_now(page, "idle")
    async with office.desk(WANG, at="/desk") as page, office.site.call(NUMBERS["Tom Hale"]) as call:
        await shows(page, "Tom Hale", "answered")
        await call.hang_up()


async def test_a_broker_that_went_and_came_back_is_told_of_and_callers_are_shown_again(office: Office) -> None:
    async with office.desk(WANG, at="/desk") as page, office.desk(CHIEF, at="/agents") as all_agents:
        await is_now(page, "idle")
        await office.site.broker.stop()
        for one in (page, all_agents):
            await expect(one.locator("#trouble")).to_be_visible(timeout=15_000)
        await office.site.broker.start()
        for one in (page, all_agents):
            await expect(one.locator("#trouble")).to_be_hidden(timeout=15_000)
        async with office.site.call(NUMBERS["孙丽"]) as call:
            await shows(page, "孙丽", "answered")
            await call.hang_up()
