"""What a site sets: TOML file, ``CTID_SECTION__KEY`` environment, secrets from files; checked whole before anything starts.

Law: the environment beats the file, and every fault is reported at once, each as one line ``section.key: what is wrong; what
to do``. No secret is ever part of a repr, a fault or a warning. Past ``load`` each value has its type and is in range.

pydantic alone does the checking: pydantic-settings would read the process's environment by itself, stop at the first value
it cannot decode, and not tell which key came from where.
"""

from __future__ import annotations

import difflib
import json
import os
import re
import tomllib
import zoneinfo
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import phonenumbers
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PlainValidator,
    PrivateAttr,
    SecretStr,
    StringConstraints,
    ValidationError,
)

from ctid.domain.types import Line, OpenHours, Policy

DEFAULT_PATH = Path("/etc/ctid/ctid.toml")
DEFAULT_STATE = "/var/lib/ctid"

#: What may stand in an MQTT topic, a log line and a URL without escaping. ``+``, ``#`` and ``/`` would be MQTT's own.
AGENT_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")

_PREFIX = "CTID_"
_SECRETS = (("ami", "secret"), ("mqtt", "password"), ("database", "url"))
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DRIVERS = {
    "sqlite": "sqlite+aiosqlite",
    "sqlite+aiosqlite": "sqlite+aiosqlite",
    "postgres": "postgresql+asyncpg",
    "postgresql": "postgresql+asyncpg",
    "postgresql+asyncpg": "postgresql+asyncpg",
}


