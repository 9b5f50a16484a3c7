"""Calls by the owner of their caller, for who rang in vain."""

from __future__ import annotations

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_calls_owner_started_at", "calls", ["owner", "started_at"])


def downgrade() -> None:
    op.drop_index("ix_calls_owner_started_at", "calls")
