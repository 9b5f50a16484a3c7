// What is written on a ticket is kept in this tab until it is saved, and stands there again after a reload or a lost answer.
// Law: a field's text goes only when the server has it, or when the writer throws it away. The version it was begun on goes with
// it, so that the server can tell what others wrote meanwhile. Every saved form says so by the event "ctid:saved".

const known = new WeakSet();
const sent = new WeakMap();
const key = (form) => `ctid ticket ${form.dataset.ticket}`;
const slot = (form, name) => form.querySelector(`[data-slot="${name}"]`);
const fields = (form) => [...form.elements].filter((one) => one.name && one.name !== "form_token" && one.type !== "submit");
const values = (form) => Object.fromEntries(fields(form).map((one) => [one.name, one.value]));

function say(form, text) { slot(form, "said").textContent = text; }

function keep(form) {
  form.dataset.dirty = "yes";
  slot(form, "discard").hidden = false;
  try { sessionStorage.setItem(key(form), JSON.stringify(values(form))); } catch { /* full, or forbidden: the form still has it */ }
}

function forget(form) {
  delete form.dataset.dirty;
  slot(form, "discard").hidden = true;
  sessionStorage.removeItem(key(form));
}

function fill(form, kept) {
  for (const one of fields(form)) {
    if (!(one.name in kept)) continue;
    if (one.tagName === "SELECT" && ![...one.options].some((option) => option.value === kept[one.name])) continue;
    one.value = kept[one.name];
  }
}

function begin(form) {
  known.add(form);
  if (form.dataset.saved) {
    forget(form);
    form.dispatchEvent(new CustomEvent("ctid:saved", { bubbles: true, detail: { ticket: form.dataset.ticket } }));
    return;
  }
  if (form.querySelector(".alert-danger")) {
    keep(form);
    say(form, form.dataset.textUnsaved);
    const wrong = form.querySelector("[aria-invalid]");
    wrong?.focus({ preventScroll: true });
    wrong?.closest(".field").scrollIntoView({ block: "center" }); // its message stands below it
    return;
  }
  let kept = null;
  try { kept = JSON.parse(sessionStorage.getItem(key(form))); } catch { /* not ours */ }
  if (kept === null || typeof kept !== "object") return;
  const call = form.elements.call.value;
  fill(form, kept);
  if (call) form.elements.call.value = call;
  keep(form);
  say(form, form.dataset.textBack);
  form.dispatchEvent(new Event("input", { bubbles: true }));
}

function look() {
  const form = document.getElementById("ticket-form");
  if (form instanceof HTMLFormElement && !known.has(form)) begin(form);
}

const mine = (target) => target instanceof Element ? target.closest("form#ticket-form") : null;

document.addEventListener("input", (event) => {
  const form = mine(event.target);
  if (form === null || event.target === form) return;
  keep(form);
  say(form, form.dataset.textUnsaved);
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey) || event.isComposing) return;
  const form = mine(event.target);
  if (form === null) return;
  event.preventDefault();
  form.requestSubmit();
});
document.addEventListener("click", (event) => {
  const button = event.target instanceof Element ? event.target.closest('#ticket-form [data-slot="discard"]') : null;
  if (button === null) return;
  const form = mine(button);
  forget(form);
  form.reset();
  say(form, "");
  form.dispatchEvent(new CustomEvent("ctid:saved", { bubbles: true, detail: { ticket: form.dataset.ticket } }));
});
document.addEventListener("htmx:beforeRequest", (event) => {
  const form = mine(event.detail.elt);
  if (form === null) return;
  sent.set(form, values(form));
  say(form, form.dataset.textSaving);
});
for (const name of ["htmx:sendError", "htmx:responseError", "htmx:timeout"]) {
  document.addEventListener(name, (event) => {
    const form = mine(event.detail.elt);
    if (form === null) return;
    keep(form);
    say(form, form.dataset.textFailed);
  });
}
// What is typed while the answer is under way goes over into the form that comes.
document.addEventListener("htmx:beforeSwap", (event) => {
  const form = mine(event.detail.target);
  if (form === null || !sent.has(form) || !event.detail.shouldSwap) return;
  const was = sent.get(form);
  const more = Object.fromEntries(Object.entries(values(form)).filter(([name, value]) => value !== was[name]));
  if (Object.keys(more).length === 0) return;
  const after = () => {
    const next = document.getElementById("ticket-form");
    look();
    fill(next, more);
    keep(next);
    say(next, next.dataset.textUnsaved);
    next.dispatchEvent(new Event("input", { bubbles: true }));
  };
  document.addEventListener("htmx:afterSwap", after, { once: true });
});
new MutationObserver(look).observe(document.documentElement, { childList: true, subtree: true });
look();
