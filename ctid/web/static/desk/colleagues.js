// The colleagues with how each is now; during a call, to whom it can go.
// Rows stand by name and stay where they are: nobody's button moves away under the pointer because somebody else hung up.

import { button, make, mark, put } from "../elements.js";

const part = document.getElementById("colleagues");
const list = part.querySelector('[data-slot="list"]');
const search = document.getElementById("colleague");
const count = part.querySelector('[data-slot="idle"]');
const rows = new Map();
let me = null;
let free = false;

function newRow(one) {
  const row = make("li", "list-group-item d-flex gap-2 align-items-center");
  const asks = make("span", "d-flex gap-1", "asks");
  if (list.dataset.textBlind !== undefined) {
    for (const [kind, text] of [["blind", list.dataset.textBlind], ["attended", list.dataset.textAttended]]) {
      asks.append(button(text, one.name, { command: "transfer", to: one.id, kind }));
    }
  }
  row.append(make("span", "badge", "state"), make("span", "cut flex-fill", "name"), asks);
  return row;
}

function fits(row) {
  const wanted = search.value.trim().toLowerCase();
  return row.dataset.code !== "offline" && (wanted === "" || row.dataset.name.toLowerCase().includes(wanted));
}

function arrange() {
  for (const row of rows.values()) {
    row.hidden = !fits(row);
    row.querySelector('[data-slot="asks"]').hidden = !free || row.dataset.code !== "idle";
  }
  const idle = [...rows.values()].filter((row) => row.dataset.code === "idle").length;
  count.textContent = count.dataset.text.replace("{number}", String(idle));
}

/** Takes in how some of the others are now. */
export function showOthers({ agents }) {
  for (const one of agents) {
    if (one.id === me) continue;
    let row = rows.get(one.id);
    if (row === undefined) {
      row = newRow(one);
      rows.set(one.id, row);
      row.dataset.name = one.name;
      const after = [...list.children].find((other) => other.dataset.name.localeCompare(one.name) > 0);
      list.insertBefore(row, after ?? null);
    }
    row.dataset.code = one.code;
    put(row, "name", one.name);
    mark(row.querySelector('[data-slot="state"]'), one.code, one.word);
  }
  arrange();
}

/** Whether a call could go to one of them, and whom the agent asks about it now. */
export function showCall(view) {
  me = view.agent;
  const asked = view.state?.consults ?? null;
  free = asked === null && view.pop?.state === "answered";
  if (asked !== null) {
    part.open = true;
    const who = part.querySelector('[data-slot="consult-who"]');
    who.textContent = who.dataset.text.replace("{who}", asked);
  }
  part.querySelector('[data-slot="consult"]').hidden = asked === null;
  arrange();
}

search.addEventListener("input", arrange);
