// The desk: what the feed says goes to the parts of the page that show it. Whoever only looks on gets no parts that act.

import { listen } from "../feed.js";
import { wire } from "./ask.js";
import { showCall, showOthers } from "./colleagues.js";
import { showLink } from "./link.js";
import { caller, showPop } from "./pop.js";
import { showRecording } from "./recording.js";
import { showState } from "./state.js";
import { showWaiting } from "./waiting.js";

// A call is in the books a moment after the desk hears that it is over.
const BOOKED = 1000;
const desk = document.getElementById("desk");
const shows = [];
let over = null;

if (desk.dataset.mine !== undefined) {
  const [call, tickets, notify] = await Promise.all([
    import("./call.js"), import("./tickets.js"), import("./notify.js"), import("./keys.js"),
  ]);
  wire((asked) => {
    const sheet = asked.closest("details.sheet");
    if (sheet !== null) sheet.open = false;
    if (asked instanceof HTMLFormElement && asked.dataset.command !== "sign_in") asked.reset();
  });
  shows.push((view) => {
    const name = view.pop === null ? null : caller(view.pop);
    notify.signal(view.pop, name);
    call.offerFor(view, name);
    tickets.follow(view, name);
  });
}

listen(desk.dataset.agent, {
  agent(view) {
    showPop(view);
    showState(view.state);
    showCall(view);
    showRecording(view);
    for (const show of shows) show(view);
    if (view.gone !== null && over !== view.gone.call_id) {
      over = view.gone.call_id;
      setTimeout(() => {
        for (const id of ["lists", "home"]) document.getElementById(id)?.dispatchEvent(new CustomEvent("over"));
      }, BOOKED);
    }
  },
  others: showOthers,
  waiting: showWaiting,
  link: showLink,
});
