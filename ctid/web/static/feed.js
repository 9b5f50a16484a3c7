// The live feed: one WebSocket that comes back by itself.
// Law: what the page shows is never older than the line: a line that is silent counts as lost, and a new one tells everything again.

import { clock } from "./elements.js";

const FIRST_PAUSE = 500;
const LONGEST_PAUSE = 15000;
// The server speaks each ten seconds, and at once when something is wrong.
const SILENT = 25000;
const SIGN_IN = 4401;
const FORBIDDEN = 4403;

let state = null; // of a page that opened no feed
let ahead = 0;

/** Whether what happens now would be heard of. */
export function connected() { return state === null || state === "up"; }

/** The server's time in milliseconds. */
export function now() { return Date.now() + ahead; }

/**
 * Opens the feed: `hears.agent(view)` for each agent's view, `hears.others(agents)` and `hears.waiting(message)` beside it,
 * `hears.link(state)` when the line is up, down or over. `agent` limits the views to one agent's. What is wrong beyond the
 * line, as the server says, stands in `#trouble`.
 */
export function listen(agent, hears) {
  const link = document.getElementById("link");
  const trouble = document.getElementById("trouble");
  let pause = FIRST_PAUSE;
  let socket = null;
  let heard = 0;
  let again = null;

  const say = (how, wrong = null) => {
    state = how;
    link.textContent = link.dataset[how];
    link.dataset.state = how;
    if (how === "up") {
      trouble.hidden = wrong === null;
      if (trouble.textContent !== (wrong ?? "")) trouble.textContent = wrong ?? "";
    }
    hears.link?.(how);
  };

  const lose = () => {
    const old = socket;
    socket = null;
    old?.close();
    say("down");
    clearTimeout(again);
    // Half of it by chance: a hundred screens must not come back in the same moment.
    again = setTimeout(open, pause * (0.5 + Math.random()));
    pause = Math.min(LONGEST_PAUSE, pause * 2);
  };

  const open = () => {
    clearTimeout(again);
    const address = new URL("/live", window.location.href);
    address.protocol = address.protocol === "https:" ? "wss:" : "ws:";
    if (agent !== null) address.searchParams.set("agent", agent);
    const opened = new WebSocket(address);
    socket = opened;
    heard = Date.now();
    opened.addEventListener("message", (event) => {
      if (socket !== opened) return;
      heard = Date.now();
      const message = JSON.parse(event.data);
      if (message.kind === "link") {
        pause = FIRST_PAUSE;
        ahead = Date.parse(message.now) - Date.now();
        say("up", message.trouble);
      } else hears[message.kind]?.(message);
    });
    opened.addEventListener("close", (event) => {
      if (socket !== opened) return;
      if (event.code === SIGN_IN || event.code === FORBIDDEN) { socket = null; say("over"); return; }
      lose();
    });
  };

  setInterval(() => { if (socket !== null && Date.now() - heard > SILENT) lose(); }, 5000);
  window.addEventListener("offline", () => { if (socket !== null) lose(); });
  window.addEventListener("online", () => {
    if (state !== "down") return;
    pause = FIRST_PAUSE;
    const old = socket;
    socket = null;
    old?.close();
    open();
  });
  state = "down";
  open();
}

/** The time since an ISO time. */
export function since(iso) { return clock(now() - Date.parse(iso)); }
