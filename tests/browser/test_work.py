"""An agent's work at the desk on real calls: what is written, heard, handed on, picked up, dialled; names that mean harm."""

import json
import sqlite3
from contextlib import closing

import pytest
from playwright.async_api import Page, expect

from lab.browser import told_by
from lab.sipp import SippAgent
from tests.browser.conftest import Office
from tests.browser.people import (
    CHIEF,
    HOSTILE,
    HOSTILE_NUMBER,
    LI,
    LONG,
    LONG_NUMBER,
    NUMBERS,
    SHARED,
    STRANGER,
    USERS,
    WANG,
    ZHANG,
)
from tests.browser.seen import is_now, shows, slot, taken
from tests.chain.centre import PITCH, sound

SITE = {"ring_seconds": 6}
#: How much of the recording's sound is of each of these pitches, by Goertzel's filter, and how long it is.
HEARD = """
(async () => {
  const answer = await fetch(document.querySelector("ctid-player audio").src);
  const sound = await new OfflineAudioContext(1, 1, 8000).decodeAudioData(await answer.arrayBuffer());
  const samples = sound.getChannelData(0);
  const power = (hertz) => {
    const turn = 2 * Math.cos(2 * Math.PI * hertz / sound.sampleRate);
    let last = 0, before = 0;
    for (const sample of samples) [last, before] = [sample + turn * last - before, last];
    return 2 * Math.sqrt(Math.max(0, last * last + before * before - turn * last * before)) / samples.length;
  };
  return JSON.stringify({ seconds: sound.duration, power: %s.map(power) });
})()
"""
#: From where to where the first waveform is hatched, as parts of its width.
HATCHED = """
(async () => {
  const player = document.querySelector("ctid-player");
  while (!player.peaks) await new Promise((done) => setTimeout(done, 20));
  const canvas = player.querySelector("canvas");
  const colour = getComputedStyle(canvas).getPropertyValue("--wave-pause").trim();
  const [red, green, blue] = [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  const seen = [];
  for (let at = 0; at < data.length; at += 4) {
    const near = Math.abs(data[at] - red) + Math.abs(data[at + 1] - green) + Math.abs(data[at + 2] - blue) < 12;
    if (near && data[at + 3] > 100) seen.push((at / 4) % canvas.width);
  }
  return [Math.min(...seen) / canvas.width, (Math.max(...seen) + 1) / canvas.width];
})()
"""
#: Hides the page from its own eyes, and notes what it would have notified.
NOTED = """
window.noted = [];
Object.defineProperty(Document.prototype, "hidden", { get: () => true });
Object.defineProperty(Document.prototype, "visibilityState", { get: () => "hidden" });
window.Notification = class extends EventTarget {
  static permission = "granted";
  constructor(title) { super(); window.noted.push(title); }
  close() {}
};
"""

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def only(office: Office, *agents: str) -> None:
    """These agents take calls, everyone else pauses."""
    for agent in office.site.agents:
        if agent not in agents:
            await office.centre.listener.command(agent, "pause", reason="away")
            await office.centre.listener.becomes(agent, "paused")


async def tabs_to(page: Page, name: str) -> None:
    """Go on by Tab to the button of this name, and press it."""
    button = page.get_by_role("button", name=name)
    await expect(button).to_be_visible()
    for _ in range(30):
        if await button.evaluate("button => button === document.activeElement"):
            break
        await page.keyboard.press("Tab")
    await expect(button).to_be_focused()
    await page.keyboard.press("Enter")


async def harmed(page: Page) -> bool:
    return bool(await told_by(page, "window.harmed === 1"))


async def test_what_is_written_during_the_call_stands_on_its_ticket_and_the_recording_plays_there(
    office: Office,
) -> None:
    async with office.desk(WANG, at="/desk") as page:
        async with office.site.call(NUMBERS["冯雪"]) as call:
            await shows(page, "冯雪", "answered")
            form = page.locator("#ticket-form")
            await form.locator("[name=asked]").fill("The forklift lifts no more")
            await form.locator("[name=done]").fill("换了液压油滤芯")
            await form.locator("[name=next_step]").fill("Call back tomorrow")
            await form.locator("[name=done]").press("Control+Enter")
            await expect(form.locator("[data-slot=said]")).to_contain_text("Saved")
            await sound(2)
            await call.hang_up()
        await office.centre.in_the_books(NUMBERS["冯雪"])
        await page.goto("/tickets/1107")
        for text in ("The forklift lifts no more", "换了液压油滤芯", "Call back tomorrow"):
            await expect(page.locator("main")).to_contain_text(text)
        player = page.locator("ctid-player").first
        await expect(player.locator("[data-part=play]")).to_be_visible()
        await player.scroll_into_view_if_needed()
        await taken(page, "ticket")
        pitches = [440, PITCH["agent2"], 700]
        heard = json.loads(await told_by(page, HEARD % pitches))
        assert heard["seconds"] > 2
        caller, agent, nobody = heard["power"]
        assert min(caller, agent) > 10 * nobody
        await player.locator("[data-part=play]").click()
        await expect(player.locator("[data-part=at]")).not_to_have_text("0:00")
        wave = player.locator("[data-part=wave]")
        await wave.press("Home")
        await wave.press("End")
        await expect(wave).to_have_attribute("aria-valuenow", str(int(heard["seconds"])))


