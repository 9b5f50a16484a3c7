// What can be done with the call on the screen: save who called, move it to another ticket, hand it over.

import { button, make } from "../elements.js";
import { ask, say } from "./ask.js";

const move = document.getElementById("move");
const found = document.getElementById("move-found");
const search = document.getElementById("move-search");
const sheet = document.getElementById("contact-sheet");
const form = document.getElementById("contact-form");
const transfer = document.getElementById("to-colleague");
const { past, caller, contact } = document.getElementById("pop").dataset;
let call = past === undefined
  ? null : { call_id: past, state: "answered", caller: caller || null, contact: contact ?? null, matches: [] };
let called = null;
let asked = 0;

const after = document.getElementById("afterwards");
const noted = after.querySelector('[data-slot="form"]');
const soon = document.getElementById("disposition-soon");
const { pbx } = document.getElementById("desk").dataset;
let noting = past ?? null;
let writing = false;

/** Asks what the call was, once it is over; what is being written about the one before stays until it is saved. */
function note(ended, name) {
  if (noting === ended.call_id || writing) return;
  noting = ended.call_id;
  const title = document.getElementById("afterwards-title");
  title.textContent = title.dataset.text.replace("{who}", name);
  const address = `/calls/${encodeURIComponent(pbx)}/${encodeURIComponent(ended.call_id)}/disposition`;
  const waiting = soon.content.firstElementChild.cloneNode(true);
  waiting.setAttribute("hx-get", address);
  after.hidden = true;
  noted.replaceChildren(waiting);
  htmx.process(waiting);
}

// Shown with the first answer, so that the line that asks to wait appears only where there is something to wait for.
noted.addEventListener("htmx:afterRequest", () => { after.hidden = noted.childElementCount === 0; });

noted.addEventListener("input", () => { writing = true; });
noted.addEventListener("htmx:afterSettle", () => { writing = noted.querySelector("[aria-invalid]") !== null; });

/** Offers what fits the call of this view. */
export function offerFor(view, name) {
  const pop = view.pop;
  if (pop !== null && pop.call_id !== noting && !writing) { after.hidden = true; noting = null; noted.replaceChildren(); }
  if (pop !== null && call?.call_id !== pop.call_id) { move.open = false; sheet.open = false; form.replaceChildren(); }
  if (pop !== null) call = pop;
  const spoken = pop !== null && pop.state === "answered";
  const ended = view.gone?.call_id === call?.call_id && view.gone?.state === "ended";
  const over = pop === null && call !== null && (ended || call.call_id === past || view.state?.code === "wrap_up");
  if (over && call.state === "answered") note(call, called);
  if (pop !== null) called = name;
  if (pop === null && !over) call = null;
  move.hidden = !(spoken || over);
  sheet.hidden = call === null || call.contact !== null || call.caller === null || (call.matches.length > 0);
  transfer.hidden = !spoken;
}

async function seek() {
  const mine = ++asked;
  const words = new URLSearchParams({ call: call.call_id, q: search.value });
  let tickets = null;
  try {
    const answer = await fetch(`/desk/tickets?${words}`, { redirect: "manual" });
    if (answer.ok) ({ tickets } = await answer.json());
  } catch { /* shown as none below */ }
  if (mine !== asked) return;
  found.replaceChildren(...(tickets ?? []).map((ticket) => {
    const line = make("li");
    const title = `${ticket.id} · ${ticket.subject}`;
    const choose = button(found.dataset.text, title);
    choose.addEventListener("click", () => relink(choose, { ticket_id: ticket.id }));
    line.append(choose, ` ${title}`);
    if (ticket.detail) {
      const rest = make("div", "text-secondary small");
      rest.textContent = ticket.detail;
      line.append(rest);
    }
    return line;
  }));
  if (found.childElementCount === 0) found.append(found.dataset.textNone);
}

async function relink(asking, fields) {
  if (await ask("relink", { call_id: call.call_id, ...fields }, asking)) { move.open = false; sheet.open = false; }
}

search.addEventListener("input", () => { seek(); });
// Emptied when it closes: the event comes late, and what was typed into the open one meanwhile must stay.
move.addEventListener("toggle", () => {
  if (!move.open) search.value = "";
  else if (call !== null) seek();
});
document.getElementById("move-new").addEventListener("click", (event) => relink(event.currentTarget, { new: "yes" }));

sheet.addEventListener("toggle", () => {
  if (!sheet.open || call === null || form.childElementCount > 0) return;
  const number = new URLSearchParams({ number: call.caller });
  htmx.ajax("GET", `/contacts/quick?${number}`, { target: form, swap: "innerHTML" }).then(() => {
    if (form.childElementCount === 0) say(form, document.getElementById("asks").dataset.textFailed);
  });
});
// The contact's piece of page says who was saved: the call is theirs from then on.
form.addEventListener("htmx:afterSettle", () => {
  const made = form.querySelector(".quick-made[data-contact]");
  if (made !== null && call !== null) relink(made, { contact_id: made.dataset.contact });
});

transfer.addEventListener("click", () => {
  document.getElementById("colleagues").open = true;
  document.getElementById("colleague").focus();
});
