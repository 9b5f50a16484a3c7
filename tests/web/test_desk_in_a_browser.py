"""The desk in a real browser, with what the daemon publishes played by hand: what a caller must never disturb."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, replace

import pytest
from playwright.async_api import Browser, Page, Route, expect
from playwright.async_api import Error as PlaywrightError

from ctid.db.calls import Calls
from ctid.domain.types import AgentState, AgentStatus, CallerFile, PopState
from ctid.mqtt.topics import agent_message
from lab.browser import NO_NETWORK, Desk, chromium, denied
from tests.web.conftest import Web
from tests.web.site import HOSTILE, LONG, PASSWORD
from tests.web.test_desktop import call
from tests.web.test_live import ringing, shows


@dataclass(frozen=True, slots=True)
class Place:
    """Where the desk stands, as ``lab.browser.Desk`` asks for it."""

    web_url: str
    password: str


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as made:
        yield made


def sit(browser: Browser, web: Web, name: str = "liwei", **more: object) -> Desk:
    return Desk(browser, Place(web.url, PASSWORD), name, **{"at": "/desk", **more})


async def idle(web: Web, page: Page, state: AgentState = AgentState.IDLE, **more: object) -> None:
    await web.say(agent_message(AgentStatus(agent="7", state=state, since=time.time(), phone="agent7", **more)))
    await expect(page.locator(f"#state .mark-{state.value}")).to_be_visible()
    # The server may have drawn that state already: what is clicked before the page's own scripts are there is a plain link.
    await expect(page.locator("#link")).to_have_attribute("data-state", "up")


async def writes(route: Route) -> None:
    """A ticket's form as short as can be."""
    ticket = route.request.url.split("/tickets/")[1].split("/")[0]
    form = (
        f'<form id="ticket-form" data-ticket="{ticket}"><input type="hidden" name="call" value="">'
        f'<label for="asked">{ticket}</label><textarea id="asked" name="asked"></textarea>'
        '<span data-slot="said"></span><button type="button" data-slot="discard" hidden>Throw it away</button></form>'
    )
    await route.fulfill(body=form, content_type="text/html")


async def standing(page: Page) -> list[object]:
    """Where the person's attention stands: the field, what is in it, caret, and how far everything is scrolled."""
    return await page.evaluate(
        "() => { const one = document.activeElement; return [one.id, one.value, one.selectionStart, one.selectionEnd,"
        " scrollY, document.getElementById('panes').scrollTop, one.getBoundingClientRect().top]; }"
    )


async def test_a_caller_takes_neither_focus_nor_caret_nor_scroll_nor_half_written_text(
    ready: Web, browser: Browser
) -> None:
    async with sit(browser, ready) as page:
        await page.route("**/tickets/*/write*", writes)
        await idle(ready, page)
        await page.locator("#home a.in-place").first.click()
        field = page.locator("#asked")
        await field.fill("half a sentence, 写了一半")
        await field.press("Home")
        await field.press("ArrowRight")
        before = await standing(page)
        assert before[:3] == ["asked", "half a sentence, 写了一半", 1]
        other = (await ringing(ready)).file
        for state in (PopState.RINGING, PopState.ANSWERED):
            newest = replace(other.history[1], id="T9")
            await shows(ready, await ringing(ready, state=state, file=replace(other, history=(newest,))))
            await expect(page.locator("#pop .badge").first).to_have_text(state.value.title())
        await expect(page.locator("#pop-title")).to_have_text("陈小明")
        await expect(page.get_by_role("tab", name="T9")).to_have_attribute("aria-selected", "false")
        await expect(page.locator("#tickets [data-slot=said]").first).to_contain_text("T9 stands beside")
        assert await standing(page) == before
        await page.keyboard.press("Alt+j")
        await expect(page.get_by_role("tab", name="T9")).to_have_attribute("aria-selected", "true")
        await page.keyboard.press("Alt+n")
        await expect(page.locator("#asked")).to_be_focused()
        await expect(page.locator("#asked")).to_have_value("")
        await page.get_by_role("tab", name="T12").click()
        await expect(page.locator("#asked")).to_have_value("half a sentence, 写了一半")


