"""The bytes of AMI as messages, and actions as bytes.

Law: bytes are split before they are decoded, and each message is decoded whole, so that no letter is lost at the
border of two TCP chunks. An event nobody wants costs one look at its first line. Nothing in a message can raise: what
is no header is left out, what is no UTF-8 is kept by ``surrogateescape``, what is no number is ``None``. Nothing is
sent that the PBX would read as something else.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Final

import msgspec

#: A message longer than this is no AMI: the longest that Asterisk writes are some tens of kilobytes.
LONGEST_MESSAGE: Final = 4 * 1024 * 1024
#: What Asterisk takes of one line, and of lines in one action; it refuses or cuts what is longer.
LONGEST_LINE: Final = 1022
MOST_HEADERS: Final = 127

#: What stands behind each text that a caller may have written: without it, the message was cut there.
_BEHIND: Final = frozenset({"Uniqueid", "Linkedid"})
_BEHIND_DEST: Final = frozenset({"DestUniqueid", "DestLinkedid"})
#: These name a channel without a Linkedid: one that may never have been made, and a caller in the list of a queue.
_BEHIND_ALONE: Final = MappingProxyType(
    {b"OriginateResponse": frozenset({"CallerIDName"}), b"QueueEntry": frozenset({"Wait"})}
)
_BANNER: Final = b"Asterisk Call Manager"
_EVENT: Final = b"Event: "
_RESPONSE: Final = b"Response: "
_PRIVILEGE: Final = b"Privilege: "  # the second line of each live event; those of a list have an ActionID
_REPEATABLE: Final = frozenset({"Variable", "ChanVariable", "Output"})
_REPLY: Final = b"\nActionID: "
# Asterisk writes these values through ast_escape_c, with whatever prefix the event gives a party (Dest, Transferee
# ...).
_ESCAPED: Final = ("CallerIDName", "ConnectedLineName")
_ESCAPE: Final = re.compile(r"\\([abfnrtv\\'\"?])")
_LETTERS: Final = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


class WireError(Exception):
    """The peer does not speak AMI; the text says what it did instead."""


class UnsendableError(ValueError):
    """An action that AMI cannot carry as one action; the text names the header and the fault."""


class Message(msgspec.Struct, frozen=True, gc=False):
    """One event or response, as the PBX sent it.

    ``name`` is the event's name, ``""`` for a response. ``headers`` holds the last value of each header, keys spelled
    as Asterisk spells them. ``at`` is the ``Timestamp`` header in Unix seconds, as the framer's ``steady`` reads the PBX's
    clock, ``None`` without one. ``repeated`` holds all headers in order, only where one occurs more than once.
    """

    name: str
    headers: dict[str, str]
    at: float | None = None
    repeated: tuple[tuple[str, str], ...] | None = None

    def get(self, key: str) -> str | None:
        """The header's last value; ``None`` when it is missing or empty, which AMI does not tell apart."""
        return self.headers.get(key) or None

    def values(self, key: str) -> tuple[str, ...]:
        """Every value of a header that may repeat, in order."""
        if self.repeated is not None:
            return tuple(value for name, value in self.repeated if name == key)
        value = self.headers.get(key)
        return () if value is None else (value,)

    def variables(self, key: str = "Variable") -> dict[str, str]:
        """The ``NAME=value`` pairs of ``Variable`` (Status) or ``ChanVariable`` headers; unset ones left out."""
        pairs = (item.partition("=") for item in self.values(key))
        return {name: value for name, _, value in pairs if name and value and value != "(null)"}  # "(null)": unset


