// Click-to-call: any `button.dial[data-number]` of any page rings the agent's own phone first.

import { ask, fieldsOf, say } from "./desk/ask.js";

document.addEventListener("click", async (event) => {
  const button = event.target.closest?.("button.dial[data-number]");
  if (!button) return;
  if (await ask("dial", fieldsOf(button), button)) say(button, document.getElementById("asks").dataset.textDial);
});
