// What the desk asks of the daemon: one command, one answer, said in a line beside the button.
// Law: nothing is sent while the line is down, nothing twice, and nothing is lost in silence.

import { connected } from "../feed.js";

const token = () => document.querySelector('input[name="form_token"]').value;
const texts = () => document.getElementById("asks").dataset;
const busy = new WeakSet();

/** Says a line in the part of the page `place` stands in. */
export function say(place, line) {
  const said = place.closest("[data-part]")?.querySelector('[data-slot="said"]') ?? document.getElementById("asks");
  if (said.textContent !== (line ?? "")) said.textContent = line ?? "";
}

/** Sends a form of fields to one of our own addresses; the answer, or null where there was none. */
export async function post(address, fields) {
  try {
    return await fetch(address, {
      method: "POST",
      headers: { "x-form-token": token() },
      body: new URLSearchParams(fields),
      redirect: "manual",
    });
  } catch {
    return null;
  }
}

/** Asks for a command; true once it is carried out. What went wrong is said near `place`. */
export async function ask(command, fields, place) {
  if (busy.has(place)) return false;
  if (!connected()) { say(place, texts().textDown); return false; }
  busy.add(place);
  place.setAttribute("aria-busy", "true");
  say(place, null);
  const answer = await post("/desk/command", { command, ...fields });
  busy.delete(place);
  place.removeAttribute("aria-busy");
  if (answer === null) { say(place, texts().textUnsent); return false; }
  if (answer.ok) return true;
  if (answer.type === "opaqueredirect") { say(place, texts().textOver); return false; }
  const told = answer.headers.get("content-type")?.includes("json") ? (await answer.json()).error : null;
  say(place, told ?? texts().textFailed);
  return false;
}

/** What a button says of its command: its other data, `data-call-id` as `call_id`. */
export function fieldsOf(button) {
  const { command, when, ...rest } = button.dataset;
  return Object.fromEntries(
    Object.entries(rest).map(([name, value]) => [name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`), value]),
  );
}

/** Lets every `button[data-command]` and `form[data-command]` ask; `done(element)` after each that was carried out. */
export function wire(done) {
  document.addEventListener("click", async (event) => {
    const button = event.target.closest?.("button[data-command]");
    if (button && (await ask(button.dataset.command, fieldsOf(button), button))) done(button);
  });
  document.addEventListener("submit", async (event) => {
    const form = event.target.closest("form[data-command]");
    if (form === null) return;
    event.preventDefault();
    if (await ask(form.dataset.command, Object.fromEntries(new FormData(form)), form)) done(form);
  });
}
