// Signals for who does not look: a notification while the page is hidden, the caller in the title, a tone where it was asked for.
// Of several tabs one notifies and rings: whoever holds the lock. None does while another is looked at.

const TONE = "ctid.tone";
const part = document.getElementById("signals");
const button = document.getElementById("notify");
const told = part.querySelector('[data-slot="notify"]');
const tone = document.getElementById("tone");
const title = document.title;
const locks = navigator.locks; // absent without https: then the browser has no notifications either
let leads = false;
let letGo = null;
let ringing = null;
let notification = null;
let flashing = null;
let bell = null;

locks?.request("ctid-desk-signals", () => { leads = true; return new Promise(() => {}); });

function look() {
  letGo?.();
  letGo = null;
  if (document.hidden) { flash(); return; }
  notification?.close();
  locks?.request("ctid-desk-seen", { mode: "shared" }, () => new Promise((resolve) => { letGo = resolve; if (document.hidden) resolve(); }));
}

async function seenElsewhere() {
  const { held } = await locks.query();
  return held.some((lock) => lock.name === "ctid-desk-seen");
}

async function notify(call) {
  if (!leads || typeof Notification === "undefined" || Notification.permission !== "granted") return;
  if (!document.hidden || (await seenElsewhere()) || ringing?.id !== call.id) return;
  notification = new Notification(call.who, { body: call.body, tag: `ctid-${call.id}`, requireInteraction: true });
  notification.addEventListener("click", () => { window.focus(); notification?.close(); });
}

function flash() {
  clearInterval(flashing);
  if (ringing === null) { document.title = title; return; }
  const call = `☎ ${ringing.who}`;
  document.title = call;
  flashing = setInterval(() => { document.title = document.title === call ? title : call; }, 1000);
}

function beep() {
  const at = bell.currentTime;
  for (const [start, pitch] of [[0, 660], [0.25, 550]]) {
    const note = bell.createOscillator();
    const loud = bell.createGain();
    note.frequency.value = pitch;
    loud.gain.setValueAtTime(0.12, at + start);
    loud.gain.exponentialRampToValueAtTime(0.001, at + start + 0.24);
    note.connect(loud).connect(bell.destination);
    note.start(at + start);
    note.stop(at + start + 0.25);
  }
}

function ring() {
  if (!tone.checked || (locks !== undefined && !leads)) return;
  bell ??= new AudioContext();
  beep();
  const again = setInterval(() => { if (ringing === null) clearInterval(again); else beep(); }, 2500);
}

/** Signals the call that rings; a call that no longer does is signalled no more. */
export function signal(pop, who) {
  const call = pop?.state === "ringing" ? { id: pop.call_id, who, body: [pop.contact?.customer, pop.ticket?.subject].filter(Boolean).join(" · ") } : null;
  if (call?.id === ringing?.id) return;
  notification?.close();
  notification = null;
  ringing = call;
  flash();
  if (call !== null) { notify(call); ring(); }
}

function sayPermission() {
  const can = typeof Notification === "undefined" || locks === undefined ? "absent" : Notification.permission;
  button.hidden = can !== "default";
  told.textContent = { granted: button.dataset.textGranted, denied: button.dataset.textDenied, absent: button.dataset.textAbsent }[can] ?? "";
}

button.addEventListener("click", async () => { await Notification.requestPermission(); sayPermission(); });
tone.checked = localStorage.getItem(TONE) === "on";
tone.addEventListener("change", () => {
  localStorage.setItem(TONE, tone.checked ? "on" : "off");
  if (tone.checked) { bell ??= new AudioContext(); beep(); }
});
document.addEventListener("visibilitychange", look);
look();
sayPermission();