async def test_a_recording_is_paused_by_a_key_counts_down_and_its_page_shows_where(office: Office) -> None:
    async with office.desk(WANG, at="/desk") as page:
        caller = NUMBERS["冯雪"]
        async with office.site.call(caller) as call:
            await shows(page, "冯雪", "answered")
            paused = page.locator("#record-paused")
            await expect(page.get_by_role("button", name="Pause the recording")).to_be_visible()
            await sound(1)
            await page.keyboard.press("Alt+q")
            await expect(paused).to_contain_text("Not recorded now; goes on in 1:")
            await page.reload()
            await expect(paused).to_be_visible()
            await page.get_by_role("button", name="Record again").click()
            await expect(paused).to_be_hidden()
            await sound(0.5)
            await call.hang_up()
        books = await office.centre.in_the_books(caller)
        [gap] = books["recordings"][0]["gaps"]
        assert (gap["agent"], gap["ended"]) == (USERS[WANG], "resumed")
        await page.goto(f"/calls/{books['id']}")
        await expect(
            page.locator("main .card-body li").filter(has_text="The recording was paused for").first
        ).to_be_visible()
        player = page.locator("ctid-player").first
        begins, ends = (float(one) for one in str(await player.get_attribute("data-pauses")).split())
        assert (begins, ends) == (
            pytest.approx(gap["begins_seconds"], abs=0.01),
            pytest.approx(gap["ends_seconds"], abs=0.01),
        )
        await expect(player.locator("[data-part=play]")).to_be_visible()
        hatched = await told_by(page, HATCHED)
        length = books["recordings"][0]["seconds"]
        assert hatched == pytest.approx([begins / length, ends / length], abs=0.03)
    async with office.desk(CHIEF, at="/audit?action=recording_paused") as page:
        await expect(page.locator("main")).to_contain_text(books["recordings"][0]["id"])


async def test_a_call_handed_on_rings_the_colleague_with_its_ticket(office: Office) -> None:
    await only(office, "agent1", "agent2")
    await office.site.phones["agent1"].behave("answer", ring=2)
    async with (
        office.desk(WANG, at="/desk") as wangs,
        office.desk(LI, at="/desk") as lis,
        office.site.call(NUMBERS["钱立"]) as call,
    ):
        await shows(wangs, "钱立", "answered")
        await wangs.locator("#to-colleague").click()
        await wangs.get_by_role("button", name="Transfer: Li Wei").click()
        await shows(lis, "钱立", "ringing")
        await expect(lis.locator("#pop")).to_contain_text("1106")
        await shows(lis, "钱立", "answered")
        await is_now(wangs, "idle")
        await call.hang_up()
        await shows(lis, "钱立", "ended")


async def test_a_colleague_is_asked_first_and_then_gets_the_caller_or_not(office: Office) -> None:
    await only(office, "agent1", "agent2")
    async with (
        office.desk(WANG, at="/desk") as wangs,
        office.desk(LI, at="/desk") as lis,
        office.site.call(NUMBERS["郑强"]) as call,
    ):
        await shows(wangs, "郑强", "answered")
        asked = wangs.locator('#colleagues [data-slot="consult"]')
        for ending in ("Back to the caller", "Hand over"):
            await wangs.locator("#to-colleague").click()
            await wangs.get_by_role("button", name="Ask first: Li Wei").click()
            await expect(asked).to_contain_text("You ask Li Wei first.")
            await shows(lis, "郑强", "answered", within=20)  # Asterisk waits for a further key before it dials
            await wangs.get_by_role("button", name=ending).click()
            await expect(asked).to_be_hidden()
            if ending == "Back to the caller":
                await is_now(lis, "idle")
                await is_now(wangs, "talking")
        await is_now(wangs, "idle")
        await is_now(lis, "talking")
        await expect(lis.locator("#pop")).to_contain_text("1103")
        await call.hang_up()
        await shows(lis, "郑强", "ended")


