"""What people write: tickets whole, posts over time, visits, what a call was, and how each user likes the pages."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from ctid.db.tables import Text, UTCDateTime

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_TICKET_COLUMNS = (
    ("department", Text()),
    ("asked", Text()),
    ("next_step", Text()),
    ("with_agent", sa.String()),
    ("followed_up_at", UTCDateTime()),
    ("followed_up_by", sa.String()),
    ("confirmed_at", UTCDateTime()),
    ("confirmed_by", Text()),
    ("satisfaction", sa.Integer()),
    ("closed_at", UTCDateTime()),
    ("changed_at", UTCDateTime()),
)


def upgrade() -> None:
    with op.batch_alter_table("customers") as customers:
        customers.add_column(sa.Column("address", Text()))
        customers.add_column(sa.Column("kind", sa.String(), nullable=False, server_default="customer"))
        customers.add_column(sa.Column("created_at", UTCDateTime()))
        customers.add_column(sa.Column("merged_into", sa.String()))
        customers.add_column(sa.Column("version", sa.Integer(), nullable=False, server_default="1"))
        customers.create_check_constraint(op.f("ck_customers_kind"), "kind IN ('customer', 'lead')")
    with op.batch_alter_table("contacts") as contacts:
        contacts.add_column(sa.Column("email", Text()))
        contacts.add_column(sa.Column("created_at", UTCDateTime()))
        contacts.add_column(sa.Column("merged_into", sa.String()))
        contacts.add_column(sa.Column("version", sa.Integer(), nullable=False, server_default="1"))
    with op.batch_alter_table("tickets") as tickets:
        for name, kind in _TICKET_COLUMNS:
            tickets.add_column(sa.Column(name, kind))
        tickets.add_column(sa.Column("version", sa.Integer(), nullable=False, server_default="1"))
        for name in ("with_agent", "followed_up_by"):
            tickets.create_foreign_key(f"fk_tickets_{name}", "agents", [name], ["id"], ondelete="SET NULL")
        tickets.create_check_constraint(op.f("ck_tickets_satisfaction"), "satisfaction BETWEEN 1 AND 5")
    with op.batch_alter_table("users") as users:
        users.add_column(sa.Column("language", sa.String()))
        users.add_column(sa.Column("theme", sa.String()))
    op.create_table(
        "posts",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("contact_id", sa.String(), sa.ForeignKey("contacts.id", ondelete="CASCADE"), nullable=False),
        sa.Column("customer_id", sa.String(), sa.ForeignKey("customers.id", ondelete="SET NULL")),
        sa.Column("department", Text()),
        sa.Column("title", Text()),
        sa.Column("since", UTCDateTime()),
        sa.Column("until", UTCDateTime()),
        sa.Column("notes", Text()),
    )
    op.create_index("ix_posts_contact_id", "posts", ["contact_id"])
    op.create_index("ix_posts_customer_id", "posts", ["customer_id"])
    op.create_table(
        "ticket_steps",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("ticket_id", sa.String(), sa.ForeignKey("tickets.id", ondelete="CASCADE"), nullable=False),
        sa.Column("at", UTCDateTime(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("agent", sa.String(), sa.ForeignKey("agents.id", ondelete="SET NULL")),
        sa.Column("user_name", Text()),
        sa.Column("from_agent", sa.String(), sa.ForeignKey("agents.id", ondelete="SET NULL")),
        sa.Column("to_agent", sa.String(), sa.ForeignKey("agents.id", ondelete="SET NULL")),
        sa.Column("reason", Text()),
        sa.Column("changes", sa.JSON()),
    )
    op.create_index("ix_ticket_steps_ticket_id_at", "ticket_steps", ["ticket_id", "at"])
    op.create_table(
        "site_visits",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("customer_id", sa.String(), sa.ForeignKey("customers.id", ondelete="CASCADE"), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("at", UTCDateTime(), nullable=False),
        sa.Column("agent", sa.String(), sa.ForeignKey("agents.id", ondelete="SET NULL")),
        sa.Column("person", Text()),
        sa.Column("ticket_id", sa.String(), sa.ForeignKey("tickets.id", ondelete="SET NULL")),
        sa.Column("notes", Text()),
        sa.CheckConstraint("kind IN ('installed', 'on_site')", name="kind"),
    )
    op.create_index("ix_site_visits_customer_id", "site_visits", ["customer_id"])
    op.create_index("ix_site_visits_ticket_id", "site_visits", ["ticket_id"])
    op.create_table(
        "call_notes",
        sa.Column("pbx", sa.String(), primary_key=True),
        sa.Column("call_id", sa.String(), primary_key=True),
        sa.Column("disposition", Text()),
        sa.Column("notes", Text()),
        sa.Column("agent", sa.String(), sa.ForeignKey("agents.id", ondelete="SET NULL")),
        sa.Column("at", UTCDateTime(), nullable=False),
    )


def downgrade() -> None:
    for name in ("call_notes", "site_visits", "ticket_steps", "posts"):
        op.drop_table(name)
    with op.batch_alter_table("users") as users:
        users.drop_column("theme")
        users.drop_column("language")
    with op.batch_alter_table("tickets") as tickets:
        tickets.drop_constraint(op.f("ck_tickets_satisfaction"), type_="check")
        for name in ("with_agent", "followed_up_by"):
            tickets.drop_constraint(f"fk_tickets_{name}", type_="foreignkey")
        tickets.drop_column("version")
        for name, _ in reversed(_TICKET_COLUMNS):
            tickets.drop_column(name)
    with op.batch_alter_table("contacts") as contacts:
        for name in ("version", "merged_into", "created_at", "email"):
            contacts.drop_column(name)
    with op.batch_alter_table("customers") as customers:
        customers.drop_constraint(op.f("ck_customers_kind"), type_="check")
        for name in ("version", "merged_into", "created_at", "kind", "address"):
            customers.drop_column(name)
