// How text gets into a page: elements made here, and slots that stand in it.
// Law: what arrives is text and stays text; nothing here builds markup out of it.

/** A new element; `slot` is the name `put` finds it by. */
export function make(tag, classes = "", slot = null) {
  const made = document.createElement(tag);
  if (classes !== "") made.className = classes;
  if (slot !== null) made.dataset.slot = slot;
  return made;
}

/** A small button; `about` is what it is for where its text alone does not say, `data` its data attributes. */
export function button(text, about, data = {}) {
  const made = make("button", "btn btn-sm");
  Object.assign(made, { type: "button", textContent: text });
  Object.assign(made.dataset, data);
  made.setAttribute("aria-label", `${text}: ${about}`);
  return made;
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

/** Milliseconds as 0:07, 12:30 or 1:02:03; nothing below zero, "" for no number. */
export function clock(milliseconds) {
  const seconds = Math.max(0, Math.round(milliseconds / 1000));
  if (!Number.isFinite(seconds)) return "";
  const two = (number) => String(number).padStart(2, "0");
  const hours = Math.floor(seconds / 3600);
  const minutes = Math.floor(seconds / 60) % 60;
  return hours ? `${hours}:${two(minutes)}:${two(seconds % 60)}` : `${minutes}:${two(seconds % 60)}`;
}