async def test_the_callers_latest_ticket_opens_by_itself_where_nobody_writes_and_closes_when_they_give_up(
    ready: Web, browser: Browser
) -> None:
    async with sit(browser, ready) as page:
        await page.route("**/tickets/*/write*", writes)
        await shows(ready, await ringing(ready))
        await expect(page.locator("#ticket-form label")).to_have_text("T12")
        await expect(page.locator("#announce")).to_have_text("Call from 陈小明")
        await expect(page.locator("#history li")).to_have_count(2)
        await shows(ready, await ringing(ready, state=PopState.WITHDRAWN))
        await expect(page.locator("#ticket-form")).to_have_count(0)
        await expect(page.get_by_role("tab", name="My tickets")).to_have_attribute("aria-selected", "true")


SIGNALS = """
window.told = [];
window.Notification = class extends EventTarget {
  static permission = "granted";
  constructor(title, more) { super(); window.told.push([title, more.body, more.tag]); }
  close() {}
};
Object.defineProperty(document, "hidden", { get: () => window.looksAway ?? true, configurable: true });
"""


async def test_of_two_hidden_tabs_one_notifies_and_both_show_and_none_does_while_one_is_looked_at(
    ready: Web, browser: Browser
) -> None:
    desk = sit(browser, ready)
    async with desk as first:
        await desk.context.add_init_script(SIGNALS)
        await desk.context.route("**/tickets/*/write*", writes)
        await first.reload()
        second = await desk.context.new_page()
        await second.goto("/desk")
        for page in (first, second):
            await expect(page.locator("#link")).to_have_attribute("data-state", "up")
        await shows(ready, await ringing(ready))
        for page in (first, second):
            await expect(page.locator("#pop-title")).to_have_text("陈小明")
            await expect(page).to_have_title("☎ 陈小明")
        told = [*await first.evaluate("window.told"), *await second.evaluate("window.told")]
        assert told == [["陈小明", "华东精密机械有限公司 · Spindle stops after an hour", "ctid-1795000000.7"]]
        await shows(ready, await ringing(ready, state=PopState.ANSWERED))
        for page in (first, second):
            await expect(page).to_have_title("Desk · ctid")
        await second.evaluate("window.looksAway = false; document.dispatchEvent(new Event('visibilitychange'))")
        await shows(ready, await ringing(ready, call_id="next"))
        await expect(first).to_have_title("☎ 陈小明")
        assert len([*await first.evaluate("window.told"), *await second.evaluate("window.told")]) == 1


async def test_a_reload_keeps_the_caller_and_a_lost_line_says_since_when_and_clears_who_is_gone(
    ready: Web, browser: Browser
) -> None:
    desk = sit(browser, ready, forgives=NO_NETWORK)
    async with desk as page:
        await page.route("**/tickets/*/write*", writes)
        await idle(ready, page)
        await shows(ready, await ringing(ready))
        await expect(page.locator("#pop")).to_be_visible()
        await page.reload()
        await expect(page.locator("#pop-title")).to_have_text("陈小明")
        await desk.context.set_offline(True)
        await expect(page.locator("#lost")).to_contain_text("Not connected since")
        leave = page.locator("[data-command=sign_out]")
        await expect(leave).to_have_attribute("aria-disabled", "true")
        await leave.click(force=True)
        await expect(page.locator("#state [data-slot=said]")).to_have_text("Not connected: nothing was sent.")
        await shows(ready, await ringing(ready, state=PopState.WITHDRAWN))
        await desk.context.set_offline(False)
        await expect(page.locator("#lost")).to_be_hidden()
        await expect(page.locator("#pop .badge").first).to_have_text("Withdrawn")
        await expect(page.locator(".pop-ringing")).to_have_count(0)
        await expect(leave).not_to_have_attribute("aria-disabled", "true")


