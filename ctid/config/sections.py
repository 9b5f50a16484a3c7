"""The sections of a configuration and their keys, with the defaults.

Law: a ``Settings`` is right in all its parts; the figures of the core come from here and nowhere else.
"""

from __future__ import annotations

from datetime import time
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr

from ctid.config.values import (
    Address,
    AgentIds,
    Broker,
    BrokerUrl,
    Country,
    DatabaseUrl,
    DayRanges,
    Fairness,
    Folder,
    Hours,
    Listen,
    LocalTime,
    Music,
    Numbers,
    OverflowWord,
    Prefix,
    PromiseHours,
    ReadableFile,
    SealingKeys,
    Secret,
    Sound,
    Special,
    Text,
    Timezone,
    WebUrl,
    Word,
    Words,
    announced,
    seconds,
)
from ctid.desk.promises import PROMISE_HOURS
from ctid.domain.types import Line, Policy, Rule
from ctid.tls import Tls

DEFAULT_STATE = "/var/lib/ctid"

RetentionDays = Annotated[int, Field(ge=1, le=36500)]


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Ami(Section):
    """The PBX's manager interface. ``pbx`` is the namespace of call ids; ``ctid web`` needs no secret.

    ``originate_username`` is the second user, who makes calls and nothing else, for lines that call back.
    """

    pbx: Word = "pbx"
    host: Text = "127.0.0.1"
    port: Annotated[int, Field(ge=1, le=65535)] = 5038
    username: Text = "ctid"
    secret: Secret | None = None
    originate_username: Text = "ctid-originate"
    originate_secret: Secret | None = None
    tls: bool = False
    ca_file: ReadableFile | None = None

    @property
    def secured(self) -> Tls | None:
        """How TLS is spoken to the PBX; ``None`` where it is not."""
        return Tls(section="ami", ca_file=self.ca_file) if self.tls else None


class Database(Section):
    """``journal_mib`` is what the journal in the state directory may take at most, while the database is away."""

    url: DatabaseUrl
    journal_mib: Annotated[int, Field(ge=1, le=65536)] = 64


class State(Section):
    directory: Folder = Path(DEFAULT_STATE)


class Mqtt(Section):
    """``node`` is this daemon's name at the broker, of its client id and of its status topic: each daemon has its own.

    ``prefix`` stands before every topic, where several PBXs share the broker: each has its own.
    """

    url: BrokerUrl = Broker(host="127.0.0.1", port=1883, tls=False)
    username: Text | None = None
    password: Secret | None = None
    ca_file: ReadableFile | None = None
    cert_file: ReadableFile | None = None
    key_file: ReadableFile | None = None
    node: Word | None = None
    prefix: Word | None = None

    def topic(self, name: str) -> str:
        """The broker's name of what is ``name`` to ctid: a topic, or a pattern of topics."""
        return name if self.prefix is None else f"{self.prefix}/{name}"

    def name(self, topic: str) -> str:
        """What the broker's ``topic`` is to ctid."""
        return topic if self.prefix is None else topic.removeprefix(f"{self.prefix}/")

    @property
    def secured(self) -> Tls | None:
        """How TLS is spoken to the broker; ``None`` where it is not."""
        if not self.url.tls:
            return None
        return Tls(section="mqtt", ca_file=self.ca_file, cert_file=self.cert_file, key_file=self.key_file)


class Web(Section):
    """``url`` is the address people open, without a slash at its end; links in pops begin with it.

    With ``cert_file`` ctid speaks TLS itself; ``key_file`` is ``None`` where the one file holds both.
    """

    listen: Listen = Address(host="127.0.0.1", port=8080)
    url: WebUrl = "http://127.0.0.1:8080"
    cert_file: Path | None = None
    key_file: Path | None = None


class Routing(Section):
    """``country`` and ``outside_prefix`` say how the site writes numbers; all durations in seconds."""

    ring_seconds: Annotated[float, seconds(3, 120)] = 20.0
    wrap_up_seconds: Annotated[float, seconds(0, 3600)] = 30.0
    timezone: Timezone = "UTC"
    country: Country | None = None
    outside_prefix: Prefix | None = None
    owner_wait_seconds: Annotated[float, seconds(0, 600)] = 0.0
    missed_in_a_row: Annotated[int, Field(ge=0, le=100)] = 3
    cool_down_seconds: Annotated[float, seconds(0, 3600)] = 30.0
    round_pause_seconds: Annotated[float, seconds(0, 120)] = 5.0
    fairness: Fairness = "least_talk"
    holidays: DayRanges = ()
    callback_after_seconds: Annotated[float, seconds(0, 3500)] = 10.0
    callback_retry_seconds: Annotated[float, seconds(1, 86400)] = 300.0
    callback_tries: Annotated[int, Field(ge=1, le=20)] = 3
    callback_expires_seconds: Annotated[float, seconds(60, 604800)] = 86400.0
    callback_most: Annotated[int, Field(ge=1, le=10000)] = 100
    callback_dial: Literal["national", "e164"] = "national"


class LineSection(Section):
    """One service number. ``agents`` is ``None`` for all; the dialplan itself gives up after an hour.

    The site's holidays hold for lines with hours; a line's own hold besides.
    """

    name: Word
    numbers: Numbers
    agents: AgentIds = None
    hours: Hours = ()
    holidays: DayRanges = ()
    special_hours: Special = ()
    overflow: OverflowWord = "hangup"
    closed: OverflowWord | None = None
    longest_wait_seconds: Annotated[float, seconds(1, 3500)] = 600.0
    music: Music | None = None
    announce_seconds: Annotated[float, announced()] = 0.0
    level_gate: bool = False
    priority: Annotated[int, Field(ge=-10, le=10)] = 0
    owner_from_outside: bool = True
    callback: bool = False
    callback_sound: Sound | None = None
    retention_days: RetentionDays | None = None
    consent: Sound | None = None
    consent_mode: Literal["announce", "ask"] = "announce"


