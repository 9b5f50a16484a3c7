"""The first tables: the desk, the books of calls, the people of the web."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:  # noqa: PLR0915  # one statement per table and index
    op.create_table(
        "agent_state_changes",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("agent", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("reason", sa.String()),
        sa.Column("phone", sa.String()),
        sa.Column("call_id", sa.String()),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("id", name="pk_agent_state_changes"),
    )
    op.create_index("ix_agent_state_changes_agent_since", "agent_state_changes", ["agent", "since"])
    op.create_index("ix_agent_state_changes_until", "agent_state_changes", ["until"])
    op.create_table(
        "agent_states",
        sa.Column("agent", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("phone", sa.String()),
        sa.Column("reason", sa.String()),
        sa.Column("call_id", sa.String()),
        sa.Column("talk_seconds_today", sa.Float(), nullable=False),
        sa.Column("signed_in_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("agent", name="pk_agent_states"),
    )
    op.create_table(
        "agents",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("phone", sa.String()),
        sa.Column("level", sa.Integer(), server_default="1", nullable=False),
        sa.Column("pin_hash", sa.String()),
        sa.Column("email", sa.String()),
        sa.Column("enabled", sa.Boolean(), server_default=sa.true(), nullable=False),
        sa.CheckConstraint("level BETWEEN 1 AND 3", name="ck_agents_level"),
        sa.PrimaryKeyConstraint("id", name="pk_agents"),
    )
    op.create_table(
        "calls",
        sa.Column("pbx", sa.String(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("direction", sa.String(), nullable=False),
        sa.Column("caller", sa.String()),
        sa.Column("caller_name", sa.String()),
        sa.Column("dialled", sa.String()),
        sa.Column("line", sa.String()),
        sa.Column("contact_id", sa.String()),
        sa.Column("customer_id", sa.String()),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("answered_at", sa.DateTime(timezone=True)),
        sa.Column("ended_at", sa.DateTime(timezone=True)),
        sa.Column("outcome", sa.String()),
        sa.Column("via", sa.String(), nullable=False),
        sa.Column("merged_into", sa.String()),
        sa.Column("agent", sa.String()),
        sa.PrimaryKeyConstraint("pbx", "id", name="pk_calls"),
    )
    op.create_index("ix_calls_agent_started_at", "calls", ["agent", "started_at"])
    op.create_index("ix_calls_contact_id_started_at", "calls", ["contact_id", "started_at"])
    op.create_index("ix_calls_customer_id_started_at", "calls", ["customer_id", "started_at"])
    op.create_index("ix_calls_ended_at", "calls", ["ended_at"])
    op.create_index("ix_calls_id", "calls", ["id"])
    op.create_index("ix_calls_started_at", "calls", ["started_at"])
    op.create_table(
        "counters",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("value", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_counters"),
    )
    op.execute("INSERT INTO counters (name, value) VALUES ('ticket', 0)")
    op.create_table(
        "customers",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("level", sa.Integer(), server_default="1", nullable=False),
        sa.Column("notes", sa.String()),
        sa.CheckConstraint("level BETWEEN 1 AND 5", name="ck_customers_level"),
        sa.PrimaryKeyConstraint("id", name="pk_customers"),
    )
    op.create_table(
        "lines",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("numbers", sa.JSON(), nullable=False),
        sa.Column("configured", sa.Boolean(), server_default=sa.true(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_lines"),
    )
    op.create_table(
        "agent_lines",
        sa.Column("agent_id", sa.String(), nullable=False),
        sa.Column("line", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["agent_id"], ["agents.id"], name="fk_agent_lines_agent_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("agent_id", "line", name="pk_agent_lines"),
    )
    op.create_table(
        "contacts",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("customer_id", sa.String()),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("department", sa.String()),
        sa.Column("title", sa.String()),
        sa.Column("level", sa.Integer()),
        sa.Column("notes", sa.String()),
        sa.CheckConstraint("level BETWEEN 1 AND 5", name="ck_contacts_level"),
        sa.ForeignKeyConstraint(["customer_id"], ["customers.id"], name="fk_contacts_customer_id", ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("id", name="pk_contacts"),
    )
    op.create_index("ix_contacts_customer_id", "contacts", ["customer_id"])
    op.create_table(
        "decisions",
        sa.Column("pbx", sa.String(), nullable=False),
        sa.Column("call_id", sa.String(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("rule", sa.String(), nullable=False),
        sa.Column("chosen", sa.String(), nullable=False),
        sa.Column("owner", sa.String()),
        sa.Column("owner_skipped", sa.String()),
        sa.Column("considered", sa.JSON(), nullable=False),
        sa.Column("skipped", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["pbx", "call_id"], ["calls.pbx", "calls.id"], name="fk_decisions_pbx_call_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("pbx", "call_id", "position", name="pk_decisions"),
    )
    op.create_table(
        "legs",
        sa.Column("pbx", sa.String(), nullable=False),
        sa.Column("call_id", sa.String(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("agent", sa.String()),
        sa.Column("party", sa.String(), nullable=False),
        sa.Column("offered_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("answered_at", sa.DateTime(timezone=True)),
        sa.Column("ended_at", sa.DateTime(timezone=True)),
        sa.Column("hold_seconds", sa.Float(), nullable=False),
        sa.Column("result", sa.String()),
        sa.Column("certainty", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["pbx", "call_id"], ["calls.pbx", "calls.id"], name="fk_legs_pbx_call_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("pbx", "call_id", "id", name="pk_legs"),
    )
    op.create_index("ix_legs_agent_offered_at", "legs", ["agent", "offered_at"])
    op.create_index("ix_legs_offered_at", "legs", ["offered_at"])
    op.create_table(
        "recordings",
        sa.Column("pbx", sa.String(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("call_id", sa.String(), nullable=False),
        sa.Column("path", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("seconds", sa.Float()),
        sa.Column("sha256", sa.String()),
        sa.ForeignKeyConstraint(
            ["pbx", "call_id"],
            ["calls.pbx", "calls.id"],
            name="fk_recordings_pbx_call_id",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("pbx", "id", name="pk_recordings"),
    )
    op.create_index("ix_recordings_id", "recordings", ["id"])
    op.create_index("ix_recordings_pbx_call_id", "recordings", ["pbx", "call_id"])
    op.create_table(
        "users",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("password_hash", sa.String(), nullable=False),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("agent_id", sa.String()),
        sa.Column("disabled", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("role IN ('agent', 'supervisor', 'administrator')", name="ck_users_role"),
        sa.ForeignKeyConstraint(["agent_id"], ["agents.id"], name="fk_users_agent_id", ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("id", name="pk_users"),
        sa.UniqueConstraint("name", name="uq_users_name"),
    )
    op.create_index("ix_users_agent_id", "users", ["agent_id"])
    op.create_table(
        "api_tokens",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("token_hash", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True)),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_api_tokens_user_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_api_tokens"),
        sa.UniqueConstraint("token_hash", name="uq_api_tokens_token_hash"),
        sa.UniqueConstraint("user_id", "name", name="uq_api_tokens_user_id_name"),
    )
    op.create_table(
        "audit",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("user_id", sa.Integer()),
        sa.Column("user_name", sa.String()),
        sa.Column("action", sa.String(), nullable=False),
        sa.Column("subject", sa.String()),
        sa.Column("address", sa.String()),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_audit_user_id", ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("id", name="pk_audit"),
    )
    op.create_index("ix_audit_at", "audit", ["at"])
    op.create_index("ix_audit_subject_at", "audit", ["subject", "at"])
    op.create_table(
        "contact_numbers",
        sa.Column("contact_id", sa.String(), nullable=False),
        sa.Column("number", sa.String(), nullable=False),
        sa.Column("given", sa.String(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["contact_id"], ["contacts.id"], name="fk_contact_numbers_contact_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("contact_id", "number", name="pk_contact_numbers"),
    )
    op.create_index("ix_contact_numbers_number", "contact_numbers", ["number"])
    op.create_table(
        "sessions",
        sa.Column("token_hash", sa.String(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("address", sa.String()),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_sessions_user_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("token_hash", name="pk_sessions"),
    )
    op.create_index("ix_sessions_expires_at", "sessions", ["expires_at"])
    op.create_index("ix_sessions_user_id", "sessions", ["user_id"])
    op.create_table(
        "talks",
        sa.Column("pbx", sa.String(), nullable=False),
        sa.Column("call_id", sa.String(), nullable=False),
        sa.Column("leg_id", sa.String(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("agent", sa.String()),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True)),
        sa.Column("customer", sa.Boolean(), nullable=False),
        sa.Column("certainty", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["pbx", "call_id", "leg_id"],
            ["legs.pbx", "legs.call_id", "legs.id"],
            name="fk_talks_pbx_call_id_leg_id",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("pbx", "call_id", "leg_id", "position", name="pk_talks"),
    )
    op.create_index("ix_talks_agent_started_at", "talks", ["agent", "started_at"])
    op.create_index("ix_talks_ended_at", "talks", ["ended_at"])
    op.create_table(
        "tickets",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("customer_id", sa.String()),
        sa.Column("contact_id", sa.String()),
        sa.Column("owner", sa.String()),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("category", sa.String()),
        sa.Column("severity", sa.Integer(), server_default="3", nullable=False),
        sa.Column("status", sa.String(), server_default="open", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("promised_at", sa.DateTime(timezone=True)),
        sa.Column("resolved_at", sa.DateTime(timezone=True)),
        sa.Column("opened_by", sa.String()),
        sa.Column("resolved_by", sa.String()),
        sa.Column("pbx", sa.String()),
        sa.Column("call_id", sa.String()),
        sa.CheckConstraint("status IN ('open', 'pending', 'resolved', 'closed')", name="ck_tickets_status"),
        sa.CheckConstraint("severity BETWEEN 1 AND 5", name="ck_tickets_severity"),
        sa.ForeignKeyConstraint(["contact_id"], ["contacts.id"], name="fk_tickets_contact_id", ondelete="SET NULL"),
        sa.ForeignKeyConstraint(["customer_id"], ["customers.id"], name="fk_tickets_customer_id", ondelete="SET NULL"),
        sa.ForeignKeyConstraint(["opened_by"], ["agents.id"], name="fk_tickets_opened_by", ondelete="SET NULL"),
        sa.ForeignKeyConstraint(["owner"], ["agents.id"], name="fk_tickets_owner", ondelete="SET NULL"),
        sa.ForeignKeyConstraint(["resolved_by"], ["agents.id"], name="fk_tickets_resolved_by", ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("id", name="pk_tickets"),
    )
    op.create_index("ix_tickets_contact_id_created_at", "tickets", ["contact_id", "created_at"])
    op.create_index("ix_tickets_created_at", "tickets", ["created_at"])
    op.create_index("ix_tickets_customer_id_created_at", "tickets", ["customer_id", "created_at"])
    op.create_index("ix_tickets_owner_status", "tickets", ["owner", "status"])
    op.create_index("ix_tickets_resolved_at", "tickets", ["resolved_at"])
    op.create_table(
        "call_tickets",
        sa.Column("pbx", sa.String(), nullable=False),
        sa.Column("call_id", sa.String(), nullable=False),
        sa.Column("ticket_id", sa.String(), nullable=False),
        sa.Column("linked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("removed_at", sa.DateTime(timezone=True)),
        sa.ForeignKeyConstraint(["ticket_id"], ["tickets.id"], name="fk_call_tickets_ticket_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("pbx", "call_id", "ticket_id", name="pk_call_tickets"),
    )
    op.create_index("ix_call_tickets_ticket_id", "call_tickets", ["ticket_id"])
    op.create_table(
        "recording_tickets",
        sa.Column("pbx", sa.String(), nullable=False),
        sa.Column("recording_id", sa.String(), nullable=False),
        sa.Column("ticket_id", sa.String(), nullable=False),
        sa.Column("linked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("removed_at", sa.DateTime(timezone=True)),
        sa.ForeignKeyConstraint(
            ["ticket_id"], ["tickets.id"], name="fk_recording_tickets_ticket_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("pbx", "recording_id", "ticket_id", name="pk_recording_tickets"),
    )
    op.create_index("ix_recording_tickets_ticket_id", "recording_tickets", ["ticket_id"])
    op.create_table(
        "ticket_attempts",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("ticket_id", sa.String(), nullable=False),
        sa.Column("agent", sa.String()),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("what", sa.String(), nullable=False),
        sa.Column("result", sa.String()),
        sa.Column("pbx", sa.String()),
        sa.Column("call_id", sa.String()),
        sa.ForeignKeyConstraint(["agent"], ["agents.id"], name="fk_ticket_attempts_agent", ondelete="SET NULL"),
        sa.ForeignKeyConstraint(["ticket_id"], ["tickets.id"], name="fk_ticket_attempts_ticket_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_ticket_attempts"),
    )
    op.create_index("ix_ticket_attempts_ticket_id_at", "ticket_attempts", ["ticket_id", "at"])


def downgrade() -> None:
    op.drop_table("ticket_attempts")
    op.drop_table("recording_tickets")
    op.drop_table("call_tickets")
    op.drop_table("tickets")
    op.drop_table("talks")
    op.drop_table("sessions")
    op.drop_table("contact_numbers")
    op.drop_table("audit")
    op.drop_table("api_tokens")
    op.drop_table("users")
    op.drop_table("recordings")
    op.drop_table("legs")
    op.drop_table("decisions")
    op.drop_table("contacts")
    op.drop_table("agent_lines")
    op.drop_table("lines")
    op.drop_table("customers")
    op.drop_table("counters")
    op.drop_table("calls")
    op.drop_table("agents")
    op.drop_table("agent_states")
    op.drop_table("agent_state_changes")
