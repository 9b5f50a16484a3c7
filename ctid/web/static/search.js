// The search box of the frame: the key / leads to it, arrows walk what is suggested, Escape closes it.
// htmx fills the list; without a script the form leads to the page with all that fits.

const box = document.getElementById("search");
const list = document.getElementById("suggestions");

function options() {
  return [...list.querySelectorAll('[role="option"]')];
}

function choose(option) {
  for (const one of options()) one.setAttribute("aria-selected", String(one === option));
  if (option === undefined) {
    box.removeAttribute("aria-activedescendant");
  } else {
    box.setAttribute("aria-activedescendant", option.id);
    option.scrollIntoView({ block: "nearest" });
  }
}

function open(some) {
  list.classList.toggle("show", some);
  box.setAttribute("aria-expanded", String(some));
  if (!some) choose(undefined);
}

function chosen() {
  return options().find((one) => one.getAttribute("aria-selected") === "true");
}

box.addEventListener("keydown", (event) => {
  if (event.isComposing) return; // Enter and arrows belong to the input method while Chinese is typed
  if (event.key === "Escape") {
    if (list.classList.contains("show")) event.preventDefault();
    open(false);
  } else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
    const all = options();
    if (all.length === 0) return;
    event.preventDefault();
    open(true);
    const step = event.key === "ArrowDown" ? 1 : -1;
    const at = all.indexOf(chosen());
    choose(all[at === -1 ? (step === 1 ? 0 : all.length - 1) : (at + step + all.length) % all.length]);
  } else if (event.key === "Enter" && chosen() !== undefined) {
    event.preventDefault();
    window.location.assign(chosen().href);
  }
});

list.addEventListener("htmx:afterSwap", () => { open(box.value.trim() !== "" && document.activeElement === box && list.childElementCount > 0); });
box.form.addEventListener("focusout", (event) => { if (!box.form.contains(event.relatedTarget)) open(false); });
// A press on a suggestion must not take the focus, or the list would be gone before the click.
list.addEventListener("mousedown", (event) => { event.preventDefault(); });

document.addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  const at = event.target;
  if (at instanceof HTMLElement && (at.isContentEditable || at.matches("input, textarea, select"))) return;
  event.preventDefault();
  box.focus();
  box.select();
});
