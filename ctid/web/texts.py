"""The words of the pages that are not in a template: what a stored value is called on the screen.

Law: every text a person reads goes through ``_``, here and in the templates, so that a catalogue can stand in between.
"""

from __future__ import annotations

import gettext
from collections.abc import Mapping

_ = gettext.NullTranslations().gettext

WORDS: Mapping[str, str] = {
    # agents
    "offline": _("Offline"),
    "idle": _("Idle"),
    "reserved": _("Reserved"),
    "ringing": _("Ringing"),
    "talking": _("Talking"),
    "wrap_up": _("Wrap-up"),
    "paused": _("Paused"),
    # calls
    "inbound": _("In"),
    "outbound": _("Out"),
    "internal": _("Internal"),
    "answered": _("Answered"),
    "abandoned": _("Abandoned"),
    "no_answer": _("No answer"),
    "busy": _("Busy"),
    "rejected": _("Rejected"),
    "overflow": _("Overflow"),
    "closed": _("Closed"),
    "merged": _("Merged"),
    "failed": _("Failed"),
    "unreachable": _("Unreachable"),
    "cancelled": _("Cancelled"),
    "ended": _("Ended"),
    "withdrawn": _("Withdrawn"),
    # callbacks
    "waiting": _("Waiting"),
    "calling": _("Calling"),
    "done": _("Done"),
    "expired": _("Expired"),
    "dropped": _("Dropped"),
    # recordings
    "recording": _("Recording"),
    "complete": _("Kept"),
    "damaged": _("Damaged"),
    "missing": _("Missing"),
    # tickets
    "open": _("Open"),
    "pending": _("Pending"),
    "resolved": _("Resolved"),
    # rules
    "ticket_owner": _("Ticket owner"),
    "least_talk": _("Least talk today"),
    "talk_share": _("Least share of talk today"),
    # people
    "agent": _("Agent"),
    "supervisor": _("Supervisor"),
    "administrator": _("Administrator"),
}


def word(value: str | None) -> str:
    """What a stored value is called; one without a name is shown as it is."""
    return "" if value is None else WORDS.get(value, value)
