// One agent's screen: the state, and the pop while the phone rings and after.
// The pop stands in the page from the start, unseen: the first one then costs no layout and no font loading.

import { listen, mark, put, since } from "./feed.js";

const screen = document.getElementById("screen");
const pop = document.getElementById("pop");
const quiet = document.getElementById("quiet");
const calls = document.getElementById("calls");
// A call is in the books a moment after the screen hears that it is over.
const BOOKED = 1000;
let begun = null;
let over = null;
let shown = null;

function box(name, some) {
  pop.querySelector(`[data-slot="${name}"]`).hidden = !some;
}

function list(slot, items, fill) {
  const element = pop.querySelector(`[data-slot="${slot}"]`);
  element.replaceChildren(...items.map((item) => {
    const line = document.createElement("li");
    fill(line, item);
    return line;
  }));
}

function detail(ticket) {
  return [ticket.status, ticket.severity === null ? null : `S${ticket.severity}`, ticket.owner].filter(Boolean).join(" · ");
}

function ticketLink(element, ticket) {
  element.textContent = `${ticket.id} · ${ticket.subject}`;
  element.href = `/tickets/${encodeURIComponent(ticket.id)}`;
}

function showPop(view) {
  const contact = view.contact;
  mark(pop.querySelector('[data-slot="state"]'), view.state, view.word);
  put(pop, "who", contact?.name ?? view.caller ?? "?");
  const level = put(pop, "level", contact?.level ? `${pop.querySelector('[data-slot="level"]').dataset.text} ${contact.level}` : null);
  level.hidden = !contact?.level;
  mark(level, `level-${contact?.level ?? 1}`, level.textContent);
  put(pop, "organisation", contact?.customer);
  put(pop, "role", contact?.role);
  put(pop, "numbers", [view.caller, view.dialled].filter(Boolean).join(" → "));
  put(pop, "why", view.why);
  list("notices", view.notices, (line, notice) => { line.textContent = notice; });
  list("matches", view.matches, (line, one) => {
    line.textContent = [one.name, one.role, one.customer].filter(Boolean).join(", ");
  });
  box("matches-box", contact === null && view.matches.length > 0);
  box("ticket-box", view.ticket !== null);
  if (view.ticket !== null) {
    ticketLink(pop.querySelector('[data-slot="ticket"]'), view.ticket);
    put(pop, "ticket-detail", detail(view.ticket));
  }
  list("history", view.history, (line, ticket) => {
    const link = document.createElement("a");
    ticketLink(link, ticket);
    const rest = document.createElement("span");
    rest.className = "text-secondary";
    rest.textContent = ` ${detail(ticket)}`;
    line.append(link, rest);
  });
  box("history-box", view.history.length > 0);
  pop.querySelector('[data-slot="call"]').href = `/calls/${encodeURIComponent(view.call_id)}`;
  pop.classList.toggle("pop-ringing", view.state === "ringing");
  pop.classList.remove("pop-idle");
  quiet.hidden = true;
}

listen(screen.dataset.agent, (view) => {
  if (view.state !== null) {
    mark(screen.querySelector('[data-slot="state"]'), view.state.code, view.state.word);
    put(screen, "reason", view.state.reason);
    put(screen, "talk", view.state.talk);
    begun = view.state.since;
    put(screen, "for", since(begun));
  }
  if (view.gone !== null && over !== view.gone.call_id) {
    over = view.gone.call_id;
    setTimeout(() => calls.dispatchEvent(new CustomEvent("over")), BOOKED);
  }
  if (view.pop !== null) {
    shown = view.pop.call_id;
    showPop(view.pop);
  } else if (shown !== null && view.gone?.call_id === shown) {
    // What was shown stays readable, marked as over, until the next call.
    mark(pop.querySelector('[data-slot="state"]'), view.gone.state, view.gone.word);
    pop.classList.remove("pop-ringing");
  } else {
    pop.classList.add("pop-idle");
    pop.classList.remove("pop-ringing");
    quiet.hidden = false;
    shown = null;
  }
});

setInterval(() => { if (begun !== null) put(screen, "for", since(begun)); }, 1000);