async def test_keys_wait_for_a_word_that_is_being_composed_and_the_question_mark_is_typed_in_fields(
    ready: Web, browser: Browser
) -> None:
    async with sit(browser, ready) as page:
        await idle(ready, page)
        number = page.locator("#dial-number")
        await number.focus()
        composing = (
            "new KeyboardEvent('keydown', { key: 'p', code: 'KeyP', altKey: true, isComposing: %s, bubbles: true })"
        )
        await number.evaluate(f"(field) => field.dispatchEvent({composing % 'true'})")
        await expect(page.locator("#pause")).not_to_have_attribute("open", "")
        await number.evaluate(f"(field) => field.dispatchEvent({composing % 'false'})")
        await expect(page.locator("#pause button[data-reason]").first).to_be_focused()
        await page.keyboard.press("Escape")
        await expect(page.locator("#pause")).not_to_have_attribute("open", "")
        await page.keyboard.press("Alt+l")
        await page.keyboard.type("021?")
        await expect(number).to_have_value("021?")
        await expect(page.locator("#keys")).to_be_hidden()
        await page.locator("#pop-title").evaluate("(title) => document.activeElement.blur()")
        await page.keyboard.type("?")
        await expect(page.locator("#keys")).to_be_visible()


async def test_what_was_not_saved_stands_in_its_ticket_again_after_a_reload(ready: Web, browser: Browser) -> None:
    async with sit(browser, ready) as page:
        await idle(ready, page)
        await page.locator("#home a.in-place").first.click()
        await page.locator("#ticket-form [name=asked]").fill("half a sentence, 写了一半")
        await page.reload()
        await page.get_by_role("tab", name="T12").click()
        await expect(page.locator("#ticket-form [name=asked]")).to_have_value("half a sentence, 写了一半")
        await expect(page.locator("#ticket-form [data-slot=said]")).to_have_text("What you had not saved is back.")


async def test_where_a_browser_has_no_notifications_that_stands_in_place_of_the_button(
    ready: Web, browser: Browser
) -> None:
    async with sit(browser, ready, script="delete window.Notification;") as page:
        await page.locator("#signals summary").click()
        await expect(page.locator("#signals [data-slot=notify]")).to_have_text("Notifications need https.")
        await expect(page.locator("#notify")).to_be_hidden()


@pytest.mark.parametrize(("language", "theme"), [("en", "light"), ("zh-CN", "dark")])
async def test_nobody_is_shut_out_and_hostile_names_are_text(
    ready: Web, browser: Browser, language: str, theme: str
) -> None:
    async with sit(browser, ready, language=language, theme=theme) as page:
        await page.route("**/tickets/*/write*", writes)
        await idle(ready, page)
        file = (await ringing(ready)).file
        assert file.contact
        evil = replace(file.contact, name=LONG, customer=HOSTILE, title=HOSTILE, department=LONG, level=5)
        await shows(ready, await ringing(ready, caller=HOSTILE, file=replace(file, contact=evil), dialled=HOSTILE))
        await expect(page.locator("#pop-title")).to_contain_text("😀😀")
        assert HOSTILE in await page.locator("#pop").inner_text()
        assert await denied(page) == []
        # Nothing grows past its place, and nothing has to be scrolled to.
        assert await page.evaluate("document.documentElement.scrollHeight <= innerHeight + 1")
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        matches = (evil, replace(evil, id="P8", name="Li"))
        await shows(ready, await ringing(ready, call_id="n", file=CallerFile(number="1", matches=matches)))
        await expect(page.locator("[data-slot=matches] button")).to_have_count(2)
        assert await denied(page) == []


async def test_a_missed_call_ticked_off_does_not_come_back_with_lists_that_were_asked_for_before(
    ready: Web, browser: Browser
) -> None:
    await Calls(ready.room.engine).save([call(ready, "vain", seconds=5)])
    held, asked = asyncio.Event(), asyncio.Event()

    async def late(route: Route) -> None:
        answer = await route.fetch()
        asked.set()
        await held.wait()
        with suppress(PlaywrightError):  # the page has given it up
            await route.fulfill(response=answer)

    async with sit(browser, ready, "zhang") as page:
        await expect(page.locator(".missed")).to_be_visible()
        await page.route("**/agents/8/lists", late)
        await page.locator("#lists").evaluate("lists => lists.dispatchEvent(new CustomEvent('over'))")
        await asked.wait()
        await page.locator(".missed button[type=submit]").click()
        await expect(page.locator(".missed")).to_have_count(0)
        held.set()
        await page.unroute_all(behavior="wait")
        await page.evaluate("() => new Promise((done) => setTimeout(done, 100))")
        assert await page.locator(".missed").count() == 0