class ConfigurationFaults(Exception):
    """Everything that is wrong with a configuration; ``faults`` holds one line each."""

    def __init__(self, faults: tuple[str, ...]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where to listen, or whom to call: a host name or IP address and a port; port 0 listens on any free one."""

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


# -- the values, each refused with what to do --------------------------------------------------------------------------


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
    """The same URL with the driver that ctid uses; the URL itself is never part of the message: it may hold a password."""
    scheme, mark, rest = value.get_secret_value().partition("://")
    if not mark or scheme not in _DRIVERS:
        raise ValueError(
            "is no database ctid knows; write sqlite:////PATH/FILE or postgresql://USER@HOST/NAME"
        )
    driver = _DRIVERS[scheme]
    if driver.startswith("postgresql"):
        try:
            parts = urlsplit(f"{scheme}://{rest}")
            usable = (parts.hostname or "host=" in parts.query) and parts.port != 0 and len(parts.path) > 1
        except ValueError:
            usable = False
        if not usable:
            raise ValueError(
                "lacks a host, a right port or a database's name; write postgresql://USER@HOST:5432/NAME"
            )
    return SecretStr(f"{driver}://{rest}")


def _web_url(value: str) -> str:
    try:
        url = urlsplit(value)
        usable = (
            url.scheme in ("http", "https")
            and url.hostname
            and url.port != 0
            and not url.query
            and not url.fragment
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
        guess = _near(value, zoneinfo.available_timezones())
        raise ValueError(
            f"{_shown(value)} is no time zone; write {guess or 'one'}, as in Europe/Berlin"
        ) from None
    return value


def _country(value: str) -> str:
    if value.upper() not in phonenumbers.SUPPORTED_REGIONS:
        raise ValueError(
            f"{_shown(value)} is no country; write the two letters of ISO 3166, such as CN or DE"
        )
    return value.upper()


def _readable(value: Path) -> Path:
    try:
        with value.open("rb"):
            return value
    except OSError as error:
        raise ValueError(
            f"cannot be read ({error.strerror}); name a file that ctid's user may read"
        ) from None


def _absolute(value: Path) -> Path:
    if not value.is_absolute():
        raise ValueError("is a relative path; write it from the root, beginning with /")
    return value


def _number(value: str) -> str:
    plain = re.sub(r"[ ()./-]", "", value)
    if not re.fullmatch(r"\+?[0-9A-Za-z*#]{1,40}", plain):
        raise ValueError(
            f"{_shown(value)} is no number that can be dialled; write its digits as the PBX sends them"
        )
    return plain


def _some(value: tuple[str, ...]) -> tuple[str, ...]:
    if not value:
        raise ValueError('is empty; write the numbers callers dial, as in ["4001"]')
    return value


def _agents(value: object) -> tuple[str, ...] | None:
    if value == "all":
        return None
    if not isinstance(value, list | tuple):
        raise ValueError('is no list; write "all", or the agents\' ids as ["7", "8"]')
    for one in value:
        if not isinstance(one, str) or not AGENT_ID.fullmatch(one):
            raise ValueError(
                f"{_shown(one)} is no agent's id; write ids in quotes, of letters, digits and . _ @ -"
            )
    if len(set(value)) != len(value):
        raise ValueError("names an agent twice; name each once")
    return tuple(value)


def _hours(value: object) -> tuple[OpenHours, ...]:
    """``Mon-Fri 08:30-18:00; Sat,Sun 09:00-12:00,14:00-16:00``; a time that ends before it begins runs into the next day."""
    if not isinstance(value, str):
        raise ValueError('is no text; write hours as "Mon-Fri 08:30-18:00; Sat 09:00-12:00"')
    opened: list[OpenHours] = []
    for part in value.split(";"):
        words = part.split()
        if len(words) != 2:
            raise ValueError(
                f'{_shown(part.strip())} is no opening time; write "Mon-Fri 08:30-18:00; Sat 09:00-12:00"'
            )
        days = _weekdays(words[0])
        for span in words[1].split(","):
            opens, closes = _span(span)
            if opens < closes:
                opened.append(OpenHours(weekdays=days, opens=opens, closes=closes))
            else:
                following = tuple(sorted((day + 1) % 7 for day in days))
                opened.append(OpenHours(weekdays=days, opens=opens, closes=24 * 60))
                if closes:
                    opened.append(OpenHours(weekdays=following, opens=0, closes=closes))
    return tuple(opened)


def _weekdays(text: str) -> tuple[int, ...]:
    days: set[int] = set()
    for part in text.lower().split(","):
        first, _, last = part.partition("-")
        last = last or first
        if first not in _DAYS or last not in _DAYS:
            raise ValueError(f"{_shown(part)} is no weekday; write Mon Tue Wed Thu Fri Sat Sun, or Mon-Fri")
        begin, end = _DAYS.index(first), _DAYS.index(last)
        days.update(day % 7 for day in range(begin, end + 1 if end >= begin else end + 8))
    return tuple(sorted(days))


def _span(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"([0-9]{1,2}):([0-9]{2})-([0-9]{1,2}):([0-9]{2})", text)
    if found is not None:
        from_hour, from_minute, to_hour, to_minute = (int(group) for group in found.groups())
        opens, closes = from_hour * 60 + from_minute, to_hour * 60 + to_minute
        if from_minute < 60 and to_minute < 60 and opens < 24 * 60 and closes <= 24 * 60 and opens != closes:
            return opens, closes
    raise ValueError(f"{_shown(text)} is no time from when to when; write 08:30-18:00")


def _overflow(value: str) -> str:
    # The dialplan keeps letters, digits, _ and - of a route's argument and drops the rest.
    if not re.fullmatch(
        r"hangup|number-[0-9]{1,32}|voicemail-[A-Za-z0-9_]{1,32}|announcement-[A-Za-z0-9_-]{1,64}", value
    ):
        raise ValueError(
            f"{_shown(value)} is no overflow; write hangup, number-DIGITS, voicemail-BOX or announcement-SOUND"
        )
    return value


def _fairness(value: str) -> str:
    if value != "least_talk":
        raise ValueError(f"{_shown(value)} is no rule of this version; write least_talk")
    return value


def _no_control(value: SecretStr) -> SecretStr:
    if not value.get_secret_value() or re.search(r"[\x00-\x1f\x7f]", value.get_secret_value()):
        raise ValueError("is empty or holds a line break or control character; write it as one line of text")
    return value


Text = Annotated[str, StringConstraints(min_length=1, max_length=255, pattern=r"^[^\x00-\x1f\x7f]+$")]
Word = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
Secret = Annotated[SecretStr, AfterValidator(_no_control)]
Folder = Annotated[Path, AfterValidator(_absolute)]
ReadableFile = Annotated[Path, AfterValidator(_readable)]
Listen = Annotated[Address, PlainValidator(_address)]


def _seconds(least: float, most: float) -> Any:
    return Field(ge=least, le=most, allow_inf_nan=False)


# -- the sections ------------------------------------------------------------------------------------------------------


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Ami(Section):
    """The PBX's manager interface. ``pbx`` names the PBX in call ids' namespace; ``secret`` is needed by ``ctid run`` only."""

    pbx: Word = "pbx"
    host: Text = "127.0.0.1"
    port: Annotated[int, Field(ge=1, le=65535)] = 5038
    username: Text = "ctid"
    secret: Secret | None = None
    tls: bool = False
    ca_file: ReadableFile | None = None


class Database(Section):
    """``url`` always names the asynchronous driver."""

    url: Annotated[Secret, AfterValidator(_database_url)]


class State(Section):
    directory: Folder = Path(DEFAULT_STATE)


class Mqtt(Section):
    url: Annotated[Broker, PlainValidator(_broker)] = Broker(host="127.0.0.1", port=1883, tls=False)
    username: Text | None = None
    password: Secret | None = None
    ca_file: ReadableFile | None = None


class Web(Section):
    """``url`` is the address people open, without a slash at its end; links in pops begin with it."""

    listen: Listen = Address(host="127.0.0.1", port=8080)
    url: Annotated[Text, AfterValidator(_web_url)] = "http://127.0.0.1:8080"


class Routing(Section):
    """``country`` and ``outside_prefix`` say how the site writes numbers; all durations in seconds."""

    ring_seconds: Annotated[float, _seconds(3, 120)] = 20.0
    wrap_up_seconds: Annotated[float, _seconds(0, 3600)] = 30.0
    timezone: Annotated[Text, AfterValidator(_timezone)] = "UTC"
    country: Annotated[Text, AfterValidator(_country)] | None = None
    outside_prefix: Annotated[str, StringConstraints(pattern=r"^[0-9*#]{1,4}$")] | None = None
    owner_wait_seconds: Annotated[float, _seconds(0, 600)] = 0.0
    missed_in_a_row: Annotated[int, Field(ge=0, le=100)] = 3
    cool_down_seconds: Annotated[float, _seconds(0, 3600)] = 30.0
    round_pause_seconds: Annotated[float, _seconds(0, 120)] = 5.0
    fairness: Annotated[str, AfterValidator(_fairness)] = "least_talk"


class LineSection(Section):
    """One service number. ``agents`` is ``None`` for all; the dialplan itself gives up on a caller after an hour."""

    name: Word
    numbers: Annotated[tuple[Annotated[str, AfterValidator(_number)], ...], AfterValidator(_some)]
    agents: Annotated[tuple[str, ...] | None, PlainValidator(_agents)] = None
    hours: Annotated[tuple[OpenHours, ...], PlainValidator(_hours)] = ()
    overflow: Annotated[str, AfterValidator(_overflow)] = "hangup"
    longest_wait_seconds: Annotated[float, _seconds(1, 3500)] = 600.0
    music: Word = "default"
    level_gate: bool = False
    owner_from_outside: bool = True


class Recordings(Section):
    """``retention_days`` is ``None`` to keep recordings for ever."""

    root: Folder = Path("/var/spool/asterisk/monitor")
    retention_days: Annotated[int, Field(ge=1, le=36500)] | None = None


class Cel(Section):
    """``file`` is where Asterisk's cel_custom writes; ``None`` when it does not."""

    file: Folder | None = None


class Metrics(Section):
    listen: Listen = Address(host="127.0.0.1", port=9108)


class Log(Section):
    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["console", "json"] = "console"


class Settings(Section):
    """A whole configuration, right in all its parts."""

    ami: Ami = Ami()
    database: Database
    state: State = State()
    mqtt: Mqtt = Mqtt()
    web: Web = Web()
    routing: Routing = Routing()
    lines: tuple[LineSection, ...] = ()
    recordings: Recordings = Recordings()
    cel: Cel = Cel()
    metrics: Metrics = Metrics()
    log: Log = Log()

    _warnings: tuple[str, ...] = PrivateAttr(default=())

    @property
    def warnings(self) -> tuple[str, ...]:
        """What works but should be mended, one line each."""
        return self._warnings

    @property
    def secrets(self) -> tuple[str, ...]:
        """The secrets in clear, for ``log.setup`` to keep out of the log."""
        inside = urlsplit(self.database.url.get_secret_value()).password
        clear = [
            secret.get_secret_value()
            for secret in (self.ami.secret, self.mqtt.password)
            if secret is not None
        ]
        return tuple(clear + ([inside] if inside else []))

    def policy(self) -> Policy:
        """The figures the core routes by."""
        routing = self.routing
        return Policy(
            ring_seconds=routing.ring_seconds,
            wrap_up_seconds=routing.wrap_up_seconds,
            timezone=routing.timezone,
            owner_wait_seconds=routing.owner_wait_seconds,
            round_pause_seconds=routing.round_pause_seconds,
            cool_down_seconds=routing.cool_down_seconds,
            missed_in_a_row=routing.missed_in_a_row,
        )

    def domain_lines(self) -> tuple[Line, ...]:
        """The lines as the core knows them."""
        return tuple(
            Line(
                name=line.name,
                numbers=line.numbers,
                agents=line.agents,
                longest_wait_seconds=line.longest_wait_seconds,
                overflow=line.overflow,
                owner_from_outside=line.owner_from_outside,
                level_gate=line.level_gate,
                hours=line.hours,
            )
            for line in self.lines
        )


_SECTIONS: dict[str, type[BaseModel]] = {
    name: found
    for name, info in Settings.model_fields.items()
    if (found := info.annotation) and isinstance(found, type)
} | {"lines": LineSection}


# -- reading -----------------------------------------------------------------------------------------------------------


def load(path: Path = DEFAULT_PATH, env: Mapping[str, str] = os.environ, *, pbx: bool = False) -> Settings:
    """The settings of the file at ``path`` with ``env`` on top, or ``ConfigurationFaults`` with every fault at once.

    ``pbx`` also asks for what only the routing daemon needs: the AMI secret.
    """
    faults: list[str] = []
    data = _from_file(path)
    warnings = _exposed(path, data)
    given = _from_env(env, faults)
    for section, values in given.items():
        if section == "lines":
            data["lines"] = values
        elif isinstance(known := data.setdefault(section, {}), dict):
            for key, value in values.items():
                known.pop(f"{key}_file", None)
                known.pop(key.removesuffix("_file"), None)
                known[key] = value
    _read_secrets(data, faults, warnings)
    _default_database(data)
    faults += _duplicates(data)
    ami = data.get("ami", {})
    if (
        pbx
        and isinstance(ami, dict)
        and "secret" not in ami
        and not any(f.startswith("ami.secret") for f in faults)
    ):
        faults.append(
            "ami.secret: is missing; write the secret of ctid's user in manager.conf, or name a secret_file"
        )
    try:
        settings = Settings.model_validate(data)
    except ValidationError as error:
        raise ConfigurationFaults(
            tuple(_fault(one, given) for one in error.errors()) + tuple(faults)
        ) from None
    if faults:
        raise ConfigurationFaults(tuple(faults))
    if settings.routing.country is None:
        warnings.append(
            "routing.country: is not set; name it, or numbers written without + or 00 match only as written"
        )
    if not settings.lines:
        warnings.append("lines: there is none; add [[lines]] with a name and numbers, or no call is routed")
    settings._warnings = tuple(warnings)
    return settings


def _from_file(path: Path) -> dict[str, Any]:
    try:
        text = path.read_bytes().decode("utf-8")
        return tomllib.loads(text.removeprefix("\ufeff"))
    except OSError as error:
        fault = f"cannot be read ({error.strerror}); put the configuration there or name it with --config"
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        fault = f"is not UTF-8 (line {line}); save it as UTF-8"
    except tomllib.TOMLDecodeError as error:
        fault = f"is not TOML: {_plain(str(error))}; mend that line"
    raise ConfigurationFaults((f"{_plain(str(path))}: {fault}",))


def _exposed(path: Path, data: Mapping[str, Any]) -> list[str]:
    """A warning when everyone on the machine can read secrets in the file."""
    holds = any(
        isinstance(found := data.get(section), dict) and key in found for section, key in _SECRETS[:2]
    ) or (
        isinstance(base := data.get("database"), dict)
        and re.search(r"://[^/@]*:[^/@]+@", str(base.get("url")))
    )
    if holds and path.stat().st_mode & 0o004:
        return [f"{_plain(str(path))}: everyone may read the secrets in it; chmod 640 it, its group ctid's"]
    return []


def _from_env(env: Mapping[str, str], faults: list[str]) -> dict[str, Any]:
    """``CTID_SECTION__KEY`` as section → key → text, ``CTID_LINES`` as a JSON array; an empty variable is an absent one."""
    data: dict[str, Any] = {}
    for name, value in sorted(env.items()):
        if not name.startswith(_PREFIX) or not value:
            continue
        section, mark, key = name.removeprefix(_PREFIX).lower().partition("__")
        if section == "lines":
            try:
                data["lines"] = json.loads(value) if not mark else None
            except ValueError:
                data["lines"] = None
            if not isinstance(data["lines"], list):
                del data["lines"]
                faults.append(
                    f'{name}: is no JSON array; write CTID_LINES=[{{"name": "sales", "numbers": ["4001"]}}]'
                )
        elif mark and section in _SECTIONS:
            data.setdefault(section, {})[key] = value
        elif mark:
            guess = _near(section, _SECTIONS)
            hint = f"did you mean {_variable(guess, key)}" if guess else "unset it"
            faults.append(f"{_plain(name)}: [{_plain(section)}] is no section; {hint}")
        else:
            for known in _SECTIONS:
                if section.removeprefix(f"{known}_") in _keys(known):
                    right = _variable(known, section.removeprefix(f"{known}_"))
                    faults.append(f"{name}: lacks an underscore; write {right}")
    return data


def _read_secrets(data: Mapping[str, Any], faults: list[str], warnings: list[str]) -> None:
    """Put the content of each ``…_file`` in its key's place."""
    for section, key in _SECRETS:
        values = data.get(section)
        if not isinstance(values, dict) or f"{key}_file" not in values:
            continue
        name, file = f"{section}.{key}_file", values.pop(f"{key}_file")
        if key in values:
            faults.append(f"{name}: stands beside {section}.{key}; keep one of the two")
            continue
        try:
            path = Path(file)
            values[key] = path.read_text(encoding="utf-8").rstrip("\r\n")
            if path.stat().st_mode & 0o004:
                warnings.append(f"{name}: everyone may read that file; chmod 640 it, its group ctid's")
            if not values[key]:
                faults.append(f"{name}: is an empty file; write the secret into it")
                del values[key]
        except OSError as error:
            faults.append(f"{name}: cannot be read ({error.strerror}); name a file that ctid's user may read")
        except (TypeError, ValueError):
            faults.append(f"{name}: is no file of text; name a file with the secret as its only line")


def _default_database(data: dict[str, Any]) -> None:
    state, database = data.get("state", {}), data.setdefault("database", {})
    if isinstance(state, dict) and isinstance(database, dict) and "url" not in database:
        database["url"] = f"sqlite:///{state.get('directory', DEFAULT_STATE)}/ctid.sqlite3"


def _duplicates(data: Mapping[str, Any]) -> list[str]:
    """Line names and numbers that stand twice, found before the rest is checked so that all faults show together."""
    faults: list[str] = []
    names: dict[str, int] = {}
    numbers: dict[str, int] = {}
    lines = data.get("lines")
    for position, line in enumerate(lines if isinstance(lines, list) else [], 1):
        if not isinstance(line, dict):
            continue
        name, own = line.get("name"), line.get("numbers")
        if isinstance(name, str) and names.setdefault(name, position) != position:
            faults.append(
                f"lines[{position}].name: {_shown(name)} is line {names[name]}'s too; give each its own name"
            )
        for number in own if isinstance(own, list) else []:
            plain = re.sub(r"[ ()./-]", "", number) if isinstance(number, str) else ""
            if plain and plain in numbers:
                faults.append(
                    f"lines[{position}].numbers: {_shown(number)} is line {numbers[plain]}'s too; keep it once"
                )
            numbers.setdefault(plain, position)
    return faults


# -- saying what is wrong ----------------------------------------------------------------------------------------------

_WRITE = {
    "int": "write a whole number",
    "float": "write a number",
    "finite": "write a number",
    "bool": "write true or false",
    "string": "write it in quotes",
    "tuple": "write a list in brackets",
    "model": "write it as a section in brackets",
    "path": "write a path in quotes",
}


def _fault(error: Mapping[str, Any], given: Mapping[str, Any]) -> str:
    loc: tuple[int | str, ...] = error["loc"]
    kind: str = error["type"]
    context: Mapping[str, Any] = error.get("ctx", {})
    if kind == "value_error":
        text = str(context["error"])
    elif kind == "extra_forbidden":
        text = _unknown(loc)
    elif kind == "missing":
        text = "is missing; add it"
    elif kind == "literal_error":
        text = f"is none of the words known here; write {context['expected']}"
    elif kind.startswith(("greater_than", "less_than")):
        least, most = context.get("ge"), context.get("le")
        text = (
            f"is too small; write at least {least}"
            if least is not None
            else f"is too big; write at most {most}"
        )
    elif kind == "string_too_short":
        text = "is empty; write it or leave the key out"
    elif kind == "string_too_long":
        text = f"is too long; write at most {context['max_length']} characters"
    elif kind == "string_pattern_mismatch":
        text = "holds characters that are not allowed there; write letters and digits"
    else:
        text = f"is of the wrong kind; {_WRITE.get(kind.split('_')[0], 'see the example configuration')}"
    return f"{_place(loc, given)}: {text}"


def _place(loc: tuple[int | str, ...], given: Mapping[str, Any]) -> str:
    """``section.key``, lines and list items counted from 1, with the variable's name where the value came from there."""
    text = ""
    for part in loc:
        text += f"[{part + 1}]" if isinstance(part, int) else f".{_plain(part)}" if text else _plain(part)
    if len(loc) > 1 and isinstance(given.get(str(loc[0])), dict) and loc[1] in given[str(loc[0])]:
        text += f" ({_variable(str(loc[0]), str(loc[1]))})"
    return text


def _variable(section: str, key: str) -> str:
    return f"{_PREFIX}{_plain(section)}__{_plain(key)}".upper()


def _unknown(loc: tuple[int | str, ...]) -> str:
    if len(loc) == 1:
        known: tuple[str, ...] = tuple(_SECTIONS)
        what = "is no section of the configuration"
    else:
        known = _keys(str(loc[0]))
        what = f"is no key of [{loc[0]}]"
    guess = _near(str(loc[-1]), known)
    return f"{what}; did you mean {guess}" if guess else f"{what}; known are {', '.join(known)}"


def _keys(section: str) -> tuple[str, ...]:
    extra = tuple(f"{key}_file" for owner, key in _SECRETS if owner == section)
    return tuple(_SECTIONS[section].model_fields) + extra


def _near(word: str, known: Iterable[str]) -> str | None:
    by_folded = {name.lower(): name for name in known}
    found = difflib.get_close_matches(word.lower(), by_folded, 1, 0.7)
    return by_folded[found[0]] if found else None


def _plain(text: str) -> str:
    """The text on one line, nothing in it that a terminal obeys."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)[:200]


def _shown(value: object) -> str:
    return repr(value if len(str(value)) <= 40 else str(value)[:40] + "…")
