"""What ctid may say to the PBX: each action, each of its headers, and what may stand there.

Law: nothing is sent that does not stand in this table, whatever made it. A value is refused here, before it is sent, that
would be a second header, another application's argument, part of an expression of the dialplan, or a pattern that means
many channels.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

from ctid.asterisk.wire import UnsendableError, encode

#: A channel or a queue's member by its name. Asterisk takes ``/x/`` for a pattern, and hangs up all that fit.
_CHANNEL: Final = re.compile(r"[A-Za-z0-9]+/[^\x00-\x1f\x7f]{1,250}")
#: Likewise, or by its Uniqueid, which holds no slash and so is no pattern.
_CHANNEL_OR_ID: Final = re.compile(rf"{_CHANNEL.pattern}|[A-Za-z0-9_.:-]{{0,130}}[0-9]{{1,20}}\.[0-9]{{1,9}}")
_ENDPOINT: Final = re.compile(r"PJSIP/[A-Za-z0-9_+-]{1,80}|")
_ID: Final = re.compile(r"[A-Za-z0-9_.:@-]{1,149}")
#: What the PBX or the site itself has named, in whatever signs; no dialplan reads it.
_LINE: Final = re.compile(r"[^\x00-\x1f\x7f]{0,512}")
_ACTION_ID: Final = re.compile(r"[A-Za-z0-9/_-]{1,80}")
_FLAG: Final = re.compile(r"true|false")
_NUMBER: Final = re.compile(r"\+?[0-9]{3,32}|s")
_COUNT: Final = re.compile(r"[0-9]{1,9}")
_VARIABLE: Final = re.compile(r"(?:__)?CTID_[A-Z]{1,40}|CTID_CONSENT_[A-Za-z0-9]{1,40}")
#: No sign of these ends a text, begins a variable or parts arguments in the dialplan, which reads it as it stands.
_VALUE: Final = re.compile(r"[\w.:@+-]{0,600}")
_ASKED: Final = re.compile(
    r"[A-Z_]{1,80}|VERSION\(\)|AST_CONFIG\((?:[^\x00-\x1f(){},$]{1,120},){2}[^\x00-\x1f(){},$]{1,120}\)"
)
_CALLED: Final = re.compile(r"[A-Za-z ]{1,40} <\+?[0-9]{3,32}>")
_WHENCE: Final = re.compile(r"CTID_FROM=[+0-9]{0,32},CTID_SECONDS=[0-9]{1,9}(?:,__CTID_CONSENTED=(?:refused|failed))?")


def _words(*words: str) -> re.Pattern[str]:
    return re.compile("|".join(map(re.escape, words)))


#: Each action by its headers; every one of them has an ActionID besides.
ACTIONS: Final[Mapping[str, Mapping[str, re.Pattern[str]]]] = MappingProxyType(
    {
        "Login": {"Username": _LINE, "Secret": _LINE, "Events": _words("on", "off")},
        "Ping": {},
        "Status": {"Variables": re.compile(r"(?:CTID_[A-Z0-9_]{1,40},){1,20}CHANNEL\(onhold\)")},
        "CoreShowChannels": {},
        "CoreStatus": {},
        "CoreSettings": {},
        "DeviceStateList": {},
        "ShowDialPlan": {"Context": re.compile(r"[A-Za-z0-9_-]{1,80}")},
        "Getvar": {"Variable": _ASKED},
        "Setvar": {"Channel": _CHANNEL_OR_ID, "Variable": _VARIABLE, "Value": _VALUE},
        "PlayDTMF": {"Channel": _CHANNEL_OR_ID, "Digit": _words("D"), "Receive": _FLAG},
        "BlindTransfer": {
            "Channel": _CHANNEL_OR_ID,
            "Context": _words("ctid-transfer"),
            "Exten": re.compile(r"to_[0-9]{1,6}_[A-Za-z0-9_+-]{1,80}"),
        },
        "Atxfer": {"Channel": _CHANNEL_OR_ID, "Context": _words("ctid-consult"), "Exten": _words("1")},
        "CancelAtxfer": {"Channel": _CHANNEL_OR_ID},
        "Hangup": {"Channel": _CHANNEL_OR_ID, "Cause": _words("19")},
        "MixMonitorMute": {"Channel": _CHANNEL_OR_ID, "Direction": _words("both"), "State": _words("0", "1")},
        "Originate": {
            "Channel": _ENDPOINT,
            "ChannelId": _ID,
            "Context": _words("ctid-callback"),
            "Exten": _NUMBER,
            "Priority": _words("1"),
            "Timeout": _COUNT,
            "CallerID": _CALLED,
            "Variable": _WHENCE,
            "Async": _FLAG,
        },
        "QueueStatus": {"Queue": _LINE},
        "QueueAdd": {"Queue": _LINE, "Interface": _CHANNEL, "MemberName": _LINE, "Paused": _FLAG},
        "QueueRemove": {"Queue": _LINE, "Interface": _LINE},
        "QueuePause": {"Queue": _LINE, "Interface": _CHANNEL, "Paused": _FLAG},
    }
)


def said(action: Iterable[tuple[str, str]]) -> bytes:
    """The action as Asterisk reads it, ``Action`` first.

    Raises ``UnsendableError`` for an action that ctid has no business to send, and for a value that may not stand there; it
    names the header and never the value, which may be a secret.
    """
    name, *headers = whole = list(action)
    allowed = ACTIONS.get(name[1]) if name[0] == "Action" else None
    if allowed is None:
        raise UnsendableError(f"{name[1]!r} is no action that ctid may send: it has no row in ctid/asterisk/sayable.py")
    for header, value in headers:
        form = _ACTION_ID if header == "ActionID" else allowed.get(header)
        if form is None:
            raise UnsendableError(f"header {header!r} of {name[1]} has no row in ctid/asterisk/sayable.py")
        if form.fullmatch(value) is None:
            raise UnsendableError(f"header {header!r} of {name[1]} holds what may not stand there")
    return encode(whole)