class Desk(Section):
    """What agents choose from, in the site's own words, and how soon a new ticket is to be answered, by severity 1 to 5."""

    categories: Words = ("Fault", "Question", "Order", "Complaint", "Installation", "Other")
    dispositions: Words = ("Solved", "To be followed up", "Passed on", "Wrong number", "Nobody spoke", "Other")
    pause_reasons: Words = ("Break", "Lunch", "Meeting", "Training", "Desk work")
    promise_hours: PromiseHours = PROMISE_HOURS


class Recordings(Section):
    """``retention_days`` is ``None`` to keep recordings for ever; a line's and a customer's own go before it.

    ``encrypt`` seals them once they are measured, by the first of the keys in ``key``; all of these open them.
    ``retention_at`` is the local time at which those past their time are erased; ``pause_seconds`` is how long a pause lasts
    at most.
    """

    root: Folder = Path("/var/spool/asterisk/monitor")
    retention_days: RetentionDays | None = None
    retention_at: LocalTime = time(2, 30)
    encrypt: bool = False
    key: SealingKeys | None = None
    pause_seconds: Annotated[float, Field(ge=1, le=3600)] = 120.0

    @property
    def keys(self) -> list[str]:
        """The keys that open sealed recordings, in base64; the first seals."""
        return [] if self.key is None else self.key.get_secret_value().split()


class Cel(Section):
    """``file`` is where Asterisk's cel_custom writes; ``None`` when it does not.

    ``compare_at`` is the local time at which the day before is compared with it, and with CDR.
    """

    file: Folder | None = None
    compare_at: LocalTime = time(3, 30)


class Cdr(Section):
    """``file`` is where Asterisk's cdr_custom writes; ``None`` when it does not."""

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
    desk: Desk = Desk()
    recordings: Recordings = Recordings()
    cel: Cel = Cel()
    cdr: Cdr = Cdr()
    metrics: Metrics = Metrics()
    log: Log = Log()

    _warnings: tuple[str, ...] = PrivateAttr(default=())

    @property
    def warnings(self) -> tuple[str, ...]:
        """What works but should be mended, one line each."""
        return self._warnings

    def warned(self, warnings: tuple[str, ...]) -> Self:
        """These settings with the warnings that came up while they were read."""
        self._warnings = warnings
        return self

    @property
    def secrets(self) -> tuple[str, ...]:
        """The secrets in clear, for ``log.setup`` to keep out of the log."""
        inside = urlsplit(self.database.url.get_secret_value()).password
        kept = (self.ami.secret, self.ami.originate_secret, self.mqtt.password)
        clear = [secret.get_secret_value() for secret in kept if secret is not None]
        clear += self.recordings.keys
        return tuple(clear + ([inside] if inside else []))

    @property
    def journal(self) -> Path:
        """Where what waits for the database is kept on disk."""
        return self.state.directory / "journal"

    @property
    def calls_back(self) -> bool:
        """Whether any line does, so that the second AMI user is needed."""
        return any(line.callback for line in self.lines)

    @property
    def originates(self) -> bool:
        """Whether there is a second AMI user, by which ctid makes calls."""
        return self.ami.originate_secret is not None

    @property
    def line_retention(self) -> dict[str, int]:
        """The days that lines keep their recordings, of those that say so."""
        return {line.name: line.retention_days for line in self.lines if line.retention_days is not None}

    def policy(self) -> Policy:
        """The figures the core routes by."""
        routing = self.routing
        return Policy(
            ring_seconds=routing.ring_seconds,
            wrap_up_seconds=routing.wrap_up_seconds,
            timezone=routing.timezone,
            fairness=Rule(routing.fairness),
            owner_wait_seconds=routing.owner_wait_seconds,
            round_pause_seconds=routing.round_pause_seconds,
            cool_down_seconds=routing.cool_down_seconds,
            missed_in_a_row=routing.missed_in_a_row,
            callback_after_seconds=routing.callback_after_seconds,
            callback_retry_seconds=routing.callback_retry_seconds,
            callback_tries=routing.callback_tries,
            callback_expires_seconds=routing.callback_expires_seconds,
            callback_most=routing.callback_most,
            originates=self.originates,
            pause_seconds=self.recordings.pause_seconds,
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
                closed=line.closed,
                owner_from_outside=line.owner_from_outside,
                level_gate=line.level_gate,
                music=line.music,
                announce_seconds=line.announce_seconds,
                priority=line.priority,
                callback=line.callback,
                callback_sound=line.callback_sound,
                consent=line.consent,
                consent_asked=line.consent_mode == "ask",
                hours=line.hours,
                holidays=(self.routing.holidays if line.hours else ()) + line.holidays,
                special_hours=line.special_hours,
            )
            for line in self.lines
        )


SECTIONS: dict[str, type[BaseModel]] = {
    name: found
    for name, info in Settings.model_fields.items()
    if (found := info.annotation) and isinstance(found, type)
} | {"lines": LineSection}

#: The keys that may be given as ``KEY_file``, a file with the secret as its only line.
SECRETS = (
    ("ami", "secret"),
    ("ami", "originate_secret"),
    ("mqtt", "password"),
    ("database", "url"),
    ("recordings", "key"),
)