async def test_of_several_people_with_one_number_the_agent_says_who_it_is(office: Office) -> None:
    await only(office, "agent2")
    async with office.desk(WANG, at="/desk") as page:
        async with office.site.call(SHARED) as call:
            matches = page.locator('#pop [data-slot="matches"]')
            for name in ("Anna Berg", "和丽"):
                await expect(matches).to_contain_text(name)
            await matches.get_by_role("button", name="和丽").click()
            await shows(page, "和丽", "answered")
            await expect(page.locator("#pop")).to_contain_text("云南茶叶合作社")
            await expect(matches).to_be_hidden()
            await call.hang_up()
        assert (await office.centre.in_the_books(SHARED))["contact_id"] == "P4"


async def test_an_agent_pauses_comes_back_leaves_the_phone_and_signs_in_by_keys_alone(office: Office) -> None:
    async with office.desk(ZHANG, at="/desk") as page:
        await is_now(page, "idle")
        await page.keyboard.press("Alt+p")
        await page.locator("#pause-reason").fill("Stocktaking 盘点")
        await page.keyboard.press("Enter")
        await is_now(page, "paused")
        await expect(page.locator("#state [data-slot=reason]")).to_have_text("Stocktaking 盘点")
        await page.keyboard.press("Alt+i")
        await is_now(page, "idle")
        await page.locator("[data-command=sign_out]").press("Enter")
        await is_now(page, "offline")
        await expect(page.locator("#phone")).to_have_value("agent3")
        await page.keyboard.press("Alt+i")
        await expect(page.locator("#phone")).to_be_focused()
        await page.keyboard.press("Enter")
        await is_now(page, "idle")


async def test_a_caller_who_waits_is_picked_up_by_a_click(office: Office) -> None:
    await only(office)
    async with office.desk(WANG, at="/desk") as page, office.site.call(NUMBERS["Tom Hale"]) as call:
        waiting = page.locator("#waiting")
        await expect(waiting).to_contain_text("Tom Hale")
        await waiting.get_by_role("button").click()
        await shows(page, "Tom Hale", "answered")
        await expect(waiting).to_be_hidden()
        await call.hang_up()


async def test_a_caller_is_picked_up_moved_to_a_new_ticket_and_handed_on_by_keys_alone(office: Office) -> None:
    await only(office)
    async with (
        office.desk(WANG, at="/desk") as page,
        office.desk(LI, at="/desk") as lis,
        office.site.call(NUMBERS["孙丽"]) as call,
    ):
        await expect(page.locator("#waiting")).to_contain_text("孙丽")
        await page.keyboard.press("Alt+g")
        await shows(page, "孙丽", "answered")
        ticket = slot(page.locator("#pop"), "ticket")
        await expect(ticket).to_contain_text("1104")
        await page.keyboard.press("Alt+r")
        await tabs_to(page, "To a new ticket")
        await expect(ticket).not_to_contain_text("1104")
        new = (await ticket.inner_text()).split()[0]
        await office.centre.listener.command("agent1", "resume")
        await page.keyboard.press("Alt+x")
        await page.keyboard.type("li w")
        await tabs_to(page, "Transfer: Li Wei")
        await shows(lis, "孙丽", "answered")
        await expect(slot(lis.locator("#pop"), "ticket")).to_contain_text(new)
        await sound(1)
        await call.hang_up()
    ended = await office.centre.in_the_books(NUMBERS["孙丽"])
    assert [leg["agent"] for leg in ended["legs"]] == ["agent2", "agent1"]
    assert [one["ticket_ids"] for one in ended["recordings"]] == [[new]]


async def test_a_missed_caller_is_called_back_by_a_click_and_is_missed_no_more(office: Office) -> None:
    await only(office, "agent2")
    phone = office.site.phones["agent2"]
    await phone.behave("never")
    trunk = SippAgent(office.site.folder / "sipp", "trunk", office.site.asterisk.trunk_port)
    async with trunk, office.desk(WANG, at="/desk") as page:
        async with office.site.call(NUMBERS["冯雪"]) as call:
            await shows(page, "冯雪", "ringing")
            await call.hang_up()
        missed = page.locator(".missed")
        await expect(missed).to_contain_text("冯雪")
        await is_now(page, "idle")
        await phone.behave("answer")
        await missed.get_by_role("button", name="Call back").click()
        invite = await trunk.rings()
        await is_now(page, "talking")
        await shows(page, "冯雪", "answered")
        await trunk.hang_up(invite)
        await is_now(page, "idle")
        await expect(missed).to_be_hidden()


