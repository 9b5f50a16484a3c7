// Who is calling: put into its place as text, while the phone rings and after. Nothing here moves the focus.

import { mark, put } from "../feed.js";

const pop = document.getElementById("pop");
const quiet = document.getElementById("quiet");
const announce = document.getElementById("announce");
let shown = null;
let announced = null;

function box(name, some) {
  pop.querySelector(`[data-slot="${name}"]`).hidden = !some;
}

function list(slot, items, fill) {
  pop.querySelector(`[data-slot="${slot}"]`).replaceChildren(...items.map((item) => {
    const line = document.createElement("li");
    fill(line, item);
    return line;
  }));
}

function badge(slot, rank) {
  const element = pop.querySelector(`[data-slot="${slot}"]`);
  element.hidden = rank === null;
  if (rank !== null) mark(element, `level-${rank.number}`, rank.words);
}

export function detail(ticket) {
  return [ticket.status, ticket.severity?.words, ticket.owner].filter(Boolean).join(" · ");
}

function ticketLink(element, ticket) {
  element.textContent = `${ticket.id} · ${ticket.subject}`;
  element.href = `/tickets/${encodeURIComponent(ticket.id)}`;
}

/** Who it is, in the words of a title. */
export function caller(view) {
  return view.contact?.name ?? view.caller ?? "?";
}

function show(view) {
  const contact = view.contact;
  mark(pop.querySelector('[data-slot="state"]'), view.state, view.word);
  put(pop, "who", caller(view));
  badge("level", contact?.level ?? null);
  badge("severity", view.ticket?.severity ?? null);
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

/** Shows the agent's view: a call under way, one that just ended, or none. */
export function showPop(view) {
  if (view.pop !== null) {
    shown = view.pop.call_id;
    show(view.pop);
    if (view.pop.state === "ringing" && announced !== shown) {
      announced = shown;
      announce.textContent = announce.dataset.text.replace("{who}", caller(view.pop));
    }
    return;
  }
  announce.textContent = "";
  if (shown !== null && view.gone?.call_id === shown) {
    // What was shown stays readable, marked as over, until the next call.
    mark(pop.querySelector('[data-slot="state"]'), view.gone.state, view.gone.word);
    pop.classList.remove("pop-ringing");
    return;
  }
  pop.classList.add("pop-idle");
  pop.classList.remove("pop-ringing");
  quiet.hidden = false;
  shown = null;
}