class Framer:
    """Cuts a stream of bytes into messages, whatever the borders of its chunks.

    ``wanted`` names the events to parse, ``None`` for all. Responses always come through, and so does each event that
    answers an action (has an ``ActionID``). Lines may end in CR LF, as Asterisk sends them, or in LF alone, as an
    editor leaves a recording. ``banner`` is the greeting's text once it was seen.

    ``own`` is for a live PBX: what the ActionIDs of this process begin with, which nobody else can know. Asterisk writes
    a caller's number as it came, line breaks included, so that a caller can write headers and whole events
    (``sip:1%0d%0aEvent%3a...``). What such a number leaves behind does not look like Asterisk's own: an event without its
    ``Privilege``, a header twice, a line that is no header, a channel without its id. Those messages are left out and
    counted in ``forged``, and so is all that follows a cut message, until the PBX answers an action: what looks like the cut
    message's tail may be the caller's too.

    ``steady`` reads each message's ``Timestamp``, in order; recordings are read as they stand.
    """

    __slots__ = ("_cut", "_end", "_eol", "_own", "_reply", "_rest", "_steady", "_wanted", "banner", "forged")

    def __init__(
        self,
        wanted: frozenset[bytes] | None = None,
        *,
        own: str | None = None,
        steady: Callable[[float], float] = lambda stamp: stamp,
    ) -> None:
        self._own = own
        self._steady = steady
        self._reply = _REPLY + (own or "").encode()
        self._cut = False  # since a message that was cut short nothing was answered
        self.forged = 0
        self._wanted = wanted
        self._rest = bytearray()
        self._eol: bytes | None = None  # not known before the first line is whole
        self._end = b""
        self.banner: str | None = None

    def feed(self, chunk: bytes) -> list[Message]:
        """The messages that ``chunk`` completes, in order. Raises ``WireError`` past ``LONGEST_MESSAGE``."""
        rest = self._rest
        seen = len(rest)
        rest += chunk
        if self._eol is None:
            if not self._greet(rest):
                self._check(rest)
                return []
            seen = 0
        end = self._end
        if rest.find(end, max(0, seen - len(end) + 1)) < 0:
            self._check(rest)
            return []
        *whole, last = bytes(rest).split(end)
        self._rest = bytearray(last)
        self._check(self._rest)
        return self._parse(whole)

    def finish(self) -> list[Message]:
        """The last message of a recording which does not end in an empty line."""
        rest = bytes(self._rest)
        self._rest.clear()
        return self._parse([rest.rstrip(b"\r\n")]) if self._eol is not None else []

    @staticmethod
    def _check(rest: bytearray) -> None:
        if len(rest) > LONGEST_MESSAGE:
            raise WireError(f"no end of message within {LONGEST_MESSAGE} bytes: this is not AMI")

    def _greet(self, rest: bytearray) -> bool:
        """Learn the line's end from the first line, and take the greeting off; False until that line is whole."""
        newline = rest.find(b"\n")
        if newline < 0:
            return False
        self._eol = b"\r\n" if rest[newline - 1 : newline] == b"\r" else b"\n"
        self._end = self._eol * 2
        if rest.startswith(_BANNER):
            self.banner = rest[:newline].decode("utf-8", "surrogateescape").rstrip()
            del rest[: newline + 1]
        return True

    def _parse(self, whole: list[bytes]) -> list[Message]:
        wanted, eol = self._wanted, self._eol or b"\r\n"
        lf = eol.decode()
        messages = []
        for part in whole:
            raw = part if part.startswith(_EVENT) else self._trim(part)
            # The name comes from the first line alone: a forged Event header further down must not rename the event.
            name = raw[7:].partition(eol)[0] if raw.startswith(_EVENT) else b""
            if name and wanted is not None and name not in wanted and self._reply not in raw:
                continue
            if self._own is not None and not self._genuine(raw, name, eol):
                continue
            if (message := self._read(raw, name, lf)) is not None:
                messages.append(message)
        return messages

    def _read(self, raw: bytes, name: bytes, lf: str) -> Message | None:
        text = raw.decode("utf-8", "surrogateescape")
        lines = [line.split(": ", 1) for line in text.split(lf)]
        broken = False
        try:
            headers: dict[str, str] = dict(lines)
        except ValueError:  # a line without a colon: command output, or an injected line break
            broken = True
            lines = [line for line in lines if len(line) == 2]
            headers = dict(lines)
        if not headers or not self._whole(name, lines, headers, broken=broken):
            return None
        if "\\" in text:
            _unescape_names(lines, headers)
        repeated = None
        if len(headers) != len(lines):
            repeated = tuple((key, value) for key, value in lines)
        stamp = stamp_of(headers)
        at = None if stamp is None else self._steady(stamp)
        return Message(name.decode("utf-8", "surrogateescape"), headers, at, repeated)

    def _whole(self, name: bytes, lines: list[list[str]], headers: dict[str, str], *, broken: bool) -> bool:
        """Whether nothing was written into the message, and nothing but it stands where it stands."""
        if self._own is None:
            return True
        if _is_cut(name, headers):
            self._cut = True
        elif not broken and (len(headers) == len(lines) or _may_repeat(lines)):
            if self._cut and headers.get("ActionID", "").startswith(self._own):
                self._cut = False
            if not self._cut:
                return True
        self.forged += 1
        return False

    def _genuine(self, raw: bytes, name: bytes, eol: bytes) -> bool:
        """Whether the message begins as Asterisk's own do."""
        if name:
            second = raw[7 + len(name) + len(eol) :]
            genuine = second.startswith(_PRIVILEGE) or self._reply in raw
        else:
            genuine = raw.startswith(_RESPONSE) or not raw
        self.forged += not genuine
        return genuine

    @staticmethod
    def _trim(part: bytes) -> bytes:
        """Take off what may stand before a message: an empty line too many, the greeting after a reconnect."""
        raw = part.strip(b"\r\n")
        return raw.partition(b"\n")[2] if raw.startswith(_BANNER) else raw