async def test_a_number_is_called_by_a_click(office: Office) -> None:
    await only(office, "agent2")
    trunk = SippAgent(office.site.folder / "sipp", "trunk", office.site.asterisk.trunk_port)
    async with trunk, office.desk(WANG, at="/desk") as page:
        await is_now(page, "idle")
        await page.locator("#dial-number").fill("13900139001")
        await page.locator("#dial-number").press("Enter")
        await office.site.phones["agent2"].rings()
        invite = await trunk.rings()
        await is_now(page, "talking")
        await trunk.hang_up(invite)
        await is_now(page, "idle")


async def test_an_unknown_caller_becomes_a_contact_in_two_fields_and_is_known_the_next_time(office: Office) -> None:
    await only(office, "agent2")
    async with office.desk(WANG, at="/desk") as page:
        async with office.site.call(STRANGER) as call:
            await expect(page.locator("#pop")).to_contain_text("2155667788")
            await page.locator("#contact-sheet summary").click()
            form = page.locator("#contact-form form")
            await form.locator("[name=name]").fill("何静")
            await form.locator("[name=customer]").fill("Harbour Logistics")
            await form.locator("button[type=submit]").last.click()
            await shows(page, "何静", "answered")
            await call.hang_up()
            await shows(page, "何静", "ended")
        async with office.site.call(STRANGER) as call:
            await shows(page, "何静", "answered")
            await expect(page.locator("#pop")).to_contain_text("Harbour Logistics")
            await call.hang_up()


async def test_a_call_moves_to_another_ticket_with_its_recording(office: Office) -> None:
    await only(office, "agent2")
    async with office.desk(WANG, at="/desk") as page:
        async with office.site.call(NUMBERS["Ines Moreau"]) as call:
            await shows(page, "Ines Moreau", "answered")
            await page.locator("#move summary").click()
            await page.locator("#move-search").fill("1109")
            await page.locator("#move-found li", has_text="1109").get_by_role("button").click()
            await expect(page.locator("#pop [data-slot=ticket]")).to_contain_text("1109")
            await sound(1)
            await call.hang_up()
        ended = await office.centre.in_the_books(NUMBERS["Ines Moreau"])
        assert [r["ticket_ids"] for r in ended["recordings"]] == [["1109"]]
        await page.goto("/tickets/1109")
        await expect(page.locator("ctid-player")).to_have_count(1)


async def test_of_two_tabs_one_notifies_and_both_show_the_caller(office: Office) -> None:
    desk = office.desk(WANG, at="/desk", script=NOTED)
    async with desk as first:
        second = await desk.context.new_page()
        await second.goto("/desk")
        await is_now(second, "idle")
        async with office.site.call(NUMBERS["褚健"]) as call:
            await shows(first, "褚健", "answered")
            await shows(second, "褚健", "answered")
            noted = [await told_by(page, "window.noted") for page in (first, second)]
            assert sorted(noted) == [[], ["褚健"]]
            await call.hang_up()


async def test_names_that_mean_harm_are_shown_as_text(office: Office) -> None:
    with closing(sqlite3.connect(office.site.state / "ctid.db")) as books, books:  # no import takes so long a name
        books.execute("UPDATE contacts SET name = ? WHERE id = 'H2'", (LONG,))
        books.execute("UPDATE tickets SET subject = ? WHERE id = '1302'", (LONG,))
    await only(office, "agent2")
    async with office.desk(WANG, at="/desk") as page:
        for number, ticket in ((HOSTILE_NUMBER, "1301"), (LONG_NUMBER, "1302")):
            async with office.site.call(number) as call:
                await expect(page.locator("#pop [data-slot=ticket]")).to_contain_text(ticket)
                await expect(page.locator("#tickets")).to_contain_text(ticket)
                await call.hang_up()
            await is_now(page, "idle")
            assert not await harmed(page)
        for address in (
            "/tickets/1301",
            "/tickets/1302",
            "/tickets",
            "/",
            "/contacts/H1",
            "/contacts/H2",
            "/customers/C2",
        ):
            await page.goto(address)
            await expect(page.locator("main")).to_be_visible()
            assert not await harmed(page)
            assert await told_by(page, "document.documentElement.scrollWidth <= document.documentElement.clientWidth")
        await page.goto("/tickets/1301")
        await expect(page.locator("main")).to_contain_text(HOSTILE)
