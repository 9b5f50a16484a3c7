"""Callbacks: a caller's place that was kept, and the calls made for it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "callbacks",
        sa.Column("pbx", sa.String(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("number", sa.String(), nullable=False),
        sa.Column("dial", sa.String(), nullable=False),
        sa.Column("called", sa.String()),
        sa.Column("line", sa.String()),
        sa.Column("level", sa.Integer(), nullable=False),
        sa.Column("severity", sa.Integer(), nullable=False),
        sa.Column("arrived_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("rung", sa.Integer(), nullable=False),
        sa.Column("attempt", sa.String()),
        sa.Column("agent", sa.String()),
        sa.Column("ended_at", sa.DateTime(timezone=True)),
        sa.Column("why", sa.String()),
        sa.PrimaryKeyConstraint("pbx", "id", name="pk_callbacks"),
    )
    op.create_index("ix_callbacks_asked_at", "callbacks", ["asked_at"])
    op.create_index("ix_callbacks_ended_at", "callbacks", ["ended_at"])
    with op.batch_alter_table("calls") as calls:
        calls.add_column(sa.Column("callback", sa.String()))
        calls.create_index("ix_calls_callback", ["callback"])


def downgrade() -> None:
    with op.batch_alter_table("calls") as calls:
        calls.drop_index("ix_calls_callback")
        calls.drop_column("callback")
    op.drop_table("callbacks")
