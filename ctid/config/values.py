"""The kinds of values a configuration holds, each refused with what is wrong and what to do.

Law: a kind is a type that pydantic checks, and its message never holds a secret: neither a password nor a URL
that may have one inside.
"""

from __future__ import annotations

import base64
import binascii
import re
import zoneinfo
from dataclasses import dataclass
from datetime import date, datetime, time
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import phonenumbers
from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator, SecretStr, StringConstraints

from ctid.config.wording import near, shown
from ctid.domain.types import Days, OpenHours, SpecialHours

#: What may stand in an MQTT topic, a log line and a URL without escaping: ``+ # /`` are MQTT's own.
AGENT_ID = re.compile(r"\w[\w.@-]{0,63}")

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where to listen: a host name or IP address and a port; port 0 is any free one."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Broker:
    """The MQTT broker's address, and whether TLS is spoken to it."""

    host: str
    port: int
    tls: bool

    def __str__(self) -> str:
        return f"mqtt{'s' if self.tls else ''}://{Address(host=self.host, port=self.port)}"


def _address(value: object) -> Address:
    if isinstance(value, Address):
        return value
    found = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+)):([0-9]{1,5})", str(value))
    if found is None or int(found[3]) > 65535:
        raise ValueError("is no address to listen on; write HOST:PORT, such as 127.0.0.1:8080 or [::1]:8080")
    return Address(host=found[1] or found[2], port=int(found[3]))


def _broker(value: object) -> Broker:
    if isinstance(value, Broker):
        return value
    wrong = "is no broker's address; write mqtt://HOST:1883, or mqtts://HOST:8883 for TLS"
    try:
        url = urlsplit(str(value))
        port = url.port
    except ValueError:
        raise ValueError(wrong) from None
    if url.username is not None or url.password is not None:
        raise ValueError("holds a name or password; write them as username and password beside it")
    if url.scheme not in ("mqtt", "mqtts") or not url.hostname or url.path not in ("", "/") or port == 0:
        raise ValueError(wrong)
    tls = url.scheme == "mqtts"
    return Broker(host=url.hostname, port=port or (8883 if tls else 1883), tls=tls)


def _database_url(value: SecretStr) -> SecretStr:
    """The URL as written, never part of a message: it may hold a password. ``ctid.db`` knows the rest."""
    scheme, mark, _ = value.get_secret_value().partition("://")
    if not mark or scheme.partition("+")[0] not in ("sqlite", "postgresql", "postgres"):
        raise ValueError("is no database ctid knows; write sqlite:////PATH/FILE or postgresql://USER@HOST/NAME")
    return value


def _sealing_keys(value: SecretStr) -> SecretStr:
    """Keys of 32 bytes in base64, each on a line of its own; never part of a message."""
    for number, word in enumerate(value.get_secret_value().split(), 1):
        try:
            fine = len(base64.b64decode(word, validate=True)) == 32
        except binascii.Error:
            fine = False
        if not fine:
            raise ValueError(f"its key {number} is not 32 bytes in base64; make one by: openssl rand -base64 32")
    return value


def _web_url(value: str) -> str:
    try:
        url = urlsplit(value)
        usable = (
            url.scheme in ("http", "https") and url.hostname and url.port != 0 and not url.query and not url.fragment
        )
    except ValueError:
        usable = False
    if not usable or "@" in value:
        raise ValueError("is no address a browser can open; write https://HOST or http://HOST:PORT")
    return value.rstrip("/")


def _timezone(value: str) -> str:
    try:
        zoneinfo.ZoneInfo(value)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        guess = near(value, zoneinfo.available_timezones())
        mend = f"did you mean {guess}" if guess else "write one such as Europe/Berlin"
        raise ValueError(f"{shown(value)} is no time zone; {mend}") from None
    return value


def _local_time(value: object) -> time:
    if isinstance(value, time):
        return value.replace(tzinfo=None)
    found = re.fullmatch(r"([0-9]{1,2}):([0-9]{2})", str(value))
    if found is None or int(found[1]) > 23 or int(found[2]) > 59:
        raise ValueError("is no time of day; write it like 03:30, in quotes")
    return time(int(found[1]), int(found[2]))


def _country(value: str) -> str:
    if value.upper() not in phonenumbers.SUPPORTED_REGIONS:
        raise ValueError(f"{shown(value)} is no country; write the two letters of ISO 3166, such as CN or DE")
    return value.upper()


def _readable(value: Path) -> Path:
    try:
        with value.open("rb"):
            return value
    except OSError as error:
        raise ValueError(f"cannot be read ({error.strerror}); name a file that ctid's user may read") from None


def _absolute(value: Path) -> Path:
    if not value.is_absolute():
        raise ValueError("is a relative path; write it from the root, beginning with /")
    return value


def bare_number(value: str) -> str:
    """The number without what people write between its digits."""
    return re.sub(r"[ ()./-]", "", value)


