// Who is calling: put into its place as text, while the phone rings and after. Nothing here moves the focus.

import { button, make, mark, put } from "../elements.js";

const pop = document.getElementById("pop");
const quiet = document.getElementById("quiet");
const history = document.getElementById("history");
const announce = document.getElementById("announce");
// A call that was over when the page was made stands in it already, and stays until the next one.
const past = pop.dataset.past ?? null;
let shown = past;
let announced = null;

function slot(name) { return pop.querySelector(`[data-slot="${name}"]`); }

function badge(name, rank) {
  const element = slot(name);
  element.hidden = rank === null;
  if (rank !== null) mark(element, `level-${rank.number}`, rank.words);
}

function detail(ticket) {
  return [ticket.status, ticket.severity?.words, ticket.owner].filter(Boolean).join(" · ");
}

/** Makes a link the ticket's: opened in place where the page can, on its own page else. */
function ticketLink(link, ticket) {
  link.textContent = `${ticket.id} · ${ticket.subject}`;
  link.href = `/tickets/${encodeURIComponent(ticket.id)}`;
  link.dataset.ticket = ticket.id;
  link.classList.add("in-place");
}

function item(...parts) {
  const line = make("li");
  line.append(...parts);
  return line;
}

function person(one) {
  return [one.name, one.role, one.customer].filter(Boolean).join(", ");
}

/** Who it is, in the words of a title. */
export function caller(view) {
  return view.contact?.name ?? view.caller ?? slot("who").dataset.textUnknown;
}

function showMatches(view) {
  const list = slot("matches");
  slot("matches-box").hidden = view.contact !== null || view.matches.length === 0;
  list.replaceChildren(...view.matches.map((one) => {
    if (!document.getElementById("contact-sheet")) return item(person(one));
    const chosen = { command: "relink", callId: view.call_id, contactId: one.id };
    return item(button(list.dataset.text, person(one), chosen), ` ${person(one)}`);
  }));
}

function showHistory(tickets) {
  history.hidden = tickets.length === 0;
  history.querySelector("ul").replaceChildren(...tickets.map((ticket) => {
    const link = make("a");
    ticketLink(link, ticket);
    link.classList.add("cut");
    const rest = make("div", "text-secondary small");
    rest.textContent = detail(ticket);
    const line = item(link, rest);
    line.className = "list-group-item";
    return line;
  }));
}

function show(view) {
  const contact = view.contact;
  mark(slot("state"), view.state, view.word);
  put(pop, "who", caller(view));
  badge("level", contact?.level ?? null);
  badge("severity", view.ticket?.severity ?? null);
  put(pop, "organisation", contact?.customer);
  put(pop, "role", contact?.role);
  put(pop, "numbers", [view.caller, view.dialled].filter(Boolean).join(" → "));
  put(pop, "why", view.why);
  slot("notices").replaceChildren(...view.notices.map((notice) => item(notice)));
  showMatches(view);
  slot("ticket-box").hidden = view.ticket === null;
  slot("no-ticket").hidden = view.ticket !== null;
  if (view.ticket !== null) {
    ticketLink(slot("ticket"), view.ticket);
    put(pop, "ticket-detail", detail(view.ticket));
  }
  showHistory(view.history);
  slot("call").href = `/calls/${encodeURIComponent(view.call_id)}`;
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
  if (shown !== null && (shown === past || view.gone?.call_id === shown || view.state?.code === "wrap_up")) {
    // What was shown stays readable, marked as over, until the next call.
    if (view.gone?.call_id === shown) mark(slot("state"), view.gone.state, view.gone.word);
    pop.classList.remove("pop-ringing");
    return;
  }
  pop.classList.add("pop-idle");
  pop.classList.remove("pop-ringing");
  quiet.hidden = false;
  history.hidden = true;
  shown = null;
}
