// Whether the line to the server stands: said once, plainly, and the buttons that would need it look so.

const lost = document.getElementById("lost");
let since = null;

export function showLink(state) {
  const up = state === "up";
  if (up) since = null;
  else since ??= new Date();
  lost.hidden = up;
  if (!up) {
    const time = since.toLocaleTimeString(document.documentElement.lang, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
    const text = (state === "over" ? lost.dataset.textOver : lost.dataset.textDown).replace("{time}", time);
    if (lost.textContent !== text) lost.textContent = text;
  }
  for (const asks of document.querySelectorAll("button[data-command], form[data-command] button, button.dial")) {
    if (up) asks.removeAttribute("aria-disabled");
    else asks.setAttribute("aria-disabled", "true");
  }
}
