// The desk: what the feed says goes to the parts of the page that show it.

import { listen } from "../feed.js";
import { wire } from "./ask.js";
import { showLink } from "./link.js";
import { showPop } from "./pop.js";
import { showState } from "./state.js";

// A call is in the books a moment after the desk hears that it is over.
const BOOKED = 1000;
const desk = document.getElementById("desk");
const lists = document.getElementById("lists");
let over = null;

wire((asked) => {
  const menu = asked.closest("details");
  if (menu !== null) menu.open = false;
  if (asked instanceof HTMLFormElement && menu !== null) asked.reset();
});

listen(desk.dataset.agent, {
  agent(view) {
    showState(view.state);
    showPop(view);
    if (view.gone !== null && over !== view.gone.call_id) {
      over = view.gone.call_id;
      setTimeout(() => lists.dispatchEvent(new CustomEvent("over")), BOOKED);
    }
  },
  link: showLink,
});
