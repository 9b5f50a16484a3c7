// The bar on top: the agent's state, how long it lasts, and which of its buttons make sense now.

import { clock, mark, put } from "../elements.js";
import { now, since } from "../feed.js";

const bar = document.getElementById("state");
let begun = null;
let until = null;

function tick() {
  if (begun !== null) put(bar, "for", since(begun));
  const left = bar.querySelector('[data-slot="left"]');
  if (left !== null) left.textContent = until === null ? "" : clock(Date.parse(until) - now());
}

/** Hides what has no sense in this state; whoever stood on it stands on the bar then, not nowhere. */
function offer(code) {
  for (const part of bar.querySelectorAll("[data-when]")) {
    const fits = part.dataset.when.split(" ").includes(code);
    if (part.hidden === !fits) continue;
    if (!fits && part.contains(document.activeElement)) bar.querySelector(".desk-asks").focus();
    part.hidden = !fits;
    if (!fits && part.open) part.open = false;
  }
}

export function showState(state) {
  if (state === null) return;
  mark(bar.querySelector('[data-slot="state"]'), state.code, state.word);
  const named = [...document.querySelectorAll("#pause [data-reason]")].find((one) => one.dataset.reason === state.reason);
  put(bar, "reason", named?.textContent ?? state.reason);
  put(bar, "talk", state.talk);
  if (state.phone !== null) put(bar, "phone", state.phone);
  begun = state.since;
  until = state.wrap_up_until;
  offer(state.code);
  tick();
}

setInterval(tick, 1000);
