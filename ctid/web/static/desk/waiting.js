// Who waits, in the order in which they are served, each with a button to pick them up.

import { button, make, mark, put } from "../elements.js";
import { since } from "../feed.js";

const part = document.getElementById("waiting");
const list = part.querySelector('[data-slot="callers"]');
const rows = new Map();

function newRow(id) {
  const row = make("li", "list-group-item d-flex gap-2 align-items-center");
  row.append(make("span", "badge", "level"), make("span", "cut flex-fill", "who"), make("span", "figures text-nowrap", "for"));
  if (list.dataset.textPickup !== undefined) {
    const pickup = button(list.dataset.textPickup, "", { command: "pickup", callId: id });
    pickup.classList.add("btn-primary");
    row.append(pickup);
  }
  return row;
}

function tick() {
  for (const row of rows.values()) put(row, "for", since(row.dataset.since));
}

export function showWaiting({ callers, more }) {
  const gone = new Set(rows.keys());
  for (const [place, one] of callers.entries()) {
    gone.delete(one.id);
    const row = rows.get(one.id) ?? newRow(one.id);
    rows.set(one.id, row);
    row.dataset.since = one.since;
    const who = one.who ?? list.dataset.textUnknown;
    put(row, "who", [who, one.customer, one.line].filter(Boolean).join(" · "));
    mark(row.querySelector('[data-slot="level"]'), `level-${one.level.number}`, String(one.level.number));
    row.querySelector('[data-slot="level"]').title = one.level.words;
    row.querySelector("button")?.setAttribute("aria-label", `${list.dataset.textPickup}: ${who}, ${one.level.words}`);
    if (list.children[place] !== row) list.insertBefore(row, list.children[place] ?? null);
  }
  for (const id of gone) { rows.get(id).remove(); rows.delete(id); }
  part.hidden = callers.length === 0;
  put(part, "count", String(callers.length + more));
  const rest = part.querySelector('[data-slot="more"]');
  rest.hidden = more === 0;
  rest.textContent = rest.dataset.text.replace("{number}", String(more));
  tick();
}

setInterval(tick, 1000);
