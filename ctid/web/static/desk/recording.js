// The recording of the call: whether it is paused, and when it goes on by itself.

import { clock } from "../elements.js";
import { now } from "../feed.js";

const paused = document.getElementById("record-paused");
const left = paused.querySelector('[role="timer"]');
// Who only looks on has no buttons.
const pause = document.getElementById("record-pause");
const resume = document.getElementById("record-resume");
let until = null;

function tick() {
  if (until !== null) left.textContent = clock(Date.parse(until) - now());
}

/** Shows one of the two buttons, and keeps whoever stood on the other one on this one. */
function offer(talks) {
  if (pause === null) return;
  const stood = document.activeElement === pause || document.activeElement === resume;
  pause.hidden = !talks || until !== null;
  resume.hidden = !talks || until === null;
  if (stood && talks) (until === null ? pause : resume).focus();
}

export function showRecording(view) {
  until = view.state?.recording_paused_until ?? null;
  paused.hidden = until === null;
  offer(view.pop?.state === "answered" && view.pop.recorded);
  tick();
}

setInterval(tick, 1000);