def encode(headers: Iterable[tuple[str, str]]) -> bytes:
    """One action as Asterisk reads it. Raises ``UnsendableError`` for what would not arrive as this one action."""
    lines = []
    for name, value in headers:
        try:
            line = f"{name}: {value}".encode("utf-8", "surrogateescape")
        except UnicodeEncodeError as error:
            raise UnsendableError(f"header {name!r} is no text that UTF-8 can carry") from error
        if any(mark in line for mark in (b"\r", b"\n", b"\0")):
            raise UnsendableError(f"header {name!r} holds a line break or a NUL: it would become a second header")
        if len(line) > LONGEST_LINE:
            raise UnsendableError(f"header {name!r} has {len(line)} bytes, Asterisk takes {LONGEST_LINE}")
        lines.append(line)
    if len(lines) > MOST_HEADERS:
        raise UnsendableError(f"{len(lines)} headers, Asterisk takes {MOST_HEADERS}")
    return b"\r\n".join(lines) + b"\r\n\r\n"


def storable(value: str) -> str:
    """What a caller may have written, as text that can be stored and published: what is no UTF-8 becomes U+FFFD."""
    return value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def stamp_of(headers: Mapping[str, str]) -> float | None:
    """The ``Timestamp`` in Unix seconds, as the PBX's clock stood; ``None`` without one that can be read."""
    try:
        at = float(headers["Timestamp"])
    except (KeyError, ValueError):
        return None
    return at if 0.0 < at < 1e11 else None  # NaN and infinity fail the comparison too


def unescape(value: str) -> str:
    """Undo Asterisk's C escapes; any other backslash stays as it is."""
    return _ESCAPE.sub(lambda match: _LETTERS.get(match[1], match[1]), value)


def _is_cut(name: bytes, headers: dict[str, str]) -> bool:
    keys = headers.keys()
    return ("Channel" in headers and not keys >= _BEHIND_ALONE.get(name, _BEHIND)) or (
        "DestChannel" in headers and not keys >= _BEHIND_DEST
    )


def _may_repeat(lines: list[list[str]]) -> bool:
    once = [line[0] for line in lines if line[0] not in _REPEATABLE]
    return len(set(once)) == len(once)


def _unescape_names(lines: list[list[str]], headers: dict[str, str]) -> None:
    for line in lines:
        if line[0].endswith(_ESCAPED):
            headers[line[0]] = line[1] = unescape(line[1])
