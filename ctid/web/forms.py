"""What people type into forms, read into typed values, with one message beside each field that will not do.

Law: nothing typed is lost: what was typed stays in ``typed`` as it came, whole, and stands in the form again when refused.
Past ``Fields`` there are only values: text without control characters, whole numbers in range, one of the words offered, Unix
seconds. An empty field is ``None``. Messages are said in the reader's language.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo

from ctid.languages import _, ngettext

#: One line: a subject, a name, a title. More: what somebody asked for or did.
LINE: Final = 200
LINES: Final = 4000
#: The site's own keys: ids of agents, customers, contacts, tickets and calls.
KEY: Final = 200
#: Its successor, too, is a number every database takes.
_LATEST_VERSION: Final = 10**9
_MOMENT = "%Y-%m-%dT%H:%M"
#: Seconds a browser may add to a local time where the field held some.
_MOMENTS = (_MOMENT, "%Y-%m-%dT%H:%M:%S")
_EARLIEST, _LATEST = 1971, 9000


class Fields:
    """One form's fields: ``typed`` as they came, ``faults`` by name. ``name`` begins the ids of its elements on the page.

    Each reading method gives the value, or ``None`` where the field is empty or will not do; ``fine`` says which.
    """

    def __init__(self, given: Mapping[str, object], zone: ZoneInfo, *, name: str = "form") -> None:
        self.name = name
        self.zone = zone
        self.typed: dict[str, str] = {key: value for key, value in given.items() if isinstance(value, str)}
        self.faults: dict[str, str] = {}

    @classmethod
    def showing(cls, values: Mapping[str, str | float | None], zone: ZoneInfo, *, name: str = "form") -> Fields:
        """A form as a page first shows it: filled with what is known. Unix seconds go by ``local_moment`` first."""
        return cls({key: "" if value is None else str(value) for key, value in values.items()}, zone, name=name)

    @property
    def fine(self) -> bool:
        """Whether no field was refused so far."""
        return not self.faults

    def refuse(self, name: str, said: str) -> None:
        """Put a message beside a field, unless it has one; ``said`` is in the reader's language."""
        self.faults.setdefault(name, said)

    def text(self, name: str, *, most: int = LINE, required: bool = False) -> str | None:
        """One line of text, spaces at its ends taken away; what is no text (control characters, line breaks) is a space."""
        return self._text(name, " ".join(_printable(self.typed.get(name, ""), keep="").split()), most, required)

    def lines(self, name: str, *, most: int = LINES, required: bool = False) -> str | None:
        """Text of several lines; control characters but line breaks and tabs are spaces."""
        plain = self.typed.get(name, "").replace("\r\n", "\n").replace("\r", "\n")
        return self._text(name, _printable(plain, keep="\n\t").strip(), most, required)

    def key(self, name: str, *, required: bool = False) -> str | None:
        """An id as the site writes its own: that it exists is for the store to know (then ``refuse``)."""
        said = self.typed.get(name, "").strip()
        if said and (len(said) > KEY or not said.isprintable()):
            return self._refused(name, _("That is no id."))
        return said or self._empty(name, required)

    def choice(self, name: str, among: Collection[str], *, required: bool = False) -> str | None:
        """One of the words offered."""
        said = self.typed.get(name, "").strip()
        if said and said not in among:
            return self._refused(name, _("Choose one of those offered."))
        return said or self._empty(name, required)

    def whole(self, name: str, *, least: int, most: int, required: bool = False) -> int | None:
        """A whole number from ``least`` to ``most``, in any digits people have."""
        said = self.typed.get(name, "").strip()
        if not said:
            self._empty(name, required)
            return None
        if len(said) <= 12 and said.removeprefix("-").isdecimal() and least <= int(said) <= most:
            return int(said)
        self.refuse(name, _("Write a whole number from %(least)s to %(most)s.") % {"least": least, "most": most})
        return None

    def version(self, name: str = "version") -> int | None:
        """The version of a row that the form was made from; a form without one is none of ours."""
        return self.whole(name, least=1, most=_LATEST_VERSION, required=True)

    def moment(self, name: str, *, required: bool = False) -> float | None:
        """A local date and time of the site's zone, as Unix seconds. Of an hour that comes twice it is the first."""
        said = self.typed.get(name, "").strip()
        if not said:
            self._empty(name, required)
            return None
        local = _moment(said)
        if local is None:
            self.refuse(name, _("Write date and time as 2026-01-31T16:30."))
            return None
        at = local.replace(tzinfo=self.zone)
        if at.astimezone(UTC).astimezone(self.zone).replace(tzinfo=None) != local:
            self.refuse(name, _("The clocks skip that hour; write another."))
            return None
        return at.timestamp()

    def ticked(self, name: str) -> bool:
        """Whether a box is ticked."""
        return self.typed.get(name, "") not in ("", "0")

    def _text(self, name: str, text: str, most: int, required: bool) -> str | None:  # noqa: FBT001 - one line above
        if len(text) > most:
            over = len(text) - most
            said = ngettext(
                "Too long by %(over)s character: at most %(most)s.",
                "Too long by %(over)s characters: at most %(most)s.",
                over,
            )
            return self._refused(name, said % {"over": over, "most": most})
        return text or self._empty(name, required)

    def _refused(self, name: str, said: str) -> str | None:
        self.refuse(name, said)
        return None

    def _empty(self, name: str, required: bool) -> str | None:  # noqa: FBT001 - as above
        if required:
            self.refuse(name, _("This must be filled in."))
        return None


def local_moment(at: float | None, zone: ZoneInfo) -> str | None:
    """Unix seconds as a field for date and time holds them, or ``None``."""
    return None if at is None else datetime.fromtimestamp(at, zone).strftime(_MOMENT)


def options(words: Iterable[str], now: str | None = None) -> list[tuple[str, str]]:
    """Words to choose from as a choice shows them; one that stands there now and is offered no more stays."""
    offered = list(words)
    return [(one, _(one)) for one in ([now, *offered] if now and now not in offered else offered)]


def _moment(said: str) -> datetime | None:
    for form in _MOMENTS:
        try:
            found = datetime.strptime(said, form)  # noqa: DTZ007 - the zone comes after
        except ValueError:
            continue
        return found if _EARLIEST <= found.year <= _LATEST else None
    return None


def _printable(text: str, *, keep: str) -> str:
    """The text without what no page shows; marks that join letters or turn their direction stay: names need them."""
    return "".join(letter if (letter >= " " and letter != "\x7f") or letter in keep else " " for letter in text)
