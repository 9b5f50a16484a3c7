"""What the core says to an agent: why a command can't be granted, what else they should know of a call.

Law: a code and what belongs in its sentence. The words, in whatever language, are made where a person reads them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Code(StrEnum):
    """Each has its sentence in ``ctid.saying``, with these fields in it."""

    # why not
    NO_AGENT = "no_agent"  # agent
    NOT_SIGNED_IN = "not_signed_in"
    NO_PHONE = "no_phone"
    PHONE_IN_CALL = "phone_in_call"  # phone
    NO_WRAP_UP = "no_wrap_up"
    PIN_UNCHECKED = "pin_unchecked"
    WRONG_PIN = "wrong_pin"
    NO_LINK = "no_link"
    ON_THE_PHONE = "on_the_phone"
    CALLER_COMING = "caller_coming"
    PHONE_UNREACHABLE = "phone_unreachable"  # phone
    CALL_OVER = "call_over"
    CALL_TAKEN = "call_taken"  # agent
    CALL_NOT_WAITING = "call_not_waiting"
    LEVEL_NEEDED = "level_needed"  # level
    NO_ORIGINATE = "no_originate"
    BAD_NUMBER = "bad_number"
    OWN_NUMBER = "own_number"  # number
    PHONE_NOT_RUNG = "phone_not_rung"  # phone
    NO_CUSTOMER_CALL = "no_customer_call"
    TRANSFER_TO_ONESELF = "transfer_to_oneself"
    AGENT_OFFLINE = "agent_offline"  # agent
    AGENT_BUSY = "agent_busy"  # agent
    AGENT_PAUSED = "agent_paused"  # agent
    TRANSFER_UNDER_WAY = "transfer_under_way"
    NO_TRANSFER = "no_transfer"
    NOT_TRANSFERRED = "not_transferred"  # reason
    NOT_RECORDED = "not_recorded"
    CALLS_AT_ONCE = "calls_at_once"
    NOT_PAUSED = "not_paused"  # reason
    NOT_PAUSED_NOW = "not_paused_now"
    NO_CALL = "no_call"
    NO_LINE = "no_line"  # line
    LINE_CLOSED = "line_closed"  # line
    NOT_YOUR_CALL = "not_your_call"
    UNDER_HOLD = "under_hold"
    NO_TICKET = "no_ticket"  # ticket
    NO_CONTACT = "no_contact"  # contact
    NO_DATABASE = "no_database"
    # what else
    UNRECORDED = "unrecorded"
    IN_VAIN = "in_vain"  # count
    NUMBER_SHARED = "number_shared"  # count
    MORE_CALLS = "more_calls"  # count
    MISSED_CALL = "missed_call"  # at, waited
    CALLBACK = "callback"  # at
    CALLBACK_AGAIN = "callback_again"  # at, tried, tries
    YOU_CALL = "you_call"
    TRANSFERRED = "transferred"  # agent
    CONSULTED = "consulted"  # agent
    NOT_TAKEN = "not_taken"  # agent


@dataclass(frozen=True, slots=True)
class Said:
    """One sentence: its code and its fields."""

    code: Code
    fields: tuple[tuple[str, str | int], ...] = ()


def say(code: Code, **fields: str | int) -> Said:
    return Said(code, tuple(fields.items()))