def _number(value: str) -> str:
    plain = bare_number(value)
    if not re.fullmatch(r"\+?[0-9A-Za-z*#]{1,40}", plain):
        raise ValueError(f"{shown(value)} is no number that can be dialled; write its digits as the PBX sends them")
    return plain


def _some(value: tuple[str, ...]) -> tuple[str, ...]:
    if not value:
        raise ValueError('is empty; write the numbers callers dial, as in ["4001"]')
    return value


def _agents(value: object) -> tuple[str, ...] | None:
    if value == "all":
        return None
    if not isinstance(value, list | tuple):
        raise ValueError('is no list; write "all", or the agents\' ids as ["7", "8"]')  # noqa: TRY004 - pydantic collects ValueErrors
    for one in value:
        if not isinstance(one, str) or not AGENT_ID.fullmatch(one):
            raise ValueError(f"{shown(one)} is no agent's id; write ids in quotes, of letters, digits and . _ @ -")
    if len(set(value)) != len(value):
        raise ValueError("names an agent twice; name each once")
    return tuple(value)


def _hours(value: object) -> tuple[OpenHours, ...]:
    """``Mon-Fri 08:30-18:00; Sat,Sun 09:00-12:00,14:00-16:00``; 22:00-06:00 runs into the next day."""
    if not isinstance(value, str):
        raise ValueError('is no text; write hours as "Mon-Fri 08:30-18:00; Sat 09:00-12:00"')  # noqa: TRY004 - pydantic collects ValueErrors
    opened: list[OpenHours] = []
    for part in value.split(";"):
        words = part.split()
        if len(words) != 2:
            raise ValueError(f'{shown(part.strip())} is no opening time; write "Mon-Fri 08:30-18:00; Sat 09:00-12:00"')
        days = _weekdays(words[0])
        opened += [OpenHours(weekdays=days, opens=opens, closes=closes) for opens, closes in _shifts(words[1])]
    return tuple(opened)


def _weekdays(text: str) -> tuple[int, ...]:
    days: set[int] = set()
    for part in text.lower().split(","):
        first, _, last = part.partition("-")
        last = last or first
        if first not in _DAYS or last not in _DAYS:
            raise ValueError(f"{shown(part)} is no weekday; write Mon Tue Wed Thu Fri Sat Sun, or Mon-Fri")
        begin, end = _DAYS.index(first), _DAYS.index(last)
        days.update(day % 7 for day in range(begin, end + 1 if end >= begin else end + 8))
    return tuple(sorted(days))


def _days(value: object) -> Days:
    """``2026-10-01``, ``10-01`` for each year, or from the one to the other as ``2026-10-01..2026-10-07``."""
    if isinstance(value, date) and not isinstance(value, datetime):  # TOML has dates of its own
        return Days(first=value, last=value, yearly=False)
    if isinstance(value, str):
        ends = [end.strip() for end in value.split("..")]
        forms = [re.fullmatch(r"([0-9]{4}-)?([0-9]{2})-([0-9]{2})", end) for end in ends]
        years = {form[1] is None for form in forms if form is not None}
        if len(ends) <= 2 and None not in forms and len(years) == 1:
            yearly = years.pop()
            try:  # of any year there might be a 29th of February
                first, last = (date.fromisoformat(f"2000-{end}" if yearly else end) for end in (ends[0], ends[-1]))
            except ValueError:
                raise ValueError(f"{shown(value)} names a day that no calendar has; write one that it has") from None
            if yearly or first <= last:
                return Days(first=first, last=last, yearly=yearly)
    raise ValueError(
        f"{shown(value)} is no day; write 2026-10-01, 12-25 for each year, or from the first to the last with .. between"
    )


def _special_hours(value: object) -> tuple[SpecialHours, ...]:
    """Days and their hours; those of one year before those of each year, so that the more special ones count."""
    if not isinstance(value, dict):
        raise ValueError('is no table; write { "2026-12-24" = "09:00-12:00" }')  # noqa: TRY004 - pydantic collects ValueErrors
    special: list[SpecialHours] = []
    for days, shifts in value.items():
        if not isinstance(shifts, str):
            raise ValueError(f"{shown(days)} has no hours; write 09:00-12:00, or make it a holiday")  # noqa: TRY004 - as above
        special.append(SpecialHours(days=_days(days), shifts=_shifts(shifts.replace(" ", ""))))
    return tuple(sorted(special, key=lambda one: one.days.yearly))


def _shifts(text: str) -> tuple[tuple[int, int], ...]:
    """From when to when, minutes after midnight; 22:00-06:00 runs into the next day."""
    spans = [_span(span) for span in text.split(",")]
    return tuple((opens, closes if opens < closes else closes + 24 * 60) for opens, closes in spans)


def _span(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"([0-9]{1,2}):([0-9]{2})-([0-9]{1,2}):([0-9]{2})", text)
    if found is not None:
        from_hour, from_minute, to_hour, to_minute = (int(group) for group in found.groups())
        opens, closes = from_hour * 60 + from_minute, to_hour * 60 + to_minute
        if from_minute < 60 and to_minute < 60 and opens < 24 * 60 and closes <= 24 * 60 and opens != closes:
            return opens, closes
    raise ValueError(f"{shown(text)} is no time from when to when; write 08:30-18:00")


