// Tickets in place, in tabs. Only the one in front stands in the page: the others keep what was typed, out of it.
// Law: a form that somebody writes in, or has written in, is never taken away: another ticket then comes beside it and says so.

import { make } from "../elements.js";

const part = document.getElementById("tickets");
const tabs = document.getElementById("tabs");
const panes = document.getElementById("panes");
const close = document.getElementById("tab-close");
const said = part.querySelector('[data-slot="said"]');
const text = part.dataset;
const HOME = "home";
const { pbx } = document.getElementById("desk").dataset;
const open = new Map([[HOME, { tab: document.getElementById("tab-home"), pane: document.getElementById(HOME), call: null, dirty: false, top: 0 }]]);
let front = HOME;
let followed = null;

const writing = (one) => one.dirty || one.pane.contains(document.activeElement) && document.activeElement.matches("input, textarea, select");

function mark(id) {
  const one = open.get(id);
  one.tab.classList.toggle("desk-tab-dirty", one.dirty);
  one.tab.querySelector(".dirty").textContent = one.dirty ? ` · ${text.textUnsaved}` : "";
}

function arrange() {
  for (const [id, one] of open) {
    const here = id === front;
    one.tab.setAttribute("aria-selected", String(here));
    one.tab.tabIndex = here ? 0 : -1;
    if (here) one.tab.classList.remove("desk-tab-new");
  }
  for (const id of ["tab-previous", "tab-next"]) document.getElementById(id).hidden = open.size < 2;
  close.hidden = front === HOME;
  close.setAttribute("aria-label", text.textClose.replace("{ticket}", front));
}

/** Brings a ticket to the front. */
function turnTo(id) {
  if (id !== front && open.has(id)) {
    const old = open.get(front);
    old.top = panes.scrollTop;
    old.pane.remove();
    front = id;
    panes.append(open.get(id).pane);
    panes.scrollTop = open.get(id).top;
  }
  said.textContent = "";
  arrange();
}

async function load(id, one) {
  const address = `/tickets/${encodeURIComponent(id)}/write${one.call === null ? "" : `?call=${encodeURIComponent(`${pbx}/${one.call}`)}`}`;
  let answer = null;
  try { answer = await fetch(address, { headers: { "HX-Request": "true" }, redirect: "manual" }); } catch { /* said below */ }
  const fragment = make("template");
  if (answer?.ok) fragment.innerHTML = await answer.text();
  else {
    const line = make("p");
    const link = make("a");
    link.href = `/tickets/${encodeURIComponent(id)}`;
    link.textContent = id;
    line.append(`${text.textFailed} `, link);
    fragment.content.append(line);
  }
  if (one.dirty) return;
  one.pane.replaceChildren(fragment.content);
  if (one.pane.isConnected) htmx.process(one.pane);
  else one.raw = true;
}

function newTab(id, { call = null, caller = null }) {
  const tab = make("button", "desk-tab");
  Object.assign(tab, { type: "button", id: `tab-of-${id}` });
  tab.setAttribute("role", "tab");
  tab.append(caller === null ? id : `${id} · ${caller}`);
  tab.append(make("span", "dirty"));
  const pane = make("div", "desk-pane");
  pane.setAttribute("role", "tabpanel");
  pane.setAttribute("aria-labelledby", tab.id);
  const one = { tab, pane, call, dirty: false, top: 0, raw: false };
  tab.addEventListener("click", () => show(id));
  pane.addEventListener("input", () => { one.dirty = true; mark(id); });
  pane.addEventListener("ctid:saved", () => { one.dirty = false; mark(id); });
  open.set(id, one);
  tabs.append(tab);
  load(id, one);
  return one;
}

function shut(id) {
  const one = open.get(id);
  if (front === id) turnTo(HOME);
  open.delete(id);
  for (const element of [one.tab, one.pane]) element.remove();
  arrange();
}

/** Opens a ticket because somebody asked for it. */
export function show(id) {
  if (!open.has(id)) newTab(id, {});
  turnTo(id);
  const one = open.get(id);
  if (one.raw) { one.raw = false; htmx.process(one.pane); }
}

/** Follows the call on the screen: its ticket comes to the front, or beside what is being written. */
export function follow(view, name) {
  const pop = view.pop;
  if (pop === null) {
    if (followed !== null && view.gone?.call_id === followed.call && view.gone.state === "withdrawn") release();
    return;
  }
  const id = pop.ticket?.id ?? null;
  if (followed !== null && followed.call === pop.call_id && followed.id === id) return;
  release();
  if (id === null) { followed = { call: pop.call_id, id }; return; }
  const kept = open.has(id);
  const one = open.get(id) ?? newTab(id, { call: pop.call_id, caller: name });
  if (kept && one.call !== pop.call_id && !writing(one)) { one.call = pop.call_id; load(id, one); }
  followed = { call: pop.call_id, id, mine: !kept };
  if (front === id) return;
  if (writing(open.get(front))) {
    one.tab.classList.add("desk-tab-new");
    said.textContent = text.textBeside.replace("{ticket}", id).replace("{caller}", name);
    arrange();
  } else show(id);
}

/** Puts the ticket of a call that is over away, unless somebody wrote in it. */
function release() {
  const one = followed?.mine ? open.get(followed.id) : undefined;
  if (one !== undefined && !writing(one)) shut(followed.id);
  followed = null;
}

function step(by) {
  const ids = [...open.keys()];
  show(ids[(ids.indexOf(front) + by + ids.length) % ids.length]);
}

document.getElementById("tab-home").addEventListener("click", () => turnTo(HOME));
close.addEventListener("click", () => {
  if (!open.get(front).dirty || window.confirm(text.textLost.replace("{ticket}", front))) {
    sessionStorage.removeItem(`ctid ticket ${front}`);
    shut(front);
  }
});
document.getElementById("tab-previous").addEventListener("click", () => step(-1));
document.getElementById("tab-next").addEventListener("click", () => step(1));
tabs.addEventListener("keydown", (event) => {
  const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (by === undefined || event.altKey || event.target.getAttribute("role") !== "tab") return;
  event.preventDefault();
  step(by);
  open.get(front).tab.focus();
});
document.addEventListener("click", (event) => {
  const link = event.target.closest?.("a.in-place");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  show(link.dataset.ticket);
});
// What was not saved before a reload waits in the tab's own store: its ticket comes back, beside.
for (const key of Object.keys(sessionStorage)) {
  const id = /^ctid ticket (.+)$/.exec(key)?.[1];
  if (id !== undefined && !open.has(id)) newTab(id, {});
}
arrange();
