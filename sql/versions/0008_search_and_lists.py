"""What tickets, contacts and customers are found by, and the indices of lists: by weight, by age, by promise, by number."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_OPEN = sa.text("status IN ('open', 'pending')")
_WEIGHT = [sa.text("severity DESC"), sa.text("level DESC"), "created_at", "id"]
_KINDS = ("ticket", "contact", "customer")


def upgrade() -> None:
    with op.batch_alter_table("tickets") as tickets:
        tickets.add_column(sa.Column("level", sa.Integer(), nullable=False, server_default="1"))
    op.create_index("ix_tickets_with_agent_status", "tickets", ["with_agent", "status"])
    op.create_index("ix_tickets_weight", "tickets", _WEIGHT)
    for name, columns in (
        ("weight", _WEIGHT),
        ("age", ["created_at"]),
        ("promise", ["promised_at"]),
        ("customer", ["customer_id", "severity"]),
        ("category", ["category", "severity"]),
    ):
        op.create_index(f"ix_tickets_open_{name}", "tickets", columns, sqlite_where=_OPEN, postgresql_where=_OPEN)
    op.create_index("ix_calls_caller_started_at", "calls", ["caller", "started_at"])
    op.create_index("ix_calls_dialled_started_at", "calls", ["dialled", "started_at"])
    for kind in _KINDS:
        op.create_table(
            f"{kind}_words",
            sa.Column("id", sa.Integer(), primary_key=True),
            sa.Column("of", sa.String(), sa.ForeignKey(f"{kind}s.id", ondelete="CASCADE"), nullable=False),
            sa.Column("grams", sa.String(), nullable=False),
            sa.UniqueConstraint("of"),
        )
        if op.get_bind().dialect.name == "postgresql":
            op.execute(
                f"CREATE INDEX ix_{kind}_words_fts ON {kind}_words"
                " USING gin (array_to_tsvector(string_to_array(grams, ' ')))"
            )
        else:
            _full_text(f"{kind}_words")


def _full_text(words: str) -> None:
    """The tokenizer takes every letter that is not ASCII as it stands; ``detail=none``: which rows, not where in them."""
    op.execute(
        f"CREATE VIRTUAL TABLE {words}_fts USING fts5(grams, content='{words}', content_rowid='id',"
        " tokenize='ascii', detail=none, prefix='1 2')"
    )
    gone = f"INSERT INTO {words}_fts({words}_fts, rowid, grams) VALUES ('delete', old.id, old.grams);"  # noqa: S608
    come = f"INSERT INTO {words}_fts(rowid, grams) VALUES (new.id, new.grams);"  # noqa: S608
    for name, event, then in (
        ("come", "INSERT", come),
        ("gone", "DELETE", gone),
        ("else", "UPDATE OF grams", f"{gone} {come}"),
    ):
        op.execute(f"CREATE TRIGGER {words}_fts_{name} AFTER {event} ON {words} BEGIN {then} END")


def downgrade() -> None:
    for kind in _KINDS:
        if op.get_bind().dialect.name != "postgresql":
            op.execute(f"DROP TABLE {kind}_words_fts")
        op.drop_table(f"{kind}_words")
    op.drop_index("ix_calls_dialled_started_at", "calls")
    op.drop_index("ix_calls_caller_started_at", "calls")
    for name in (
        "open_category",
        "open_customer",
        "open_promise",
        "open_age",
        "open_weight",
        "weight",
        "with_agent_status",
    ):
        op.drop_index(f"ix_tickets_{name}", "tickets")
    with op.batch_alter_table("tickets") as tickets:
        tickets.drop_column("level")
