// The list of agents: states as they change, and with whom each is on the phone.

import { mark, put } from "./elements.js";
import { listen, since } from "./feed.js";

const rows = new Map([...document.querySelectorAll("[data-agent]")].map((row) => [row.dataset.agent, row]));
const begun = new Map();

listen(null, {
  agent(view) {
    const row = rows.get(view.agent);
    if (row === undefined) return;
    if (view.state !== null) {
      mark(row.querySelector('[data-slot="state"]'), view.state.code, view.state.word);
      put(row, "reason", view.state.reason);
      put(row, "talk", view.state.talk);
      if (view.state.phone !== null) put(row, "phone", view.state.phone);
      begun.set(row, view.state.since);
      put(row, "for", since(view.state.since));
    }
    put(row, "who", view.pop === null ? null : view.pop.contact?.name ?? view.pop.caller);
  },
});

setInterval(() => { for (const [row, at] of begun) put(row, "for", since(at)); }, 1000);
