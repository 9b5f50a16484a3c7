"""The words of the pages that are not in a template: what a stored value is called on the screen.

Law: every text a person reads goes through ``_``, here and in the templates, when it is said.
"""

from __future__ import annotations

from collections.abc import Mapping

from ctid.languages import _, ngettext, say_later

#: What agents choose from where the site has no words of its own (``[desk]``).
CHOICES = (
    *(say_later("Fault"), say_later("Question"), say_later("Order"), say_later("Complaint"), say_later("Installation")),
    *(say_later("Solved"), say_later("To be followed up"), say_later("Passed on"), say_later("Wrong number")),
    *(say_later("Nobody spoke"), say_later("Other"), say_later("Break"), say_later("Lunch"), say_later("Meeting")),
    *(say_later("Training"), say_later("Desk work")),
)

WORDS: Mapping[str, str] = {
    # agents
    "offline": say_later("Offline"),
    "idle": say_later("Idle"),
    "reserved": say_later("Reserved"),
    "ringing": say_later("Ringing"),
    "talking": say_later("Talking"),
    "wrap_up": say_later("Wrap-up"),
    "paused": say_later("Paused"),
    # calls
    "inbound": say_later("In"),
    "outbound": say_later("Out"),
    "internal": say_later("Internal"),
    "answered": say_later("Answered"),
    "abandoned": say_later("Abandoned"),
    "no_answer": say_later("No answer"),
    "busy": say_later("Busy"),
    "rejected": say_later("Rejected"),
    "overflow": say_later("Overflow"),
    "closed": say_later("Closed"),
    "merged": say_later("Merged"),
    "failed": say_later("Failed"),
    "unreachable": say_later("Unreachable"),
    "cancelled": say_later("Cancelled"),
    "ended": say_later("Ended"),
    "withdrawn": say_later("Withdrawn"),
    # callbacks
    "waiting": say_later("Waiting"),
    "calling": say_later("Calling"),
    "done": say_later("Done"),
    "expired": say_later("Expired"),
    "dropped": say_later("Dropped"),
    # recordings
    "recording": say_later("Recording"),
    "complete": say_later("Kept"),
    "damaged": say_later("Damaged"),
    "missing": say_later("Missing"),
    "erased": say_later("Erased"),
    # tickets
    "open": say_later("Open"),
    "pending": say_later("Pending"),
    "resolved": say_later("Resolved"),
    # rules
    "ticket_owner": say_later("Ticket owner"),
    "least_talk": say_later("Least talk today"),
    "talk_share": say_later("Least share of talk today"),
    "picked": say_later("Picked up"),
    "dialled": say_later("Called by the agent"),
    # people
    "agent": say_later("Agent"),
    "supervisor": say_later("Supervisor"),
    "administrator": say_later("Administrator"),
}