def _overflow(value: str) -> str:
    # The dialplan keeps letters, digits, _ and - of a route's argument and drops the rest.
    if not re.fullmatch(
        r"hangup|line-.{1,64}|number-\+?[0-9]{1,32}|voicemail-[A-Za-z0-9_]{1,32}|announcement-[A-Za-z0-9_-]{1,64}",
        value,
    ):
        raise ValueError(
            f"{shown(value)} is no overflow; write hangup, line-NAME, number-DIGITS, voicemail-BOX or announcement-SOUND"
        )
    return value


def _sound(value: str) -> str:
    # As with overflow: the dialplan keeps no other characters.
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", value):
        raise ValueError(
            f"{shown(value)} is no sound file; write its name without folder and ending, as in offer-callback"
        )
    return value


def _fairness(value: str) -> str:
    if value not in ("least_talk", "talk_share"):
        raise ValueError(f"{shown(value)} is no rule; write least_talk or talk_share")
    return value


def _no_control(value: SecretStr) -> SecretStr:
    if not value.get_secret_value() or re.search(r"[\x00-\x1f\x7f]", value.get_secret_value()):
        raise ValueError("is empty or holds a line break or control character; write it as one line of text")
    return value


def _listed(value: object) -> object:
    """A list from the environment, where it is one text: ``Fault; Order``."""
    return tuple(part.strip() for part in value.split(";")) if isinstance(value, str) else value


def _words(value: tuple[str, ...]) -> tuple[str, ...]:
    if not value:
        raise ValueError('is empty; write some, as in ["Fault", "Order"]')
    if len({one.casefold() for one in value}) != len(value):
        raise ValueError("names one twice; write each once")
    return value


def _promise_hours(value: tuple[float, ...]) -> tuple[float, ...]:
    if len(value) != 5:
        raise ValueError("is not of five numbers; write the hours for severity 1 to 5, as in [72, 48, 24, 8, 4]")
    return value


Text = Annotated[str, StringConstraints(min_length=1, max_length=255, pattern=r"^[^\x00-\x1f\x7f]+$")]
Word = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
#: A class of musiconhold.conf, in the letters the dialplan takes.
Music = Annotated[str, StringConstraints(max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]
Secret = Annotated[SecretStr, AfterValidator(_no_control)]
Folder = Annotated[Path, AfterValidator(_absolute)]
ReadableFile = Annotated[Path, AfterValidator(_readable)]
Listen = Annotated[Address, PlainValidator(_address)]
BrokerUrl = Annotated[Broker, PlainValidator(_broker)]
SealingKeys = Annotated[SecretStr, AfterValidator(_sealing_keys)]
DatabaseUrl = Annotated[Secret, AfterValidator(_database_url)]
WebUrl = Annotated[Text, AfterValidator(_web_url)]
Timezone = Annotated[Text, AfterValidator(_timezone)]
LocalTime = Annotated[time, PlainValidator(_local_time)]
Country = Annotated[Text, AfterValidator(_country)]
Prefix = Annotated[str, StringConstraints(pattern=r"^[0-9*#]{1,4}$")]
Fairness = Annotated[str, AfterValidator(_fairness)]
#: What people choose from: one-line texts as the site says them, each once.
Words = Annotated[
    tuple[
        Annotated[
            str, StringConstraints(strip_whitespace=True, min_length=1, max_length=60, pattern=r"^[^\x00-\x1f\x7f]+$")
        ],
        ...,
    ],
    Field(max_length=50),
    BeforeValidator(_listed),
    AfterValidator(_words),
]
#: Hours by severity 1 to 5, at most a year.
PromiseHours = Annotated[
    tuple[Annotated[float, Field(ge=0.25, le=8784, allow_inf_nan=False)], ...],
    BeforeValidator(_listed),
    AfterValidator(_promise_hours),
]
Numbers = Annotated[tuple[Annotated[str, AfterValidator(_number)], ...], AfterValidator(_some)]
AgentIds = Annotated[tuple[str, ...] | None, PlainValidator(_agents)]
Hours = Annotated[tuple[OpenHours, ...], PlainValidator(_hours)]
DayRanges = tuple[Annotated[Days, PlainValidator(_days)], ...]
Special = Annotated[tuple[SpecialHours, ...], PlainValidator(_special_hours)]
Sound = Annotated[str, AfterValidator(_sound)]
OverflowWord = Annotated[str, AfterValidator(_overflow)]


def seconds(least: float, most: float) -> Any:
    return Field(ge=least, le=most, allow_inf_nan=False)


def announced() -> Any:
    """Seconds between announcements: 0 for none, else enough for one to be heard out."""
    return AfterValidator(_announced)


def _announced(value: float) -> float:
    if value != 0 and not 10 <= value <= 600:
        raise ValueError("is no time between announcements; write 10 to 600 seconds, or 0 for none")
    return value
