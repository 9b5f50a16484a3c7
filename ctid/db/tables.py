"""Every table ctid keeps, and the one type its times are stored in.

Law: the *desk* (customers, contacts, agents, tickets, users) is held together by foreign keys. The *books* (calls, legs,
talks, decisions, recordings, agent states) name the desk's rows by plain ids: what happened on the telephone is saved
whatever became of a person or ticket meanwhile, and may be saved before or after the link to its ticket.
A change here needs a migration in ``sql/versions``; a test compares the two on both databases.
"""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import (
    JSON,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    UniqueConstraint,
    false,
    text,
    true,
)
from sqlalchemy.engine.default import DefaultExecutionContext
from sqlalchemy.types import TypeDecorator

from ctid.desk import likeness


class UTCDateTime(TypeDecorator[datetime]):
    """An instant: takes any aware datetime, gives it back in UTC. SQLite has no time zones and gets naive UTC."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"a time without a time zone cannot be stored: {value}")
        utc = value.astimezone(UTC)
        return utc.replace(tzinfo=None) if dialect.name == "sqlite" else utc

    def process_result_value(self, value: datetime | None, _dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Text(TypeDecorator[str]):
    """Text from outside: what no database stores (NUL, half a surrogate pair) becomes U+FFFD instead of a failed save."""

    impl = String
    cache_ok = True

    def process_bind_param(self, value: str | None, _dialect: Dialect) -> str | None:
        if value is None or (value.isprintable() and value.isascii()):
            return value
        return value.replace("\0", "\ufffd").encode("utf-16", "surrogatepass").decode("utf-16", "replace")


#: What rows are found and ordered by: compared letter by letter, whatever language the database was set up in.
KEY = String().with_variant(String(collation="C"), "postgresql")


def _firm_key(context: DefaultExecutionContext) -> str:
    return likeness.firm_key(_given(context)["name"])


def _person_key(context: DefaultExecutionContext) -> str:
    return likeness.person_key(_given(context)["name"])


def _given(context: DefaultExecutionContext) -> dict[str, str]:
    """What the row being inserted says."""
    values: dict[str, str] = context.get_current_parameters()  # type: ignore[no-untyped-call]
    return values


metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# -- the desk ----------------------------------------------------------------------------------------------------------

customers = Table(
    "customers",
    metadata,
    Column("id", String, primary_key=True),
    Column("name", Text, nullable=False),
    Column("level", Integer, nullable=False, server_default="1"),
    Column("notes", Text),
    Column("address", Text),
    Column("kind", String, nullable=False, server_default="customer"),
    Column("created_at", UTCDateTime),
    Column("merged_into", String, index=True),  # the file that took this one up; old links lead there
    Column("version", Integer, nullable=False, server_default="1"),
    Column("name_key", KEY, nullable=False, server_default="", default=_firm_key),  # ``likeness.firm_key`` of the name
    Column("retention_days", Integer),  # of the recordings of its calls; NULL: the line's, else the site's
    Column("hold_reason", Text),  # under legal hold: nothing of it is erased; NULL: it is not
    Column("held_by", Text),
    Column("held_since", UTCDateTime),
    CheckConstraint("level BETWEEN 1 AND 5", name="level"),
    CheckConstraint("kind IN ('customer', 'lead')", name="kind"),
    Index(None, "kind", "level", "name_key"),  # a list by level and name
    Index(None, "name_key"),
)

# The pairs of letters of each customer's key, by which names like it are found.
customer_pairs = Table(
    "customer_pairs",
    metadata,
    Column("pair", KEY, primary_key=True),
    Column("customer_id", ForeignKey("customers.id", ondelete="CASCADE"), primary_key=True, index=True),
)

contacts = Table(
    "contacts",
    metadata,
    Column("id", String, primary_key=True),
    Column("customer_id", ForeignKey("customers.id", ondelete="SET NULL"), index=True),
    Column("name", Text, nullable=False),
    Column("department", Text),
    Column("title", Text),
    Column("level", Integer),  # NULL: the customer's
    Column("notes", Text),
    Column("email", Text),
    Column("created_at", UTCDateTime),
    Column("merged_into", String, index=True),
    Column("version", Integer, nullable=False, server_default="1"),
    Column("name_key", KEY, nullable=False, server_default="", default=_person_key),
    CheckConstraint("level BETWEEN 1 AND 5", name="level"),
    Index(None, "name_key", "customer_id"),
)

# Two files that look like one and are two: nobody is asked again.
files_apart = Table(
    "files_apart",
    metadata,
    Column("kind", String, primary_key=True),
    Column("one", String, primary_key=True),  # the smaller id
    Column("other", String, primary_key=True),
    Column("at", UTCDateTime, nullable=False),
    Column("user_name", Text),
    CheckConstraint("kind IN ('customer', 'contact')", name="kind"),
)

# A person's posts over time. The present one has no ``until`` and is what the contact's own row says; it is written there too,
# because who calls must be known by one look.
posts = Table(
    "posts",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("contact_id", ForeignKey("contacts.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("customer_id", ForeignKey("customers.id", ondelete="SET NULL"), index=True),
    Column("department", Text),
    Column("title", Text),
    Column("since", UTCDateTime),
    Column("until", UTCDateTime),
    Column("notes", Text),
)

contact_numbers = Table(
    "contact_numbers",
    metadata,
    Column("contact_id", ForeignKey("contacts.id", ondelete="CASCADE"), primary_key=True),
    Column("number", String, primary_key=True, index=True),  # as ``numbers.normalise`` gives it
    Column("given", Text, nullable=False),  # as the site wrote it
    Column("position", Integer, nullable=False),
)

agents = Table(
    "agents",
    metadata,
    Column("id", String, primary_key=True),
    Column("name", Text, nullable=False),
    Column("phone", Text),  # the endpoint; NULL for hot desk
    Column("code", String, unique=True),  # keyed in at a phone in place of the id
    Column("level", Integer, nullable=False, server_default="1"),
    Column("pin_hash", String),
    Column("email", Text),
    Column("enabled", Boolean, nullable=False, server_default=true()),
    CheckConstraint("level BETWEEN 1 AND 3", name="level"),
)

lines = Table(
    "lines",
    metadata,
    Column("pbx", String, primary_key=True),
    Column("name", String, primary_key=True),
    Column("numbers", JSON, nullable=False),
    Column("configured", Boolean, nullable=False, server_default=true()),  # false: gone from the configuration
)

# The lines an agent serves are names: agents may be imported before the daemon has read its lines for the first time.
agent_lines = Table(
    "agent_lines",
    metadata,
    Column("agent_id", ForeignKey("agents.id", ondelete="CASCADE"), primary_key=True),
    Column("line", String, primary_key=True),
)

tickets = Table(
    "tickets",
    metadata,
    Column("id", String, primary_key=True),
    Column("customer_id", ForeignKey("customers.id", ondelete="SET NULL")),
    Column("contact_id", ForeignKey("contacts.id", ondelete="SET NULL")),
    Column("owner", ForeignKey("agents.id", ondelete="SET NULL")),
    Column("subject", Text, nullable=False),
    Column("category", Text),
    Column("severity", Integer, nullable=False, server_default="3"),
    Column("status", String, nullable=False, server_default="open"),
    Column("created_at", UTCDateTime, nullable=False),
    Column("promised_at", UTCDateTime),
    Column("resolved_at", UTCDateTime),
    Column("opened_by", ForeignKey("agents.id", ondelete="SET NULL")),  # NULL: imported
    Column("resolved_by", ForeignKey("agents.id", ondelete="SET NULL")),
    Column("pbx", String),  # with call_id: the call that opened it
    Column("call_id", String),
    Column("department", Text),  # the person's when it was raised
    Column("asked", Text),
    Column("next_step", Text),
    Column("with_agent", ForeignKey("agents.id", ondelete="SET NULL")),  # whose turn it is; NULL: the owner's
    Column("followed_up_at", UTCDateTime),
    Column("followed_up_by", ForeignKey("agents.id", ondelete="SET NULL")),
    Column("confirmed_at", UTCDateTime),
    Column("confirmed_by", Text),  # who at the customer's said that it is solved
    Column("satisfaction", Integer),
    Column("closed_at", UTCDateTime),
    Column("changed_at", UTCDateTime),
    Column(
        "level", Integer, nullable=False, server_default="1"
    ),  # the contact's or customer's; kept by ``search.index``
    Column("version", Integer, nullable=False, server_default="1"),  # a form written on an older one is refused
    CheckConstraint("severity BETWEEN 1 AND 5", name="severity"),
    CheckConstraint("satisfaction BETWEEN 1 AND 5", name="satisfaction"),
    CheckConstraint("status IN ('open', 'pending', 'resolved', 'closed')", name="status"),
    Index(None, "contact_id", "created_at"),  # a caller's newest ticket
    Index(None, "customer_id", "created_at"),
    Index(None, "owner", "status"),  # an agent's own desk
    Index(None, "with_agent", "status"),
    Index(None, "created_at"),
    Index(None, "resolved_at"),
)
#: The tickets that are worked on. An index holds these alone, and a query takes it only where it says the very same words.
OPEN_TICKETS = text("tickets.status IN ('open', 'pending')")
_WEIGHT = (tickets.c.severity.desc(), tickets.c.level.desc(), tickets.c.created_at, tickets.c.id)
_STATUS_OPEN = text("status IN ('open', 'pending')")
Index("ix_tickets_weight", *_WEIGHT)
for _name, _columns in (
    ("weight", _WEIGHT),
    ("age", (tickets.c.created_at,)),
    ("promise", (tickets.c.promised_at,)),
    ("customer", (tickets.c.customer_id, tickets.c.severity)),
    ("category", (tickets.c.category, tickets.c.severity)),
):
    Index(f"ix_tickets_open_{_name}", *_columns, sqlite_where=_STATUS_OPEN, postgresql_where=_STATUS_OPEN)


# What a ticket, contact or customer is found by: the grams of its texts. The index over them is written by hand in the
# migrations, in each database's own words.
def _words(of: Table) -> Table:
    return Table(
        f"{of.name[:-1]}_words",
        metadata,
        Column("id", Integer, primary_key=True),
        Column("of", ForeignKey(of.c.id, ondelete="CASCADE"), nullable=False, unique=True),
        Column("grams", String, nullable=False),
    )


ticket_words, contact_words, customer_words = _words(tickets), _words(contacts), _words(customers)


def made_by_hand(name: str | None) -> bool:
    """Whether a table or index of this name is one that only a migration knows: search's, in a database's own words."""
    return name is not None and "_words_fts" in name


ticket_attempts = Table(
    "ticket_attempts",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("ticket_id", ForeignKey("tickets.id", ondelete="CASCADE"), nullable=False),
    Column("agent", ForeignKey("agents.id", ondelete="SET NULL")),
    Column("at", UTCDateTime, nullable=False),
    Column("what", Text, nullable=False),
    Column("result", Text),
    Column("pbx", String),
    Column("call_id", String),
    Index(None, "ticket_id", "at"),
)

# What was done with a ticket, by whom and when; rows are added and never changed.
ticket_steps = Table(
    "ticket_steps",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("ticket_id", ForeignKey("tickets.id", ondelete="CASCADE"), nullable=False),
    Column("at", UTCDateTime, nullable=False),
    Column("kind", String, nullable=False),
    Column("agent", ForeignKey("agents.id", ondelete="SET NULL")),
    Column("user_name", Text),  # who was signed in, kept when they are gone
    Column("from_agent", ForeignKey("agents.id", ondelete="SET NULL")),
    Column("to_agent", ForeignKey("agents.id", ondelete="SET NULL")),
    Column("reason", Text),
    Column("changes", JSON),  # {field: [before, after]}
    Index(None, "ticket_id", "at"),
)

# Who of ours was at a customer's, to install or since.
site_visits = Table(
    "site_visits",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("customer_id", ForeignKey("customers.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("kind", String, nullable=False),
    Column("at", UTCDateTime, nullable=False),
    Column("agent", ForeignKey("agents.id", ondelete="SET NULL")),
    Column("person", Text),  # of somebody who is no agent
    Column("ticket_id", ForeignKey("tickets.id", ondelete="SET NULL"), index=True),
    Column("notes", Text),
    CheckConstraint("kind IN ('installed', 'on_site')", name="kind"),
)

# What the agent says the call was. Apart from the books, which the daemon alone writes.
call_notes = Table(
    "call_notes",
    metadata,
    Column("pbx", String, primary_key=True),
    Column("call_id", String, primary_key=True),
    Column("disposition", Text),
    Column("notes", Text),
    Column("agent", ForeignKey("agents.id", ondelete="SET NULL")),
    Column("at", UTCDateTime, nullable=False),
)

# People who were, or are to be, erased: of each what was, as ids and counts.
erasures = Table(
    "erasures",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("contact_id", String, nullable=False, index=True),
    Column("asked_at", UTCDateTime, nullable=False),
    Column("asked_by", Text),  # NULL: the command line
    Column("stage", String, nullable=False, index=True),
    Column("done_at", UTCDateTime),
    Column("report", JSON(none_as_null=True)),
    CheckConstraint("stage IN ('asked', 'erased', 'done')", name="stage"),
)

counters = Table(
    "counters",
    metadata,
    Column("name", String, primary_key=True),
    Column("value", Integer, nullable=False),
)

# -- the books ---------------------------------------------------------------------------------------------------------

calls = Table(
    "calls",
    metadata,
    Column("pbx", String, primary_key=True),
    Column("id", String, primary_key=True),
    Column("direction", String, nullable=False),
    Column("caller", Text),
    Column("caller_name", Text),
    Column("dialled", Text),
    Column("line", String),
    Column("contact_id", String),
    Column("customer_id", String),
    Column("started_at", UTCDateTime, nullable=False, index=True),  # today's calls
    Column("answered_at", UTCDateTime),
    Column("ended_at", UTCDateTime, index=True),  # NULL: under way, read at each start
    Column("outcome", String),
    Column("via", String, nullable=False),
    Column("merged_into", String),
    Column("agent", String),
    Column("owner", String),  # of the caller's newest ticket, when they rang
    Column("consent", String),  # announced, accepted, refused, failed
    Column("callback", String),  # the call whose caller is called back: this one, or the one it was made for
    # [[at, line, reason, to], …]; where a supervisor placed the caller, [at, line, null, to, by]
    Column("diversions", JSON, nullable=False, server_default="[]"),
    Column("erased", Boolean, nullable=False, server_default=false()),  # whose it was is erased: no save brings it back
    Index(None, "id"),
    Index(None, "caller", "started_at"),
    Index(None, "dialled", "started_at"),
    Index(None, "contact_id", "started_at"),
    Index(None, "customer_id", "started_at"),
    Index(None, "agent", "started_at"),
    Index(None, "owner", "started_at"),  # whom to call back
    Index(None, "callback"),
)

callbacks = Table(
    "callbacks",
    metadata,
    Column("pbx", String, primary_key=True),
    Column("id", String, primary_key=True),  # the call that asked; saved before or after it
    Column("number", String, nullable=False),
    Column("dial", String, nullable=False),
    Column("called", Text),
    Column("line", String),
    Column("level", Integer, nullable=False),
    Column("severity", Integer, nullable=False),
    Column("arrived_at", UTCDateTime, nullable=False),
    Column("asked_at", UTCDateTime, nullable=False, index=True),
    Column("due_at", UTCDateTime, nullable=False),
    Column("state", String, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("rung", Integer, nullable=False),
    Column("attempt", String),
    Column("agent", String),
    Column("ended_at", UTCDateTime, index=True),  # NULL: open, read at each start
    Column("why", Text),
    Column("consent", String),  # refused, failed: the call back is not recorded either
)

legs = Table(
    "legs",
    metadata,
    Column("pbx", String, primary_key=True),
    Column("call_id", String, primary_key=True),
    Column("id", String, primary_key=True),
    Column("position", Integer, nullable=False),
    Column("agent", String),
    Column("party", Text, nullable=False),
    Column("offered_at", UTCDateTime, nullable=False),
    Column("answered_at", UTCDateTime),
    Column("ended_at", UTCDateTime),
    Column("hold_seconds", Float, nullable=False),
    Column("result", String),
    Column("certainty", String, nullable=False),
    ForeignKeyConstraint(["pbx", "call_id"], ["calls.pbx", "calls.id"], ondelete="CASCADE"),
    Index(None, "agent", "offered_at"),
    Index(None, "offered_at"),
)

talks = Table(
    "talks",
    metadata,
    Column("pbx", String, primary_key=True),
    Column("call_id", String, primary_key=True),
    Column("leg_id", String, primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("agent", String),  # the leg's, kept here for the index
    Column("started_at", UTCDateTime, nullable=False),
    Column("ended_at", UTCDateTime),  # NULL while it lasts
    Column("customer", Boolean, nullable=False),
    Column("certainty", String, nullable=False),
    ForeignKeyConstraint(["pbx", "call_id", "leg_id"], ["legs.pbx", "legs.call_id", "legs.id"], ondelete="CASCADE"),
    Index(None, "agent", "started_at"),
    Index(None, "ended_at"),
)

decisions = Table(
    "decisions",
    metadata,
    Column("pbx", String, primary_key=True),
    Column("call_id", String, primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("at", UTCDateTime, nullable=False),
    Column("rule", String, nullable=False),
    Column("chosen", String, nullable=False),
    Column("owner", String),
    Column("owner_ticket", String),
    Column("owner_skipped", String),
    Column("considered", JSON, nullable=False),  # [[agent, talk_seconds, idle_since, talk_share or null], …]
    Column("skipped", JSON, nullable=False),  # [[reason, count], …]
    ForeignKeyConstraint(["pbx", "call_id"], ["calls.pbx", "calls.id"], ondelete="CASCADE"),
)

recordings = Table(
    "recordings",
    metadata,
    Column("pbx", String, primary_key=True),
    Column("id", String, primary_key=True),
    Column("call_id", String, nullable=False),
    Column("path", String, nullable=False),  # relative to the recordings root
    Column("state", String, nullable=False),
    Column("seconds", Float),
    Column("sha256", String),
    ForeignKeyConstraint(["pbx", "call_id"], ["calls.pbx", "calls.id"], ondelete="CASCADE"),
    Index(None, "pbx", "call_id"),
    Index(None, "id"),
)

# What was not to be recorded: the pauses of a recording, in order.
recording_gaps = Table(
    "recording_gaps",
    metadata,
    Column("pbx", String, primary_key=True),
    Column("recording_id", String, primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("started_at", UTCDateTime, nullable=False),
    Column("until", UTCDateTime, nullable=False),  # when it was, or is, to go on by itself
    Column("ended_at", UTCDateTime),
    Column("agent", String),
    Column("by_name", Text),  # who paused it, where it was no agent
    Column("ended", String),  # why: resumed, timer or call_over
    Column("cut", Boolean, nullable=False, server_default=false()),  # stopped, not muted: the file is shorter
    ForeignKeyConstraint(["pbx", "recording_id"], ["recordings.pbx", "recordings.id"], ondelete="CASCADE"),
)

# A link that a person took away stays with ``removed_at`` set: the daemon's later saves still name it and must not
# bring it back.
call_tickets = Table(
    "call_tickets",
    metadata,
    Column("pbx", String, primary_key=True),
    Column("call_id", String, primary_key=True),
    Column("ticket_id", ForeignKey("tickets.id", ondelete="CASCADE"), primary_key=True, index=True),
    Column("linked_at", UTCDateTime, nullable=False),
    Column("removed_at", UTCDateTime),
)

recording_tickets = Table(
    "recording_tickets",
    metadata,
    Column("pbx", String, primary_key=True),
    Column("recording_id", String, primary_key=True),
    Column("ticket_id", ForeignKey("tickets.id", ondelete="CASCADE"), primary_key=True, index=True),
    Column("linked_at", UTCDateTime, nullable=False),
    Column("removed_at", UTCDateTime),
)

agent_states = Table(
    "agent_states",
    metadata,
    Column("pbx", String, primary_key=True),
    Column("agent", String, primary_key=True),
    Column("state", String, nullable=False),
    Column("since", UTCDateTime, nullable=False),
    Column("phone", Text),
    Column("reason", Text),
    Column("call_id", String),
    Column("talk_seconds_today", Float, nullable=False),
    Column("signed_in_at", UTCDateTime),
    Column("wrap_up_until", UTCDateTime),  # NULL but in wrap-up
)

agent_state_changes = Table(
    "agent_state_changes",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("pbx", String, nullable=False),
    Column("agent", String, nullable=False),
    Column("state", String, nullable=False),
    Column("reason", Text),
    Column("phone", Text),
    Column("call_id", String),
    Column("since", UTCDateTime, nullable=False),
    Column("until", UTCDateTime),  # NULL: the present state
    Index(None, "agent", "since"),
    Index(None, "until"),
)

# -- the web's people --------------------------------------------------------------------------------------------------

users = Table(
    "users",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", Text, nullable=False, unique=True),  # lower case
    Column("password_hash", String, nullable=False),
    Column("role", String, nullable=False),
    Column("agent_id", ForeignKey("agents.id", ondelete="SET NULL"), index=True),
    Column("disabled", Boolean, nullable=False, server_default=false()),
    Column("language", String),  # NULL: the browser's
    Column("theme", String),  # NULL: the system's
    Column("created_at", UTCDateTime, nullable=False),
    CheckConstraint("role IN ('agent', 'supervisor', 'administrator')", name="role"),
)

sessions = Table(
    "sessions",
    metadata,
    Column("token_hash", String, primary_key=True),
    Column("user_id", ForeignKey("users.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("created_at", UTCDateTime, nullable=False),
    Column("expires_at", UTCDateTime, nullable=False, index=True),
    Column("address", Text),
)

api_tokens = Table(
    "api_tokens",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("user_id", ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("name", Text, nullable=False),
    Column("token_hash", String, nullable=False, unique=True),
    Column("created_at", UTCDateTime, nullable=False),
    Column("revoked_at", UTCDateTime),
    UniqueConstraint("user_id", "name"),
)

audit = Table(
    "audit",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("at", UTCDateTime, nullable=False, index=True),
    Column("user_id", ForeignKey("users.id", ondelete="SET NULL")),
    Column("user_name", Text),  # as signed in or tried, kept when the user is gone
    Column("action", String, nullable=False),
    Column("subject", Text),
    Column("changes", JSON(none_as_null=True)),  # {field: [before, after], …} of what people changed
    Column("context", JSON(none_as_null=True)),  # of a recording: {"pbx", "call", "tickets": […]} at that time
    Column("address", Text),
    Index(None, "user_name", "at"),
    Index(None, "action", "at"),
    Index(None, "subject", "at"),
)

leaders = Table(
    "leaders",
    metadata,
    Column("pbx", String, primary_key=True),
    Column("epoch", String, nullable=False),  # what the dialplan knows the holder by; changes with each election
    Column("node", String, nullable=False),
    Column("term", Integer, nullable=False),
    Column("session", String, nullable=False),  # the application_name of the holder's connections
    Column("beat", Integer, nullable=False),
    Column("beat_at", UTCDateTime, nullable=False),
    Column("released", Boolean, nullable=False),
    Column("written_until", Float),  # Unix seconds by the PBX's clock
    Column("stepped", Float),  # seconds that clock is ahead of the holder's steady time
    Column("standby", String),
    Column("standby_at", UTCDateTime),
)
