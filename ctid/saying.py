"""The sentences of what the core says to agents: answers to their commands, notices of a call.

Law: one sentence for each code, in the language of the moment. What comes from outside (a code nobody knows, fields that do not
fit) has none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ctid.domain.said import Code, Said
from ctid.languages import _, ngettext

#: The sentence as a template; called with the number that its plural goes by.
_SENTENCES: Mapping[Code, Callable[[int], str]] = {
    Code.NO_AGENT: lambda _n: _("There is no agent %(agent)s; import or enable the agent first."),
    Code.NOT_SIGNED_IN: lambda _n: _("You are not signed in at a phone; sign in first."),
    Code.NO_PHONE: lambda _n: _("You have no phone of your own; name the one you sit at."),
    Code.PHONE_IN_CALL: lambda _n: _("Phone %(phone)s is in a call; sign in there when it is over."),
    Code.NO_WRAP_UP: lambda _n: _("You are not in wrap-up; there is nothing to extend."),
    Code.PIN_UNCHECKED: lambda _n: _("The PIN cannot be checked now; try again in a moment."),
    Code.WRONG_PIN: lambda _n: _("The id or the PIN is wrong; try again."),
    Code.NO_LINK: lambda _n: _("ctid has no link to the telephone exchange now; try again in a moment."),
    Code.ON_THE_PHONE: lambda _n: _("Your phone is in use; hang up first."),
    Code.CALLER_COMING: lambda _n: _("A caller is on the way to your phone; take that call first."),
    Code.PHONE_UNREACHABLE: lambda _n: _("Your phone %(phone)s cannot be reached; look whether it is on."),
    Code.CALL_OVER: lambda _n: _("This call is over; look for it among the calls of the day."),
    Code.CALL_TAKEN: lambda _n: _("%(agent)s already has this call; take another."),
    Code.CALL_NOT_WAITING: lambda _n: _("This caller does not wait any more; take another."),
    Code.LEVEL_NEEDED: lambda _n: _("This caller is for agents of level %(level)s and above; leave the call to them."),
    Code.NO_ORIGINATE: lambda _n: _(
        "ctid cannot make calls here; have the administrator set originate_secret in section ami."
    ),
    Code.BAD_NUMBER: lambda _n: _(
        "This is not a number that can be called; write digits, with + and country or without."
    ),
    Code.OWN_NUMBER: lambda _n: _("%(number)s is a number of this call centre; call a customer's."),
    Code.PHONE_NOT_RUNG: lambda _n: _("Your phone %(phone)s could not be rung; look whether it is on, and try again."),
    Code.NO_CUSTOMER_CALL: lambda _n: _("You are not talking with a customer; there is nothing to transfer."),
    Code.TRANSFER_TO_ONESELF: lambda _n: _("This call is yours already; choose a colleague."),
    Code.AGENT_OFFLINE: lambda _n: _("%(agent)s is not signed in; choose another colleague."),
    Code.AGENT_BUSY: lambda _n: _("%(agent)s is busy; try again later, or choose another colleague."),
    Code.AGENT_PAUSED: lambda _n: _("%(agent)s is on a pause; consult them first, or choose another colleague."),
    Code.TRANSFER_UNDER_WAY: lambda _n: _("This call is being transferred already; complete or cancel that first."),
    Code.NO_TRANSFER: lambda _n: _("You are not consulting anybody; there is nothing to complete or cancel."),
    Code.NOT_TRANSFERRED: lambda _n: _("The telephone exchange did not transfer the call (%(reason)s); try again."),
    Code.NOT_RECORDED: lambda _n: _("You are not in a call that is recorded; there is nothing to pause."),
    Code.CALLS_AT_ONCE: lambda _n: _("You are in two calls at once; put one on hold, or press the key on the phone."),
    Code.NOT_PAUSED: lambda _n: _(
        "The telephone exchange did not pause the recording, or did not go on with it (%(reason)s); try again."
    ),
    Code.NOT_PAUSED_NOW: lambda _n: _("The recording is not paused; it goes on as it is."),
    Code.NO_CALL: lambda _n: _("There is no such call; look for it among the calls of the day."),
    Code.NO_LINE: lambda _n: _("There is no line %(line)s; choose another."),
    Code.LINE_CLOSED: lambda _n: _("The line %(line)s is closed now; choose another."),
    Code.NOT_YOUR_CALL: lambda _n: _("This is a colleague's call; ask them, or a supervisor, to move it."),
    Code.UNDER_HOLD: lambda _n: _("This call is under a customer's legal hold; its contact stays as it is."),
    Code.NO_TICKET: lambda _n: _("There is no ticket %(ticket)s; choose another, or a new one."),
    Code.NO_CONTACT: lambda _n: _("There is no contact %(contact)s; choose another."),
    Code.NO_DATABASE: lambda _n: _("The database does not answer; try again in a moment."),
    Code.UNRECORDED: lambda _n: _("This caller is not recorded."),
    Code.IN_VAIN: lambda n: ngettext("Rang in vain once today.", "Rang in vain %(count)s times today.", n),
    Code.NUMBER_SHARED: lambda n: ngettext(
        "%(count)s person has this number.", "%(count)s people share this number.", n
    ),
    Code.MORE_CALLS: lambda n: ngettext(
        "%(count)s more call of this customer at this moment.",
        "%(count)s more calls of this customer at this moment.",
        n,
    ),
    Code.MISSED_CALL: lambda _n: _("Missed call: rang at %(at)s for %(waited)s, nobody answered."),
    Code.CALLBACK: lambda _n: _("Callback: asked for at %(at)s. Answer, and the customer is dialled."),
    Code.CALLBACK_AGAIN: lambda _n: _(
        "Callback: asked for at %(at)s, try %(tried)s of %(tries)s. Answer, and the customer is dialled."
    ),
    Code.YOU_CALL: lambda _n: _("You call. Answer your phone, and the customer is dialled."),
    Code.TRANSFERRED: lambda _n: _("Transferred by %(agent)s."),
    Code.CONSULTED: lambda _n: _("%(agent)s asks you about this caller, who is on hold."),
    Code.NOT_TAKEN: lambda _n: _("%(agent)s did not take the transferred call."),
}


def sentence(said: Said) -> str:
    """What was said, as one line."""
    return _filled(said.code, dict(said.fields))


def told(code: str, fields: Mapping[str, str | int]) -> str | None:
    """The same of a code and fields that came by way of the broker; ``None`` where that makes no sentence."""
    try:
        return _filled(Code(code), fields)
    except (ValueError, KeyError, TypeError):
        return None


def _filled(code: Code, fields: Mapping[str, str | int]) -> str:
    count = fields.get("count", 1)
    return _SENTENCES[code](count if isinstance(count, int) else 1) % fields