#: What the audit's actions are called.
ACTIONS: Mapping[str, str] = {
    "sign_in": say_later("Signed in"),
    "sign_in_refused": say_later("Sign-in refused"),
    "sign_in_stopped": say_later("Sign-ins stopped"),
    "sign_in_allowed": say_later("Sign-ins allowed again"),
    "pins_stopped": say_later("Telephone PINs stopped"),
    "tokens_stopped": say_later("Wrong API tokens stopped"),
    "sign_out": say_later("Signed out"),
    "listen": say_later("Listened"),
    "recording_paused": say_later("Recording paused"),
    "caller_put_first": say_later("Caller put first"),
    "caller_put_last": say_later("Caller put last"),
    "caller_moved": say_later("Caller moved to another line"),
    "user_added": say_later("User added"),
    "user_changed": say_later("User changed"),
    "user_disabled": say_later("User locked out"),
    "user_enabled": say_later("User let in again"),
    "user_removed": say_later("User removed"),
    "password_changed": say_later("Password changed"),
    "session_ended": say_later("Session ended"),
    "sessions_ended": say_later("All sessions ended"),
    "token_added": say_later("API token added"),
    "token_revoked": say_later("API token revoked"),
    "agent_added": say_later("Agent added"),
    "agent_changed": say_later("Agent changed"),
    "hold_placed": say_later("Put under legal hold"),
    "hold_lifted": say_later("Legal hold lifted"),
    "retention_changed": say_later("Retention changed"),
    "recordings_erased": say_later("Recordings erased by age"),
    "erasure_asked": say_later("Erasure of a person asked for"),
    "erasure_withdrawn": say_later("Erasure of a person withdrawn"),
    "person_erased": say_later("Person erased"),
    "download": say_later("Recording downloaded"),
    "list_exported": say_later("List downloaded"),
    "list_imported": say_later("List imported"),
    "call_noted": say_later("Note on a call"),
    "contact_added": say_later("Contact added"),
    "contact_changed": say_later("Contact changed"),
    "contact_moved": say_later("Contact moved to another customer"),
    "contact_merged": say_later("Contacts merged"),
    "contacts_apart": say_later("Contacts said to be two people"),
    "number_added": say_later("Number added"),
    "number_removed": say_later("Number removed"),
    "numbers_ordered": say_later("Numbers put in order"),
    "customer_added": say_later("Customer added"),
    "customer_changed": say_later("Customer changed"),
    "customer_merged": say_later("Customers merged"),
    "customers_apart": say_later("Customers said to be two"),
    "visit_added": say_later("Visit added"),
}

#: What the fields of a change are called.
FIELDS: Mapping[str, str] = {
    "role": say_later("Role"),
    "agent": say_later("Agent"),
    "name": say_later("Name"),
    "phone": say_later("Phone"),
    "code": say_later("Code"),
    "level": say_later("Level"),
    "line": say_later("Line"),
    "lines": say_later("Lines"),
    "email": say_later("E-mail"),
    "enabled": say_later("Enabled"),
    "pin": say_later("PIN"),
    "legal_hold": say_later("Legal hold"),
    "retention_days": say_later("Days recordings are kept"),
}


def word(value: str | None) -> str:
    """What a stored value is called; one without a name is shown as it is."""
    if value is None:
        return ""
    return _(WORDS[value]) if value in WORDS else value


_LEVELS: Mapping[int, str] = {
    1: say_later("Level 1, ordinary"),
    2: say_later("Level 2, regular"),
    3: say_later("Level 3, valued"),
    4: say_later("Level 4, important"),
    5: say_later("Level 5, most important"),
}
_SEVERITIES: Mapping[int, str] = {
    1: say_later("Severity 1, slight"),
    2: say_later("Severity 2, minor"),
    3: say_later("Severity 3, normal"),
    4: say_later("Severity 4, serious"),
    5: say_later("Severity 5, critical"),
}


def level(number: int) -> str:
    """How important a customer is, in words."""
    return _(_LEVELS[number]) if number in _LEVELS else str(number)


def severity(number: int) -> str:
    """How bad a ticket's trouble is, in words."""
    return _(_SEVERITIES[number]) if number in _SEVERITIES else str(number)


def late(seconds: float) -> str:
    """How long something promised is over, in words."""
    count, unit = _roughly(seconds)
    match unit:
        case "d":
            return ngettext("%(num)s day late", "%(num)s days late", count) % {"num": count}
        case "h":
            return _("%(hours)s h late") % {"hours": count}
        case _other:
            return _("%(minutes)s min late") % {"minutes": count}


def due(seconds: float) -> str:
    """In how long something is promised, in words."""
    count, unit = _roughly(seconds)
    match unit:
        case "d":
            return ngettext("in %(num)s day", "in %(num)s days", count) % {"num": count}
        case "h":
            return _("in %(hours)s h") % {"hours": count}
        case _other:
            return _("in %(minutes)s min") % {"minutes": count}


def _roughly(seconds: float) -> tuple[int, str]:
    """So many days, hours or minutes, of the largest that is whole; never nothing."""
    minutes = max(1, int(seconds // 60))
    if minutes >= 48 * 60:
        return minutes // (24 * 60), "d"
    return (minutes // 60, "h") if minutes >= 60 else (minutes, "min")
