"""The whole chain in a real browser: a SIP call, the PBX, ctid, the broker, the page; and back."""

import re

import pytest
from playwright.async_api import expect

from lab.browser import denied
from tests.browser.conftest import Office
from tests.browser.people import CHEN, LI, WANG, ZHANG

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_the_caller_stands_on_the_right_agents_screen_while_the_phone_rings_and_on_no_other(
    office: Office,
) -> None:
    await office.site.phones["agent2"].behave("answer", ring=3)
    async with (
        office.desk(LI, at="/agents/agent1") as lis,
        office.desk(WANG, at="/agents/agent2") as wangs,
        office.desk(ZHANG, at="/agents/agent3") as zhangs,
        office.site.call(CHEN) as call,
    ):
        pop = wangs.locator("#pop")
        await expect(pop).to_contain_text("陈小明")
        await expect(pop.locator('[data-slot="state"]')).to_have_text("ringing", ignore_case=True)
        await expect(pop).to_contain_text("主轴运行十分钟后停机")
        for other in (lis, zhangs):
            await expect(other.locator("#quiet")).to_be_visible()
        assert await denied(wangs) == []
        await expect(pop.locator('[data-slot="state"]')).to_have_text(re.compile("answered", re.IGNORECASE))
        await call.hang_up()
