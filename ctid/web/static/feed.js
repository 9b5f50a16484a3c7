// The live feed: one WebSocket that comes back by itself, and the ways text gets into a page.
// Law: what arrives is text and stays text; nothing here builds markup out of it.

const FIRST_PAUSE = 500;
const LONGEST_PAUSE = 15000;
const SIGN_IN = 4401;
const FORBIDDEN = 4403;

/** Calls `show(view)` for each agent's view; `agent` limits it to one. The #link element says how the line is. */
export function listen(agent, show) {
  const link = document.getElementById("link");
  const say = (state) => { link.textContent = link.dataset[state]; link.dataset.state = state; };
  let pause = FIRST_PAUSE;

  const open = () => {
    const address = new URL("/live", window.location.href);
    address.protocol = address.protocol === "https:" ? "wss:" : "ws:";
    if (agent !== null) address.searchParams.set("agent", agent);
    const socket = new WebSocket(address);
    socket.addEventListener("open", () => { pause = FIRST_PAUSE; say("up"); });
    socket.addEventListener("message", (event) => show(JSON.parse(event.data)));
    socket.addEventListener("close", (event) => {
      if (event.code === SIGN_IN || event.code === FORBIDDEN) { say("over"); return; }
      say("down");
      // Half of it by chance: a hundred screens must not come back in the same moment.
      setTimeout(open, pause * (0.5 + Math.random()));
      pause = Math.min(LONGEST_PAUSE, pause * 2);
    });
  };
  open();
}

/** Puts text into the slot of that name within `root`; nothing for null. */
export function put(root, slot, text) {
  const element = root.querySelector(`[data-slot="${slot}"]`);
  const wanted = text ?? "";
  if (element.textContent !== wanted) element.textContent = wanted;
  return element;
}

/** Shows a state's word with its colour. */
export function mark(element, code, word) {
  for (const name of [...element.classList]) if (name.startsWith("mark-")) element.classList.remove(name);
  element.classList.add(`mark-${code}`);
  if (element.textContent !== word) element.textContent = word;
}

/** The seconds since an ISO time as 0:07, 12:30 or 1:02:03. */
export function since(iso) {
  const seconds = Math.max(0, Math.round((Date.now() - Date.parse(iso)) / 1000));
  if (!Number.isFinite(seconds)) return "";
  const two = (number) => String(number).padStart(2, "0");
  const hours = Math.floor(seconds / 3600);
  const minutes = Math.floor(seconds / 60) % 60;
  return hours ? `${hours}:${two(minutes)}:${two(seconds % 60)}` : `${minutes}:${two(seconds % 60)}`;
}
