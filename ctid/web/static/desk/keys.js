// Keys for all of it: Alt and a letter, read from the table of the help itself.
// Law: never while a word is being composed (Chinese input), never with AltGr, and no bare letter.

const help = document.getElementById("keys");
const question = document.getElementById("question-mark");
const KEPT = "ctid.question-mark";
const rows = [...help.querySelectorAll("[data-key]")];
const FIELDS = "input:not([type=hidden], [disabled]), select:not([disabled]), textarea:not([disabled])";

const seen = (element) => element.checkVisibility();

function open() {
  if (!help.open) help.showModal();
}

/** Goes to what is meant, and does it where it is a button. */
function go(element, act) {
  if (element instanceof HTMLDetailsElement) {
    element.open = true;
    const first = [...element.querySelectorAll(`button, ${FIELDS}`)].find(seen);
    (first ?? element.querySelector("summary")).focus();
  } else if (element instanceof HTMLFormElement || element.tagName === "FIELDSET") {
    [...element.querySelectorAll(FIELDS)].find(seen)?.focus();
  } else if (element instanceof HTMLButtonElement && act === "press") {
    element.click();
  } else {
    element.focus();
    if (element instanceof HTMLInputElement) element.select();
  }
}

/** The letter that was pressed, whatever the keyboard writes for it. */
function letterOf(event) {
  if (/^[a-z/]$/i.test(event.key)) return event.key.toLowerCase();
  if (event.code === "Slash") return "/";
  return /^Key[A-Z]$/.test(event.code) ? event.code.slice(3).toLowerCase() : null;
}

document.addEventListener("keydown", (event) => {
  if (event.isComposing || event.keyCode === 229 || event.getModifierState("AltGraph")) return;
  if (event.key === "Escape") {
    const sheet = event.target.closest?.("details.sheet[open]");
    if (sheet) { sheet.open = false; sheet.querySelector("summary").focus(); }
    return;
  }
  if (event.ctrlKey || event.metaKey) return;
  if (!event.altKey) {
    if (event.key === "?" && question.checked && !event.target.closest(`${FIELDS}, [contenteditable]`)) { event.preventDefault(); open(); }
    return;
  }
  const letter = letterOf(event);
  if (letter === "/") { event.preventDefault(); open(); return; }
  const row = rows.find((one) => one.dataset.key === letter);
  if (row === undefined) return;
  event.preventDefault();
  const target = [...document.querySelectorAll(row.dataset.target)].find(seen);
  if (target === undefined || help.open) return;
  go(target, row.dataset.act);
});

document.getElementById("show-keys").addEventListener("click", open);
question.checked = localStorage.getItem(KEPT) !== "off";
question.addEventListener("change", () => localStorage.setItem(KEPT, question.checked ? "on" : "off"));
// A sheet closes when one turns to something else.
document.addEventListener("pointerdown", (event) => {
  for (const sheet of document.querySelectorAll("details.sheet[open]")) if (!sheet.contains(event.target)) sheet.open = false;
});
